//! What a generation would change for readers: by position and product from the
//! results of both, and by curve.
//!
//! By curve, the generation's value is reached in steps: one curve after the
//! other is taken from the market that its model makes, and what a step adds is
//! that curve's part. What is left once all curves are taken is that of other
//! parameters. So the parts add up to the whole difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use commands::execute::Call;
use daybook_http::{Kind, Problem};
use domain::TenantId;
use domain::valuation::repricing::{Command, Compared, FIRST, Repricing, repriced_id};
use domain::valuation::run::{Plan, Run};
use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::Measure;
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, Shifts};
use serde::Serialize;
use utoipa::ToSchema;

use super::{PRICING, is_completed, named_or_newest, run_of};
use crate::cube::Cube;
use crate::{Desk, inputs, on_a_thread};

/// Positions told of each run, unless told.
pub const TOP: usize = 20;
pub const MAX_TOP: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The newest unless told.
    pub generation: Option<u32>,
    /// What is in force unless told.
    pub against: Option<u32>,
    pub top: usize,
}

/// Sums over the positions that have numbers on both sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ProductDifference {
    pub product_type: String,
    pub before: f64,
    pub after: f64,
    pub difference: f64,
    pub positions: u64,
    pub changed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CurveDifference {
    pub curve_id: String,
    pub difference: f64,
    /// Positions whose value it changes.
    pub changed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PositionDifference {
    pub position_id: String,
    pub book: String,
    pub product_type: String,
    /// `null` where there is no number.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub difference: f64,
}

/// One run. Values are PVs in the base currency, in the run's first scenario.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunComparison {
    pub run_id: String,
    pub priced_as: String,
    /// The generation that it is compared with.
    pub against: u32,
    pub against_model: String,
    pub base_currency: Option<String>,
    pub scenario_id: String,
    pub before: f64,
    pub after: f64,
    pub difference: f64,
    pub positions: u64,
    pub changed: u64,
    /// Positions that have a number on one side only.
    pub flagged: u64,
    /// The largest difference first.
    pub by_product: Vec<ProductDifference>,
    /// The largest first; they and `other` add up to the difference.
    pub by_curve: Vec<CurveDifference>,
    /// What no curve explains: the model's other parameters.
    pub other: f64,
    /// The largest first.
    pub by_position: Vec<PositionDifference>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    pub generation: u32,
    pub model: String,
    /// Whether every position has the same value to the last bit.
    pub same: bool,
    pub positions: u64,
    pub changed: u64,
    pub runs: Vec<RunComparison>,
}

/// One side of a run.
struct Side {
    cube: Cube,
    measure: String,
    market: Arc<Market>,
}

impl Desk {
    /// Compares and records what came of it.
    pub async fn compare_generation(&self, call: Call, asked: Asked) -> Result<Comparison, Problem> {
        let tenant = call.principal.tenant.clone();
        let state = self.repricing(&tenant).await?;
        let generation = named_or_newest(&state, asked.generation)?;
        let known = state.generations.get(&generation).ok_or_else(Problem::not_found)?;
        let mut runs = Vec::with_capacity(known.runs.len());
        for chosen in &known.runs {
            let against = against(&state, &chosen.run_id, generation, asked.against)?;
            runs.push(self.compare_run(&tenant, &chosen.run_id, generation, against, asked.top).await?);
        }
        let count = |of: fn(&RunComparison) -> u64| runs.iter().map(of).sum::<u64>();
        let (positions, changed) = (count(|run| run.positions), count(|run| run.changed));
        let compared = Compared { generation, same: changed == 0, positions, changed };
        let call = Call { id: PRICING.into(), ..call };
        self.decide(&call, generation, Command::Compare(compared)).await?;
        let model = known.model.to_string();
        Ok(Comparison { generation, model, same: changed == 0, positions, changed, runs })
    }

