//! The detectors. Each is fed one point after the other and answers before it
//! sees the next; none is told how long a series is, and each keeps a bounded
//! number of points.

pub mod context;
pub mod discord;
pub mod ensemble;
pub mod gate;
pub mod gaussian;
pub mod rank;
pub mod seasonal;

use serde::{Deserialize, Serialize};

use ensemble::{Contextual, Discords, Ensemble};
use gaussian::Gaussian;
use seasonal::{Seasonal, Settings};

/// What is expected, with the limits of the ordinary, in the series' own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The expected value
    pub expected: f64,
    /// Below is unusual
    pub lower: f64,
    /// Above is unusual
    pub upper: f64,
}

/// What a detector says about one point.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Verdict {
    /// 0 ordinary to 1
    pub score: f64,
    /// Where the detector has one
    pub band: Option<Band>,
}

impl Verdict {
    /// A score without a band.
    pub fn of(score: f64) -> Self {
        Self { score, band: None }
    }
}

/// A streaming detector. `at` is in microseconds since 1970.
pub trait Detector: Send + Sync {
    /// Judges a point by what came before it, then learns it. A value that is
    /// not finite is missing: it scores 0 and teaches nothing.
    fn push(&mut self, at: i64, value: f64) -> Verdict;

    /// Judges a point that came late by what is known now, and learns
    /// nothing. Detectors that depend on order have no opinion.
    fn judge(&self, _at: i64, _value: f64) -> Verdict {
        Verdict::default()
    }
}

/// Smallest and largest value of a whole series, where a harness tells them in
/// advance. A stream never does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Smallest value
    pub min: f64,
    /// Largest value
    pub max: f64,
}

impl Range {
    /// Of the finite values among these.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
            None => Some(Self { min: v, max: v }),
            Some(r) => Some(Self { min: r.min.min(v), max: r.max.max(v) }),
        })
    }

    pub(crate) fn width(self) -> f64 {
        bounded(self.max) - bounded(self.min)
    }
}

/// Every detector by the name it is asked for.
pub const NAMES: [&str; 5] =
    [ensemble::NAME, ensemble::DISCORD, ensemble::CONTEXT, seasonal::NAME, gaussian::NAME];

/// The detector that is used unless another is asked for.
pub const DEFAULT: &str = ensemble::NAME;

/// Makes a detector by its name, with or without the version. A range is given
/// where the whole series is known; detectors without a use for it ignore it.
pub fn by_name(name: &str, range: Option<Range>) -> Option<Box<dyn Detector>> {
    let full = NAMES.iter().find(|n| **n == name || n.split('@').next() == Some(name))?;
    Some(match *full {
        ensemble::NAME => Box::new(Ensemble::new(range)),
        ensemble::DISCORD => Box::new(Discords::new(range)),
        ensemble::CONTEXT => Box::new(Contextual::new(range)),
        seasonal::NAME => Box::new(Seasonal::new(Settings::default())),
        _ => Box::new(Gaussian::default()),
    })
}

/// Any of them, as a value that can be kept and gone on with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Any {
    /// `ensemble@1`
    Ensemble(Box<Ensemble>),
    /// `discord@1`
    Discords(Box<Discords>),
    /// `context@1`
    Contextual(Box<Contextual>),
    /// `seasonal_band@1`
    Seasonal(Seasonal),
    /// `windowed_gaussian@1`
    Gaussian(Gaussian),
}

impl Any {
    /// By its name and version; of a series whose range nobody knows.
    pub fn new(name: &str, settings: Settings) -> Option<Self> {
        Some(match name {
            ensemble::NAME => Self::Ensemble(Box::new(Ensemble::new(None))),
            ensemble::DISCORD => Self::Discords(Box::new(Discords::new(None))),
            ensemble::CONTEXT => Self::Contextual(Box::new(Contextual::new(None))),
            seasonal::NAME => Self::Seasonal(Seasonal::new(settings)),
            gaussian::NAME => Self::Gaussian(Gaussian::default()),
            _ => return None,
        })
    }

    fn detector(&self) -> &dyn Detector {
        match self {
            Self::Ensemble(it) => &**it,
            Self::Discords(it) => &**it,
            Self::Contextual(it) => &**it,
            Self::Seasonal(it) => it,
            Self::Gaussian(it) => it,
        }
    }
}

impl Detector for Any {
    fn push(&mut self, at: i64, value: f64) -> Verdict {
        match self {
            Self::Ensemble(it) => it.push(at, value),
            Self::Discords(it) => it.push(at, value),
            Self::Contextual(it) => it.push(at, value),
            Self::Seasonal(it) => it.push(at, value),
            Self::Gaussian(it) => it.push(at, value),
        }
    }

    fn judge(&self, at: i64, value: f64) -> Verdict {
        self.detector().judge(at, value)
    }
}

/// Values beyond this size are taken as this size: squares of differences
/// stay finite.
pub(crate) fn bounded(value: f64) -> f64 {
    value.clamp(-1e140, 1e140)
}
