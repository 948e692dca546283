//! Quantiles that learn from how earlier ones did.
//!
//! Where an outcome fell in its drawn distribution is a level between 0 and 1.
//! If past levels are not even, a quantile is taken at the level below which the
//! asked part of them fell. Past races fade; even levels weigh in from the start.
//!
//! Chances of pairs learn likewise: a likelihood over whole orders says too much
//! about two cars, so differences of badness are scaled by the slope that earlier
//! predictions had.

use std::collections::{HashMap, VecDeque};

use crate::math::logistic;
use crate::track::Kind;

const BINS: usize = 40;
/// Outcomes that the even distribution counts for.
const PRIOR: f64 = 600.0;
/// By race of the same sort.
const FADE: f64 = 0.985;

/// Past levels, on superspeedways and elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Levels(HashMap<bool, Vec<f64>>);

impl Levels {
    /// Learns the levels of one race.
    pub fn learn(&mut self, kind: Kind, levels: impl Iterator<Item = f64>) {
        let bins = self.0.entry(kind == Kind::Superspeedway).or_insert_with(|| vec![0.0; BINS]);
        bins.iter_mut().for_each(|bin| *bin *= FADE);
        for level in levels {
            bins[((level * BINS as f64) as usize).min(BINS - 1)] += 1.0;
        }
    }

    /// Where to take the quantiles that are asked for.
    pub fn at<const N: usize>(&self, kind: Kind, asked: [f64; N]) -> [f64; N] {
        let Some(bins) = self.0.get(&(kind == Kind::Superspeedway)) else { return asked };
        let even = PRIOR / BINS as f64;
        let total: f64 = bins.iter().sum::<f64>() + PRIOR;
        asked.map(|p| {
            let mut below = 0.0;
            for (i, bin) in bins.iter().enumerate() {
                let here = (bin + even) / total;
                if below + here >= p {
                    return (i as f64 + (p - below) / here) / BINS as f64;
                }
                below += here;
            }
            1.0
        })
    }
}

/// Races of a sort whose pairs are kept, and after how many one counts half.
const PAIRED: usize = 90;
const PAIRED_HALF_LIFE: f64 = 25.0;
/// Slopes before anything was seen, on superspeedways and elsewhere, and the
/// races that they count for.
const SLOPES: [f64; 2] = [0.5, 0.85];
const SLOPE_RACES: f64 = 8.0;

/// Past differences of badness, loser's minus winner's, before scaling.
#[derive(Debug, Clone, Default)]
pub struct Scale(HashMap<bool, Sort>);

#[derive(Debug, Clone)]
struct Sort {
    races: VecDeque<Vec<f32>>,
    slope: f64,
}

impl Scale {
    /// What differences of badness are multiplied by.
    pub fn slope(&self, kind: Kind) -> f64 {
        let pack = kind == Kind::Superspeedway;
        self.0.get(&pack).map_or(SLOPES[usize::from(!pack)], |sort| sort.slope)
    }

    /// Learns the differences of one race.
    pub fn learn(&mut self, kind: Kind, margins: impl Iterator<Item = f64>) {
        let pack = kind == Kind::Superspeedway;
        let start = SLOPES[usize::from(!pack)];
        let sort = self.0.entry(pack).or_insert_with(|| Sort { races: VecDeque::new(), slope: start });
        sort.races.push_front(margins.map(|m| m as f32).collect());
        sort.races.truncate(PAIRED);
        for _ in 0..2 {
            sort.step(start);
        }
    }
}

impl Sort {
    /// A step of Newton's method; the prior has the curvature of some races.
    fn step(&mut self, start: f64) {
        let (mut gradient, mut curvature, mut races) = (0.0, 0.0, 0.0);
        for (age, race) in self.races.iter().enumerate() {
            let weight = 0.5_f64.powf(age as f64 / PAIRED_HALF_LIFE);
            races += weight;
            for margin in race {
                let margin = f64::from(*margin);
                let p = logistic(self.slope * margin);
                gradient += weight * (1.0 - p) * margin;
                curvature += weight * p * (1.0 - p) * margin * margin;
            }
        }
        let prior = SLOPE_RACES * curvature / races;
        let step = (gradient + prior * (start - self.slope)) / (curvature + prior);
        if step.is_finite() {
            self.slope = (self.slope + step).clamp(0.05, 3.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_moves_to_the_slope_that_there_was() {
        let mut rng = crate::rng::Rng::new(2);
        let mut scale = Scale::default();
        assert_eq!(scale.slope(Kind::Short), 0.85);
        for _ in 0..PAIRED {
            let margins: Vec<f64> = (0..600).map(|_| rng.normal()).collect();
            let seen = margins.iter().map(|m| if rng.uniform() < logistic(0.6 * m) { *m } else { -m });
            scale.learn(Kind::Short, seen.collect::<Vec<_>>().into_iter());
        }
        let slope = scale.slope(Kind::Short);
        assert!((0.58..0.68).contains(&slope), "{slope}");
        assert_eq!(scale.slope(Kind::Superspeedway), 0.5, "packs are another sort");
    }

    #[test]
    fn even_levels_change_nothing_and_wide_ones_narrow() {
        let mut levels = Levels::default();
        assert_eq!(levels.at(Kind::Road, [0.1, 0.9]), [0.1, 0.9]);
        levels.learn(Kind::Road, (0..4_000).map(|i| f64::from(i) / 4_000.0));
        let [low, high] = levels.at(Kind::Road, [0.1, 0.9]);
        assert!((low - 0.1).abs() < 1e-9 && (high - 0.9).abs() < 1e-9);
        // Everything fell into the middle half: intervals were too wide.
        let mut levels = Levels::default();
        levels.learn(Kind::Road, (0..40_000).map(|i| 0.25 + 0.5 * f64::from(i) / 40_000.0));
        let [low, high] = levels.at(Kind::Road, [0.1, 0.9]);
        assert!(low > 0.25 && high < 0.75, "{low} {high}");
        assert_eq!(levels.at(Kind::Superspeedway, [0.1]), [0.1]);
    }
}