    async fn compared_side(&self, tenant: &TenantId, run: &str, generation: u32) -> Result<Side, Problem> {
        let stored = if generation == FIRST { run.to_owned() } else { repriced_id(run, generation) };
        let state = run_of(self, tenant, &stored).await?;
        if !is_completed(state.as_ref()) {
            return Err(Problem::new(Kind::Conflict, format!("{stored} is not completed.")));
        }
        let plan = state.and_then(|run| run.plan).ok_or_else(Problem::not_found)?;
        let market = self.market(tenant, &plan.market_snapshot, &inputs::model_of(&plan)?).await?;
        let has = |name: &&str| plan.measures.iter().any(|measure| measure == name);
        let measure = ["PV", "PV_BASE"].into_iter().find(has).ok_or_else(|| {
            Problem::new(Kind::Conflict, format!("{run} has neither PV nor PV_BASE to be compared."))
        })?;
        let of = self.in_force(tenant, run, Some(generation)).await?;
        let cube = self.cube(tenant, &of, &[measure.to_owned()]).await?;
        Ok(Side { cube, measure: measure.to_owned(), market })
    }

    async fn compare_run(
        &self,
        tenant: &TenantId,
        run: &str,
        generation: u32,
        against: u32,
        top: usize,
    ) -> Result<RunComparison, Problem> {
        let before = self.compared_side(tenant, run, against).await?;
        let after = self.compared_side(tenant, run, generation).await?;
        let own: Run = inputs::state(self, tenant, run).await?;
        let plan = own.plan.ok_or_else(Problem::not_found)?;
        let portfolio = self.portfolio(tenant, plan.at).await?;
        let scenarios = own.scenarios;
        let priced_as = repriced_id(run, generation);
        on_a_thread(move || {
            let scenarios: Vec<Scenario> = serde_json::from_str(&scenarios).map_err(Problem::internal)?;
            let scenario = scenarios.into_iter().next().ok_or_else(Problem::not_found)?;
            let positions = inputs::positions(&portfolio, &plan.books);
            let mut compared = positions_of(&before, &after, top)?;
            let (by_curve, other) = by_curve(&positions, &plan, &scenario, [&before.market, &after.market])?;
            (compared.priced_as, compared.against) = (priced_as, against);
            (compared.by_curve, compared.other) = (by_curve, other);
            compared.scenario_id = scenario.scenario_id;
            Ok(compared)
        })
        .await?
    }
}

/// What is in force, or what was before if the generation itself is.
fn against(state: &Repricing, run: &str, generation: u32, named: Option<u32>) -> Result<u32, Problem> {
    match named {
        Some(named) if named == FIRST || state.has(named, run) => Ok(named),
        Some(named) => Err(Problem::field("/against", format!("generation {named} has not priced {run}"))),
        None => {
            let others = state.promoted.iter().rev().copied().filter(|n| *n != generation);
            Ok(others.into_iter().find(|n| state.has(*n, run)).unwrap_or(FIRST))
        }
    }
}

type Valued<'a> = (&'a domain::valuation::cells::Dimensions, Option<f64>);

/// Positions with their value in the first scenario.
fn values(side: &Side) -> BTreeMap<&str, Valued<'_>> {
    let mut all = BTreeMap::new();
    for part in &side.cube.parts {
        let Some(column) = part.column(&side.measure) else { continue };
        for (at, position) in part.positions.iter().enumerate() {
            let value = crate::cube::in_base(part, column, at, 0);
            all.insert(position.position_id.as_str(), (position, value));
        }
    }
    all
}

