//! Events of tenants, numbered.

use std::sync::Arc;

use super::super::NO_EVENT;
use super::super::rows::key;
use super::intern::{Column, MISSING, Names, Table};
use super::order::ranks;
use super::taps::{EVENT, Taps};

/// An event of a tenant; `event` is [`NO_EVENT`] for taps without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Show {
    pub tenant: Arc<str>,
    pub event: Arc<str>,
}

#[derive(Default)]
pub struct Shows {
    tenants: Names,
    events: Names,
    pairs: Table<(u32, u32), ()>,
    shows: Vec<Show>,
}

/// A batch's tenants and events in numbers.
pub struct ShowColumn {
    tenants: Column,
    events: Column,
    /// Most rows have the show of the row before.
    last: ((u32, u32), u32),
}

impl Shows {
    pub fn column(&mut self, taps: &Taps) -> ShowColumn {
        let tenants = self.tenants.column(&taps.columns.tenants);
        let missing = self.events.number(NO_EVENT);
        let events = Column { missing, ..self.events.column(taps.member(EVENT)) };
        ShowColumn { tenants, events, last: ((MISSING, MISSING), MISSING) }
    }

    pub fn number(&mut self, show: &Show) -> u32 {
        let pair = (self.tenants.number(&show.tenant), self.events.number(&show.event));
        self.of(pair)
    }

    fn of(&mut self, pair: (u32, u32)) -> u32 {
        let number = self.pairs.number(pair);
        if self.shows.len() < self.pairs.keys.len() {
            let (tenant, event) = (self.tenants.text(pair.0).into(), self.events.text(pair.1).into());
            self.shows.push(Show { tenant, event });
        }
        number
    }

    /// By number.
    pub fn all(&self) -> &[Show] {
        &self.shows
    }

    pub fn show(&self, number: u32) -> &Show {
        &self.shows[number as usize]
    }

    /// By number: the place of its rows among those of all shows.
    pub fn ranks(&self) -> Vec<u32> {
        let rows: Vec<_> = self.shows.iter().map(|show| (&show.tenant, key(&show.event, ""))).collect();
        ranks(&rows)
    }

    /// By number, too.
    pub fn tenant_ranks(&self) -> Vec<u32> {
        ranks(&self.tenants.all().collect::<Vec<_>>())
    }

    pub fn tenant(&self, number: u32) -> &str {
        self.tenants.text(number)
    }

    /// Its tenant's number.
    pub fn tenant_of(&self, show: u32) -> u32 {
        self.pairs.keys[show as usize].0
    }
}

impl ShowColumn {
    pub fn at(&mut self, shows: &mut Shows, taps: &Taps, row: usize) -> u32 {
        let tenant = self.tenants.at(&taps.columns.tenants, row);
        let pair = (tenant, self.events.at(taps.member(EVENT), row));
        if self.last.0 == pair {
            return self.last.1;
        }
        let number = shows.of(pair);
        self.last = (pair, number);
        number
    }
}
