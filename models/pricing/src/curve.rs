//! Curves of discount factors, and how they are interpolated.
//!
//! Every curve is kept as continuously compounded zero rates at times in years
//! from the valuation date. Between nodes, and outside of them:
//!
//! - `linear_zero`: linear in the zero rate, flat outside.
//! - `log_linear_df`: linear in the logarithm of the discount factor, which is a
//!   constant forward rate; before the first node its zero rate, after the last
//!   the last forward.
//! - `monotone_convex`: Hagan and West, *Interpolation Methods for Curve
//!   Construction* (2006), without their bound that keeps forwards positive, as
//!   rates may be negative; after the last node its forward.
//! - `cubic_zero`: a natural cubic spline of the zero rate, flat outside.

use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::daycount::DayCount;
use crate::quality::Quality;

/// How a curve goes between its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Linear in the zero rate.
    #[default]
    LinearZero,
    /// Linear in the logarithm of the discount factor.
    LogLinearDf,
    /// Hagan and West's.
    MonotoneConvex,
    /// Natural cubic spline of the zero rate.
    #[serde(alias = "cubic")]
    CubicZero,
}

/// How a quoted rate grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compounding {
    /// e^(rt).
    #[default]
    Continuous,
    /// (1 + r)^t.
    Annual,
    /// (1 + r/2)^(2t).
    Semiannual,
    /// (1 + r/4)^(4t).
    Quarterly,
    /// (1 + r/12)^(12t).
    Monthly,
    /// 1 + rt.
    Simple,
}

impl Compounding {
    /// The continuous rate of the same growth over so many years; `None` where
    /// nothing would be left.
    pub fn continuous(self, rate: f64, years: f64) -> Option<f64> {
        let of = |m: f64| (1.0 + rate / m > 0.0).then(|| m * (rate / m).ln_1p());
        match self {
            Self::Continuous => Some(rate),
            Self::Annual => of(1.0),
            Self::Semiannual => of(2.0),
            Self::Quarterly => of(4.0),
            Self::Monthly => of(12.0),
            Self::Simple if years == 0.0 => Some(rate),
            Self::Simple => (1.0 + rate * years > 0.0).then(|| (rate * years).ln_1p() / years),
        }
    }
}

/// Why nodes make no curve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("curve {id}: {reason}")]
pub struct CurveError {
    /// The curve.
    pub id: String,
    /// What is wrong.
    pub reason: String,
}

/// More nodes than any market has.
pub const MOST_NODES: usize = 20_000;

/// Discount factors for all dates after the valuation date.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the snapshot.
    pub id: String,
    /// The day count that makes times of dates.
    pub day_count: DayCount,
    as_of: Date,
    times: Vec<f64>,
    zeros: Vec<f64>,
    qualities: Vec<Quality>,
    interpolation: Interpolation,
    /// Of `cubic_zero` second derivatives, of `monotone_convex` node forwards.
    extra: Vec<f64>,
}

