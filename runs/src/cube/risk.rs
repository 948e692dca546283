//! Value at risk and expected shortfall, from vectors of profit and loss.
//!
//! Neither adds up over positions: the vectors of a group are summed scenario by
//! scenario first, and then ordered. Of n scenarios and a level c, k = max(1,
//! ⌊(1 − c)·n⌋); VaR is minus the k-th worst, ES minus the mean of the k worst.

use std::collections::BTreeMap;

use daybook_http::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::dims::{Dim, Filter, dims};
use super::{Cube, in_base};

pub const RULE: &str =
    "historical: k = max(1, floor((1 - level) * n)); VaR = -(k-th worst P&L), ES = -(mean of the k worst)";
pub const PARAMETRIC_RULE: &str = "parametric: normal with the mean and the sample standard deviation s of the P&L; VaR = z*s - mean, ES = s*phi(z)/(1 - level) - mean";
const MAX_LEVELS: usize = 10;
const MAX_NAMED: usize = 100;
/// Groups × scenarios.
const MAX_NUMBERS: usize = 50_000_000;

#[derive(Debug, Clone)]
pub struct Asked {
    /// `PV`, or `PV_BASE`.
    pub measure: String,
    pub by: String,
    pub filter: String,
    /// All of them but the base unless told.
    pub scenario: Option<String>,
    pub base: String,
    pub levels: Vec<f64>,
    pub parametric: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Numbers {
    pub level: f64,
    pub var: f64,
    pub es: f64,
    /// The group's part of the whole's; they add up to it.
    pub component_var: f64,
    pub component_es: f64,
    /// What the whole's would be less without the group.
    pub marginal_var: f64,
    pub marginal_es: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Group {
    pub key: String,
    #[schema(value_type = Object)]
    pub by: BTreeMap<String, String>,
    pub positions: u64,
    pub risk: Vec<Numbers>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Risk {
    pub run_id: String,
    /// Whose results it is of; 1 is the run itself.
    pub generation: u32,
    pub model: String,
    /// Whether every task has a result.
    pub complete: bool,
    pub rule: String,
    pub base_scenario: String,
    pub scenarios: usize,
    pub currency: Option<String>,
    pub positions: u64,
    pub total: Vec<Numbers>,
    pub groups: Vec<Group>,
    /// Positions that lack a number in some scenario: they are in none of the
    /// sums.
    pub excluded: u64,
    /// The first hundred of them.
    pub excluded_positions: Vec<String>,
}

struct Vectors {
    groups: BTreeMap<Vec<String>, (Vec<f64>, u64)>,
    total: Vec<f64>,
    positions: u64,
    excluded: Vec<String>,
    excluded_count: u64,
}

impl Cube {
    pub fn risk(&self, asked: &Asked) -> Result<Risk, Problem> {
        let base = self.scenarios.iter().position(|id| *id == asked.base);
        let base = base.ok_or_else(|| {
            Problem::parameter("base", format!("{} is none of the run's scenarios", asked.base))
        })?;
        let mut scenarios = self.scenarios(asked.scenario.as_deref().unwrap_or("*"))?;
        scenarios.retain(|place| *place != base);
        if scenarios.is_empty() || (asked.parametric && scenarios.len() < 2) {
            return Err(Problem::parameter("scenario", "leaves too few scenarios beside the base"));
        }
        let levels = &asked.levels;
        if levels.is_empty() || levels.len() > MAX_LEVELS || !levels.iter().all(|l| *l > 0.5 && *l < 1.0) {
            let reason = format!("must be 1 to {MAX_LEVELS} numbers between 0.5 and 1, such as 0.95,0.99");
            return Err(Problem::parameter("level", reason));
        }
        let dims = dims("by", &asked.by, self)?;
        let filter = Filter::new(&asked.filter, self)?;
        let vectors = self.vectors(asked, &dims, &filter, (base, &scenarios))?;
        let numbers = |vector: &[f64]| -> Vec<Numbers> {
            levels.iter().map(|level| numbers(&vectors.total, vector, *level, asked.parametric)).collect()
        };
        let groups =
            vectors.groups.iter().filter(|_| !dims.is_empty()).map(|(key, (vector, positions))| Group {
                key: key.join("|"),
                by: dims.iter().map(Dim::name).zip(key.iter().cloned()).collect(),
                positions: *positions,
                risk: numbers(vector),
            });
        Ok(Risk {
            run_id: self.run_id.clone(),
            generation: self.generation,
            model: self.plan.model.clone(),
            complete: self.missing_tasks().is_empty(),
            rule: if asked.parametric { PARAMETRIC_RULE } else { RULE }.to_owned(),
            base_scenario: asked.base.clone(),
            scenarios: scenarios.len(),
            currency: self.plan.base_currency.clone(),
            positions: vectors.positions,
            total: numbers(&vectors.total),
            groups: groups.collect(),
            excluded: vectors.excluded_count,
            excluded_positions: vectors.excluded.clone(),
        })
    }

    fn vectors(
        &self,
        asked: &Asked,
        dims: &[Dim],
        filter: &Filter,
        (base, scenarios): (usize, &[usize]),
    ) -> Result<Vectors, Problem> {
        let mut all = Vectors {
            groups: BTreeMap::new(),
            total: vec![0.0; scenarios.len()],
            positions: 0,
            excluded: Vec::new(),
            excluded_count: 0,
        };
        let mut own = vec![0.0; scenarios.len()];
        for part in &self.parts {
            let Some(column) = part.column(&asked.measure) else { continue };
            for (at, position) in part.positions.iter().enumerate().filter(|(_, p)| filter.takes(p)) {
                let whole = in_base(part, column, at, base).is_some_and(|before| {
                    own.iter_mut().zip(scenarios).all(|(own, scenario)| {
                        let after = in_base(part, column, at, *scenario);
                        *own = after.unwrap_or(f64::NAN) - before;
                        after.is_some()
                    })
                });
                if !whole {
                    all.excluded_count += 1;
                    if all.excluded.len() < MAX_NAMED {
                        all.excluded.push(position.position_id.clone());
                    }
                    continue;
                }
                let key: Vec<String> = dims.iter().map(|dim| dim.of(position).to_owned()).collect();
                let empty = || (vec![0.0; scenarios.len()], 0);
                let (vector, positions) = all.groups.entry(key).or_insert_with(empty);
                vector.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own);
                all.total.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own);
                *positions += 1;
                all.positions += 1;
                if all.groups.len() * scenarios.len() > MAX_NUMBERS {
                    return Err(Problem::parameter("by", "makes too many groups; ask for fewer dimensions"));
                }
            }
        }
        Ok(all)
    }
}

fn numbers(total: &[f64], group: &[f64], level: f64, parametric: bool) -> Numbers {
    let rest: Vec<f64> = total.iter().zip(group).map(|(total, own)| total - own).collect();
    let of = |vector: &[f64]| if parametric { normal(vector, level) } else { historical(vector, level) };
    let ((var, es), (all_var, all_es), (rest_var, rest_es)) = (of(group), of(total), of(&rest));
    let (component_var, component_es) = match parametric {
        true => normal_component(total, group, level),
        false => component(total, group, level),
    };
    let (marginal_var, marginal_es) = (all_var - rest_var, all_es - rest_es);
    Numbers { level, var, es, component_var, component_es, marginal_var, marginal_es }
}

/// How many of the worst count.
fn tail(count: usize, level: f64) -> usize {
    // A level such as 0.99 has no exact value.
    (((1.0 - level) * count as f64 + 1e-9).floor() as usize).clamp(1, count)
}

/// Places of the worst, the worst first; equal ones in their order.
fn worst(vector: &[f64], level: f64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..vector.len()).collect();
    places.sort_by(|a, b| vector[*a].total_cmp(&vector[*b]));
    places.truncate(tail(vector.len(), level));
    places
}

