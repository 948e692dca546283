//! From scores to probabilities, by what the scores of known answers were.

use crate::linear::{Square, dot};

/// p(a) ∝ exp(slope · score(a) + bias(a)).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Softmax {
    /// How much a score weighs.
    pub slope: f64,
    /// One for each candidate.
    pub biases: Vec<f64>,
}

const MOST_STEPS: usize = 300;
/// Parameters that Newton's method is used for.
const MOST_NEWTON: usize = 120;
/// Standard deviation that biases are expected within.
const BIAS_SPREAD: f64 = 3.0;
/// Standard deviation that the slope is expected within: without it, scores
/// that are always right would make every answer certain.
const SLOPE_SPREAD: f64 = 30.0;

impl Softmax {
    /// Fitted to scores whose right answers are known. Each answer counts the
    /// same in total, however many scores it has.
    pub fn fit(scores: &[(usize, Vec<f64>)], candidates: usize) -> Self {
        let mut counts = vec![0usize; candidates];
        scores.iter().for_each(|(right, _)| counts[*right] += 1);
        let known = counts.iter().filter(|n| **n > 0).count().max(1);
        let weight = |right: usize| scores.len() as f64 / (counts[right] * known) as f64;
        let mut at = vec![0.0; candidates + 1];
        at[0] = 5.0;
        let (mut loss, mut slopes) = Self::loss(&at, scores, &weight);
        for _ in 0..MOST_STEPS {
            let towards = Self::towards(&at, &slopes, scores, &weight);
            let gain: f64 = towards.iter().zip(&slopes).map(|(d, g)| d * g).sum();
            if gain < 1e-12 {
                break;
            }
            let mut step = 1.0;
            loop {
                let next: Vec<f64> = at.iter().zip(&towards).map(|(x, d)| x - step * d).collect();
                let (next_loss, next_slopes) = Self::loss(&next, scores, &weight);
                if next_loss <= loss - 1e-4 * step * gain {
                    (at, loss, slopes) = (next, next_loss, next_slopes);
                    break;
                }
                step *= 0.5;
                if step < 1e-9 {
                    return Self::of(&at);
                }
            }
        }
        Self::of(&at)
    }

    /// A response that says the contrary of what it should would be worse than
    /// none.
    fn of(at: &[f64]) -> Self {
        Self { slope: at[0].max(0.1), biases: at[1..].to_vec() }
    }

    /// Newton's direction; with many candidates the plain gradient.
    fn towards(
        at: &[f64],
        slopes: &[f64],
        scores: &[(usize, Vec<f64>)],
        weight: &impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let size = at.len();
        if size > MOST_NEWTON {
            return slopes.to_vec();
        }
        let mut bend = Square::zero(size);
        (0..size).for_each(|i| {
            bend.set(
                i,
                i,
                if i == 0 { 1.0 / (SLOPE_SPREAD * SLOPE_SPREAD) } else { 1.0 / (BIAS_SPREAD * BIAS_SPREAD) },
            )
        });
        let model = Self { slope: at[0], biases: at[1..].to_vec() };
        for (right, score) in scores {
            let (weight, p) = (weight(*right), model.probabilities(score));
            let mean: f64 = p.iter().zip(score).map(|(p, s)| p * s).sum();
            for a in 0..size - 1 {
                let own = weight * p[a];
                bend.values[0] += own * score[a] * (score[a] - mean);
                bend.values[a + 1] += own * (score[a] - mean);
                bend.values[(a + 1) * size + a + 1] += own;
                let row = &mut bend.values[(a + 1) * size + 1..(a + 2) * size];
                row.iter_mut().zip(&p).for_each(|(bend, p)| *bend -= own * p);
            }
        }
        (1..size).for_each(|a| bend.set(a, 0, bend.at(0, a)));
        match bend.inverse() {
            Some(inverse) => (0..size).map(|i| dot(inverse.row(i), slopes)).collect(),
            None => slopes.to_vec(),
        }
    }

