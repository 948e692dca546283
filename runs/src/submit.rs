//! From a request to a plan: everything is looked up, checked and pinned.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_http::Problem;
use domain::TenantId;
use domain::valuation::market_snapshot::content_hash;
use domain::valuation::run::{Plan, Start, Task};
use models_pricing::book::Book;
use models_pricing::date::Date;
use models_pricing::market::Market;
use models_pricing::measures::{MEASURES, Measure};
use models_pricing::model::Model;
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, ScenarioSet, Shifts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::compose::Vendors;
use crate::pricing::{bucket, unit};
use crate::repricing::refused;
use crate::{Desk, MAX_TASK_CELLS, inputs, on_a_thread};

/// Positions without a price that an answer names.
const MAX_NAMED: usize = 100;
const MAX_BOOKS: usize = 1_000;
const BASE_CURRENCY: &str = "USD";

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Chosen by the client, so that asking twice is one run.
    pub run_id: Option<String>,
    /// `EOD_OFFICIAL`, `INTRADAY` or `SANDBOX` (unless told).
    pub run_type: Option<String>,
    /// The day. It must be that of the market snapshot.
    #[serde(alias = "as_of")]
    pub as_of_time: Option<String>,
    /// A snapshot's id, or what it is called.
    pub market_snapshot_id: String,
    /// `pricing@1` or `pricing@2`; what is in force unless told.
    #[serde(alias = "model_set")]
    pub model_set_id: Option<String>,
    /// Of the model that is named; as the version has them unless told.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub model_parameters: Value,
    /// Books; all of them unless told.
    #[serde(default)]
    pub portfolio_scope: Scope,
    /// Positions as a snapshot pinned them; as they are now unless told.
    pub position_snapshot_id: Option<String>,
    #[serde(default)]
    pub measures: Vec<String>,
    /// Names, or scenario sets as `daybook price` reads them; a set of kind
    /// `historical` may have `days` (and `vendors`) instead of scenarios. `BASE`
    /// unless told.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub scenarios: Vec<Value>,
    /// `USD` unless told.
    pub base_currency: Option<String>,
    #[serde(default)]
    pub execution: Execution,
    /// Refuse the run if a position has no price.
    #[serde(default)]
    pub strict: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default, alias = "books")]
    pub node_ids: Vec<String>,
}

/// Other members are those of the replaced service and say nothing here.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    /// Buckets of each product.
    pub hash_mod: Option<u32>,
}

/// A position that has no price, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unpriced {
    pub position_id: String,
    pub code: String,
    pub reason: String,
}

/// What a request comes to.
pub struct Submitted {
    pub start: Start,
    /// The first of them.
    pub unpriced: Vec<Unpriced>,
}

impl Desk {
    /// Looks everything up that a run needs. What it cannot be without is
    /// refused, naming it; positions without a price are told.
    pub async fn submit(&self, tenant: &TenantId, request: Request) -> Result<Submitted, Problem> {
        let model = self.model(tenant, &request).await?;
        if request.portfolio_scope.node_ids.len() > MAX_BOOKS {
            return Err(Problem::field("/portfolio_scope/node_ids", format!("must be at most {MAX_BOOKS}")));
        }
        let measures = measures(&request.measures)?;
        let snapshot = self.snapshot_id(tenant, &request.market_snapshot_id).await?;
        let snapshot =
            snapshot.ok_or_else(|| Problem::field("/market_snapshot_id", "names no market snapshot"))?;
        let market = self.market(tenant, &snapshot, &model).await?;
        check_day(&request, &market)?;
        let (at, books) = self.scope(tenant, &request).await?;
        let scenarios = self.scenarios(tenant, &request.scenarios, &market, at).await?;
        let portfolio = self.portfolio(tenant, at).await?;
        let positions = inputs::positions(&portfolio, &books);
        let asked = Asked {
            // The position of the log is what a repeated request may differ in.
            request_sha256: content_hash(&serde_json::to_value(&request).map_err(Problem::internal)?),
            request,
            snapshot,
            market,
            at,
            books,
            measures,
            scenarios,
            settings: self.settings.clone(),
        };
        on_a_thread(move || asked.plan(&positions)).await?
    }

    /// What the request names, else what is in force.
    async fn model(&self, tenant: &TenantId, request: &Request) -> Result<Model, Problem> {
        match &request.model_set_id {
            Some(name) => Model::read(name, &request.model_parameters)
                .map_err(|e| refused(&e, &request.model_parameters, "/model_set_id", "/model_parameters")),
            None if !request.model_parameters.is_null() => {
                Err(Problem::field("/model_set_id", "is needed where parameters are given"))
            }
            None => self.model_in_force(tenant).await,
        }
    }

