//! What is counted by event and by minute.

use std::cmp::Reverse;

use background::Steps;
use domain::ports::rows::{RowKey, RowPut};
use jiff::Timestamp;
use models::taps::Class;
use models::taps::sessions::Sessions;

use super::super::breakdown;
use super::super::fold::{CLOSED, MAX_COUNTRIES, MAX_HOSTS, MAX_LANGUAGES, MAX_WINDOWS, class_index};
use super::super::rows::{Minute, NONE, OVERFLOW, Peak, Referrers, Summary, Tally, key};
use super::beside::Fold;
use super::intern::{Column, Map, Names, Table};
use super::shows::{Show, Shows};
use super::taps::{COUNTRY, LANGUAGE, MODES, REFERRER, Taps, WINDOW};
use super::{MINUTE, tenant};
use crate::projection::ApplyError;
use crate::working_set::put_of;

/// Counts by number of a name.
#[derive(Default)]
struct Counted(Map<u32, u64>);

impl Counted {
    /// As [`Tally::add`].
    fn add(&mut self, name: u32, bound: usize, overflow: u32) {
        let name = if self.0.len() < bound || self.0.contains_key(&name) { name } else { overflow };
        *self.0.entry(name).or_default() += 1;
    }

    fn named(&self, names: &Names) -> Tally {
        Tally(self.0.iter().map(|(name, count)| (names.text(*name).to_string(), *count)).collect())
    }
}

#[derive(Default)]
struct Totals {
    classes: [u64; 3],
    /// Of taps.
    first: Option<i64>,
    last: Option<i64>,
    modes: [u64; MODES.len()],
    windows: Counted,
    devices: Counted,
    os: Counted,
    browsers: Counted,
    countries: Counted,
    languages: Counted,
    hosts: Counted,
    bot_classes: Counted,
}

#[derive(Default)]
struct Counts60 {
    classes: [u64; 3],
    modes: [u64; MODES.len()],
    tens: [[u64; 3]; 6],
    new_bands: u64,
}

/// What the bands and visitors of an event come to.
#[derive(Default)]
pub struct People {
    pub unique_bands: u64,
    pub repeat_bands: u64,
    pub unique_visitors: u64,
    pub sessions: Option<Sessions>,
}

#[derive(Default)]
pub struct Counts {
    shows: Shows,
    names: Names,
    totals: Vec<Totals>,
    people: Vec<People>,
    /// By show and minute since 1970.
    minutes: Table<(u32, i64), Counts60>,
}

/// A user agent's names as numbers.
struct Agent {
    device: u32,
    os: u32,
    browser: u32,
    bot_class: Option<u32>,
}

impl Counts {
    fn renamed(&mut self, taps: &Taps, member: usize, name: impl Fn(Option<&str>) -> String) -> Column {
        let by_code = taps.member(member).values().map(|v| self.names.number(&name(Some(v)))).collect();
        Column { by_code, missing: self.names.number(&name(None)) }
    }

    fn agents(&mut self, taps: &Taps) -> Vec<Agent> {
        let names = &mut self.names;
        let agent = |seen: &models::taps::Classification| Agent {
            device: names.number(seen.device.as_str()),
            os: names.number(seen.os),
            browser: names.number(seen.browser),
            bot_class: seen.bot_class.map(|class| names.number(class.as_str())),
        };
        taps.agents().iter().map(agent).collect()
    }

    /// The number of another fold's show.
    pub fn number(&mut self, show: &Show) -> u32 {
        self.shows.number(show)
    }

    /// Adds what another fold found out about a show.
    pub fn add_people(&mut self, show: u32, people: &People) {
        if let Some(sum) = self.people.get_mut(show as usize) {
            sum.unique_bands += people.unique_bands;
            sum.repeat_bands += people.repeat_bands;
            sum.unique_visitors += people.unique_visitors;
            if let Some(more) = people.sessions {
                let so_far = sum.sessions.get_or_insert_default();
                *so_far = so_far.and(more);
            }
        }
    }

    /// A band's first tap at the show was then.
    pub fn new_band(&mut self, show: u32, first: i64) {
        self.minutes.entry((show, first.div_euclid(MINUTE))).new_bands += 1;
    }

    pub fn summaries(&self) -> Result<Vec<RowPut>, ApplyError> {
        let peaks = self.peaks()?;
        let mut rows = Vec::new();
        for (number, totals) in self.totals.iter().enumerate() {
            let show = self.shows.show(number as u32);
            let (people, names) = (&self.people[number], &self.names);
            let summary = Summary {
                event_id: show.event.to_string(),
                taps: totals.classes[0],
                bots: totals.classes[1],
                previews: totals.classes[2],
                unique_bands: people.unique_bands,
                repeat_bands: people.repeat_bands,
                unique_visitors: people.unique_visitors,
                first_tap_at: totals.first.map(instant).transpose()?,
                last_tap_at: totals.last.map(instant).transpose()?,
                peak_minute: peaks.get(&(number as u32)).copied(),
                modes: modes(&totals.modes),
                windows: totals.windows.named(names),
                devices: totals.devices.named(names),
                os: totals.os.named(names),
                browsers: totals.browsers.named(names),
                countries: totals.countries.named(names),
                languages: totals.languages.named(names),
                bot_classes: totals.bot_classes.named(names),
                sessions: people.sessions,
            };
            rows.push(put_of(RowKey { tenant: tenant(&show.tenant)?, key: show.event.clone() }, &summary)?);
        }
        Ok(rows)
    }

