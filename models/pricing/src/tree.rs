//! Bonds that may be ended before their time, on a tree of short rates.
//!
//! Hull and White's short rate is x + α(t) with dx = −a·x dt + σ dW. The tree is
//! trinomial (Brigo and Mercurio, *Interest Rate Models*, 3.3.3): the mean and
//! the variance of each step are met, and nodes lie √3 standard deviations of the
//! step apart. α is such that the tree has the discount factors of the curve, so
//! what is not exercised is worth exactly what its flows are.
//!
//! Between two dates on which something happens α cancels out, so discount
//! factors of those dates are enough, in every scenario. A lattice depends on the
//! volatility only; scenarios that share one are rolled back together.

use crate::model::ShortRate;

/// Steps to the last date, about: each stretch between two dates has its share,
/// and at least one.
pub const STEPS: usize = 120;

/// A date on which something is paid or may be exercised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Slot of its discount factor.
    pub slot: u32,
    /// Years from the valuation date, ACT/365F.
    pub t: f64,
    /// Paid to the holder, per 1 of face.
    pub coupon: f64,
    /// What the issuer can end it for; infinite if it can't.
    pub call: f64,
    /// What the holder can end it for; minus infinity if it can't.
    pub put: f64,
}

/// A bond with the rights to end it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The valuation date, then every date on which something happens.
    pub levels: Vec<Level>,
    /// What amounts are per 1 of; negative for who owes.
    pub face: f64,
    /// How the short rate moves.
    pub short_rate: ShortRate,
    /// The market's number of the volatility, if it is the market's.
    pub volatility: Option<usize>,
}

/// One step: from each node to three of the next level.
struct Step {
    /// exp(−x·dt) by node, times what makes the discount factors right.
    discount: Vec<f64>,
    /// The lowest of the three nodes.
    lowest: Vec<usize>,
    /// Down, middle, up.
    p: Vec<[f64; 3]>,
}

/// All steps for one volatility.
pub struct Lattice {
    steps: Vec<Step>,
    /// The first step after each level but the last.
    first: Vec<usize>,
}

impl Lattice {
    /// Of a bond's dates.
    pub fn new(levels: &[Level], short_rate: ShortRate) -> Self {
        let last = levels.last().map_or(0.0, |level| level.t);
        let longest = last / STEPS as f64;
        let mut lattice = Self { steps: Vec::new(), first: Vec::new() };
        let mut grid = Grid { low: 0, dx: 0.0, q: vec![1.0] };
        for pair in levels.windows(2) {
            lattice.first.push(lattice.steps.len());
            let years = pair[1].t - pair[0].t;
            let count = ((years / longest).round() as usize).max(1);
            for _ in 0..count {
                lattice.steps.push(grid.step(years / count as f64, short_rate));
            }
        }
        lattice
    }

    /// Values per 1 of face, one for each lane: `df` has the discount factor of a
    /// level there.
    pub fn values(&self, levels: &[Level], df: impl Fn(usize, usize) -> f64, out: &mut [f64]) {
        let lanes = out.len();
        let mut now = Vec::new();
        self.roll(levels, lanes, &df, |_, values| now = values.to_vec());
        out.copy_from_slice(&now[..lanes]);
    }

    /// From the last level to the first; `seen` gets each level's values before
    /// anything is exercised or paid on it.
    fn roll(
        &self,
        levels: &[Level],
        lanes: usize,
        df: &impl Fn(usize, usize) -> f64,
        mut seen: impl FnMut(usize, &[f64]),
    ) {
        let last = levels.len() - 1;
        let width = self.steps.last().map_or(1, Step::width);
        let mut values = vec![levels[last].coupon; width * lanes];
        let mut before = Vec::new();
        for level in (0..last).rev() {
            let end = self.first.get(level + 1).copied().unwrap_or(self.steps.len());
            for step in self.steps[self.first[level]..end].iter().rev() {
                step.back(&values, lanes, &mut before);
                std::mem::swap(&mut values, &mut before);
            }
            for lane in 0..lanes {
                let forward = df(level + 1, lane) / df(level, lane);
                values.iter_mut().skip(lane).step_by(lanes).for_each(|value| *value *= forward);
            }
            seen(level, &values);
            let Level { coupon, call, put, .. } = levels[level];
            values.iter_mut().for_each(|value| *value = value.min(call).max(put) + coupon);
        }
    }

