//! `ensemble@1`, the default: unusual shapes at three lengths and unusual
//! transitions, put together; and each of the two alone.
//!
//! For each length the distance to the nearest stretch of the past is ranked
//! in the series' own history; the three ranks are combined by their root mean
//! square. The surprise of the contextual memory is added as a fourth side.

use serde::{Deserialize, Serialize};

use super::context::Surprise;
use super::discord::Nearest;
use super::gate::Gate;
use super::rank::TailRank;
use super::{Detector, Range, Verdict};

/// Name and version.
pub const NAME: &str = "ensemble@1";
/// The shapes alone.
pub const DISCORD: &str = "discord@1";
/// The transitions alone.
pub const CONTEXT: &str = "context@1";

const LENGTHS: [usize; 3] = [8, 24, 72];
const WEIGHT_OF_CONTEXT: f64 = 0.5;
const REST: usize = 80;

/// A detector without memory of what it has said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shapes {
    nearest: Nearest,
    ranks: Vec<TailRank>,
    distances: Vec<(f64, f64)>,
}

impl Shapes {
    fn new(range: Option<Range>) -> Self {
        let ranks = LENGTHS.iter().map(|_| TailRank::default()).collect();
        Self { nearest: Nearest::new(&LENGTHS, range), ranks, distances: Vec::new() }
    }

    fn push(&mut self, value: f64) -> f64 {
        self.nearest.push(value, &mut self.distances);
        let ranked = self.ranks.iter_mut().zip(&self.distances);
        let squares: f64 = ranked.map(|(rank, (d, share))| (rank.push(*d) * share).powi(2)).sum();
        (squares / LENGTHS.len() as f64).sqrt()
    }
}

/// From 0 … about 1.5 to 0 … 1.
fn scaled(strength: f64) -> f64 {
    1.0 - (-strength).exp()
}

/// `ensemble@1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ensemble {
    shapes: Shapes,
    surprise: Surprise,
    gate: Gate,
}

impl Ensemble {
    /// With the whole series' range where it is known.
    pub fn new(range: Option<Range>) -> Self {
        Self { shapes: Shapes::new(range), surprise: Surprise::new(None), gate: Gate::new(ALARMING, REST) }
    }
}

const ALARMING: f64 = 0.48;

impl Detector for Ensemble {
    fn push(&mut self, _at: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::default();
        }
        let shapes = self.shapes.push(value);
        let surprise = WEIGHT_OF_CONTEXT * self.surprise.push(value);
        Verdict::of(scaled(self.gate.pass(shapes.hypot(surprise))))
    }
}

/// `discord@1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Discords {
    shapes: Shapes,
    gate: Gate,
}

impl Discords {
    /// With the whole series' range where it is known.
    pub fn new(range: Option<Range>) -> Self {
        Self { shapes: Shapes::new(range), gate: Gate::new(ALARMING, REST) }
    }
}

impl Detector for Discords {
    fn push(&mut self, _at: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::default();
        }
        let strength = self.shapes.push(value);
        Verdict::of(scaled(self.gate.pass(strength)))
    }
}

/// `context@1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contextual {
    surprise: Surprise,
    gate: Gate,
}

impl Contextual {
    /// With a range, values are cut into levels of equal width over it;
    /// without, by what the first points look like.
    pub fn new(range: Option<Range>) -> Self {
        Self { surprise: Surprise::new(range), gate: Gate::new(0.75, REST) }
    }
}

impl Detector for Contextual {
    fn push(&mut self, _at: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::default();
        }
        let surprise = self.surprise.push(value);
        Verdict::of(self.gate.pass(surprise))
    }
}
