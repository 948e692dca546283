//! What is different between two runs: by position, and by what changed.
//!
//! By cause, the later run's value is reached in steps from the earlier one's,
//! each of which changes one thing: the day (the same quotes on the later day),
//! the market, the positions, the model. What a step adds is that cause's part,
//! so the parts add up to the whole difference.

use std::collections::{BTreeMap, BTreeSet};

use daybook_http::Problem;
use domain::TenantId;
use domain::valuation::repricing::Repricing;
use domain::valuation::run::{Plan, Run};
use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::Measure;
use models_pricing::model::Model;
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, Shifts};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::inputs::{market_by, model_of};
use crate::repricing::stored;
use crate::{Desk, inputs, on_a_thread};

/// Positions that are told.
const MAX_ROWS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    pub position_id: String,
    pub book: String,
    pub product_type: String,
    /// `new`, `removed`, `changed` (its terms, quantity or book) or `same`.
    pub change: String,
    /// `null` where there is no number.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub difference: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Causes {
    pub time: f64,
    pub market: f64,
    pub positions: f64,
    pub model: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    pub run_id: String,
    pub other: String,
    pub base_currency: Option<String>,
    /// PV without a scenario, in the base currency: of this run.
    pub before: f64,
    /// Of the other one.
    pub after: f64,
    pub difference: f64,
    pub by_cause: Causes,
    /// The largest first.
    pub by_position: Vec<Difference>,
    pub positions: usize,
    /// Positions without a number on some step; they are in no sum of it.
    pub flagged: u64,
}

struct Side {
    plan: Plan,
    content: Value,
    market: std::sync::Arc<Market>,
    positions: Vec<Position>,
}

impl Desk {
    async fn side(&self, tenant: &TenantId, id: &str, repricing: &Repricing) -> Result<Side, Problem> {
        let run: Run = inputs::state(self, tenant, &stored(id, repricing.in_force(id))).await?;
        let plan = run.plan.ok_or_else(Problem::not_found)?;
        let market = self.market(tenant, &plan.market_snapshot, &model_of(&plan)?).await?;
        let content = self.snapshot(tenant, &plan.market_snapshot).await?.content.unwrap_or_default();
        let portfolio = self.portfolio(tenant, plan.at).await?;
        let positions = inputs::positions(&portfolio, &plan.books);
        Ok(Side { plan, content, market, positions })
    }

    /// From one run to another.
    pub async fn compare(&self, tenant: &TenantId, id: &str, other: &str) -> Result<Comparison, Problem> {
        // Read once: a promotion in between moves both sides or none.
        let repricing = self.repricing(tenant).await?;
        let before = self.side(tenant, id, &repricing).await?;
        let after = match self.side(tenant, other, &repricing).await {
            Err(problem) if problem.kind() == daybook_http::Kind::NotFound => {
                return Err(Problem::parameter("other", "names no run"));
            }
            other => other?,
        };
        if before.plan.base_currency != after.plan.base_currency {
            return Err(Problem::parameter("other", "has another base currency"));
        }
        // What the later snapshot makes by the earlier run's model.
        let model = model_of(&before.plan)?;
        let moved = self.market(tenant, &after.plan.market_snapshot, &model).await?;
        let (id, other) = (id.to_owned(), other.to_owned());
        on_a_thread(move || compared(id, other, &before, &after, &moved)).await?
    }
}

/// Values in the base currency by position.
type Values = BTreeMap<String, Option<f64>>;

fn values(positions: &[Position], market: &Market, base: Option<&str>) -> Result<Values, Problem> {
    let none = [Scenario { scenario_id: "BASE".into(), shifts: vec![] }];
    let shifts = Shifts::new(&none, market).map_err(Problem::internal)?;
    let columns = Book::new(positions, market, base).columns(market, &shifts, &[Measure::PvBase], &|| true);
    let column = columns.and_then(|mut columns| columns.measures.pop());
    let column = column.ok_or_else(|| Problem::internal("nothing was computed"))?;
    let number = |value: f64| (!value.is_nan()).then_some(value);
    Ok(positions.iter().map(|p| p.position_id.clone()).zip(column.values.into_iter().map(number)).collect())
}

fn total(values: &Values) -> f64 {
    values.values().flatten().sum()
}

/// The same quotes on another day.
fn on_day(content: &Value, day: &str, model: &Model) -> Option<Market> {
    let mut content = content.clone();
    let map = content.as_object_mut()?;
    let name = if map.contains_key("as_of_time") { "as_of_time" } else { "as_of" };
    map.insert(name.to_owned(), day.into());
    market_by(content, model).ok()
}

fn compared(
    id: String,
    other: String,
    before: &Side,
    after: &Side,
    market: &Market,
) -> Result<Comparison, Problem> {
    let base = before.plan.base_currency.as_deref();
    let first = values(&before.positions, &before.market, base)?;
    // Where the earlier quotes make no market on the later day, time counts as market.
    let rolled = match before.plan.as_of == after.plan.as_of {
        true => None,
        false => on_day(&before.content, &after.plan.as_of, &before.market.model),
    };
    let aged = rolled.map(|market| values(&before.positions, &market, base)).transpose()?;
    let moved = values(&before.positions, market, base)?;
    let held = values(&after.positions, market, base)?;
    let last = values(&after.positions, &after.market, base)?;
    let steps = [&first, aged.as_ref().unwrap_or(&first), &moved, &held, &last].map(total);
    let by_cause = Causes {
        time: steps[1] - steps[0],
        market: steps[2] - steps[1],
        positions: steps[3] - steps[2],
        model: steps[4] - steps[3],
    };
    let flagged = [&first, &moved, &held, &last].into_iter().flat_map(|values| values.iter());
    let flagged: BTreeSet<&String> = flagged.filter(|(_, v)| v.is_none()).map(|(id, _)| id).collect();
    let flagged = flagged.len() as u64;
    let mut by_position = differences(before, after, &first, &last);
    let positions = by_position.len();
    by_position.sort_by(|a, b| {
        b.difference.abs().total_cmp(&a.difference.abs()).then_with(|| a.position_id.cmp(&b.position_id))
    });
    by_position.truncate(MAX_ROWS);
    Ok(Comparison {
        run_id: id,
        other,
        base_currency: before.plan.base_currency.clone(),
        before: steps[0],
        after: steps[4],
        difference: steps[4] - steps[0],
        by_cause,
        by_position,
        positions,
        flagged,
    })
}

fn differences(before: &Side, after: &Side, first: &Values, last: &Values) -> Vec<Difference> {
    let by_id = |positions: &'_ [Position]| -> BTreeMap<String, Position> {
        positions.iter().map(|p| (p.position_id.clone(), p.clone())).collect()
    };
    let (old, new) = (by_id(&before.positions), by_id(&after.positions));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of = |id: &String| {
        let (was, is) = (old.get(id), new.get(id));
        let shown = is.or(was)?;
        let change = match (was, is) {
            (None, _) => "new",
            (_, None) => "removed",
            (Some(was), Some(is)) if was != is => "changed",
            _ => "same",
        };
        let value = |values: &Values| values.get(id).copied().flatten();
        let (before, after) = (value(first), value(last));
        Some(Difference {
            position_id: id.clone(),
            book: shown.book.clone(),
            product_type: shown.product_type.clone(),
            change: change.to_owned(),
            difference: after.unwrap_or_default() - before.unwrap_or_default(),
            before,
            after,
        })
    };
    ids.into_iter().filter_map(of).collect()
}