impl Curve {
    /// Times must rise from above zero, rates be numbers.
    pub fn new(
        id: &str,
        as_of: Date,
        day_count: DayCount,
        interpolation: Interpolation,
        nodes: &[(f64, f64, Quality)],
    ) -> Result<Self, CurveError> {
        let fail = |reason: String| CurveError { id: id.to_owned(), reason };
        if nodes.is_empty() {
            return Err(fail("has no nodes".into()));
        }
        if nodes.len() > MOST_NODES {
            return Err(fail(format!("has more than {MOST_NODES} nodes")));
        }
        if let Some((t, z, _)) =
            nodes.iter().find(|(t, z, _)| !t.is_finite() || !z.is_finite() || z.abs() > 100.0)
        {
            return Err(fail(format!("the node at {t} years has the rate {z}")));
        }
        if nodes[0].0 <= 0.0 {
            return Err(fail("has a node on or before the valuation date".into()));
        }
        if let Some(pair) = nodes.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
            return Err(fail(format!("nodes do not rise: {} years after {}", pair[1].0, pair[0].0)));
        }
        let mut curve = Self {
            id: id.to_owned(),
            day_count,
            as_of,
            times: nodes.iter().map(|n| n.0).collect(),
            zeros: nodes.iter().map(|n| n.1).collect(),
            qualities: nodes.iter().map(|n| n.2).collect(),
            interpolation,
            extra: Vec::new(),
        };
        curve.prepare();
        Ok(curve)
    }

    fn prepare(&mut self) {
        self.extra = match self.interpolation {
            Interpolation::LinearZero | Interpolation::LogLinearDf => Vec::new(),
            Interpolation::CubicZero => second_derivatives(&self.times, &self.zeros),
            Interpolation::MonotoneConvex => node_forwards(&self.times, &self.zeros),
        };
    }

    /// The same curve with other zero rates; used while it is bootstrapped.
    pub(crate) fn set_zeros(&mut self, zeros: &[f64]) {
        self.zeros.copy_from_slice(zeros);
        self.prepare();
    }

    /// Times of the nodes in years.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// Continuous zero rates at the nodes.
    pub fn zeros(&self) -> &[f64] {
        &self.zeros
    }

    /// Years from the valuation date.
    pub fn time(&self, date: Date) -> f64 {
        self.day_count.years(self.as_of, date, None)
    }

    /// The discount factor of a time in years; 1 up to the valuation date.
    pub fn df(&self, t: f64) -> f64 {
        self.ln_df(t).exp()
    }

    /// Continuous zero rate.
    pub fn zero(&self, t: f64) -> f64 {
        if t <= 0.0 { self.zeros[0] } else { -self.ln_df(t) / t }
    }

    /// The logarithm of the discount factor.
    pub fn ln_df(&self, t: f64) -> f64 {
        if t <= 0.0 {
            return 0.0;
        }
        let last = self.times.len() - 1;
        // The first node at or after t.
        let at = self.times.partition_point(|node| *node < t);
        match self.interpolation {
            Interpolation::LinearZero => -self.linear(t, at) * t,
            Interpolation::CubicZero => -self.cubic(t, at) * t,
            Interpolation::LogLinearDf => match at {
                0 => -self.zeros[0] * t,
                _ => {
                    let (i, j) = if at > last { (last.saturating_sub(1), last) } else { (at - 1, at) };
                    if i == j {
                        return -self.zeros[0] * t;
                    }
                    let (y0, y1) = (self.zeros[i] * self.times[i], self.zeros[j] * self.times[j]);
                    -(y1 + (y1 - y0) * (t - self.times[j]) / (self.times[j] - self.times[i]))
                }
            },
            Interpolation::MonotoneConvex => self.monotone_convex(t, at),
        }
    }

    fn linear(&self, t: f64, at: usize) -> f64 {
        let last = self.times.len() - 1;
        match at {
            0 => self.zeros[0],
            at if at > last => self.zeros[last],
            at => {
                let weight = (t - self.times[at - 1]) / (self.times[at] - self.times[at - 1]);
                self.zeros[at - 1] + weight * (self.zeros[at] - self.zeros[at - 1])
            }
        }
    }

    fn cubic(&self, t: f64, at: usize) -> f64 {
        if at == 0 || at >= self.times.len() {
            return self.linear(t, at);
        }
        let h = self.times[at] - self.times[at - 1];
        let (a, b) = ((self.times[at] - t) / h, (t - self.times[at - 1]) / h);
        let bend = (a * a * a - a) * self.extra[at - 1] + (b * b * b - b) * self.extra[at];
        a * self.zeros[at - 1] + b * self.zeros[at] + bend * h * h / 6.0
    }

    fn monotone_convex(&self, t: f64, at: usize) -> f64 {
        let last = self.times.len() - 1;
        if at > last {
            return -(self.zeros[last] * self.times[last] + self.extra[last + 1] * (t - self.times[last]));
        }
        let (t0, y0) = match at {
            0 => (0.0, 0.0),
            at => (self.times[at - 1], self.zeros[at - 1] * self.times[at - 1]),
        };
        let h = self.times[at] - t0;
        let forward = (self.zeros[at] * self.times[at] - y0) / h;
        let x = (t - t0) / h;
        let bend = area(self.extra[at] - forward, self.extra[at + 1] - forward, x);
        -(y0 + forward * (t - t0) + bend * h)
    }

    /// The worst quality of the nodes that a time's discount factor rests on.
    pub fn quality(&self, t: f64) -> Quality {
        let last = self.times.len() - 1;
        let at = self.times.partition_point(|node| *node < t);
        let used = match self.interpolation {
            Interpolation::MonotoneConvex | Interpolation::CubicZero => &self.qualities[..],
            _ if at <= last && self.times[at] == t => &self.qualities[at..=at],
            Interpolation::LinearZero if at > last => &self.qualities[last..],
            _ => &self.qualities[at.min(last).saturating_sub(1)..=at.min(last)],
        };
        used.iter().copied().max().unwrap_or_default()
    }
}

