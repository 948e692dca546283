//! What is kept by band: its taps at each event, and its history.

use std::sync::Arc;

use domain::ports::rows::{RowKey, RowPut};
use models::taps::Class;

use super::super::NO_EVENT;
use super::super::fold::class_index;
use super::super::rows::{BandTaps, HISTORY_EVENTS, HISTORY_TAPS, History, PastTap, key};
use super::counts::{instant, modes};
use super::intern::{Column, MISSING, Names, Table};
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
    events: Vec<(u32, u64)>,
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
            self.at_show.entry((show, band)).add(past);
            self.remember(band, past);
        }
    }

    fn remember(&mut self, band: u32, past: Past) {
        let tenant = self.shows.tenant_of(past.show);
        let story = self.stories.entry((tenant, band));
        let before = story.past.capacity();
        story.add(past);
        self.past = self.past + story.past.capacity() - before;
        if past.class != Class::Human {
            return;
        }
        if let Some((_, taps)) = story.events.iter_mut().find(|(show, _)| *show == past.show) {
            *taps += 1;
            return;
        }
        if story.events.len() >= HISTORY_EVENTS {
            return;
        }
        let named = |show: u32| &*self.shows.show(show).event != NO_EVENT;
        if named(past.show) {
            for (other, _) in story.events.iter().filter(|(other, _)| named(*other)) {
                let pair = (*other.min(&past.show), *other.max(&past.show));
                *self.shared.entry(pair) += 1;
            }
        }
        story.events.push((past.show, 1));
    }

    pub fn memory(&self) -> usize {
        self.bands.memory()
            + self.windows.memory()
            + self.at_show.memory()
            + self.stories.memory()
            + self.shared.memory()
            + self.past * size_of::<Past>()
    }

    /// Every band at an event.
    pub fn each(&self) -> impl Iterator<Item = (Show, &Band)> {
        let keys = self.at_show.keys.iter().map(|(show, _)| self.shows.show(*show));
        keys.zip(&self.at_show.values)
    }

    /// Pairs of events with the bands that tapped at both.
    pub fn shared(&self) -> impl Iterator<Item = ((Show, Show), u64)> {
        let pairs = self.shared.keys.iter().map(|(a, b)| (self.shows.show(*a), self.shows.show(*b)));
        pairs.zip(self.shared.values.iter().copied())
    }

    pub fn band_rows(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        let mut order: Vec<usize> = (0..self.at_show.keys.len()).collect();
        order.sort_by_cached_key(|i| {
            let (show, band) = self.at_show.keys[*i];
            (self.shows.show(show), self.bands.text(band).clone())
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
                RowKey { tenant: tenant(self.shows.tenant(of))?, key: self.bands.text(band).clone() };
            put_of(row_key, &self.history(&self.stories.values[i]))
        })
    }

    fn history(&self, story: &Story) -> History {
        let event = |show: u32| self.shows.show(show).event.to_string();
        let text = |window: u32| (window != MISSING).then(|| self.windows.text(window).to_string());
        let mut past = story.past.clone();
        newest(&mut past);
        let tap = |p: &Past| {
            let mode = MODES[usize::from(p.mode)];
            PastTap(p.at, p.position, event(p.show), p.class, mode, text(p.window))
        };
        History {
            events: story.events.iter().map(|(show, taps)| (event(*show), *taps)).collect(),
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

    fn row(&self, event_id: &Arc<str>, band_id: &Arc<str>) -> Result<BandTaps, ApplyError> {
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
}

/// Leaves the last [`HISTORY_TAPS`] by time, in order.
fn newest(past: &mut Vec<Past>) {
    past.sort_unstable_by_key(|p| (p.at, p.position));
    past.drain(..past.len().saturating_sub(HISTORY_TAPS));
}
