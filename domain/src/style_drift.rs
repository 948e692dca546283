//! Changes of an author's style over time, each recorded once: stream kind
//! `style_drift`, one stream for each author.

use serde::{Deserialize, Serialize};

pub const DETECTED: &str = "style.drift_detected";
pub const KIND: &str = "style_drift";

/// A number of a fingerprint that moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub feature: String,
    pub before: f64,
    pub after: f64,
    /// After minus before, in standard deviations.
    pub deviations: f64,
}

/// Payload of `style.drift_detected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftDetected {
    /// The subject that the author's texts belong to.
    pub author_id: String,
    /// The first sample of the new style.
    pub sample: String,
    pub written_at: jiff::civil::Date,
    /// Samples before it and from it on, as far as both were looked at.
    pub before: u32,
    pub after: u32,
    /// Share of random orders of the same samples with a change as great.
    pub p_value: f64,
    /// Root mean square of all differences, in standard deviations.
    pub distance: f64,
    /// What moved most.
    pub features: Vec<Moved>,
    /// The rules of drift, and the fingerprints that they were asked of.
    pub model: String,
    pub fingerprint: String,
}
