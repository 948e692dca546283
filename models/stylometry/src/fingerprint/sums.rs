//! Rows of several texts: sums that a text can be taken out of again, means
//! with intervals, and the space that distances are taken in.

use serde::{Deserialize, Serialize};

use super::weight;
use crate::delta::cosine;

/// Of rows with their weights. All whole numbers, so that the order of texts
/// does not matter and removing one undoes adding it. Sums wrap, which undoing
/// survives; that takes 90,000 texts of one single word each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Texts.
    pub samples: u64,
    /// Words of them.
    pub words: u64,
    /// Σ weight.
    pub weight: u64,
    /// Σ weight².
    pub squares: u64,
    /// Σ weight · row.
    pub first: Vec<i64>,
    /// Σ weight · row².
    pub second: Vec<i64>,
}

impl Sums {
    /// One more text.
    pub fn add(&mut self, row: &[i64], words: usize) {
        self.change(row, words, 1);
    }

    /// One text less, which was added before.
    pub fn remove(&mut self, row: &[i64], words: usize) {
        self.change(row, words, -1);
    }

    fn change(&mut self, row: &[i64], words: usize, sign: i64) {
        let plus = |sum: u64, value: u64| match sign {
            1 => sum.wrapping_add(value),
            _ => sum.wrapping_sub(value),
        };
        let own = weight(words);
        self.samples = plus(self.samples, 1);
        self.words = plus(self.words, words as u64);
        self.weight = plus(self.weight, own);
        self.squares = plus(self.squares, own * own);
        if self.first.len() < row.len() {
            self.first.resize(row.len(), 0);
            self.second.resize(row.len(), 0);
        }
        // At most 100.
        let signed = sign * own as i64;
        for (i, value) in row.iter().enumerate() {
            self.first[i] = self.first[i].wrapping_add(signed.wrapping_mul(*value));
            self.second[i] = self.second[i].wrapping_add(signed.wrapping_mul(value.wrapping_mul(*value)));
        }
    }
}

/// Weighted means with the half widths of their 95 % intervals, in the units
/// of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Means.
    pub mean: Vec<i64>,
    /// Mean ± half holds the long-run mean in 95 of 100 such estimates; absent
    /// of one text. Texts count as drawn independently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<Vec<i64>>,
    /// As many texts of equal weight would say as much, in thousandths.
    pub effective: u64,
}

/// Of sums that each count so much.
pub fn weighted(parts: &[(f64, &Sums)]) -> Estimate {
    let width = parts.iter().map(|(_, sums)| sums.first.len()).max().unwrap_or(0);
    let total: f64 = parts.iter().map(|(w, sums)| w * sums.weight as f64).sum();
    let squares: f64 = parts.iter().map(|(w, sums)| w * w * sums.squares as f64).sum();
    if total <= 0.0 || squares <= 0.0 {
        return Estimate::default();
    }
    let effective = total * total / squares;
    let samples: u64 = parts.iter().map(|(_, sums)| sums.samples).sum();
    let known = samples > 1 && effective > 1.0 + 1e-9;
    let (mut mean, mut half) = (Vec::with_capacity(width), Vec::with_capacity(width));
    for i in 0..width {
        let of = |pick: fn(&Sums) -> &Vec<i64>| -> f64 {
            parts.iter().map(|(w, sums)| w * pick(sums).get(i).copied().unwrap_or(0) as f64).sum()
        };
        let average = of(|s| &s.first) / total;
        mean.push(average.round() as i64);
        if known {
            let spread = (of(|s| &s.second) / total - average * average).max(0.0);
            let error = (spread / (effective - 1.0)).sqrt();
            half.push((student(effective - 1.0) * error).ceil() as i64);
        }
    }
    Estimate { mean, half: known.then_some(half), effective: (effective * 1e3).round() as u64 }
}

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// For whole degrees of freedom below the given: the wider interval.
fn student(freedom: f64) -> f64 {
    let whole = (freedom + 1e-9).floor().max(1.0) as usize;
    STUDENT.get(whole - 1).copied().unwrap_or(1.96)
}

/// z-scores by the mean and deviation of a corpus' texts, each counting by its
/// weight; distances are Cosine Delta over what is counted.
pub struct Space {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

/// z-scores beyond are cut: one rare word does not decide.
const MOST_DEVIATIONS: f64 = 3.0;

impl Space {
    /// Over the first `counted` numbers.
    pub fn new(corpus: &Sums, counted: usize) -> Self {
        let total = corpus.weight.max(1) as f64;
        let of = |i: usize| {
            let mean = corpus.first[i] as f64 / total;
            (mean, (corpus.second[i] as f64 / total - mean * mean).max(0.0).sqrt())
        };
        let (mean, deviation) = (0..counted.min(corpus.first.len())).map(of).unzip();
        Self { mean, deviation }
    }

    /// As [`Space::new`], but each author's texts together count the same: who
    /// wrote most would be what is usual.
    pub fn of_authors(authors: &[Sums], counted: usize) -> Self {
        let there: Vec<&Sums> = authors.iter().filter(|sums| sums.weight > 0).collect();
        let n = there.len().max(1) as f64;
        let of = |i: usize| {
            let each = |pick: fn(&Sums) -> &Vec<i64>| {
                there
                    .iter()
                    .map(|s| pick(s).get(i).copied().unwrap_or(0) as f64 / s.weight as f64)
                    .sum::<f64>()
                    / n
            };
            let mean = each(|s| &s.first);
            (mean, (each(|s| &s.second) - mean * mean).max(0.0).sqrt())
        };
        let width = there.iter().map(|s| s.first.len()).max().unwrap_or(0);
        let (mean, deviation) = (0..counted.min(width)).map(of).unzip();
        Self { mean, deviation }
    }

    /// The z-scores of a row.
    pub fn scores(&self, row: &[i64]) -> Vec<f64> {
        let each = self.mean.iter().zip(&self.deviation).enumerate();
        let of = |(i, (mean, deviation)): (usize, (&f64, &f64))| match row.get(i) {
            // Half a unit is what rounding makes.
            Some(value) if *deviation > 0.5 => {
                ((*value as f64 - mean) / deviation).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
            }
            _ => 0.0,
        };
        each.map(of).collect()
    }

    /// Cosine Delta of two rows' scores: 0 to 2.
    pub fn distance(a: &[f64], b: &[f64]) -> f64 {
        cosine(a, b)
    }
}
