//! One alarm for one event: what may be said after something was.

use serde::{Deserialize, Serialize};

/// Lets a score through only if nothing alarming was seen for a while. A
/// series that is alarming all the time is heard again after three times as
/// long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gate {
    alarming: f64,
    rest: usize,
    since_alarming: usize,
    since_heard: usize,
}

impl Gate {
    /// Scores at or above `alarming` start a rest of that many points.
    pub fn new(alarming: f64, rest: usize) -> Self {
        Self { alarming, rest, since_alarming: usize::MAX, since_heard: usize::MAX }
    }

    /// The score, or 0 while resting.
    pub fn pass(&mut self, score: f64) -> f64 {
        let alarming = score >= self.alarming;
        let open = self.since_alarming > self.rest || self.since_heard > 3 * self.rest;
        self.since_heard = if open && alarming { 1 } else { self.since_heard.saturating_add(1) };
        self.since_alarming = if alarming { 1 } else { self.since_alarming.saturating_add(1) };
        if open { score } else { 0.0 }
    }
}