    /// The value per 1 of face, and its derivative by the logarithm of each
    /// level's discount factor. What would be exercised is taken as it is.
    pub fn gradient(&self, levels: &[Level], df: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut held = vec![Vec::new(); levels.len()];
        self.roll(levels, 1, &|level, _| df(level), |level, values| held[level] = values.to_vec());
        let mut gradient = vec![0.0; levels.len()];
        // Prices of what pays 1 at a node, unless it was ended before.
        let mut prices = vec![1.0];
        for level in 0..levels.len() - 1 {
            let Level { call, put, .. } = levels[level];
            let mut going_on = 0.0;
            for (price, value) in prices.iter_mut().zip(&held[level]) {
                match *value < call && *value > put {
                    true => going_on += *price * value,
                    false => *price = 0.0,
                }
            }
            gradient[level] -= going_on;
            gradient[level + 1] += going_on;
            let forward = df(level + 1) / df(level);
            prices.iter_mut().for_each(|price| *price *= forward);
            let end = self.first.get(level + 1).copied().unwrap_or(self.steps.len());
            for step in &self.steps[self.first[level]..end] {
                prices = step.ahead(&prices);
            }
        }
        gradient
    }
}

impl Step {
    /// Nodes that it leads to.
    fn width(&self) -> usize {
        self.lowest.last().map_or(1, |lowest| lowest + 3)
    }

    fn back(&self, values: &[f64], lanes: usize, out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.discount.len() * lanes, 0.0);
        for (node, row) in out.chunks_exact_mut(lanes).enumerate() {
            let at = self.lowest[node] * lanes;
            let [down, middle, up] = self.p[node].map(|p| p * self.discount[node]);
            let (low, rest) = values[at..at + 3 * lanes].split_at(lanes);
            let (mid, high) = rest.split_at(lanes);
            for (((value, a), b), c) in row.iter_mut().zip(low).zip(mid).zip(high) {
                *value = down * a + middle * b + up * c;
            }
        }
    }

    fn ahead(&self, prices: &[f64]) -> Vec<f64> {
        let mut next = vec![0.0; self.width()];
        for (node, price) in prices.iter().enumerate() {
            for (at, p) in self.p[node].iter().enumerate() {
                next[self.lowest[node] + at] += price * self.discount[node] * p;
            }
        }
        next
    }
}

/// Nodes of one level of the tree.
struct Grid {
    /// x of a node is its number times `dx`; the first one's number.
    low: i64,
    dx: f64,
    /// Sums over paths of exp(−Σ x·dt), in units that keep their sum at 1.
    q: Vec<f64>,
}

impl Grid {
    fn step(&mut self, dt: f64, ShortRate { mean_reversion: a, volatility }: ShortRate) -> Step {
        let variance = match a > 1e-12 {
            true => volatility * volatility * -(-2.0 * a * dt).exp_m1() / (2.0 * a),
            false => volatility * volatility * dt,
        };
        let deviation = variance.sqrt();
        let (dx, decay) = (deviation * 3.0_f64.sqrt(), (-a * dt).exp());
        let still = deviation < 1e-12;
        let nodes = (self.low..).take(self.q.len());
        let of = |node: i64| -> (i64, [f64; 3]) {
            if still {
                return (node, [0.0, 1.0, 0.0]);
            }
            let mean = node as f64 * self.dx * decay;
            let middle = (mean / dx + 0.5).floor();
            // How far off the middle node is, in deviations.
            let off = (mean - middle * dx) / deviation;
            let (square, slope) = (off * off, off * 3.0_f64.sqrt());
            let p = [(1.0 + square - slope) / 6.0, (2.0 - square) / 3.0, (1.0 + square + slope) / 6.0];
            (middle as i64, p)
        };
        let moves: Vec<(i64, [f64; 3])> = nodes.clone().map(of).collect();
        let low = moves.first().map_or(0, |(middle, _)| middle - 1);
        let discount: Vec<f64> = nodes.map(|node| (-(node as f64) * self.dx * dt).exp()).collect();
        let whole: f64 = self.q.iter().zip(&discount).map(|(q, d)| q * d).sum();
        let mut step = Step {
            discount: discount.iter().map(|d| d / whole).collect(),
            lowest: moves.iter().map(|(middle, _)| (middle - 1 - low) as usize).collect(),
            p: moves.into_iter().map(|(_, p)| p).collect(),
        };
        step.lowest.shrink_to_fit();
        let q = step.ahead(&self.q);
        *self = Self { low, dx: if still { 0.0 } else { dx }, q };
        step
    }
}

