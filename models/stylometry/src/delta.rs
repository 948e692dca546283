//! Distances between two texts. What is compared are relative frequencies
//! (`min_max`) or their z-scores (the others), in the order of the words'
//! ranks, the most frequent first.
//!
//! Burrows 2002; Argamon 2008; Eder 2015 as computed by the R package stylo;
//! Cosine Delta: Smith and Aldridge 2011, Evert et al. 2017; min-max:
//! Koppel and Winter 2014.

use serde::Serialize;

/// Mean of |Δz|.
pub fn burrows(a: &[f64], b: &[f64]) -> f64 {
    mean(a, b, |d| d.abs())
}

/// Euclidean distance of the z-scores, divided by their number.
pub fn argamon(a: &[f64], b: &[f64]) -> f64 {
    match a.len() {
        0 => 0.0,
        n => sum(a, b, |d| d * d).sqrt() / n as f64,
    }
}

/// Sum of |Δz|·(n − i + 2)/n for ranks i = 1…n.
pub fn eder(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len()) as f64;
    let weighted = |(i, (a, b)): (usize, (&f64, &f64))| (a - b).abs() * (n - (i as f64 + 1.0) + 2.0) / n;
    a.iter().zip(b).enumerate().map(weighted).sum()
}

/// 1 − cosine of the angle between the z-scores; 1 where one of them is 0.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        dot += a * b;
        aa += a * a;
        bb += b * b;
    }
    match aa * bb {
        0.0 => 1.0,
        _ => 1.0 - dot / (aa.sqrt() * bb.sqrt()),
    }
}

/// 1 − Σ min / Σ max of the frequencies; 0 where both are 0.
pub fn min_max(a: &[f64], b: &[f64]) -> f64 {
    let (mut least, mut most) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        least += a.min(*b);
        most += a.max(*b);
    }
    match most {
        0.0 => 0.0,
        _ => 1.0 - least / most,
    }
}

/// Jensen–Shannon divergence of the frequencies in bits: each made to sum to 1.
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> f64 {
    let (total_a, total_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
    if total_a <= 0.0 || total_b <= 0.0 {
        return 0.0;
    }
    let part = |p: f64, m: f64| if p > 0.0 { p * (p / m).log2() } else { 0.0 };
    let each = a.iter().zip(b).map(|(a, b)| {
        let (p, q) = (a / total_a, b / total_b);
        let middle = (p + q) / 2.0;
        (part(p, middle) + part(q, middle)) / 2.0
    });
    each.sum::<f64>().max(0.0)
}

fn sum(a: &[f64], b: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    a.iter().zip(b).map(|(a, b)| of(a - b)).sum()
}

fn mean(a: &[f64], b: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    match a.len().min(b.len()) {
        0 => 0.0,
        n => sum(a, b, of) / n as f64,
    }
}

/// One pair by every distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Deltas {
    /// See [`burrows`].
    pub burrows: f64,
    /// See [`cosine`].
    pub cosine: f64,
    /// See [`eder`].
    pub eder: f64,
    /// See [`argamon`].
    pub argamon: f64,
    /// See [`min_max`].
    pub min_max: f64,
}

impl Deltas {
    /// Of z-scores and of frequencies of the same words.
    pub fn of(z: (&[f64], &[f64]), frequencies: (&[f64], &[f64])) -> Self {
        Self {
            burrows: burrows(z.0, z.1),
            cosine: cosine(z.0, z.1),
            eder: eder(z.0, z.1),
            argamon: argamon(z.0, z.1),
            min_max: min_max(frequencies.0, frequencies.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn values_by_hand() {
        let (a, b) = ([1.0, -1.0, 0.5, 0.0], [0.0, 1.0, 0.5, 2.0]);
        close(burrows(&a, &b), 5.0 / 4.0);
        close(argamon(&a, &b), 3.0 / 4.0);
        close(eder(&a, &b), 1.25 + 2.0 + 0.0 + 1.0);
        close(cosine(&a, &b), 1.0 + 0.75 / (2.25f64.sqrt() * 5.25f64.sqrt()));
        close(min_max(&[3.0, 1.0], &[1.0, 2.0]), 1.0 - 2.0 / 5.0);
        close(jensen_shannon(&[1.0, 0.0], &[0.0, 2.0]), 1.0);
    }

    #[test]
    fn nothing_divides_by_nothing() {
        let none: [f64; 0] = [];
        for of in [burrows, argamon, eder, min_max, jensen_shannon] {
            close(of(&none, &none), 0.0);
        }
        close(cosine(&[0.0], &[1.0]), 1.0);
        close(min_max(&[0.0], &[0.0]), 0.0);
    }
}