fn component(total: &[f64], group: &[f64], level: f64) -> (f64, f64) {
    let places = worst(total, level);
    let es = -places.iter().map(|at| group[*at]).sum::<f64>() / places.len() as f64;
    (places.last().map_or(0.0, |at| -group[*at]), es)
}

/// VaR and ES.
pub fn historical(vector: &[f64], level: f64) -> (f64, f64) {
    component(vector, vector, level)
}

fn mean(vector: &[f64]) -> f64 {
    vector.iter().sum::<f64>() / vector.len() as f64
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>() / (a.len() - 1) as f64
}

/// The level's quantile of the normal distribution, and the mean of the tail
/// beyond it, in standard deviations.
fn factors(level: f64) -> (f64, f64) {
    let z = models_pricing::normal::quantile(level);
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (z, density / (1.0 - level))
}

fn normal(vector: &[f64], level: f64) -> (f64, f64) {
    let (z, tail) = factors(level);
    let (mean, deviation) = (mean(vector), covariance(vector, vector).sqrt());
    (z * deviation - mean, tail * deviation - mean)
}

fn normal_component(total: &[f64], group: &[f64], level: f64) -> (f64, f64) {
    let (z, tail) = factors(level);
    let deviation = covariance(total, total).sqrt();
    let part = if deviation > 0.0 { covariance(total, group) / deviation } else { 0.0 };
    let mean = mean(group);
    (z * part - mean, tail * part - mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_kth_worst() {
        let vector: Vec<f64> = (1..=100).map(f64::from).map(|n| n - 51.0).collect();
        // -50, -49, …
        assert_eq!(historical(&vector, 0.99), (50.0, 50.0));
        assert_eq!(historical(&vector, 0.95), (46.0, 48.0));
        assert_eq!(historical(&vector[..3], 0.99), (50.0, 50.0));
        assert_eq!((tail(500, 0.99), tail(500, 0.95), tail(1, 0.95)), (5, 25, 1));
    }

    #[test]
    fn components_add_up_and_marginals_are_what_is_left() {
        let mut seed = 7_u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as f64 / f64::from(u32::MAX) - 0.25
        };
        let groups: Vec<Vec<f64>> = (0..4).map(|_| (0..250).map(|_| draw()).collect()).collect();
        let total: Vec<f64> = (0..250).map(|at| groups.iter().map(|g| g[at]).sum()).collect();
        for parametric in [false, true] {
            let whole = numbers(&total, &total, 0.97, parametric);
            assert!((whole.var - whole.component_var).abs() < 1e-12, "{whole:?}");
            assert!(whole.es >= whole.var);
            let parts: Vec<_> = groups.iter().map(|g| numbers(&total, g, 0.97, parametric)).collect();
            let sum = |of: fn(&Numbers) -> f64| parts.iter().map(of).sum::<f64>();
            assert!((sum(|n| n.component_var) - whole.var).abs() < 1e-9);
            assert!((sum(|n| n.component_es) - whole.es).abs() < 1e-9);
            let rest: Vec<f64> = total.iter().zip(&groups[0]).map(|(t, g)| t - g).collect();
            let without = numbers(&rest, &rest, 0.97, parametric);
            assert!((parts[0].marginal_es - (whole.es - without.es)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_normal_sample_has_normal_risk() {
        let n = 20_000;
        let vector: Vec<f64> =
            (0..n).map(|i| models_pricing::normal::quantile((f64::from(i) + 0.5) / f64::from(n))).collect();
        let (var, es) = normal(&vector, 0.99);
        assert!((var - 2.326_348).abs() < 2e-3 && (es - 2.665_214).abs() < 2e-3, "{var} {es}");
        let (var, es) = historical(&vector, 0.99);
        assert!((var - 2.326_348).abs() < 5e-3 && (es - 2.665_214).abs() < 5e-3, "{var} {es}");
    }
}
