//! `seasonal_band@1`: what is expected at this time of the day or week, with a
//! band around it, robust against the anomalies that it has seen.
//!
//! Each slot of a season has a level and a spread. A level moves towards a
//! value by at most two spreads, and a spread takes in at most three times
//! itself, so a single outlier moves neither far. A slow common level follows
//! what all slots share. Until a slot has been seen often enough, the spread
//! over all slots stands in for its own.

use serde::{Deserialize, Serialize};

use super::{Band, Detector, Verdict, bounded};

/// Name and version.
pub const NAME: &str = "seasonal_band@1";

/// What repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seasonality {
    /// Nothing: one level
    None,
    /// The hour, in minutes
    Hourly,
    /// The day, in quarters of an hour, UTC
    #[default]
    Daily,
    /// The week, in hours, UTC
    Weekly,
}

impl Seasonality {
    fn slots(self) -> (i64, i64) {
        const MINUTE: i64 = 60_000_000;
        match self {
            Self::None => (1, i64::MAX),
            Self::Hourly => (60, MINUTE),
            Self::Daily => (96, 15 * MINUTE),
            Self::Weekly => (168, 60 * MINUTE),
        }
    }

    fn slot(self, at: i64) -> usize {
        let (slots, width) = self.slots();
        at.div_euclid(width).rem_euclid(slots) as usize
    }
}

/// How the band is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What repeats
    pub seasonality: Seasonality,
    /// Half the width of the band, in standard deviations of a normal series
    pub width: f64,
    /// Share of a deviation that a level moves by; at least 0, at most 1
    pub rate: f64,
    /// Points before anything is judged
    pub min_samples: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seasonality: Seasonality::Daily, width: 4.0, rate: 0.1, min_samples: 50 }
    }
}

/// Observations of a slot after which its own spread is trusted.
const TRUSTED: u32 = 8;
/// Mean absolute deviation to standard deviation, for a normal series.
const TO_SIGMA: f64 = 1.253_314_137_315_5;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Slot {
    level: f64,
    spread: f64,
    seen: u32,
}

impl Slot {
    fn learn(&mut self, value: f64, rate: f64, doubt: f64) {
        if self.seen == 0 {
            (self.level, self.spread) = (value, doubt);
        } else {
            // Fast at first: the mean of what was seen so far.
            let rate = rate.max(1.0 / f64::from(self.seen + 1));
            let reach = self.spread.max(doubt * 0.5);
            let step = value - self.level;
            let far = if reach > 0.0 { 2.0 * reach } else { f64::INFINITY };
            self.level += rate * step.clamp(-far, far);
            let far = if reach > 0.0 { 3.0 * reach } else { f64::INFINITY };
            self.spread += rate * (step.abs().min(far) - self.spread);
        }
        self.seen = self.seen.saturating_add(1);
    }
}

/// `seasonal_band@1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seasonal {
    settings: Settings,
    slots: Vec<Slot>,
    /// What all slots share, and how far values are from what is expected
    common: Slot,
    residual: Slot,
}

impl Seasonal {
    /// A band that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let slots = vec![Slot::default(); settings.seasonality.slots().0 as usize];
        Self { settings, slots, common: Slot::default(), residual: Slot::default() }
    }

    /// The band at an instant, once there is one.
    pub fn band(&self, at: i64) -> Option<Band> {
        if self.common.seen < self.settings.min_samples {
            return None;
        }
        let slot = &self.slots[self.settings.seasonality.slot(at)];
        let (expected, spread) = if slot.seen == 0 {
            (self.common.level, self.common.spread)
        } else if slot.seen < TRUSTED {
            (slot.level, slot.spread.max(self.residual.spread))
        } else {
            (slot.level, slot.spread.max(0.25 * self.residual.spread))
        };
        let half = self.settings.width * TO_SIGMA * spread;
        Some(Band { expected, lower: expected - half, upper: expected + half })
    }

    fn verdict(&self, at: i64, value: f64) -> Verdict {
        let Some(band) = self.band(at) else { return Verdict::default() };
        let half = band.upper - band.expected;
        let distance = (value - band.expected).abs();
        // Half at the edge of the band; a series without any spread so far has
        // a band without width, and anything else is beyond it.
        let score = if distance == 0.0 { 0.0 } else { distance / (distance + half) };
        Verdict { score, band: Some(band) }
    }
}

impl Detector for Seasonal {
    fn push(&mut self, at: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict { score: 0.0, band: self.band(at) };
        }
        let value = bounded(value);
        let verdict = self.verdict(at, value);
        let rate = self.settings.rate.clamp(0.0, 1.0);
        let slot = &mut self.slots[self.settings.seasonality.slot(at)];
        let expected = if slot.seen == 0 { self.common.level } else { slot.level };
        if self.common.seen > 0 {
            self.residual.learn((value - expected).abs(), 0.01, 0.0);
        }
        // A residual's own level is the ordinary distance from the expected.
        self.residual.spread = self.residual.level;
        slot.learn(value, rate, self.residual.spread);
        self.common.learn(value, 0.01, 0.0);
        verdict
    }

    fn judge(&self, at: i64, value: f64) -> Verdict {
        if value.is_finite() { self.verdict(at, bounded(value)) } else { Verdict::default() }
    }
}
