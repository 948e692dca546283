//! Rows of races as readers see them.

use std::collections::BTreeSet;

use domain::ports::rows::{Column, ColumnKind, TableSpec};
use domain::racing::driver::Driver;
use domain::racing::lineups::Kept;
use domain::racing::race::{Details, Entry, Placed, Race, Sealed};
use domain::racing::track::Track;
use jiff::Timestamp;
use jiff::civil::Date;
use models_fantasy::backtest::Score;
use serde::{Deserialize, Serialize};

use crate::working_set::Row;

/// Everything of a race. Key: its id.
pub const RACES: &str = "races";
/// What lists say of a race. Key: its id; newest first.
pub const CARDS: &str = "cards";
/// The same. Key: `<track>/<race>`; newest first.
pub const BY_TRACK: &str = "by_track";
/// One driver in one race. Key: `<driver>/<race>`; newest first.
pub const STARTS: &str = "starts";
/// Key: the driver's id.
pub const DRIVERS: &str = "drivers";
/// Key: the track's id.
pub const TRACKS: &str = "tracks";
/// The last projection before the green flag. Key: `<race>/<site>/<model>`.
pub const SEALED: &str = "sealed";
/// How good it was. Key: as of [`SEALED`].
pub const SCORES: &str = "scores";

/// Lineups that were kept. Key: [`lineups_key`].
pub const LINEUPS: &str = "lineups";

/// Key of a set of lineups, so that later ones come later.
pub fn lineups_key(race: &str, set: u64) -> String {
    format!("{race}/{set:06}")
}

/// Key of a race's sealed projection and its score.
pub fn sealed_key(race: &str, site: &str, model: &str) -> String {
    format!("{race}/{site}/{model}")
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RaceRow {
    pub id: String,
    /// Of the race's stream, for `If-Match`.
    pub version: u64,
    #[serde(flatten)]
    pub race: Race,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_because: Option<String>,
    /// Oldest first.
    #[serde(default)]
    pub corrections: Vec<Correction>,
}

/// That a result was found to be otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Of the event.
    pub position: u64,
    pub recorded_at: Timestamp,
    pub reason: String,
    /// Whose places changed, with those before and after.
    pub changed: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub driver: String,
    pub from: u32,
    pub to: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub id: String,
    #[serde(flatten)]
    pub details: Details,
    pub status: String,
    pub cars: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    pub corrections: usize,
    pub sealed: usize,
}

