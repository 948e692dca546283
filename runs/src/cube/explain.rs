//! Where one position's numbers come from: computed again from what the run
//! pinned, and compared with what the run has.

use daybook_http::Problem;
use domain::TenantId;
use domain::valuation::run::{Plan, Run, Task};
use models_pricing::book::Book;
use models_pricing::measures::{Measure, Views};
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, Shifts};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Cube, flag_of};
use crate::pricing::bucket;
use crate::repricing::InForce;
use crate::{Desk, inputs, on_a_thread};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explained {
    pub run_id: String,
    /// Whose results they are; 1 is the run itself.
    pub generation: u32,
    pub model: String,
    /// Of the model; `null` if it has none.
    #[schema(value_type = Object)]
    pub parameters: Value,
    pub as_of: String,
    pub market_snapshot_id: String,
    /// Positions are those of the log up to here.
    pub at: u64,
    #[schema(value_type = Object)]
    pub position: Position,
    /// Curves that its value rests on, with their quality.
    #[schema(value_type = Vec<Object>)]
    pub curves: Vec<Value>,
    /// Exchange rates, volatilities and prices.
    #[schema(value_type = Vec<Object>)]
    pub quotes: Vec<Value>,
    pub notes: Vec<String>,
    /// What is still to be paid, projected in the scenario.
    #[schema(value_type = Object)]
    pub cashflows: Value,
    pub scenario_id: String,
    /// What the run has.
    #[schema(value_type = Vec<Object>)]
    pub measures: Vec<Value>,
    /// The PV of the run and computed again are the same to the last bits.
    pub reproduced: Option<bool>,
    pub flag: Option<String>,
    pub reason: Option<String>,
}

impl Desk {
    pub async fn explain(
        &self,
        tenant: &TenantId,
        of: &InForce,
        position: &str,
        scenario: Option<&str>,
    ) -> Result<Explained, Problem> {
        let mut run: Run = inputs::state(self, tenant, &of.stored).await?;
        let plan = run.plan.take().ok_or_else(Problem::not_found)?;
        let portfolio = self.portfolio(tenant, plan.at).await?;
        let found =
            inputs::positions(&portfolio, &plan.books).into_iter().find(|p| p.position_id == position);
        let found = found.ok_or_else(|| Problem::parameter("position", "is none of the run's"))?;
        let market = self.market(tenant, &plan.market_snapshot, &inputs::model_of(&plan)?).await?;
        // Its own task has it, and no other.
        let task = Task::new(&found.product_type, bucket(position, plan.hash_mod), 0).id;
        let stored = run.results().find(|(id, _)| *id == task).map(|(_, cells)| cells.sha256.clone());
        let stored = stored.ok_or_else(|| {
            Problem::new(daybook_http::Kind::Conflict, format!("The task {task} is not done."))
        })?;
        let part = self.part(tenant, stored, &plan.measures).await?;
        let names = part.scenarios.clone();
        let scenarios_of = run.scenarios.clone();
        let (run_id, generation) = (of.run_id.clone(), of.generation);
        let cube = Cube { run_id, generation, run, plan, parts: vec![part], scenarios: names };
        let at = match scenario {
            Some(named) => cube.scenarios(named)?.first().copied(),
            None => Some(0),
        };
        let at = at.unwrap_or_default();
        let plan = cube.plan.clone();
        let scenarios: Vec<Scenario> = serde_json::from_str(&scenarios_of).map_err(Problem::internal)?;
        on_a_thread(move || explained(&cube, &plan, &market, found, &scenarios, at)).await?
    }
}

fn explained(
    cube: &Cube,
    plan: &Plan,
    market: &models_pricing::market::Market,
    position: Position,
    scenarios: &[Scenario],
    at: usize,
) -> Result<Explained, Problem> {
    let scenario = scenarios.get(at).ok_or_else(Problem::not_found)?;
    let shifts = Shifts::new(std::slice::from_ref(scenario), market).map_err(Problem::internal)?;
    let book = Book::new(std::slice::from_ref(&position), market, plan.base_currency.as_deref());
    let engine = book.engine(market, &shifts);
    let views = Views::new(&engine, 0);
    let measures = kept(cube, &position.position_id, at);
    let pv = book.one(0, Measure::Pv, market, &views);
    let known = measures.iter().find(|row| row["measure"] == "PV").and_then(|row| row["value"].as_f64());
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-9);
    let reproduced = known.zip(pv.as_ref().ok()).map(|(known, pv)| near(known, pv.value));
    let cashflows = book.one(0, Measure::Cashflows, market, &views).ok().and_then(|cell| cell.detail);
    let (flag, reason) = match &book.entries[0].trade {
        Err(flag) => (Some(flag.code.to_owned()), Some(flag.reason.clone())),
        Ok(_) => (None, None),
    };
    let notes = book.entries[0].trade.as_ref().map(|trade| trade.program.notes.clone()).unwrap_or_default();
    let uses = book.uses(0, market);
    let row = |(name, quality): &(String, &'static str)| json!({"id": name, "quality": quality});
    Ok(Explained {
        run_id: cube.run_id.clone(),
        generation: cube.generation,
        model: plan.model.clone(),
        parameters: plan.parameters.clone(),
        as_of: plan.as_of.clone(),
        market_snapshot_id: plan.market_snapshot.clone(),
        at: plan.at,
        curves: uses.curves.iter().map(row).collect(),
        quotes: uses.quotes.iter().map(row).collect(),
        notes,
        cashflows: cashflows.unwrap_or(Value::Null),
        scenario_id: scenario.scenario_id.clone(),
        measures,
        reproduced,
        flag,
        reason,
        position,
    })
}

/// The run's cells of a position in a scenario.
fn kept(cube: &Cube, position: &str, scenario: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    for part in &cube.parts {
        let Some(at) = part.positions.iter().position(|p| p.position_id == position) else { continue };
        for column in &part.columns {
            let cell = at * part.scenarios.len() + scenario;
            let value = column.values[cell];
            let mut row = json!({"measure": column.measure, "value": (!value.is_nan()).then_some(value),
                                 "quality": column.qualities[at]});
            if let Some((code, reason)) = flag_of(column, cell) {
                (row["flag"], row["reason"]) = (code.into(), reason.into());
            }
            if let Some(detail) = column.details.get(&at).filter(|_| scenario == 0) {
                row["detail"] = serde_json::from_str(detail).unwrap_or_default();
            }
            rows.push(row);
        }
    }
    rows
}
