//! Scenarios looked up on a market: rows of shifts for each risk factor.

use std::collections::BTreeMap;

use super::{MOST_SCENARIOS, Point, Scenario, Shift, ShiftType, shift_at};
use crate::market::Market;

/// Shifts of a curve in all scenarios: at each time a row of them.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    pub times: Vec<f64>,
    pub rows: Vec<f64>,
}

/// All scenarios of a run on a market, by risk factor.
#[derive(Debug, Clone)]
pub struct Shifts {
    /// Their names.
    pub ids: Vec<String>,
    pub(crate) curves: Vec<Option<Grid>>,
    /// Factors of quoted exchange rates: quotes × scenarios.
    pub(crate) fx: Vec<f64>,
    /// Of each volatility and scenario: factor, then what is added.
    pub(crate) volatilities: Vec<(f64, f64)>,
    /// Factors of prices: shares × scenarios.
    pub(crate) equities: Vec<f64>,
}

impl Shifts {
    /// Looks every factor up; what is not there is named.
    pub fn new(scenarios: &[Scenario], market: &Market) -> Result<Self, String> {
        let count = scenarios.len();
        if count > MOST_SCENARIOS {
            return Err(format!("{count} scenarios; at most {MOST_SCENARIOS} are priced at once"));
        }
        let mut shifts = Self {
            ids: scenarios.iter().map(|s| s.scenario_id.clone()).collect(),
            curves: vec![None; market.curves.len()],
            fx: vec![1.0; market.fx.quotes().len() * count],
            volatilities: vec![(1.0, 0.0); market.volatilities.len() * count],
            equities: vec![1.0; market.equities.len() * count],
        };
        let mut sorted = shifts.ids.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("scenario {} is there twice", pair[0]));
        }
        let mut per_curve: BTreeMap<usize, Vec<(usize, &[Point])>> = BTreeMap::new();
        for (s, scenario) in scenarios.iter().enumerate() {
            for shift in &scenario.shifts {
                shifts
                    .add(shift, s, count, market, &mut per_curve)
                    .map_err(|reason| format!("scenario {}: {reason}", scenario.scenario_id))?;
            }
        }
        for (curve, parts) in per_curve {
            shifts.curves[curve] = Some(grid(&parts, count, market.spread_weight(curve)));
        }
        Ok(shifts)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    fn add<'a>(
        &mut self,
        shift: &'a Shift,
        s: usize,
        count: usize,
        market: &Market,
        per_curve: &mut BTreeMap<usize, Vec<(usize, &'a [Point])>>,
    ) -> Result<(), String> {
        let finite = |size: f64| if size.is_finite() { Ok(size) } else { Err(format!("its size is {size}")) };
        match shift {
            Shift::Rates { curves, points } | Shift::Spreads { curves, points } => {
                let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
                if points.is_empty() || !rising || points.iter().any(|p| !p.0.is_finite() || !p.1.is_finite())
                {
                    return Err("its points must be numbers at rising times".into());
                }
                let spread = matches!(shift, Shift::Spreads { .. });
                for curve in select_curves(curves, spread, market)? {
                    per_curve.entry(curve).or_default().push((s, points));
                }
            }
            Shift::Fx { pairs, shift, size } => {
                let size = finite(*size)?;
                let quotes = market.fx.quotes();
                let name = |at: usize| format!("{}{}", quotes[at].base, quotes[at].quote);
                for at in select(pairs, quotes.len(), name)? {
                    self.fx[at * count + s] *= factor(*shift, size, quotes[at].rate)?;
                }
            }
            Shift::Volatility { underlyings, shift, size } => {
                let size = finite(*size)?;
                let name = |at: usize| market.volatilities[at].underlying.clone();
                for at in select(underlyings, market.volatilities.len(), name)? {
                    let (times, plus) = &mut self.volatilities[at * count + s];
                    match shift {
                        ShiftType::Relative => {
                            (*times, *plus) = (*times * (1.0 + size), *plus * (1.0 + size))
                        }
                        ShiftType::Absolute => *plus += size,
                    }
                }
            }
            Shift::Equity { underlyings, shift, size } => {
                let size = finite(*size)?;
                let name = |at: usize| market.equities[at].underlying.clone();
                for at in select(underlyings, market.equities.len(), name)? {
                    self.equities[at * count + s] *= factor(*shift, size, market.equities[at].spot)?;
                }
            }
        }
        Ok(())
    }
}

fn factor(shift: ShiftType, size: f64, value: f64) -> Result<f64, String> {
    let factor = match shift {
        ShiftType::Relative => 1.0 + size,
        ShiftType::Absolute => (value + size) / value,
    };
    if factor > 0.0 { Ok(factor) } else { Err("nothing is left of what it shifts".into()) }
}

fn select(names: &[String], count: usize, name: impl Fn(usize) -> String) -> Result<Vec<usize>, String> {
    if names.is_empty() {
        return Ok((0..count).collect());
    }
    let plain = |text: &str| text.replace(['/', '-'], "");
    let find = |wanted: &String| {
        let found = (0..count).find(|at| name(*at) == *wanted || plain(&name(*at)) == plain(wanted));
        found.ok_or_else(|| format!("there is no {wanted} in the market"))
    };
    names.iter().map(find).collect()
}

fn select_curves(names: &[String], spread: bool, market: &Market) -> Result<Vec<usize>, String> {
    let of_kind = |at: &usize| market.kinds[*at].is_spread() == spread;
    if names.is_empty() {
        return Ok((0..market.curves.len()).filter(of_kind).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let before = chosen.len();
        match market.curve(name) {
            Some(at) => chosen.push(at),
            None => chosen.extend(
                (0..market.curves.len())
                    .filter(of_kind)
                    .filter(|at| market.currencies[*at].as_deref() == Some(name.as_str())),
            ),
        }
        if chosen.len() == before {
            return Err(format!("there is no curve {name} in the market"));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// One grid for all shifts of a curve: every time that one of them bends at.
fn grid(parts: &[(usize, &[Point])], count: usize, weight: f64) -> Grid {
    let mut times: Vec<f64> = parts.iter().flat_map(|(_, points)| points.iter().map(|p| p.0)).collect();
    times.sort_unstable_by(f64::total_cmp);
    times.dedup();
    let mut rows = vec![0.0; times.len() * count];
    for (s, points) in parts {
        for (row, t) in times.iter().enumerate() {
            rows[row * count + s] += weight * shift_at(points, *t);
        }
    }
    Grid { times, rows }
}
