//! What is kept by band: its taps at each event, and its history.

use domain::ports::rows::{RowKey, RowPut};
use models::taps::Class;

use super::super::NO_EVENT;
use super::super::fold::class_index;
use super::super::rows::{BandTaps, HISTORY_EVENTS, HISTORY_TAPS, History, PastTap, key};
use super::counts::{instant, modes};
use super::intern::{Column, MISSING, Names, Table, latest};
use super::shows::{Show, Shows};
use super::taps::{BAND, MODES, Taps, WINDOW};
use super::{Part, tenant};
use crate::projection::ApplyError;
use crate::working_set::put_of;

#[derive(Default)]
pub struct Band {
    pub classes: [u32; 3],
    /// Of taps.
    pub first: Option<i64>,
    pub last: Option<i64>,
    modes: [u32; MODES.len()],
}

#[derive(Clone, Copy)]
struct Past {
    at: i64,
    position: u64,
    show: u32,
    window: u32,
    class: Class,
    mode: u8,
}

#[derive(Default)]
struct Story {
    /// Shows with taps, in the order of their first.
    shows: Vec<u32>,
    /// The newest by time are kept when there are twice as many as wanted.
    past: Vec<Past>,
}

#[derive(Default)]
pub struct Bands {
    part: Part,
    shows: Shows,
    bands: Names,
    windows: Names,
    /// By show and band.
    at_show: Table<(u32, u32), Band>,
    /// By tenant and band.
    stories: Table<(u32, u32), Story>,
    /// By band: the show of the tap before, and where it is in `at_show`. Most
    /// are tapped again at the same show.
    before: Vec<(u32, u32)>,
    /// By number in `at_show`: the band's number in `stories`.
    story_of: Vec<u32>,
    /// Bands that tapped at both shows.
    shared: Table<(u32, u32), u64>,
    past: usize,
}

