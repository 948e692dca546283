//! What is kept by band: its taps at each event, and its history.

use std::collections::BTreeMap;

use background::Steps;
use domain::ports::rows::{RowKey, RowPut};
use domain::tap::Mode;
use models::taps::Class;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::super::NO_EVENT;
use super::super::fold::class_index;
use super::super::rows::{BandTaps, HISTORY_EVENTS, HISTORY_TAPS, key};
use super::beside::Fold;
use super::counts::{instant, modes};
use super::intern::{MISSING, Names, Table, latest};
use super::order::order;
use super::shows::{Show, Shows};
use super::taps::{BAND, MODES, Taps, WINDOW};
use super::{Part, tenant};
use crate::projection::ApplyError;
use crate::working_set::{put_borrowed, put_of};

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

/// A tap that waits for others of its band.
#[derive(Clone, Copy)]
struct Waiting {
    band: u32,
    tap: Past,
}

/// Taps that are put in the order of their bands, to be folded one band after
/// the other: what is kept of a band lies anywhere in memory, and is looked for
/// once for several of its taps.
const TOGETHER: usize = if cfg!(test) { 7 } else { 500_000 };

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
    waiting: Vec<Waiting>,
}

impl Bands {
    pub fn new(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    /// Folds those that wait; has to be done before anything is asked for.
    pub fn settle(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut steps = Steps::of_nanos(150);
        for index in by_band(&waiting) {
            steps.step();
            let Waiting { band, tap } = waiting[index as usize];
            self.tap(band, tap);
        }
        self.waiting = waiting;
        self.waiting.clear();
    }

    fn tap(&mut self, band: u32, tap: Past) {
        let show = tap.show;
        let before = latest(&mut self.before, band);
        if before.0 != show {
            *before = (show, self.at_show.number((show, band)));
        }
        let number = before.1 as usize;
        if self.story_of.len() == number {
            self.story_of.push(self.stories.number((self.shows.tenant_of(show), band)));
        }
        let here = &mut self.at_show.values[number];
        here.add(tap);
        let story = &mut self.stories.values[self.story_of[number] as usize];
        let capacity = story.past.capacity();
        story.add(tap);
        self.past = self.past + story.past.capacity() - capacity;
        if tap.class == Class::Human && here.classes[class_index(Class::Human)] == 1 {
            story.came_to(show, &self.shows, &mut self.shared);
        }
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
        let ranks = self.shows.ranks();
        let id = |(show, band): &(u32, u32)| (ranks[*show as usize], self.bands.text(*band));
        let ids: Vec<_> = self.at_show.keys.iter().map(id).collect();
        order(&ids).into_iter().map(|i| {
            let (show, band) = self.at_show.keys[i];
            let (show, band_id) = (self.shows.show(show), self.bands.text(band));
            let row_key = key(&show.event, band_id).into();
            let row = self.at_show.values[i].row(&show.event, band_id)?;
            put_of(RowKey { tenant: tenant(&show.tenant)?, key: row_key }, &row)
        })
    }

    pub fn history_rows(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        let ranks = self.shows.tenant_ranks();
        let id = |(of, band): &(u32, u32)| (ranks[*of as usize], self.bands.text(*band));
        let ids: Vec<_> = self.stories.keys.iter().map(id).collect();
        let (mut past, mut scratch) = (Vec::new(), Vec::new());
        order(&ids).into_iter().map(move |i| {
            let ((of, band), story) = (self.stories.keys[i], &self.stories.values[i]);
            let row_key =
                RowKey { tenant: tenant(self.shows.tenant(of))?, key: self.bands.text(band).into() };
            past.clone_from(&story.past);
            newest(&mut past);
            put_borrowed(row_key, &Told { of: self, band, shows: &story.shows, past: &past }, &mut scratch)
        })
    }
}

impl Fold for Bands {
    fn fold(&mut self, taps: &Taps) {
        let mut shows = self.shows.column(taps);
        let windows = self.windows.column(taps.member(WINDOW));
        let bands = self.part.column(&mut self.bands, taps.member(BAND));
        let mut steps = Steps::of_nanos(20);
        for row in 0..taps.len() {
            steps.step();
            let band = bands.at(taps.member(BAND), row);
            if band == MISSING {
                continue;
            }
            let show = shows.at(&mut self.shows, taps, row);
            let tap = Past {
                at: taps.columns.at[row],
                position: taps.columns.positions[row],
                show,
                window: windows.at(taps.member(WINDOW), row),
                class: taps.class(row),
                mode: taps.mode(row),
            };
            self.waiting.push(Waiting { band, tap });
        }
        if self.waiting.len() >= TOGETHER {
            self.settle();
        }
    }

    fn memory(&self) -> usize {
        self.bands.memory()
            + self.windows.memory()
            + self.at_show.memory()
            + self.stories.memory()
            + self.shared.memory()
            + 12 * self.before.len()
            + 4 * self.story_of.len()
            + self.past * size_of::<Past>()
            + self.waiting.capacity() * (size_of::<Waiting>() + size_of::<u32>())
    }
}

/// A row as [`History`](super::super::rows::History) is one, with texts where they are: it is made for every
/// band.
struct Told<'a> {
    of: &'a Bands,
    band: u32,
    shows: &'a [u32],
    /// By time.
    past: &'a [Past],
}

impl Told<'_> {
    fn event(&self, show: u32) -> &str {
        &self.of.shows.show(show).event
    }

    fn taps(&self, show: u32) -> u32 {
        let here = self.of.at_show.get((show, self.band));
        here.map_or(0, |band| band.classes[class_index(Class::Human)])
    }

    fn tap(&self, past: &Past) -> (i64, u64, &str, Class, Mode, Option<&str>) {
        let window = (past.window != MISSING).then(|| self.of.windows.text(past.window));
        let mode = MODES[usize::from(past.mode)];
        (past.at, past.position, self.event(past.show), past.class, mode, window)
    }
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let events: BTreeMap<&str, u32> =
            self.shows.iter().map(|s| (self.event(*s), self.taps(*s))).collect();
        let mut row = serializer.serialize_struct("History", 2)?;
        row.serialize_field("events", &events)?;
        row.serialize_field("last", &Last(self))?;
        row.end()
    }
}

struct Last<'a>(&'a Told<'a>);

impl Serialize for Last<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.past.iter().map(|past| self.0.tap(past)))
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

/// Their indices by band, those of a band in the order in which they came.
fn by_band(waiting: &[Waiting]) -> Vec<u32> {
    let bands = waiting.iter().map(|w| w.band as usize + 1).max().unwrap_or(0);
    // Where the next of each band goes.
    let mut places = vec![0_u32; bands + 1];
    for w in waiting {
        places[w.band as usize + 1] += 1;
    }
    for band in 1..places.len() {
        places[band] += places[band - 1];
    }
    let mut order = vec![0_u32; waiting.len()];
    let mut steps = Steps::of_nanos(10);
    for (index, w) in (0..).zip(waiting) {
        steps.step();
        let place = &mut places[w.band as usize];
        order[*place as usize] = index;
        *place += 1;
    }
    order
}

/// Leaves the last [`HISTORY_TAPS`] by time, in order.
fn newest(past: &mut Vec<Past>) {
    past.sort_unstable_by_key(|p| (p.at, p.position));
    past.drain(..past.len().saturating_sub(HISTORY_TAPS));
}
