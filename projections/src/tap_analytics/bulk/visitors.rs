//! Who was seen at each event.

use background::Steps;
use domain::ports::rows::{RowKey, RowPut};
use models::taps::Class;
use models::taps::sessions::{self, Session, Sessions};

use super::super::rows::{Seen, key};
use super::beside::Fold;
use super::counts::People;
use super::intern::{MISSING, Names, Table, latest};
use super::order::order;
use super::shows::{Show, Shows};
use super::taps::{Taps, VISITOR};
use super::{Part, tenant};
use crate::projection::ApplyError;
use crate::working_set::put_of;

#[derive(Default)]
pub struct Visitors {
    part: Part,
    /// `None` where visits are not told apart.
    gap_seconds: Option<u32>,
    shows: Shows,
    visitors: Names,
    /// Visits by show and visitor; none where they are not told apart.
    seen: Table<(u32, u32), Vec<Session>>,
    /// By visitor: the show of the tap before, and where it is in `seen`. Most
    /// tap again at the same show.
    before: Vec<(u32, u32)>,
    /// By show.
    figures: Table<u32, Sessions>,
    visits: usize,
}

impl Visitors {
    pub fn new(part: Part, gap_seconds: Option<u32>) -> Self {
        Self { part, gap_seconds, ..Self::default() }
    }

    pub fn shows(&self) -> &[Show] {
        self.shows.all()
    }

    /// What they come to, by show.
    pub fn people(&self) -> Vec<People> {
        let mut people: Vec<People> = self.shows.all().iter().map(|_| People::default()).collect();
        for (show, _) in &self.seen.keys {
            people[*show as usize].unique_visitors += 1;
        }
        for (show, sessions) in self.figures.keys.iter().zip(&self.figures.values) {
            people[*show as usize].sessions = Some(*sessions);
        }
        people
    }

    pub fn rows(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        let ranks = self.shows.ranks();
        let id = |(show, visitor): &(u32, u32)| (ranks[*show as usize], self.visitors.text(*visitor));
        let ids: Vec<_> = self.seen.keys.iter().map(id).collect();
        order(&ids).into_iter().map(|i| {
            let (show, visitor) = self.seen.keys[i];
            let show = self.shows.show(show);
            let row_key = key(&show.event, self.visitors.text(visitor)).into();
            put_of(
                RowKey { tenant: tenant(&show.tenant)?, key: row_key },
                &Seen { visits: self.seen.values[i].clone() },
            )
        })
    }
}

impl Fold for Visitors {
    fn fold(&mut self, taps: &Taps) {
        let mut shows = self.shows.column(taps);
        let visitors = self.part.column(&mut self.visitors, taps.member(VISITOR));
        let mut steps = Steps::of_nanos(100);
        for row in 0..taps.len() {
            steps.step();
            let visitor = visitors.at(taps.member(VISITOR), row);
            if visitor != MISSING && taps.class(row) == Class::Human {
                let show = shows.at(&mut self.shows, taps, row);
                let before = latest(&mut self.before, visitor);
                if before.0 != show {
                    *before = (show, self.seen.number((show, visitor)));
                }
                let visits = &mut self.seen.values[before.1 as usize];
                if let Some(gap) = self.gap_seconds {
                    let before = visits.capacity();
                    sessions::add(visits, taps.columns.at[row], gap, self.figures.entry(show));
                    self.visits = self.visits + visits.capacity() - before;
                }
            }
        }
    }

    fn memory(&self) -> usize {
        self.visitors.memory()
            + self.seen.memory()
            + 8 * self.before.len()
            + self.visits * size_of::<Session>()
    }
}
