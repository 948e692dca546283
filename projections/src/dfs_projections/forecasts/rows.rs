//! Rows of forecasts.

use std::collections::{BTreeMap, BTreeSet};

use domain::ports::rows::{Column, ColumnKind, TableSpec};
use domain::racing::scoring::Scoring;
use models_fantasy::track::Kind;
use serde::{Deserialize, Serialize};

use crate::working_set::Row;

/// One driver in one race. Key: `<race>/<driver>`.
pub const FORECASTS: &str = "forecasts";
/// A race that was forecast. Key: `<season>-<number>-<id>`; newest first.
pub const FORECAST_RACES: &str = "forecast_races";
/// How good forecasts were, over all races. One row, [`ALL`].
pub const FORECAST_RECORD: &str = "forecast_record";
/// The same by kind of track and season. Key: the group.
pub const FORECAST_GROUPS: &str = "forecast_groups";
/// Which races were forecast from what. One row, [`ALL`].
pub const WALKS: &str = "walks";
/// Rules of a site. Key: the site.
pub const RULES: &str = "rules";

/// Key of what a tenant has one of.
pub const ALL: &str = "all";

/// What was said of a driver from earlier races, and what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastRow {
    pub race: String,
    pub driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
    /// A is ahead of B with chance 1 / (1 + e^(strength B − strength A)).
    pub strength: f64,
    /// Expected place, and its quantiles at 10, 25, 50, 75 and 90 %.
    pub expected: f64,
    pub q10: f64,
    pub q25: f64,
    pub median: f64,
    pub q75: f64,
    pub q90: f64,
    pub win: f64,
    pub top5: f64,
    pub top10: f64,
    pub dnf: f64,
    /// Expected points by site.
    pub points: BTreeMap<String, f64>,
    /// The place that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastRace {
    pub race: String,
    pub season: i16,
    pub number: u16,
    pub track: String,
    pub kind: Kind,
    /// Races that the model had learned from, all before this one.
    pub learned: u32,
    pub drivers: Vec<String>,
    /// Once there is a result.
    #[serde(flatten)]
    pub judged: Option<Accuracy>,
}

/// How good forecasts of one race or of many were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    pub races: f64,
    pub cars: f64,
    pub pairs: f64,
    /// Mean by race of Spearman's ρ with the finish; of the grid and of recent
    /// finishes alone.
    pub rho: f64,
    pub grid: f64,
    pub recent: f64,
    /// Over pairs of cars.
    pub brier: f64,
    /// In places, by car.
    pub crps: f64,
    /// Part of the finishes within the 50, 80 and 90 % intervals.
    pub within_50: f64,
    pub within_80: f64,
    pub within_90: f64,
}

/// A race as it was when it was last forecast.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Of the row in [`FORECAST_RACES`].
    pub key: String,
    /// Of all that the forecast and its judgement follow from.
    pub hash: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WalkRow {
    /// Something has changed since.
    pub stale: bool,
    /// By race; `None` for one that was not looked at.
    pub steps: BTreeMap<String, Option<Step>>,
    /// Rows in [`FORECAST_GROUPS`].
    pub groups: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RulesRow {
    pub version: u64,
    #[serde(flatten)]
    pub scoring: Scoring,
}

impl Row for ForecastRow {}
impl Row for Accuracy {}
impl Row for WalkRow {}
impl Row for RulesRow {}

impl Row for ForecastRace {
    fn sort_key(&self) -> Option<String> {
        Some(super::super::place_in_time(self.season, self.number))
    }
}

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, path: name, kind }
}

const ACCURACY: &[Column] = &[
    column("races", ColumnKind::Integer),
    column("rho", ColumnKind::Real),
    column("grid", ColumnKind::Real),
    column("recent", ColumnKind::Real),
    column("brier", ColumnKind::Real),
    column("crps", ColumnKind::Real),
    column("within_50", ColumnKind::Real),
    column("within_80", ColumnKind::Real),
    column("within_90", ColumnKind::Real),
];

pub const TABLES: [TableSpec; 6] = [
    TableSpec {
        name: FORECASTS,
        sorted: false,
        columns: &[
            column("race", ColumnKind::Text),
            column("driver", ColumnKind::Text),
            column("start", ColumnKind::Integer),
            column("expected", ColumnKind::Real),
            column("median", ColumnKind::Real),
            column("win", ColumnKind::Real),
            column("top5", ColumnKind::Real),
            column("top10", ColumnKind::Real),
            column("dnf", ColumnKind::Real),
            column("points", ColumnKind::Json),
            column("finish", ColumnKind::Integer),
        ],
    },
    TableSpec {
        name: FORECAST_RACES,
        sorted: true,
        columns: &[
            column("race", ColumnKind::Text),
            column("season", ColumnKind::Integer),
            column("number", ColumnKind::Integer),
            column("track", ColumnKind::Text),
            column("kind", ColumnKind::Text),
            column("learned", ColumnKind::Integer),
            column("rho", ColumnKind::Real),
            column("brier", ColumnKind::Real),
            column("crps", ColumnKind::Real),
            column("within_80", ColumnKind::Real),
        ],
    },
    TableSpec { name: FORECAST_RECORD, sorted: false, columns: ACCURACY },
    TableSpec { name: FORECAST_GROUPS, sorted: false, columns: ACCURACY },
    TableSpec { name: WALKS, sorted: false, columns: &[] },
    TableSpec { name: RULES, sorted: false, columns: &[] },
];
