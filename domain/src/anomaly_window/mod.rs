//! Windows in which a series was unusual: what is found of each by a rule with
//! `anomaly`, and what people have to say about it.
//!
//! **What is found** ([`Detected`]) stands in a stream for each window, kind
//! `anomaly_window`, one fact for each change. The stream's name and the
//! version of every fact follow from the rule and the signals, so finding the
//! same again records nothing.
//!
//! **What people say** ([`Review`]) stands beside it in a stream of the same
//! id, kind `anomaly_review`, so that it never comes between two changes.

pub(crate) mod columns;
mod review;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::ids::{InvalidId, StreamId, TenantId};

pub use review::{Command, Event, MAX_NOTE_BYTES, MAX_NOTES, Review};

/// A window was opened, goes on, was closed or reopened.
pub const DETECTED: &str = "rule.anomaly_detected";
pub const ACKNOWLEDGED: &str = "anomaly.acknowledged";
pub const MUTED: &str = "anomaly.muted";
pub const UNMUTED: &str = "anomaly.unmuted";
pub const NOTED: &str = "anomaly.noted";
/// Stream kind of what is found: one stream for each window.
pub const KIND: &str = "anomaly_window";
/// Stream kind of what people say, under the window's id.
pub const REVIEW_KIND: &str = "anomaly_review";
/// Longest key of a series, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// What has become of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AnomalyChange)]
pub enum Change {
    Opened,
    Extended,
    Closed,
    /// A late point belongs to it; it is closed again at once.
    Reopened,
}

/// Why a window was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AnomalyReason)]
pub enum Reason {
    /// The series was ordinary for long enough.
    Ordinary,
    RuleChanged,
    RuleDisabled,
    RuleArchived,
}

/// How far beyond what is just unusual, in thirds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
}

/// One unusual point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Observed {
    /// Event time, or the start of the step
    #[schema(value_type = String)]
    pub at: Timestamp,
    pub value: f64,
    /// Position of the signal; of a step, of its newest
    pub signal: u64,
}

/// What was expected, with the limits of the ordinary where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
}

impl Expected {
    /// A limit as far as numbers go is none.
    pub fn new(value: f64, lower: f64, upper: f64) -> Self {
        let told = |limit: f64| (limit.abs() < f64::MAX).then_some(limit);
        Self { value: told(value), lower: told(lower), upper: told(upper) }
    }
}

/// Payload of `rule.anomaly_detected`: the window as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Detected {
    pub change: Change,
    /// Of `closed` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The window's id, as its stream is named.
    pub window: String,
    pub rule: String,
    /// What the rule said then: 1 as it was defined, one more for each change.
    pub rule_version: u32,
    /// Which of the rule's series; absent where it has one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of the rule, else of the signal that opened the first window of the series.
    pub app: String,
    /// Event time of the first unusual point.
    #[schema(value_type = String)]
    pub start: Timestamp,
    /// Event time of the last.
    #[schema(value_type = String)]
    pub end: Timestamp,
    /// The most unusual.
    pub peak: Observed,
    /// Of the peak: 0 ordinary to 1.
    pub score: f64,
    pub severity: Severity,
    /// At the peak, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// The first 32 unusual points.
    pub observed: Vec<Observed>,
    /// How many there are.
    pub points: u32,
    /// Position of the fact that brought this change.
    pub signal: u64,
    /// Whether the rule's actions are set off. An opening acts unless the
    /// throttle or a mute holds it back; a closing acts, once, if the opening
    /// did; nothing else acts.
    pub acts: bool,
    /// Where on the bus it is told of, below the tenant's own; none unless it
    /// acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// The series was muted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
}

/// The id of a window: the position at which it was opened, and a hash of
/// whose window it is. `number` counts the windows of one series.
pub fn window_id(position: u64, rule: &str, version: u32, key: &str, number: u64) -> String {
    let mut hash = Sha256::new();
    for part in [rule, key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(version.to_be_bytes());
    hash.update(number.to_be_bytes());
    format!("{position}.{}", hex::encode(&hash.finalize()[..12]))
}

/// Where the changes of a window stand.
pub fn stream(tenant: &TenantId, window: &str) -> Result<StreamId, InvalidId> {
    StreamId::new(tenant, KIND, window)
}