/// Of a natural spline: zero at both ends (Thomas's algorithm).
fn second_derivatives(x: &[f64], y: &[f64]) -> Vec<f64> {
    let n = x.len();
    let (mut second, mut upper) = (vec![0.0; n], vec![0.0; n]);
    for i in 1..n.saturating_sub(1) {
        let share = (x[i] - x[i - 1]) / (x[i + 1] - x[i - 1]);
        let pivot = share * second[i - 1] + 2.0;
        let slope = (y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1]);
        second[i] = (share - 1.0) / pivot;
        upper[i] = (6.0 * slope / (x[i + 1] - x[i - 1]) - share * upper[i - 1]) / pivot;
    }
    for i in (0..n.saturating_sub(1)).rev() {
        second[i] = second[i] * second[i + 1] + upper[i];
    }
    if let Some(first) = second.first_mut() {
        *first = 0.0;
    }
    second
}

/// Instantaneous forwards at 0 and at each node.
fn node_forwards(times: &[f64], zeros: &[f64]) -> Vec<f64> {
    let n = times.len();
    let at = |i: usize| if i == 0 { (0.0, 0.0) } else { (times[i - 1], zeros[i - 1] * times[i - 1]) };
    let discrete: Vec<f64> = (1..=n).map(|i| (at(i).1 - at(i - 1).1) / (at(i).0 - at(i - 1).0)).collect();
    let mut forwards = vec![0.0; n + 1];
    for i in 1..n {
        let (before, after) = (at(i).0 - at(i - 1).0, at(i + 1).0 - at(i).0);
        forwards[i] = (before * discrete[i] + after * discrete[i - 1]) / (before + after);
    }
    if n == 1 {
        forwards.fill(discrete[0]);
    } else {
        forwards[0] = discrete[0] - 0.5 * (forwards[1] - discrete[0]);
        forwards[n] = discrete[n - 1] - 0.5 * (forwards[n - 1] - discrete[n - 1]);
    }
    forwards
}

