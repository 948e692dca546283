//! `Race`: from the schedule to the corrected result. Stream kind `race`.
//!
//! Sources differ in how much they may say. An official one (the results of
//! the series) replaces what others said; a provisional one (timing, which
//! knows how cars crossed the line) fills gaps and never replaces what is
//! official. So sources can be read again in any order and nothing flips back
//! and forth.

mod decision;
mod seal;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use seal::{MODEL_BYTES, Said, Seal, Sealed, Spread, hash};
pub use session::{Session, SessionKind, Timed};

pub const KIND: &str = "race";
pub const SCHEDULED: &str = "race.scheduled";
pub const DETAILS_CHANGED: &str = "race.details_changed";
pub const ENTERED: &str = "race.entered";
pub const SALARIES_SET: &str = "race.salaries_set";
pub const FINISHED: &str = "race.finished";
pub const MEASURED: &str = "race.measured";
pub const RESULT_DETAILED: &str = "race.result_detailed";
pub const CORRECTED: &str = "race.corrected";
pub const POSTPONED: &str = "race.postponed";
pub const CANCELLED: &str = "race.cancelled";
pub const STARTED: &str = "race.started";
pub const SESSION_RECORDED: &str = "race.session_recorded";
pub const PROJECTION_SEALED: &str = "projection.sealed";

/// Most cars of a race.
pub const MAX_CARS: usize = 64;

/// What is known of a race beside its cars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RaceDetails)]
pub struct Details {
    /// `cup`, …
    pub series: String,
    pub season: i16,
    /// Of the season's points races, from 1.
    pub number: u16,
    #[serde(default)]
    pub name: String,
    /// Id of a track.
    pub track: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2023-11-05")]
    pub date: Option<Date>,
    /// When the green flag is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2023-11-05T20:00:00Z")]
    pub starts_at: Option<Timestamp>,
    /// Laps that it is scheduled for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laps: Option<u32>,
    /// What the series' feeds call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_id: Option<String>,
    #[serde(default)]
    pub official: bool,
}