/// One driver in one race, with whom it had to do there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRow {
    pub race: String,
    pub season: i16,
    pub number: u16,
    pub track: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    #[serde(flatten)]
    pub entry: Entry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Placed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fastest_laps: Option<u32>,
    /// The place before a correction, where one changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_finish: Option<u32>,
    /// Drivers of the same team.
    pub teammates: Vec<String>,
    /// Drivers who dropped out by an accident within a lap of this one's.
    pub accident_with: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DriverRow {
    pub id: String,
    pub version: u64,
    pub name: String,
    pub also: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackRow {
    pub id: String,
    pub version: u64,
    #[serde(flatten)]
    pub track: Track,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedRow {
    pub race: String,
    /// Of the event.
    pub position: u64,
    pub recorded_at: Timestamp,
    /// Projections of this site and model that were sealed for the race.
    pub count: u32,
    #[serde(flatten)]
    pub sealed: Sealed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    pub race: String,
    pub number: u16,
    pub track: String,
    pub day: Date,
    pub site: String,
    pub model: String,
    /// Of the event that sealed the projection.
    pub position: u64,
    pub sha256: String,
    pub score: Score,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineupsRow {
    /// From 1.
    pub set: u64,
    /// Of the event.
    pub position: u64,
    pub recorded_at: Timestamp,
    #[serde(flatten)]
    pub kept: Kept,
}

impl Row for LineupsRow {}
impl Row for RaceRow {}
impl Row for DriverRow {}
impl Row for TrackRow {}
impl Row for SealedRow {}
impl Row for ScoreRow {}

impl Row for Card {
    fn sort_key(&self) -> Option<String> {
        Some(place_in_time(self.details.season, self.details.number))
    }
}

impl Row for StartRow {
    fn sort_key(&self) -> Option<String> {
        Some(place_in_time(self.season, self.number))
    }
}

impl From<DriverRow> for Driver {
    fn from(row: DriverRow) -> Self {
        Self { name: row.name, also: row.also }
    }
}

/// Orders races as text.
pub fn place_in_time(season: i16, number: u16) -> String {
    format!("{season:05}/{number:05}")
}

const fn column(name: &'static str, path: &'static str, kind: ColumnKind) -> Column {
    Column { name, path, kind }
}

const OF_RACE: &[Column] = &[
    column("series", "series", ColumnKind::Text),
    column("season", "season", ColumnKind::Integer),
    column("number", "number", ColumnKind::Integer),
    column("name", "name", ColumnKind::Text),
    column("track", "track", ColumnKind::Text),
    column("date", "date", ColumnKind::Text),
    column("starts_at", "starts_at", ColumnKind::Time),
    column("status", "status", ColumnKind::Text),
    column("cars", "cars", ColumnKind::Integer),
    column("winner", "winner", ColumnKind::Text),
    column("corrections", "corrections", ColumnKind::Integer),
];

const OF_START: &[Column] = &[
    column("race", "race", ColumnKind::Text),
    column("season", "season", ColumnKind::Integer),
    column("number", "number", ColumnKind::Integer),
    column("track", "track", ColumnKind::Text),
    column("driver", "driver", ColumnKind::Text),
    column("team", "team", ColumnKind::Text),
    column("make", "make", ColumnKind::Text),
    column("start", "start", ColumnKind::Integer),
    column("finish", "result.finish", ColumnKind::Integer),
    column("laps", "result.laps", ColumnKind::Integer),
    column("led", "result.led", ColumnKind::Integer),
    column("status", "result.status", ColumnKind::Text),
    column("fastest_laps", "fastest_laps", ColumnKind::Integer),
    column("teammates", "teammates", ColumnKind::Json),
    column("accident_with", "accident_with", ColumnKind::Json),
];

pub const TABLES: &[TableSpec] = &[
    TableSpec {
        name: RACES,
        sorted: false,
        columns: &[
            column("track", "details.track", ColumnKind::Text),
            column("entries", "entries", ColumnKind::Json),
            column("results", "results", ColumnKind::Json),
            column("first_results", "first_results", ColumnKind::Json),
            column("corrections", "corrections", ColumnKind::Json),
        ],
    },
    TableSpec { name: CARDS, sorted: true, columns: OF_RACE },
    TableSpec { name: BY_TRACK, sorted: true, columns: OF_RACE },
    TableSpec { name: STARTS, sorted: true, columns: OF_START },
    TableSpec {
        name: DRIVERS,
        sorted: false,
        columns: &[column("name", "name", ColumnKind::Text), column("also", "also", ColumnKind::Json)],
    },
    TableSpec {
        name: TRACKS,
        sorted: false,
        columns: &[column("name", "name", ColumnKind::Text), column("kinds", "kinds", ColumnKind::Json)],
    },
    TableSpec {
        name: SEALED,
        sorted: false,
        columns: &[
            column("race", "race", ColumnKind::Text),
            column("site", "site", ColumnKind::Text),
            column("model", "model", ColumnKind::Text),
            column("position", "position", ColumnKind::Integer),
            column("sealed_at", "recorded_at", ColumnKind::Time),
            column("sha256", "sha256", ColumnKind::Text),
            column("drivers", "drivers", ColumnKind::Json),
        ],
    },
    TableSpec {
        name: LINEUPS,
        sorted: false,
        columns: &[
            column("set", "set", ColumnKind::Integer),
            column("site", "site", ColumnKind::Text),
            column("objective", "objective", ColumnKind::Text),
            column("position", "position", ColumnKind::Integer),
            column("kept_at", "recorded_at", ColumnKind::Time),
            column("drivers", "drivers", ColumnKind::Json),
            column("lineups", "lineups", ColumnKind::Json),
            column("value", "value", ColumnKind::Real),
        ],
    },
    TableSpec {
        name: super::LIVE,
        sorted: false,
        columns: &[
            column("race", "race", ColumnKind::Text),
            column("at", "at", ColumnKind::Time),
            column("lap", "lap", ColumnKind::Integer),
            column("laps", "laps", ColumnKind::Integer),
            column("flag", "flag", ColumnKind::Text),
            column("cars", "cars", ColumnKind::Json),
        ],
    },
    TableSpec {
        name: SCORES,
        sorted: false,
        columns: &[
            column("race", "race", ColumnKind::Text),
            column("site", "site", ColumnKind::Text),
            column("model", "model", ColumnKind::Text),
            column("season", "score.season", ColumnKind::Integer),
            column("kind", "score.kind", ColumnKind::Text),
            column("rho", "score.rho", ColumnKind::Json),
            column("crps", "score.crps", ColumnKind::Real),
            column("cars", "score.cars", ColumnKind::Real),
        ],
    },
];