impl Embedded {
    /// The same steps for any market.
    pub fn lattice(&self, volatility: f64) -> Lattice {
        Lattice::new(&self.levels, ShortRate { volatility, ..self.short_rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 0.04;

    fn levels(call: f64, put: f64) -> Vec<Level> {
        let of = |n: u32| {
            let coupon = if n == 0 { 0.0 } else { 0.025 } + f64::from(u8::from(n == 20));
            let free = n == 0 || n == 20;
            let (call, put) = if free { (f64::INFINITY, f64::NEG_INFINITY) } else { (call, put) };
            Level { slot: n, t: 0.5 * f64::from(n), coupon, call, put }
        };
        (0..=20).map(of).collect()
    }

    fn df(level: usize) -> f64 {
        (-RATE * 0.5 * level as f64).exp()
    }

    fn value(levels: &[Level], short_rate: ShortRate, df: impl Fn(usize) -> f64) -> f64 {
        let mut out = [0.0];
        Lattice::new(levels, short_rate).values(levels, |level, _| df(level), &mut out);
        out[0]
    }

    fn straight() -> f64 {
        levels(0.0, 0.0).iter().enumerate().map(|(at, level)| level.coupon * df(at)).sum()
    }

    const FREE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

    #[test]
    fn what_is_never_exercised_is_its_flows() {
        for mean_reversion in [0.0, 0.03, 0.5] {
            for volatility in [0.0, 0.005, 0.02, 0.1] {
                let rate = ShortRate { mean_reversion, volatility };
                let free = value(&levels(FREE.0, FREE.1), rate, df);
                assert!((free - straight()).abs() < 1e-12, "{rate:?}: {free}");
            }
        }
    }

    #[test]
    fn without_volatility_it_is_ended_where_that_is_best() {
        let rate = ShortRate { mean_reversion: 0.03, volatility: 0.0 };
        let callable = levels(1.0, FREE.1);
        // At 5 % coupons and 4 % rates the issuer ends it at once: after half a year.
        let expected = (1.0 + 0.025) * df(1);
        assert!((value(&callable, rate, df) - expected).abs() < 1e-12);
    }

    /// The middle of the slope is where nothing is about to be exercised.
    #[test]
    fn the_gradient_is_that_of_values() {
        for (call, put) in [(1.02, 0.9), FREE, (1.001, FREE.1), (FREE.0, 1.0)] {
            let levels = levels(call, put);
            let rate = ShortRate { mean_reversion: 0.05, volatility: 0.012 };
            let gradient = Lattice::new(&levels, rate).gradient(&levels, df);
            for (at, slope) in gradient.iter().enumerate().skip(1) {
                let bumped =
                    |size: f64| value(&levels, rate, |n| if n == at { df(n) * size.exp() } else { df(n) });
                let measured = (bumped(1e-6) - bumped(-1e-6)) / 2e-6;
                assert!((slope - measured).abs() < 1e-6, "{call} {put} {at}: {slope} {measured}");
            }
        }
    }

    #[test]
    fn lanes_are_the_same_one_by_one() {
        let levels = levels(1.01, 0.97);
        let rate = ShortRate::default();
        let shifted =
            |level: usize, lane: usize| df(level) * (-0.001 * lane as f64 * 0.5 * level as f64).exp();
        let mut together = [0.0; 5];
        Lattice::new(&levels, rate).values(&levels, shifted, &mut together);
        for (lane, value_of) in together.iter().enumerate() {
            assert_eq!(*value_of, value(&levels, rate, |level| shifted(level, lane)));
        }
    }
}
