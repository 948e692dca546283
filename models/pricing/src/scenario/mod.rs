//! Scenarios: shifts of a market's risk factors, applied where a factor is read.
//! No market is copied.
//!
//! A shift of a rate or spread curve is added to its continuous zero rates. It is
//! linear in time between its points and flat outside, so triangular buckets on
//! one grid add up to the parallel shift.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::date::Tenor;
use crate::market::Market;

mod shifts;

pub(crate) use shifts::Grid;
pub use shifts::Shifts;

/// One state of the world, relative to the snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name in results.
    #[serde(alias = "id")]
    pub scenario_id: String,
    /// Nothing for the base.
    #[serde(default)]
    pub shifts: Vec<Shift>,
}

/// How a size is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftType {
    /// Times 1 + size.
    #[default]
    Relative,
    /// Plus size.
    Absolute,
}

/// A size at a time in years.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point(pub f64, pub f64);

/// What is shifted. Empty lists mean all of the kind; curves are named by id or
/// currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "factor", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shift {
    /// Zero rates of rate curves, as decimals.
    Rates {
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
        /// By how much, at which times.
        points: Vec<Point>,
    },
    /// Zero rates of spread curves, as decimals.
    Spreads {
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
        /// By how much, at which times.
        points: Vec<Point>,
    },
    /// Quoted exchange rates; crosses follow.
    Fx {
        /// Which.
        #[serde(default)]
        pairs: Vec<String>,
        /// Relative unless given.
        #[serde(default)]
        shift: ShiftType,
        /// By how much.
        size: f64,
    },
    /// Volatilities.
    Volatility {
        /// Which.
        #[serde(default)]
        underlyings: Vec<String>,
        /// Relative unless given.
        #[serde(default)]
        shift: ShiftType,
        /// By how much.
        size: f64,
    },
    /// Prices of shares.
    Equity {
        /// Which.
        #[serde(default)]
        underlyings: Vec<String>,
        /// Relative unless given.
        #[serde(default)]
        shift: ShiftType,
        /// By how much.
        size: f64,
    },
}

/// Buckets unless a set names its own, in years.
pub const BUCKETS: [f64; 11] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0];
/// More scenarios than a run may have.
pub const MOST_SCENARIOS: usize = 20_000;

/// Many scenarios at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct ScenarioSet {
    /// Its name; `BASE`, `RATES_PARALLEL_1BP`, `SPREAD_25BP` and `FX_SPOT_1PCT`
    /// need nothing else.
    pub scenario_set_id: String,
    /// What it is made of.
    #[serde(flatten)]
    pub kind: Option<SetKind>,
}

impl TryFrom<Value> for ScenarioSet {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Value::String(name) = value {
            return Ok(Self::named(&name));
        }
        let Value::Object(mut map) = value else {
            return Err("a scenario set is an object or a name".into());
        };
        let id = map.remove("scenario_set_id").or_else(|| map.remove("id"));
        let Some(Value::String(scenario_set_id)) = id else {
            return Err("a scenario set needs a scenario_set_id".into());
        };
        let fail = |e: serde_json::Error| format!("scenario set {scenario_set_id}: {e}");
        let kind = match map.is_empty() {
            true => None,
            false => Some(serde_json::from_value(Value::Object(map)).map_err(fail)?),
        };
        Ok(Self { scenario_set_id, kind })
    }
}

/// How the scenarios of a set are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SetKind {
    /// The snapshot as it is.
    Base,
    /// All rate curves by a size, as a decimal.
    Parallel {
        /// 0.0001 is a basis point.
        size: f64,
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
    },
    /// One triangle for each bucket, flat outside the first and last. They sum to
    /// the parallel shift.
    Bucketed {
        /// 0.0001 is a basis point.
        size: f64,
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
        /// In years, or as tenors; those of [`BUCKETS`] unless given.
        #[serde(default)]
        buckets: Vec<Bucket>,
    },
    /// The same as `bucketed`; both words are in use.
    KeyRate {
        /// 0.0001 is a basis point.
        size: f64,
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
        /// As of `bucketed`.
        #[serde(default)]
        buckets: Vec<Bucket>,
    },
    /// All spread curves by a size.
    Spread {
        /// 0.0001 is a basis point.
        size: f64,
        /// Which.
        #[serde(default)]
        curves: Vec<String>,
    },
    /// Exchange rates.
    Fx {
        /// By how much.
        size: f64,
        /// Relative unless given.
        #[serde(default)]
        shift: ShiftType,
        /// Which.
        #[serde(default)]
        pairs: Vec<String>,
    },
    /// Volatilities.
    Volatility {
        /// By how much.
        size: f64,
        /// Relative unless given.
        #[serde(default)]
        shift: ShiftType,
        /// Which.
        #[serde(default)]
        underlyings: Vec<String>,
    },
    /// Named scenarios, each with its shifts.
    #[serde(alias = "historical", alias = "custom")]
    Stress {
        /// In order.
        scenarios: Vec<Scenario>,
    },
}

/// A place on the time axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bucket {
    /// Years.
    Years(f64),
    /// A tenor.
    Tenor(Tenor),
}

impl ScenarioSet {
    /// Without a kind, one of the four names that need none.
    pub fn named(id: &str) -> Self {
        Self { scenario_set_id: id.to_owned(), kind: None }
    }