/// A car on the entry list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Id of a driver.
    pub driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Text: `07` is not `7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub car: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Place on the grid, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
}

/// One car's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    pub driver: String,
    /// From 1.
    pub finish: u32,
    pub laps: u32,
    pub led: u32,
    /// `running`, or why it dropped out.
    pub status: String,
    /// Points for the championship.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
    /// The series' driver rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
}

/// Loop data of one car: what the timing loops in the track measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub driver: String,
    /// Position at half the distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<u32>,
    /// Mean running position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// Passes under green, and times passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<u32>,
    /// Passes of cars among the first fifteen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_passes: Option<u32>,
    /// Laps in which it was the fastest car.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fastest: Option<u32>,
    /// Laps among the first fifteen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top15: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "race.scheduled")]
    Scheduled(Details),
    /// Holds all details, changed or not.
    #[serde(rename = "race.details_changed")]
    DetailsChanged(Details),
    /// The whole entry list from now on.
    #[serde(rename = "race.entered")]
    Entered { entries: Vec<Entry>, official: bool },
    /// All salaries of a site from now on, in dollars by driver.
    #[serde(rename = "race.salaries_set")]
    SalariesSet {
        site: String,
        salaries: BTreeMap<String, u32>,
        /// What the site calls the drivers, for its upload files.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        ids: BTreeMap<String, String>,
    },
    #[serde(rename = "race.finished")]
    Finished { results: Vec<Placed>, official: bool },
    /// More is known of some results; nothing that was known is otherwise.
    #[serde(rename = "race.result_detailed")]
    ResultDetailed { results: Vec<Placed> },
    /// The whole loop data from now on.
    #[serde(rename = "race.measured")]
    Measured { cars: Vec<Measured> },
    /// Results that were found to be otherwise; those not named stay.
    #[serde(rename = "race.corrected")]
    Corrected { results: Vec<Placed>, official: bool, reason: String },
    #[serde(rename = "race.postponed")]
    Postponed {
        date: Date,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<Timestamp>,
    },
    #[serde(rename = "race.cancelled")]
    Cancelled { reason: String },
    /// The green flag was shown, at this instant or before.
    #[serde(rename = "race.started")]
    Started { at: Timestamp },
    /// A whole practice or qualifying session from now on.
    #[serde(rename = "race.session_recorded")]
    SessionRecorded(Session),
    /// What a model said before that.
    #[serde(rename = "projection.sealed")]
    ProjectionSealed(Sealed),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Schedule(Details),
    /// Members that are not set keep what is known. An official list is
    /// complete: who is not on it is withdrawn.
    Enter {
        entries: Vec<Entry>,
        official: bool,
    },
    /// Drivers from the pole back. Who is not named has no place on the grid.
    SetStartOrder {
        order: Vec<String>,
    },
    SetSalaries {
        site: String,
        salaries: BTreeMap<String, u32>,
        /// What the site calls the drivers; those not named keep theirs.
        ids: BTreeMap<String, String>,
    },
    /// Of all cars that took part. Of a race that has a result, a correction.
    Finish {
        results: Vec<Placed>,
        official: bool,
        /// Of a correction.
        reason: String,
    },
    /// Of a race that has a result only.
    Correct {
        results: Vec<Placed>,
        reason: String,
    },
    /// Takes a car out of the result: it is last, and who was behind it moves up.
    Disqualify {
        driver: String,
        reason: String,
    },
    RecordSession(Session),
    Measure {
        cars: Vec<Measured>,
    },
    Postpone {
        date: Date,
        starts_at: Option<Timestamp>,
    },
    Cancel {
        reason: String,
    },
    Start {
        at: Timestamp,
    },
    /// The hash is computed here.
    Seal(Box<Sealed>),
}

/// State folded from a race's stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Race {
    /// `None` until the race is scheduled.
    pub details: Option<Details>,
    pub entries: Vec<Entry>,
    pub official_entries: bool,
    /// By site and driver, in dollars.
    pub salaries: BTreeMap<String, BTreeMap<String, u32>>,
    /// By site and driver, what the site calls the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub site_ids: BTreeMap<String, BTreeMap<String, String>>,
    /// By driver; empty until the race is finished.
    pub results: BTreeMap<String, Placed>,
    pub official_results: bool,
    /// As they were first recorded, where a correction changed them.
    pub first_results: BTreeMap<String, Placed>,
    /// By driver.
    pub measured: BTreeMap<String, Measured>,
    /// Practice and qualifying, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<String, Session>,
    pub cancelled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// What was sealed before, oldest first, without the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seals: Vec<Seal>,
}

impl Race {
    /// Folds one event of the stream.
    pub fn apply_event(&mut self, event: Event) {
        match event {
            Event::Scheduled(details) | Event::DetailsChanged(details) => self.details = Some(details),
            Event::Entered { entries, official } => {
                (self.entries, self.official_entries) = (entries, official);
            }
            Event::SalariesSet { site, salaries, ids } => {
                if !ids.is_empty() {
                    self.site_ids.insert(site.clone(), ids);
                }
                self.salaries.insert(site, salaries);
            }
            Event::Finished { results, official } => {
                self.results = results.into_iter().map(|r| (r.driver.clone(), r)).collect();
                self.official_results = official;
            }
            Event::Measured { cars } => {
                self.measured = cars.into_iter().map(|c| (c.driver.clone(), c)).collect();
            }
            Event::ResultDetailed { results } => {
                self.results.extend(results.into_iter().map(|r| (r.driver.clone(), r)));
            }
            Event::Corrected { results, official, .. } => {
                self.official_results = official;
                for result in results {
                    if let Some(first) = self.results.insert(result.driver.clone(), result) {
                        self.first_results.entry(first.driver.clone()).or_insert(first);
                    }
                }
            }
            Event::Postponed { date, starts_at } => {
                if let Some(details) = &mut self.details {
                    (details.date, details.starts_at) = (Some(date), starts_at);
                }
            }
            Event::Cancelled { .. } => self.cancelled = true,
            Event::Started { at } => self.started_at = Some(at),
            Event::SessionRecorded(session) => {
                self.sessions.insert(session.session.clone(), session);
            }
            Event::ProjectionSealed(sealed) => self.seals.push(sealed.seal()),
        }
    }
}