fn positions_of(before: &Side, after: &Side, top: usize) -> Result<RunComparison, Problem> {
    let (old, new) = (values(before), values(after));
    let mut products: BTreeMap<&str, ProductDifference> = BTreeMap::new();
    let mut rows = Vec::new();
    let (mut changed, mut flagged) = (0, 0);
    for (id, (position, was)) in &old {
        let is = new.get(id).and_then(|(_, value)| *value);
        let differs = was.map(f64::to_bits) != is.map(f64::to_bits);
        changed += u64::from(differs);
        flagged += u64::from(was.is_some() != is.is_some());
        let product = products.entry(&position.product_type).or_default();
        product.positions += 1;
        product.changed += u64::from(differs);
        if let (Some(was), Some(is)) = (was, is) {
            product.before += was;
            product.after += is;
            product.difference += is - was;
        }
        if differs {
            rows.push(PositionDifference {
                position_id: (*id).to_owned(),
                book: position.book.clone(),
                product_type: position.product_type.clone(),
                before: *was,
                after: is,
                difference: is.unwrap_or_default() - was.unwrap_or_default(),
            });
        }
    }
    let positions = old.len() as u64;
    let mut by_product: Vec<ProductDifference> = products
        .into_iter()
        .map(|(name, product)| ProductDifference { product_type: name.to_owned(), ..product })
        .collect();
    by_product.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
    rows.sort_by(|a, b| {
        b.difference.abs().total_cmp(&a.difference.abs()).then_with(|| a.position_id.cmp(&b.position_id))
    });
    rows.truncate(top);
    let sum = |of: fn(&ProductDifference) -> f64| by_product.iter().map(of).sum::<f64>();
    Ok(RunComparison {
        run_id: before.cube.run_id.clone(),
        priced_as: String::new(),
        against: FIRST,
        against_model: before.cube.plan.model.clone(),
        base_currency: before.cube.plan.base_currency.clone(),
        scenario_id: String::new(),
        before: sum(|product| product.before),
        after: sum(|product| product.after),
        difference: sum(|product| product.difference),
        positions,
        changed,
        flagged,
        by_product,
        by_curve: Vec::new(),
        other: 0.0,
        by_position: rows,
    })
}

/// Values in the base currency, `NaN` where there is none.
fn priced(
    positions: &[Position],
    plan: &Plan,
    scenario: &Scenario,
    market: &Market,
) -> Result<Vec<f64>, Problem> {
    let shifts = Shifts::new(std::slice::from_ref(scenario), market).map_err(Problem::internal)?;
    let book = Book::new(positions, market, plan.base_currency.as_deref());
    let columns = book.columns(market, &shifts, &[Measure::PvBase], &|| true);
    let column = columns.and_then(|mut columns| columns.measures.pop());
    Ok(column.ok_or_else(|| Problem::internal("nothing was computed"))?.values)
}

fn by_curve(
    positions: &[Position],
    plan: &Plan,
    scenario: &Scenario,
    [before, after]: [&Market; 2],
) -> Result<(Vec<CurveDifference>, f64), Problem> {
    let mut steps = vec![(String::new(), priced(positions, plan, scenario, before)?)];
    let mut market = before.clone();
    for (at, curve) in after.curves.iter().enumerate() {
        if market.curves.get(at).is_some_and(|known| known.id == curve.id && known != curve) {
            market.curves[at] = curve.clone();
            steps.push((curve.id.clone(), priced(positions, plan, scenario, &market)?));
        }
    }
    steps.push((String::new(), priced(positions, plan, scenario, after)?));
    // Only what has a number on every step adds up.
    let whole: Vec<usize> =
        (0..positions.len()).filter(|at| steps.iter().all(|(_, values)| !values[*at].is_nan())).collect();
    let part = |before: &[f64], after: &[f64]| -> (f64, u64) {
        let differences = whole.iter().map(|at| after[*at] - before[*at]);
        let changed = differences.clone().filter(|difference| *difference != 0.0).count();
        (differences.sum(), changed as u64)
    };
    let mut parts: Vec<CurveDifference> = steps
        .windows(2)
        .map(|pair| {
            let (difference, changed) = part(&pair[0].1, &pair[1].1);
            CurveDifference { curve_id: pair[1].0.clone(), difference, changed }
        })
        .collect();
    let other = parts.pop().map_or(0.0, |other| other.difference);
    parts.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
    Ok((parts, other))
}