impl Bands {
    pub fn new(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    pub fn fold(&mut self, taps: &Taps) {
        let mut shows = self.shows.column(taps);
        let windows = self.windows.column(taps.member(WINDOW));
        let (part, names) = (self.part, &mut self.bands);
        let number = |band: &str| if part.has(band) { names.number(band) } else { MISSING };
        let bands = Column { by_code: taps.member(BAND).values().map(number).collect(), missing: MISSING };
        for row in 0..taps.len() {
            let band = bands.at(taps.member(BAND), row);
            if band == MISSING {
                continue;
            }
            let show = shows.at(&mut self.shows, taps, row);
            let past = Past {
                at: taps.columns.at[row],
                position: taps.columns.positions[row],
                show,
                window: windows.at(taps.member(WINDOW), row),
                class: taps.class(row),
                mode: taps.mode(row),
            };
            let before = latest(&mut self.before, band);
            if before.0 != show {
                *before = (show, self.at_show.number((show, band)));
            }
            let number = before.1 as usize;
            if self.story_of.len() == number {
                self.story_of.push(self.stories.number((self.shows.tenant_of(show), band)));
            }
            let here = &mut self.at_show.values[number];
            here.add(past);
            let story = &mut self.stories.values[self.story_of[number] as usize];
            let capacity = story.past.capacity();
            story.add(past);
            self.past = self.past + story.past.capacity() - capacity;
            if past.class == Class::Human && here.classes[class_index(Class::Human)] == 1 {
                story.came_to(show, &self.shows, &mut self.shared);
            }
        }
    }

    pub fn memory(&self) -> usize {
        self.bands.memory()
            + self.windows.memory()
            + self.at_show.memory()
            + self.stories.memory()
            + self.shared.memory()
            + 8 * self.before.len()
            + 4 * self.story_of.len()
            + self.past * size_of::<Past>()
    }

    pub fn shows(&self) -> &[Show] {
        self.shows.all()
    }

    /// Every band at a show, which is its number.
    pub fn each(&self) -> impl Iterator<Item = (usize, &Band)> {
        self.at_show.keys.iter().map(|(show, _)| *show as usize).zip(&self.at_show.values)
    }

    /// Pairs of events with the bands that tapped at both.
    pub fn shared(&self) -> impl Iterator<Item = ((&Show, &Show), u64)> {
        let pairs = self.shared.keys.iter().map(|(a, b)| (self.shows.show(*a), self.shows.show(*b)));
        pairs.zip(self.shared.values.iter().copied())
    }

    pub fn band_rows(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        let mut order: Vec<usize> = (0..self.at_show.keys.len()).collect();
        order.sort_unstable_by_key(|i| {
            let (show, band) = self.at_show.keys[*i];
            (self.shows.show(show), self.bands.text(band))
        });
        order.into_iter().map(|i| {
            let (show, band) = self.at_show.keys[i];
            let (show, band_id) = (self.shows.show(show), self.bands.text(band));
            let row_key = key(&show.event, band_id).into();
            let row = self.at_show.values[i].row(&show.event, band_id)?;
            put_of(RowKey { tenant: tenant(&show.tenant)?, key: row_key }, &row)
        })
    }

    pub fn history_rows(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        let mut order: Vec<usize> = (0..self.stories.keys.len()).collect();
        order.sort_unstable_by_key(|i| {
            let (tenant, band) = self.stories.keys[*i];
            (self.shows.tenant(tenant), self.bands.text(band))
        });
        order.into_iter().map(|i| {
            let (of, band) = self.stories.keys[i];
            let row_key =
                RowKey { tenant: tenant(self.shows.tenant(of))?, key: self.bands.text(band).into() };
            put_of(row_key, &self.history(band, &self.stories.values[i]))
        })
    }

    fn history(&self, band: u32, story: &Story) -> History {
        let event = |show: u32| self.shows.show(show).event.to_string();
        let text = |window: u32| (window != MISSING).then(|| self.windows.text(window).to_string());
        let taps = |show: u32| {
            let here = self.at_show.get((show, band));
            here.map_or(0, |b| b.classes[class_index(Class::Human)].into())
        };
        let mut past = story.past.clone();
        newest(&mut past);
        let tap = |p: &Past| {
            let mode = MODES[usize::from(p.mode)];
            PastTap(p.at, p.position, event(p.show), p.class, mode, text(p.window))
        };
        History {
            events: story.shows.iter().map(|show| (event(*show), taps(*show))).collect(),
            last: past.iter().map(tap).collect(),
        }
    }
}

impl Band {
    fn add(&mut self, tap: Past) {
        self.classes[class_index(tap.class)] += 1;
        if tap.class == Class::Human {
            self.modes[usize::from(tap.mode)] += 1;
            self.first = Some(self.first.map_or(tap.at, |first| first.min(tap.at)));
            self.last = Some(self.last.map_or(tap.at, |last| last.max(tap.at)));
        }
    }

    fn row(&self, event_id: &str, band_id: &str) -> Result<BandTaps, ApplyError> {
        Ok(BandTaps {
            event_id: event_id.to_string(),
            band_id: band_id.to_string(),
            taps: self.classes[0].into(),
            bots: self.classes[1].into(),
            previews: self.classes[2].into(),
            first_tap_at: self.first.map(instant).transpose()?,
            last_tap_at: self.last.map(instant).transpose()?,
            modes: modes(&self.modes.map(u64::from)),
        })
    }
}

impl Story {
    fn add(&mut self, tap: Past) {
        if self.past.len() == 2 * HISTORY_TAPS {
            newest(&mut self.past);
        }
        self.past.push(tap);
    }

    /// The first tap at a show.
    fn came_to(&mut self, show: u32, shows: &Shows, shared: &mut Table<(u32, u32), u64>) {
        if self.shows.len() >= HISTORY_EVENTS {
            return;
        }
        let named = |show: u32| &*shows.show(show).event != NO_EVENT;
        if named(show) {
            for other in self.shows.iter().filter(|other| named(**other)) {
                *shared.entry((*other.min(&show), *other.max(&show))) += 1;
            }
        }
        self.shows.push(show);
    }
}

/// Leaves the last [`HISTORY_TAPS`] by time, in order.
fn newest(past: &mut Vec<Past>) {
    past.sort_unstable_by_key(|p| (p.at, p.position));
    past.drain(..past.len().saturating_sub(HISTORY_TAPS));
}