    /// The minute with the most taps of each event, the earliest of several.
    fn peaks(&self) -> Result<Map<u32, Peak>, ApplyError> {
        let mut best: Map<u32, (u64, Reverse<i64>)> = Map::default();
        for ((show, minute), counts) in self.minutes.keys.iter().zip(&self.minutes.values) {
            let found = (counts.classes[0], Reverse(*minute));
            if found.0 > 0 {
                best.entry(*show).and_modify(|b| *b = (*b).max(found)).or_insert(found);
            }
        }
        let peak =
            |(show, (taps, Reverse(minute)))| Ok((show, Peak { start: instant(minute * MINUTE)?, taps }));
        best.into_iter().map(peak).collect()
    }

    pub fn referrers(&self) -> Result<Vec<RowPut>, ApplyError> {
        let mut rows = Vec::new();
        for (number, totals) in self.totals.iter().enumerate().filter(|(_, t)| t.classes[0] > 0) {
            let show = self.shows.show(number as u32);
            let referrers =
                Referrers { event_id: show.event.to_string(), hosts: totals.hosts.named(&self.names) };
            rows.push(put_of(RowKey { tenant: tenant(&show.tenant)?, key: show.event.clone() }, &referrers)?);
        }
        Ok(rows)
    }

    pub fn minutes(&self) -> Result<Vec<RowPut>, ApplyError> {
        let mut rows = Vec::with_capacity(self.minutes.keys.len());
        for ((show, minute), counts) in self.minutes.keys.iter().zip(&self.minutes.values) {
            let (show, start) = (self.shows.show(*show), instant(minute * MINUTE)?);
            let row = Minute {
                event_id: show.event.to_string(),
                start,
                taps: counts.classes[0],
                bots: counts.classes[1],
                previews: counts.classes[2],
                new_bands: counts.new_bands,
                modes: modes(&counts.modes),
                tens: counts.tens,
            };
            let row_key = key(&show.event, &start.to_string()).into();
            rows.push(put_of(RowKey { tenant: tenant(&show.tenant)?, key: row_key }, &row)?);
        }
        Ok(rows)
    }
}

impl Fold for Counts {
    fn fold(&mut self, taps: &Taps) {
        let mut shows = self.shows.column(taps);
        let overflow = self.names.number(OVERFLOW);
        let windows = Column { missing: self.names.number(NONE), ..self.names.column(taps.member(WINDOW)) };
        let countries = self.renamed(taps, COUNTRY, |c| breakdown::country(c).into_owned());
        let languages = self.renamed(taps, LANGUAGE, |l| breakdown::language(l).into_owned());
        let hosts = self.renamed(taps, REFERRER, |r| breakdown::referrer_host(r).into_owned());
        let agents = self.agents(taps);
        let mut steps = Steps::of_nanos(100);
        for row in 0..taps.len() {
            steps.step();
            let show = shows.at(&mut self.shows, taps, row);
            while self.totals.len() <= show as usize {
                self.totals.push(Totals::default());
                self.people.push(People::default());
            }
            let totals = &mut self.totals[show as usize];
            let (class, mode) = (taps.class(row), usize::from(taps.mode(row)));
            let at = taps.columns.at[row];
            totals.classes[class_index(class)] += 1;
            let minute = self.minutes.entry((show, at.div_euclid(MINUTE)));
            minute.classes[class_index(class)] += 1;
            // A minute has six times ten seconds.
            minute.tens[(at.rem_euclid(MINUTE) / 10_000_000) as usize][class_index(class)] += 1;
            let agent = &agents[taps.agent(row)];
            if let Some(bot_class) = agent.bot_class {
                totals.bot_classes.add(bot_class, CLOSED, overflow);
            }
            if class != Class::Human {
                continue;
            }
            minute.modes[mode] += 1;
            totals.modes[mode] += 1;
            totals.first = Some(totals.first.map_or(at, |first| first.min(at)));
            totals.last = Some(totals.last.map_or(at, |last| last.max(at)));
            totals.windows.add(windows.at(taps.member(WINDOW), row), MAX_WINDOWS, overflow);
            totals.devices.add(agent.device, CLOSED, overflow);
            totals.os.add(agent.os, CLOSED, overflow);
            totals.browsers.add(agent.browser, CLOSED, overflow);
            totals.countries.add(countries.at(taps.member(COUNTRY), row), MAX_COUNTRIES, overflow);
            totals.languages.add(languages.at(taps.member(LANGUAGE), row), MAX_LANGUAGES, overflow);
            totals.hosts.add(hosts.at(taps.member(REFERRER), row), MAX_HOSTS, overflow);
        }
    }

    fn memory(&self) -> usize {
        let tallies = self.totals.len() * size_of::<Totals>();
        self.names.memory() + self.minutes.memory() + tallies
    }
}

/// Of [`MODES`].
pub fn modes(counts: &[u64; MODES.len()]) -> Tally {
    let named = MODES.iter().zip(counts).filter(|(_, count)| **count > 0);
    Tally(named.map(|(mode, count)| (mode.as_str().to_owned(), *count)).collect())
}

pub fn instant(micros: i64) -> Result<Timestamp, ApplyError> {
    Timestamp::from_microsecond(micros).map_err(|e| ApplyError::Event(format!("no instant: {e}")))
}
