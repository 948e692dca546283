//! `windowed_gaussian@1`: the tail probability of a value under a normal
//! distribution of the values before it. The benchmark's own baseline, kept to
//! compare with: window 6,400 points, moved on by 100.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Detector, Verdict, bounded};

/// Name and version.
pub const NAME: &str = "windowed_gaussian@1";

const WINDOW: usize = 6_400;
const STEP: usize = 100;

/// Mean and deviation of the last values.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Gaussian {
    window: VecDeque<f64>,
    step: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl Detector for Gaussian {
    fn push(&mut self, _at: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::default();
        }
        let value = bounded(value);
        let score = if self.window.is_empty() { 0.0 } else { 1.0 - self.tail(value) };
        if self.window.len() < WINDOW {
            self.window.push_back(value);
            self.update();
        } else {
            self.step.push(value);
            if self.step.len() == STEP {
                self.window.drain(..STEP);
                self.window.extend(self.step.drain(..));
                self.update();
            }
        }
        Verdict::of(score)
    }
}

impl Gaussian {
    fn update(&mut self) {
        let n = self.window.len() as f64;
        self.mean = self.window.iter().map(|v| v / n).sum();
        let variance: f64 = self.window.iter().map(|v| (v - self.mean).powi(2) / n).sum();
        // What is left of rounding is no deviation.
        let rounding = (1e-9 * self.mean.abs()).max(f64::MIN_POSITIVE);
        self.deviation = variance.sqrt().max(rounding);
    }

    fn tail(&self, value: f64) -> f64 {
        0.5 * erfc((value - self.mean).abs() / self.deviation / std::f64::consts::SQRT_2)
    }
}

/// Complementary error function for x ≥ 0, by its continued fraction or, near
/// 0, the series of the error function; to about 1e-14.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..=60).rev().fold(0.0, |f, k| f64::from(k) * 0.5 / (x + f));
    (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI / 2.0 / (x + fraction)
}

#[cfg(test)]
mod tests {
    use super::erfc;

    #[test]
    fn the_tail_is_that_of_the_tables() {
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.5, 0.033_894_853_524_689_27),
            (3.0, 2.209_049_699_858_544e-5),
        ] {
            assert!((erfc(x) - expected).abs() < 1e-12 * expected.max(1e-3), "{x}: {}", erfc(x));
        }
    }
}
