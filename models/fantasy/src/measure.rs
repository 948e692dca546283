//! How good predictions were.

use serde::{Deserialize, Serialize};

use crate::math::logistic;

/// Sums over pairs of cars: for each, the chance that was given to the car
/// that ended ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// Pairs.
    pub count: f64,
    /// Sum of (1 − p)².
    pub squares: f64,
    /// Pairs whose better-rated car ended ahead; equal ratings count half.
    pub right: f64,
}

impl Pairs {
    /// All pairs of one race. `badness` as of [`crate::order`], `finish` from 1.
    pub fn of(badness: &[f64], finish: &[u32]) -> Self {
        let mut pairs = Self::default();
        for (margin, _) in margins(badness, finish) {
            let p = logistic(margin);
            pairs.count += 1.0;
            pairs.squares += (1.0 - p).powi(2);
            pairs.right += if margin > 0.0 {
                1.0
            } else if margin == 0.0 {
                0.5
            } else {
                0.0
            };
        }
        pairs
    }

    /// Adds another race's.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.squares += other.squares;
        self.right += other.right;
    }

    /// Brier's score of «ends ahead», .25 for a coin.
    pub fn brier(&self) -> f64 {
        self.squares / self.count
    }
}

/// For each pair: the badness of the loser minus the winner's, and how many
/// places they were apart.
pub fn margins(badness: &[f64], finish: &[u32]) -> impl Iterator<Item = (f64, u32)> {
    let n = badness.len();
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j))).map(move |(i, j)| {
        let (ahead, behind) = if finish[i] < finish[j] { (i, j) } else { (j, i) };
        (badness[behind] - badness[ahead], finish[behind] - finish[ahead])
    })
}

/// The slope of what happened on the logit of what was said, through the
/// origin: 1 is calibrated, above 1 says too little, below too much.
pub fn slope(margins: &[f64]) -> Option<f64> {
    let mut slope = 1.0_f64;
    for _ in 0..30 {
        let (mut gradient, mut curvature) = (0.0, 0.0);
        for margin in margins {
            let p = logistic(slope * margin);
            gradient += (1.0 - p) * margin;
            curvature += p * (1.0 - p) * margin * margin;
        }
        if curvature <= 0.0 {
            return None;
        }
        slope += gradient / curvature;
    }
    Some(slope)
}

/// Pairs that were rated alike, and how often the better-rated car was ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Pairs.
    pub pairs: f64,
    /// Mean chance that was given to the better-rated car.
    pub said: f64,
    /// Part of the pairs in which it was ahead.
    pub seen: f64,
}

/// Pairs by the chance that was said, in ten steps from one half; steps that
/// nothing fell into are left out.
pub fn reliability(margins: impl IntoIterator<Item = f64>) -> Vec<Bin> {
    let mut bins = [Bin::default(); 10];
    for margin in margins {
        let p = logistic(margin.abs());
        let bin = &mut bins[(((p - 0.5) * 20.0) as usize).min(9)];
        bin.pairs += 1.0;
        bin.said += p;
        bin.seen += if margin == 0.0 { 0.5 } else { f64::from(u8::from(margin > 0.0)) };
    }
    let filled = bins.into_iter().filter(|bin| bin.pairs > 0.0);
    filled.map(|bin| Bin { said: bin.said / bin.pairs, seen: bin.seen / bin.pairs, ..bin }).collect()
}

/// The continuous ranked probability score of a distribution over places 1…n,
/// given as counts, in places; smaller is better.
pub fn crps(counts: &[u32], actual: u32) -> f64 {
    let total: f64 = counts.iter().map(|c| f64::from(*c)).sum();
    let mut below = 0.0;
    let mut score = 0.0;
    for (i, count) in counts.iter().enumerate() {
        below += f64::from(*count) / total;
        let happened = f64::from(u8::from(actual as usize <= i + 1));
        score += (below - happened).powi(2);
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn pairs_by_hand() {
        // a ahead of b with logistic(1), ahead of c with ½; c ahead of b, rated 1 better.
        let pairs = Pairs::of(&[0.0, 1.0, 0.0], &[1, 3, 2]);
        let p = logistic(1.0);
        assert_eq!((pairs.count, pairs.right), (3.0, 2.5));
        assert!((pairs.squares - (2.0 * (1.0 - p).powi(2) + 0.25)).abs() < 1e-12);
    }

    #[test]
    fn the_slope_is_that_of_the_data() {
        let mut rng = Rng::new(5);
        let margins: Vec<f64> = (0..20_000)
            .map(|_| {
                let said = rng.normal();
                if rng.uniform() < logistic(0.6 * said) { said } else { -said }
            })
            .collect();
        assert!((slope(&margins).unwrap() - 0.6).abs() < 0.05);
        assert_eq!(slope(&[0.0]), None);
    }

    #[test]
    fn pairs_are_told_by_what_was_said_of_them() {
        let bins = reliability([0.1, -0.1, 0.1, 0.0, 3.0, 3.0, -3.0]);
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].pairs, bins[0].seen), (4.0, 2.5 / 4.0));
        assert_eq!((bins[1].pairs, bins[1].seen), (3.0, 2.0 / 3.0));
        assert!((bins[1].said - logistic(3.0)).abs() < 1e-12);
    }

    #[test]
    fn the_score_of_a_certain_prediction_is_its_error() {
        assert_eq!(crps(&[0, 0, 5, 0, 0], 3), 0.0);
        assert_eq!(crps(&[5, 0, 0, 0, 0], 3), 2.0);
        // A coin between 1 and 2: (½)² + 0.
        assert_eq!(crps(&[1, 1], 1), 0.25);
    }
}