    async fn scope(&self, tenant: &TenantId, request: &Request) -> Result<(u64, Vec<String>), Problem> {
        let books = request.portfolio_scope.node_ids.clone();
        let Some(id) = &request.position_snapshot_id else {
            return Ok((self.services.log.head().await?.position, books));
        };
        let pin = match self.pin(tenant, id).await {
            Ok(pinned) => pinned.pin,
            Err(problem) if problem.kind() == daybook_http::Kind::NotFound => None,
            Err(problem) => return Err(problem),
        };
        let pin = pin.ok_or_else(|| Problem::field("/position_snapshot_id", "names no position snapshot"))?;
        let inside = |book: &String| {
            pin.books.is_empty()
                || pin.books.iter().any(|of| {
                    book == of || book.strip_prefix(of.as_str()).is_some_and(|r| r.starts_with('/'))
                })
        };
        match books.iter().find(|book| !inside(book)) {
            Some(book) => {
                Err(Problem::field("/portfolio_scope/node_ids", format!("{book} is not in the snapshot")))
            }
            None if books.is_empty() => Ok((pin.at, pin.books)),
            None => Ok((pin.at, books)),
        }
    }

    async fn scenarios(
        &self,
        tenant: &TenantId,
        sets: &[Value],
        market: &Arc<Market>,
        at: u64,
    ) -> Result<Vec<Scenario>, Problem> {
        let base = [Value::from("BASE")];
        let sets = if sets.is_empty() { &base[..] } else { sets };
        let mut all = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let refused = |reason: String| Problem::field(format!("/scenarios/{number}"), reason);
            if let Some(history) = History::of(set).map_err(refused)? {
                all.extend(self.history(tenant, &history, market.as_of, at).await?.map_err(refused)?);
                continue;
            }
            let set = ScenarioSet::try_from(set.clone()).map_err(refused)?;
            all.extend(set.scenarios().map_err(refused)?);
        }
        Ok(all)
    }

    async fn history(
        &self,
        tenant: &TenantId,
        history: &History,
        until: Date,
        at: u64,
    ) -> Result<Result<Vec<Scenario>, String>, Problem> {
        let portfolio = self.everything(tenant, at).await?;
        let (vendors, days, id) = (history.vendors.clone(), history.days, history.id.clone());
        on_a_thread(move || {
            let mut scenarios = Vendors::new(&portfolio, &vendors).history(until, days)?;
            if scenarios.is_empty() {
                return Err("there are no two days of snapshots until then".to_owned());
            }
            for scenario in &mut scenarios {
                scenario.scenario_id = format!("{id}:{}", scenario.scenario_id);
            }
            Ok(scenarios)
        })
        .await
    }
}

/// A set of what changed from day to day.
struct History {
    id: String,
    days: usize,
    vendors: Vec<String>,
}

impl History {
    const MAX_DAYS: u64 = 2_000;

    fn of(set: &Value) -> Result<Option<Self>, String> {
        let Some(days) = set.get("days") else { return Ok(None) };
        if set.get("kind").and_then(Value::as_str) != Some("historical") {
            return Err("days are those of a set of kind historical".into());
        }
        let days = days.as_u64().filter(|days| (1..=Self::MAX_DAYS).contains(days));
        let days = days.ok_or_else(|| format!("days must be 1 to {}", Self::MAX_DAYS))?;
        let id = set.get("scenario_set_id").and_then(Value::as_str).unwrap_or("HIST").to_owned();
        let vendors = set.get("vendors").and_then(Value::as_array).cloned().unwrap_or_default();
        let vendors = vendors.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        // At most two thousand.
        Ok(Some(Self { id, days: days as usize, vendors }))
    }
}

fn measures(names: &[String]) -> Result<Vec<Measure>, Problem> {
    let mut measures = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        match Measure::named(name) {
            // They are those of a position and of no use in a cube.
            Some(Measure::Cashflows) => {
                return Err(Problem::field("/measures", "CASHFLOWS are told by explain, not by a run"));
            }
            Some(measure) if !measures.contains(&measure) => measures.push(measure),
            Some(_) => {}
            None => unknown.push(name.as_str()),
        }
    }
    if !unknown.is_empty() {
        let known: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
        let reason = format!("unknown are {}; known are {}", unknown.join(", "), known.join(", "));
        return Err(Problem::field("/measures", reason));
    }
    if measures.is_empty() {
        measures.push(Measure::Pv);
    }
    Ok(measures)
}