/// The integral from 0 to x of Hagan and West's g, which has the values g0 and
/// g1 at 0 and 1 and the integral 0 over both.
fn area(g0: f64, g1: f64, x: f64) -> f64 {
    let cube = |v: f64| v * v * v;
    if g0 == 0.0 && g1 == 0.0 {
        return 0.0;
    }
    if g0 * g1 <= 0.0 && g1.abs() >= 0.5 * g0.abs() && g1.abs() <= 2.0 * g0.abs() {
        return g0 * (x - 2.0 * x * x + cube(x)) + g1 * (cube(x) - x * x);
    }
    if g0 * g1 <= 0.0 && g1.abs() > 2.0 * g0.abs() {
        let eta = (g1 + 2.0 * g0) / (g1 - g0);
        if eta >= 1.0 {
            return 0.0;
        }
        let beyond = (x - eta).max(0.0);
        return g0 * x + (g1 - g0) * cube(beyond) / (3.0 * (1.0 - eta) * (1.0 - eta));
    }
    if g0 * g1 <= 0.0 {
        let eta = 3.0 * g1 / (g1 - g0);
        if eta == 0.0 {
            return 0.0;
        }
        let left = (eta - x).max(0.0);
        return g1 * x + (g0 - g1) / 3.0 * (eta - cube(left) / (eta * eta));
    }
    let (eta, level) = (g1 / (g1 + g0), -g0 * g1 / (g0 + g1));
    let (left, beyond) = ((eta - x).max(0.0), (x - eta).max(0.0));
    level * x
        + (g0 - level) / 3.0 * (eta - cube(left) / (eta * eta))
        + (g1 - level) / 3.0 * cube(beyond) / ((1.0 - eta) * (1.0 - eta))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Interpolation; 4] = [
        Interpolation::LinearZero,
        Interpolation::LogLinearDf,
        Interpolation::MonotoneConvex,
        Interpolation::CubicZero,
    ];

    fn curve(interpolation: Interpolation, nodes: &[(f64, f64)]) -> Result<Curve, CurveError> {
        let nodes: Vec<_> = nodes.iter().map(|(t, z)| (*t, *z, Quality::Ok)).collect();
        Curve::new("C", Date::new(2026, 1, 23).unwrap(), DayCount::Act365Fixed, interpolation, &nodes)
    }

    #[test]
    fn every_interpolation_goes_through_its_nodes_and_is_continuous() {
        let nodes = [
            (0.25, -0.004),
            (0.5, 0.01),
            (1.0, 0.003),
            (2.0, 0.02),
            (5.0, 0.021),
            (10.0, 0.05),
            (30.0, 0.01),
        ];
        for interpolation in ALL {
            let curve = curve(interpolation, &nodes).unwrap();
            for (t, z) in nodes {
                assert!((curve.zero(t) - z).abs() < 1e-14, "{interpolation:?} at {t}");
                assert!(
                    (curve.ln_df(t - 1e-9) - curve.ln_df(t + 1e-9)).abs() < 1e-8,
                    "{interpolation:?} at {t}"
                );
            }
            assert_eq!(curve.df(0.0), 1.0);
            assert_eq!(curve.df(-3.0), 1.0);
            assert!(curve.df(60.0).is_finite());
        }
    }

    /// In the middle of each case of g: the derivative of the area is g.
    #[test]
    fn the_area_of_monotone_convex_vanishes_over_an_interval() {
        for (g0, g1) in
            [(1.0, -1.0), (1.0, -3.0), (-1.0, 3.0), (1.0, -0.2), (-1.0, 0.2), (1.0, 2.0), (-1.0, -0.5)]
        {
            assert!(area(g0, g1, 0.0).abs() < 1e-15, "{g0} {g1}");
            assert!(area(g0, g1, 1.0).abs() < 1e-15, "{g0} {g1}: {}", area(g0, g1, 1.0));
            let slope = |x: f64| (area(g0, g1, x + 1e-6) - area(g0, g1, x - 1e-6)) / 2e-6;
            assert!((slope(1e-6) - g0).abs() < 1e-4 && (slope(1.0 - 1e-6) - g1).abs() < 1e-4, "{g0} {g1}");
        }
    }

    #[test]
    fn nodes_that_make_no_curve_are_refused() {
        for interpolation in ALL {
            for nodes in [
                &[][..],
                &[(0.0, 0.01)],
                &[(-1.0, 0.01)],
                &[(1.0, f64::NAN)],
                &[(2.0, 0.01), (1.0, 0.01)],
                &[(1.0, 0.01), (1.0, 0.01)],
            ] {
                assert!(curve(interpolation, nodes).is_err(), "{nodes:?}");
            }
            let single = curve(interpolation, &[(1.0, -0.01)]).unwrap();
            for t in [0.1, 1.0, 50.0] {
                assert!((single.zero(t) + 0.01).abs() < 1e-15, "{interpolation:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_nodes_are_a_curve() {
        let nodes: Vec<_> =
            (1..=10_000).map(|n| (f64::from(n) / 250.0, 0.02 + 1e-3 * f64::from(n).sin())).collect();
        for interpolation in ALL {
            let curve = curve(interpolation, &nodes).unwrap();
            assert!((curve.zero(20.0) - nodes[4_999].1).abs() < 1e-12);
        }
    }
}