    /// Its scenarios, in order.
    pub fn scenarios(&self) -> Result<Vec<Scenario>, String> {
        let id = self.scenario_set_id.as_str();
        let one = |shifts| Ok(vec![Scenario { scenario_id: id.to_owned(), shifts }]);
        let all = Vec::new;
        let flat = |size: f64| vec![Point(1.0, size)];
        match &self.kind {
            None => match id {
                "BASE" => one(vec![]),
                "RATES_PARALLEL_1BP" => one(vec![Shift::Rates { curves: all(), points: flat(1e-4) }]),
                "SPREAD_25BP" => one(vec![Shift::Spreads { curves: all(), points: flat(25e-4) }]),
                "FX_SPOT_1PCT" => {
                    one(vec![Shift::Fx { pairs: all(), shift: ShiftType::Relative, size: 0.01 }])
                }
                _ => Err(format!("unknown scenario set {id}; it must say its kind")),
            },
            Some(SetKind::Base) => one(vec![]),
            Some(SetKind::Parallel { size, curves }) => {
                one(vec![Shift::Rates { curves: curves.clone(), points: flat(*size) }])
            }
            Some(SetKind::Spread { size, curves }) => {
                one(vec![Shift::Spreads { curves: curves.clone(), points: flat(*size) }])
            }
            Some(SetKind::Fx { size, shift, pairs }) => {
                one(vec![Shift::Fx { pairs: pairs.clone(), shift: *shift, size: *size }])
            }
            Some(SetKind::Volatility { size, shift, underlyings }) => {
                one(vec![Shift::Volatility { underlyings: underlyings.clone(), shift: *shift, size: *size }])
            }
            Some(
                SetKind::Bucketed { size, curves, buckets } | SetKind::KeyRate { size, curves, buckets },
            ) => bucketed(id, *size, curves, buckets),
            Some(SetKind::Stress { scenarios }) => Ok(scenarios
                .iter()
                .map(|s| Scenario {
                    scenario_id: format!("{id}:{}", s.scenario_id),
                    shifts: s.shifts.clone(),
                })
                .collect()),
        }
    }
}

fn bucketed(id: &str, size: f64, curves: &[String], buckets: &[Bucket]) -> Result<Vec<Scenario>, String> {
    let years = |bucket: &Bucket| match bucket {
        Bucket::Years(years) => *years,
        Bucket::Tenor(tenor) => tenor.in_years(),
    };
    let grid: Vec<f64> =
        if buckets.is_empty() { BUCKETS.to_vec() } else { buckets.iter().map(years).collect() };
    check_grid(&grid)?;
    let scenario = |at: usize| {
        let points =
            triangle(&grid, at).into_iter().map(|Point(t, weight)| Point(t, weight * size)).collect();
        let shifts = vec![Shift::Rates { curves: curves.to_vec(), points }];
        Scenario { scenario_id: format!("{id}:{}", label(grid[at])), shifts }
    };
    Ok((0..grid.len()).map(scenario).collect())
}

fn check_grid(grid: &[f64]) -> Result<(), String> {
    let fine = !grid.is_empty()
        && grid.len() <= 200
        && grid.iter().all(|t| t.is_finite() && *t >= 0.0)
        && grid.windows(2).all(|pair| pair[0] < pair[1]);
    if fine { Ok(()) } else { Err("buckets must be 1 to 200 rising times".into()) }
}

/// `6M`, `10Y`, or the years.
pub fn label(years: f64) -> String {
    let months = years * 12.0;
    match (months - months.round()).abs() < 1e-9 && months >= 1.0 {
        true => Tenor::of_months(months.round() as i32).to_string(),
        false => format!("{years}"),
    }
}

/// 1 at a bucket, 0 at its neighbours.
pub fn triangle(grid: &[f64], at: usize) -> Vec<Point> {
    let around = at.saturating_sub(1)..=(at + 1).min(grid.len() - 1);
    around.map(|i| Point(grid[i], if i == at { 1.0 } else { 0.0 })).collect()
}

/// The value of a shift at a time: linear between points, flat outside.
pub fn shift_at(points: &[Point], t: f64) -> f64 {
    let at = points.partition_point(|point| point.0 < t);
    match at {
        0 => points[0].1,
        at if at == points.len() => points[at - 1].1,
        at => {
            let (a, b) = (points[at - 1], points[at]);
            a.1 + (b.1 - a.1) * (t - a.0) / (b.0 - a.0)
        }
    }
}

/// What happened between two markets, as a scenario: differences of zero rates
/// at the later one's nodes, relative changes of exchange rates, volatilities and
/// prices. Factors that only one of them has are left alone.
pub fn between(id: &str, before: &Market, after: &Market) -> Scenario {
    let mut shifts = Vec::new();
    for (at, curve) in after.curves.iter().enumerate() {
        let Some(earlier) = before.curve(&curve.id) else { continue };
        // As spreads are told, also where hazard rates move by more.
        let weight = after.spread_weight(at);
        let change = |t: &f64| Point(*t, (curve.zero(*t) - before.curves[earlier].zero(*t)) / weight);
        let (curves, points) = (vec![curve.id.clone()], curve.times().iter().map(change).collect());
        shifts.push(match after.kinds[at].is_spread() {
            true => Shift::Spreads { curves, points },
            false => Shift::Rates { curves, points },
        });
    }
    for quote in after.fx.quotes() {
        let earlier = before.fx.quotes().iter().find(|q| q.base == quote.base && q.quote == quote.quote);
        if let Some(earlier) = earlier {
            let size = quote.rate / earlier.rate - 1.0;
            let pairs = vec![format!("{}{}", quote.base, quote.quote)];
            shifts.push(Shift::Fx { pairs, shift: ShiftType::Relative, size });
        }
    }
    for equity in &after.equities {
        if let Some(earlier) = before.equities.iter().find(|e| e.underlying == equity.underlying) {
            let underlyings = vec![equity.underlying.clone()];
            let size = equity.spot / earlier.spot - 1.0;
            shifts.push(Shift::Equity { underlyings, shift: ShiftType::Relative, size });
        }
    }
    Scenario { scenario_id: id.to_owned(), shifts }
}
