//! A series made of matching events, and what is unusual in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is counted or read of the events that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub enum Series {
    /// The number that a JSONPath finds in each event
    Value { path: String },
    /// How many events there are in each step
    Count,
    /// Taps of bands in place of events: how many there are in each step. Paths
    /// see `band_id`, `event_id`, `window_id`, `mode`, `url`, `referrer`,
    /// `language`, `country` and `source` of a tap
    Taps,
}

/// What makes a point unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// A value outside two limits, of which one may be left out
    Threshold {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// More events than this in the minute that ends with one
    Rate { max_per_minute: u32 },
    /// More events than this in the seconds that end with one
    Count { window_seconds: u32, max: u32 },
    /// Nothing for longer than this
    Silence { seconds: u32 },
    /// What a model says, by its name and version
    Detector { model: String },
}

/// Which side of the expected is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Both,
    Above,
    Below,
}

/// What a step without any event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Nothing is known of it
    #[default]
    Skip,
    /// The value is 0
    Zero,
    /// The value is that of the step before
    Last,
}

/// What repeats, for models with a season.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    None,
    Hourly,
    #[default]
    Daily,
    Weekly,
}

/// How a series is watched. Times are event times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    pub series: Series,
    pub check: Check,
    /// A series for each value that this JSONPath finds
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Events are put together in steps of this length: their mean, or how
    /// many there are. Each event is a point of its own with 0
    #[serde(default)]
    pub step_seconds: u32,
    /// Points before anything is judged
    #[serde(default)]
    pub min_samples: u32,
    #[serde(default)]
    pub direction: Direction,
    /// From 0, where only the most unusual is told of, to 1
    #[serde(default = "half")]
    pub sensitivity: f64,
    /// Values that are smaller than this are never unusual, whatever sign
    #[serde(default)]
    pub floor: f64,
    /// How long points have to be unusual before a window opens
    #[serde(default)]
    pub for_seconds: u32,
    /// How long points have to be ordinary before a window closes
    #[serde(default = "cooldown")]
    pub cooldown_seconds: u32,
    #[serde(default)]
    pub missing: Missing,
    #[serde(default)]
    pub seasonality: Season,
    /// How far behind the newest a point may come and still count
    #[serde(default)]
    pub lateness_seconds: u32,
    /// How often the time that has passed is recorded, so that a series which is
    /// silent goes on. Without, it goes on with the next event
    #[serde(default, skip_serializing_if = "is_none")]
    pub tick_seconds: u32,
}

impl Anomaly {
    /// The facts that the series is made of.
    pub fn event_types(&self) -> Vec<&'static str> {
        let points = match self.series {
            Series::Taps => crate::tap::TAPPED,
            Series::Value { .. } | Series::Count => crate::signal::RECEIVED,
        };
        let ticks = (self.tick_seconds > 0).then_some(crate::rule_match::TICKED);
        [points].into_iter().chain(ticks).collect()
    }
}

fn is_none(seconds: &u32) -> bool {
    *seconds == 0
}

fn half() -> f64 {
    0.5
}

fn cooldown() -> u32 {
    300
}