fn check_day(request: &Request, market: &Market) -> Result<(), Problem> {
    let Some(asked) = &request.as_of_time else { return Ok(()) };
    let day = asked.get(..10).unwrap_or(asked);
    let day: Date = day.parse().map_err(|e| Problem::field("/as_of_time", e))?;
    match day == market.as_of {
        true => Ok(()),
        false => {
            let reason = format!("is {day}, but the market snapshot is of {}", market.as_of);
            Err(Problem::field("/as_of_time", reason))
        }
    }
}

struct Asked {
    request: Request,
    request_sha256: String,
    snapshot: String,
    market: Arc<Market>,
    at: u64,
    books: Vec<String>,
    measures: Vec<Measure>,
    scenarios: Vec<Scenario>,
    settings: crate::Settings,
}

impl Asked {
    fn plan(self, positions: &[Position]) -> Result<Submitted, Problem> {
        let refused = |reason: String| Problem::field("/scenarios", reason);
        Shifts::new(&self.scenarios, &self.market).map_err(refused)?;
        let hash_mod = self.request.execution.hash_mod.unwrap_or(self.settings.hash_mod);
        let base = self.request.base_currency.clone().unwrap_or_else(|| BASE_CURRENCY.into());
        let by_position = (self.scenarios.len() * self.measures.len()) as u64;
        let cells = positions.len() as u64 * by_position;
        if cells > self.settings.max_cells {
            let most = self.settings.max_cells;
            let reason =
                format!("makes {cells} cells of {} positions; at most {most} are allowed", positions.len());
            return Err(Problem::field("/portfolio_scope", reason));
        }
        let tasks = tasks(positions, hash_mod);
        if let Some(task) = tasks.iter().find(|task| u64::from(task.positions) * by_position > MAX_TASK_CELLS)
        {
            let reason = format!("must be more: {} would have more than {MAX_TASK_CELLS} cells", task.id);
            return Err(Problem::field("/execution/hash_mod", reason));
        }
        let unpriced = unpriced(positions, &self.market, &base);
        if self.request.strict
            && let Some(first) = unpriced.first()
        {
            let reason = format!(
                "has {} positions without a price; {}: {}",
                unpriced.len(),
                first.position_id,
                first.reason
            );
            return Err(Problem::field("/portfolio_scope", reason));
        }
        let plan = Plan {
            run_type: self.request.run_type.unwrap_or_else(|| "SANDBOX".into()),
            request_sha256: self.request_sha256,
            as_of: self.market.as_of.to_string(),
            market_snapshot: self.snapshot,
            at: self.at,
            position_snapshot: self.request.position_snapshot_id,
            books: self.books,
            model: self.market.model.name(),
            parameters: self.market.model.parameters(),
            reprices: None,
            measures: self.measures.iter().map(|measure| measure.name().to_owned()).collect(),
            // At most twenty thousand.
            scenarios: self.scenarios.len() as u32,
            base_currency: Some(base),
            hash_mod,
            lease_seconds: self.settings.lease_seconds,
            max_attempts: self.settings.max_attempts,
            positions: positions.len() as u64,
            unpriced: unpriced.len() as u64,
            tasks,
        };
        let scenarios = serde_json::to_string(&self.scenarios).map_err(Problem::internal)?;
        let unpriced = unpriced.into_iter().take(MAX_NAMED).collect();
        Ok(Submitted { start: Start { plan, scenarios }, unpriced })
    }
}

fn tasks(positions: &[Position], hash_mod: u32) -> Vec<Task> {
    let mut counts: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    for position in positions {
        *counts.entry((&position.product_type, bucket(&position.position_id, hash_mod))).or_default() += 1;
    }
    let of = |((product, bucket), count): ((&str, u32), u32)| Task::new(product, bucket, count);
    let mut tasks: Vec<Task> = counts.into_iter().map(of).collect();
    tasks.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    tasks
}

fn unpriced(positions: &[Position], market: &Market, base: &str) -> Vec<Unpriced> {
    let book = Book::new(positions, market, Some(base));
    let of = |(entry, position): (&models_pricing::book::Entry, &Position)| {
        let flag = entry.trade.as_ref().err()?;
        Some(Unpriced {
            position_id: position.position_id.clone(),
            code: flag.code.to_owned(),
            reason: flag.reason.clone(),
        })
    };
    book.entries.iter().zip(positions).filter_map(of).collect()
}

/// Measures of a plan, as the model knows them.
pub fn measures_of(plan: &Plan) -> Vec<Measure> {
    plan.measures.iter().filter_map(|name| Measure::named(name)).collect()
}

/// Whether numbers of this measure add up over positions.
pub fn adds_up(measure: &str) -> bool {
    Measure::named(measure).is_some_and(|m| unit(m) != domain::valuation::cells::Unit::Plain)
}
