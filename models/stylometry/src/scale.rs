//! z-scores: how many standard deviations a frequency is from the mean of the
//! known texts.

use crate::table::Table;

/// Mean and standard deviation of each feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    mean: Vec<f64>,
    /// 0 where the known texts do not differ.
    deviation: Vec<f64>,
}

impl Scale {
    /// As the distances are published: each text counts the same, the
    /// deviation is that of a sample (n − 1).
    pub fn of_texts(table: &Table) -> Self {
        let n = table.rows.len() as f64;
        Self::weighted(table, |_| 1.0 / n, (n - 1.0).max(1.0) / n)
    }

    /// Each author counts the same, whatever is known of them, and so does
    /// each row of an author: else the mean is the style of who wrote most.
    pub fn of_authors(table: &Table) -> Self {
        let (counts, authors) = (table.rows_by_author(), table.authors.len() as f64);
        Self::weighted(table, |author| 1.0 / (counts[author] as f64 * authors), 1.0)
    }

    fn weighted(table: &Table, weight: impl Fn(usize) -> f64, correction: f64) -> Self {
        let width = table.features.len();
        let mut mean = vec![0.0; width];
        let mut square = vec![0.0; width];
        for row in &table.rows {
            let weight = weight(row.author);
            mean.iter_mut().zip(&row.values).for_each(|(m, x)| *m += weight * x);
        }
        for row in &table.rows {
            let weight = weight(row.author);
            for ((s, x), m) in square.iter_mut().zip(&row.values).zip(&mean) {
                *s += weight * (x - m) * (x - m);
            }
        }
        // What is equal but for rounding is equal.
        let deviation = |(s, m): (&f64, &f64)| {
            let deviation = (s / correction).sqrt();
            if deviation > 1e-12 * m.abs() { deviation } else { 0.0 }
        };
        let deviation = square.iter().zip(&mean).map(deviation).collect();
        Self { mean, deviation }
    }

    /// Whether any feature differs.
    pub fn differs(&self) -> bool {
        self.deviation.iter().any(|d| *d > 0.0)
    }

    /// z-scores; 0 for features that the known texts do not differ in.
    pub fn apply(&self, values: &[f64]) -> Vec<f64> {
        let scaled = values.iter().zip(&self.mean).zip(&self.deviation);
        scaled.map(|((x, m), d)| if *d > 0.0 { (x - m) / d } else { 0.0 }).collect()
    }
}

/// Keeps every number within ±`most`, makes all blocks equally long and the
/// whole of length 1: no word and no kind of feature may outweigh the others.
pub fn directed(z: &mut [f64], blocks: &[std::ops::Range<usize>], most: f64) {
    let parts = blocks.iter().filter(|b| !b.is_empty()).count().max(1) as f64;
    for block in blocks {
        let Some(block) = z.get_mut(block.clone()) else { continue };
        let mut square = 0.0;
        for value in block.iter_mut() {
            *value = value.clamp(-most, most);
            square += *value * *value;
        }
        if square > 0.0 {
            let length = f64::sqrt(square * parts);
            block.iter_mut().for_each(|v| *v /= length);
        }
    }
}