    fn loss(at: &[f64], scores: &[(usize, Vec<f64>)], weight: &impl Fn(usize) -> f64) -> (f64, Vec<f64>) {
        let biases = at[1..].iter().map(|b| b * b).sum::<f64>();
        let mut loss = biases / (2.0 * BIAS_SPREAD * BIAS_SPREAD);
        let mut slopes: Vec<f64> = at.iter().map(|b| b / (BIAS_SPREAD * BIAS_SPREAD)).collect();
        slopes[0] = at[0] / (SLOPE_SPREAD * SLOPE_SPREAD);
        loss += at[0] * slopes[0] / 2.0;
        let model = Self { slope: at[0], biases: at[1..].to_vec() };
        for (right, score) in scores {
            let weight = weight(*right);
            for (a, p) in model.probabilities(score).into_iter().enumerate() {
                let target = f64::from(u8::from(a == *right));
                loss -= weight * target * p.max(1e-300).ln();
                slopes[0] += weight * (p - target) * score[a];
                slopes[a + 1] += weight * (p - target);
            }
        }
        (loss, slopes)
    }

    /// One probability for each candidate; they sum to 1.
    pub fn probabilities(&self, scores: &[f64]) -> Vec<f64> {
        let raw: Vec<f64> = scores.iter().zip(&self.biases).map(|(s, b)| self.slope * s + b).collect();
        let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = raw.iter().map(|r| (r - most).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.iter().map(|p| p / total).collect()
    }
}

/// p = 1 / (1 + exp(−(slope · score + offset))).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Logistic {
    /// How much a score weighs.
    pub slope: f64,
    /// Log odds at score 0.
    pub offset: f64,
}

impl Logistic {
    /// Fitted by Newton's method to scores of which is known whether they are
    /// of the one kind (Platt 1999, with his targets); both kinds count the
    /// same in total. `None` unless there are two of either kind.
    pub fn fit(cases: &[(f64, bool)]) -> Option<Self> {
        let of = |kind: bool| cases.iter().filter(|(_, k)| *k == kind).count() as f64;
        let (yes, no) = (of(true), of(false));
        if yes < 2.0 || no < 2.0 {
            return None;
        }
        let target = |kind: bool| if kind { (yes + 1.0) / (yes + 2.0) } else { 1.0 / (no + 2.0) };
        let weight = |kind: bool| (yes + no) / 2.0 / if kind { yes } else { no };
        let mut at = Self { slope: 0.0, offset: 0.0 };
        for _ in 0..100 {
            let (mut gs, mut go, mut ss, mut so, mut oo) = (1e-3 * at.slope, 0.0, 1e-3, 0.0, 1e-9);
            for (score, kind) in cases {
                let p = at.probability(*score);
                let (error, bend) = (weight(*kind) * (p - target(*kind)), weight(*kind) * p * (1.0 - p));
                gs += error * score;
                go += error;
                ss += bend * score * score;
                so += bend * score;
                oo += bend;
            }
            let determinant = ss * oo - so * so;
            if determinant.abs() < 1e-300 {
                break;
            }
            let (ds, d0) = ((oo * gs - so * go) / determinant, (ss * go - so * gs) / determinant);
            let short = 1.0 / (1.0 + (ds.abs().max(d0.abs()) / 5.0).floor());
            at.slope -= short * ds;
            at.offset -= short * d0;
            if ds.abs().max(d0.abs()) < 1e-10 {
                break;
            }
        }
        (at.slope.is_finite() && at.offset.is_finite()).then_some(at)
    }

    /// The probability of the one kind.
    pub fn probability(&self, score: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * score + self.offset)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_follow_the_scores_that_were_right() {
        let scores: Vec<(usize, Vec<f64>)> = (0..40)
            .map(|i| {
                (
                    usize::from(i % 2 == 0),
                    if i % 10 == 0 {
                        vec![1.0, 0.0]
                    } else if i % 2 == 0 {
                        vec![0.0, 1.0]
                    } else {
                        vec![1.0, 0.0]
                    },
                )
            })
            .collect();
        let fitted = Softmax::fit(&scores, 2);
        let p = fitted.probabilities(&[1.0, 0.0]);
        assert!((p[0] + p[1] - 1.0).abs() < 1e-12);
        // Of 24 cases with this score, 20 were the first's.
        assert!((0.75..0.9).contains(&p[0]), "{p:?} {fitted:?}");
    }

    #[test]
    fn a_logistic_is_calibrated_where_the_cases_are() {
        let cases: Vec<(f64, bool)> =
            (0..1_000).map(|i| (f64::from(i % 10), (i / 10) % 10 < i % 10)).collect();
        let fitted = Logistic::fit(&cases).unwrap();
        assert!(fitted.slope > 0.0);
        assert!(fitted.probability(9.0) > 0.85 && fitted.probability(0.0) < 0.15);
        assert!(Logistic::fit(&cases[..1]).is_none());
    }
}
