//! Ridge-penalised fits by Newton's method: a yes or no, and shares of a whole.

use crate::math::{logistic, solve};

/// Rows of the same width, end to end.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub width: usize,
    pub data: Vec<f64>,
}

impl Rows {
    pub fn new(width: usize) -> Self {
        Self { width, data: Vec::new() }
    }

    pub fn push(&mut self, row: &[f64]) {
        debug_assert_eq!(row.len(), self.width);
        self.data.extend_from_slice(row);
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.width)
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Gradient and curvature of a penalised log likelihood around `centre`.
pub struct Newton {
    pub gradient: Vec<f64>,
    pub curvature: Vec<f64>,
}

impl Newton {
    pub fn new(at: &[f64], centre: &[f64], ridge: &[f64]) -> Self {
        let n = at.len();
        let mut curvature = vec![0.0; n * n];
        for (i, r) in ridge.iter().enumerate() {
            curvature[i * n + i] = *r;
        }
        let gradient = (0..n).map(|i| ridge[i] * (centre[i] - at[i])).collect();
        Self { gradient, curvature }
    }

    /// Adds `weight · x xᵀ`; only the lower half, [`Newton::step`] mirrors it.
    pub fn add_square(&mut self, x: &[f64], weight: f64) {
        let n = x.len();
        for i in 0..n {
            let wi = weight * x[i];
            for (c, xj) in self.curvature[i * n..=i * n + i].iter_mut().zip(x) {
                *c += wi * xj;
            }
        }
    }

    /// Moves `at` by one step; it stays where the curvature cannot be solved.
    pub fn step(mut self, at: &mut [f64]) {
        let n = at.len();
        for i in 0..n {
            for j in 0..i {
                self.curvature[j * n + i] = self.curvature[i * n + j];
            }
        }
        if let Some(step) = solve(&self.curvature, &self.gradient) {
            for (a, s) in at.iter_mut().zip(step) {
                *a += s;
            }
        }
    }
}

/// One race's rows with their yes and no.
#[derive(Debug, Clone)]
pub struct Answered {
    pub rows: Rows,
    pub yes: Vec<bool>,
}

/// One Newton step of logistic regression over races weighted by `weights`.
pub fn step_binary(races: &[Answered], weights: &[f64], centre: &[f64], ridge: f64, at: &mut [f64]) {
    let n = at.len();
    let mut newton = Newton::new(at, centre, &vec![ridge; n]);
    for (race, weight) in races.iter().zip(weights) {
        for (x, yes) in race.rows.iter().zip(&race.yes) {
            let p = logistic(dot(x, at));
            let error = weight * (f64::from(u8::from(*yes)) - p);
            for (g, v) in newton.gradient.iter_mut().zip(x) {
                *g += error * v;
            }
            newton.add_square(x, weight * p * (1.0 - p));
        }
    }
    newton.step(at);
}

/// One race's rows with the share of the whole that each had; shares sum to 1.
#[derive(Debug, Clone)]
pub struct Shared {
    pub rows: Rows,
    pub shares: Vec<f64>,
}

/// Softmax of the rows' scores.
pub fn softmax(rows: &Rows, at: &[f64]) -> Vec<f64> {
    let scores: Vec<f64> = rows.iter().map(|x| dot(x, at)).collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}

/// One Newton step of the multinomial logit whose targets are shares.
pub fn step_shares(races: &[Shared], weights: &[f64], centre: &[f64], ridge: f64, at: &mut [f64]) {
    let n = at.len();
    let mut newton = Newton::new(at, centre, &vec![ridge; n]);
    for (race, weight) in races.iter().zip(weights) {
        let p = softmax(&race.rows, at);
        let mut centre = vec![0.0; n];
        for ((x, p), share) in race.rows.iter().zip(&p).zip(&race.shares) {
            for i in 0..n {
                centre[i] += p * x[i];
                newton.gradient[i] += weight * (share - p) * x[i];
            }
            newton.add_square(x, weight * p);
        }
        newton.add_square(&centre, -weight);
    }
    newton.step(at);
}

/// The concentration of a Dirichlet distribution whose means are the fitted
/// shares: by their variance, κ + 1 = Σ p (1 − p) / Σ (share − p)².
pub fn concentration(races: &[Shared], weights: &[f64], at: &[f64]) -> Option<f64> {
    let (mut spread, mut errors) = (0.0, 0.0);
    for (race, weight) in races.iter().zip(weights) {
        for (p, share) in softmax(&race.rows, at).iter().zip(&race.shares) {
            spread += weight * p * (1.0 - p);
            errors += weight * (share - p).powi(2);
        }
    }
    (errors > 0.0).then(|| (spread / errors - 1.0).clamp(0.5, 200.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn logistic_regression_finds_what_made_the_data() {
        let mut rng = Rng::new(3);
        let truth = [0.4, -1.2];
        let races: Vec<Answered> = (0..200)
            .map(|_| {
                let (mut rows, mut yes) = (Rows::new(2), Vec::new());
                for _ in 0..40 {
                    let x = [1.0, rng.normal()];
                    yes.push(rng.uniform() < logistic(dot(&x, &truth)));
                    rows.push(&x);
                }
                Answered { rows, yes }
            })
            .collect();
        let mut at = [0.0, 0.0];
        for _ in 0..8 {
            step_binary(&races, &[1.0; 200], &[0.0; 2], 0.1, &mut at);
        }
        assert!((at[0] - 0.4).abs() < 0.1 && (at[1] + 1.2).abs() < 0.1, "{at:?}");
    }

    #[test]
    fn shares_and_their_spread_are_found() {
        let mut rng = Rng::new(4);
        let truth = [1.0, -0.5];
        let races: Vec<Shared> = (0..400)
            .map(|_| {
                let mut rows = Rows::new(2);
                for _ in 0..20 {
                    rows.push(&[rng.normal(), rng.normal()]);
                }
                let draws: Vec<f64> =
                    softmax(&rows, &truth).iter().map(|p| rng.ln_gamma_variate(6.0 * p).exp()).collect();
                let total: f64 = draws.iter().sum();
                Shared { rows, shares: draws.iter().map(|d| d / total).collect() }
            })
            .collect();
        let mut at = [0.0, 0.0];
        for _ in 0..8 {
            step_shares(&races, &[1.0; 400], &[0.0; 2], 0.1, &mut at);
        }
        assert!((at[0] - 1.0).abs() < 0.1 && (at[1] + 0.5).abs() < 0.1, "{at:?}");
        let kappa = concentration(&races, &[1.0; 400], &at).unwrap();
        assert!((kappa - 6.0).abs() < 1.0, "{kappa}");
    }
}
