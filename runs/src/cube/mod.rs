//! What runs made, read: cells of the objects, aggregated as they are asked for.

mod compare;
mod dims;
mod explain;
mod risk;
mod slice;
mod summary;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use daybook_http::{Kind, Problem};
use domain::TenantId;
use domain::ports::results::ResultError;
use domain::valuation::cells::{Column, TaskCells, Unit};
use domain::valuation::run::{Plan, Run};
use futures::{StreamExt, TryStreamExt, stream};

use crate::repricing::InForce;
use crate::{Desk, inputs};

pub use compare::Comparison;
pub use explain::Explained;
pub use risk::{Asked as RiskAsked, Risk};
pub use slice::{Asked as SliceAsked, MAX_ROWS, Row, Slice};
pub use summary::Summary;

/// Objects fetched at once.
const FETCHED: usize = 4;
/// Of decoded numbers that are kept for the next question.
const KEPT_BYTES: usize = 256 << 20;

/// Columns of the objects that were read last.
#[derive(Default)]
pub struct Cache {
    parts: Mutex<VecDeque<(Key, Arc<TaskCells>, usize)>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    tenant: TenantId,
    sha256: String,
    measures: Vec<String>,
}

impl Cache {
    fn get(&self, key: &Key) -> Option<Arc<TaskCells>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().find(|(known, _, _)| known == key).map(|(_, cells, _)| cells.clone())
    }

    fn keep(&self, key: Key, cells: &Arc<TaskCells>) {
        let bytes = cells.columns.iter().map(|column| column.values.len() * 8).sum::<usize>() + (64 << 10);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.iter().any(|(known, _, _)| *known == key) {
            return;
        }
        parts.push_back((key, cells.clone(), bytes));
        let mut total: usize = parts.iter().map(|(_, _, bytes)| bytes).sum();
        while total > KEPT_BYTES
            && let Some((_, _, bytes)) = parts.pop_front()
        {
            total -= bytes;
        }
    }
}

/// A run's cells, as far as they are there.
pub struct Cube {
    pub run_id: String,
    /// Whose results they are.
    pub generation: u32,
    pub run: Run,
    pub plan: Plan,
    /// One for each task that is done, in the order of the tasks.
    pub parts: Vec<Arc<TaskCells>>,
    pub scenarios: Vec<String>,
}

impl Desk {
    /// The cells of some measures, which must be the run's.
    pub async fn cube(&self, tenant: &TenantId, of: &InForce, measures: &[String]) -> Result<Cube, Problem> {
        let mut run: Run = inputs::state(self, tenant, &of.stored).await?;
        let plan = run.plan.take().ok_or_else(Problem::not_found)?;
        for measure in measures {
            if !plan.measures.contains(measure) {
                let reason = format!("{measure} was not computed; {} were", plan.measures.join(", "));
                return Err(Problem::parameter("measure", reason));
            }
        }
        let hashes: Vec<String> = run.results().map(|(_, cells)| cells.sha256.clone()).collect();
        let parts: Vec<Arc<TaskCells>> = stream::iter(hashes)
            .map(|sha256| self.part(tenant, sha256, measures))
            .buffered(FETCHED)
            .try_collect()
            .await?;
        let scenarios = parts.first().map(|part| part.scenarios.clone()).unwrap_or_default();
        let (run_id, generation) = (of.run_id.clone(), of.generation);
        Ok(Cube { run_id, generation, run, plan, parts, scenarios })
    }

    async fn part(
        &self,
        tenant: &TenantId,
        sha256: String,
        measures: &[String],
    ) -> Result<Arc<TaskCells>, Problem> {
        let key = Key { tenant: tenant.clone(), sha256: sha256.clone(), measures: measures.to_vec() };
        if let Some(part) = self.cubes.get(&key) {
            return Ok(part);
        }
        let part = self.results.get(tenant, &sha256, measures).await.map_err(unreadable)?;
        let part = Arc::new(part);
        self.cubes.keep(key, &part);
        Ok(part)
    }
}

fn unreadable(error: ResultError) -> Problem {
    tracing::error!(%error, "results cannot be read");
    match error {
        ResultError::Damaged { object, .. } => {
            Problem::new(Kind::Unavailable, format!("The result {object} is damaged and is not shown."))
        }
        ResultError::Missing { object } => {
            Problem::new(Kind::Unavailable, format!("The result {object} is missing."))
        }
        _ => Problem::new(Kind::Unavailable, "The results cannot be read at the moment.").retry_after(2),
    }
}

impl Cube {
    /// The places of scenarios that are named, or named up to a `*` at the end.
    pub fn scenarios(&self, named: &str) -> Result<Vec<usize>, Problem> {
        let mut places = Vec::new();
        for name in named.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let before = places.len();
            match name.strip_suffix('*') {
                Some(start) => {
                    let of = |(at, id): (usize, &String)| id.starts_with(start).then_some(at);
                    places.extend(self.scenarios.iter().enumerate().filter_map(of));
                }
                None => places.extend(self.scenarios.iter().position(|id| id == name)),
            }
            if places.len() == before {
                return Err(Problem::parameter("scenario", format!("{name} is none of the run's")));
            }
        }
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// Tasks that have no result.
    pub fn missing_tasks(&self) -> Vec<String> {
        let done: Vec<&str> = self.run.results().map(|(id, _)| id).collect();
        self.plan.tasks.iter().filter(|t| !done.contains(&t.id.as_str())).map(|t| t.id.clone()).collect()
    }
}

/// A number in the base currency, or none.
pub(crate) fn in_base(part: &TaskCells, column: &Column, position: usize, scenario: usize) -> Option<f64> {
    let value = column.values[position * part.scenarios.len() + scenario];
    if value.is_nan() {
        return None;
    }
    match column.unit {
        Unit::Base | Unit::Plain => Some(value),
        Unit::Trade => {
            let currency = part.positions[position].currency.as_deref()?;
            Some(value * part.rates_of(currency)?[scenario]?)
        }
    }
}

/// Why a cell has no number.
pub(crate) fn flag_of(column: &Column, cell: usize) -> Option<(&str, &str)> {
    let flag = column.flagged.iter().find(|flag| (flag.from..flag.to).contains(&cell))?;
    Some((&flag.code, &flag.reason))
}

/// From the best to the worst.
pub(crate) const QUALITIES: [&str; 5] = ["ok", "interpolated", "proxy", "stale", "missing"];

pub(crate) fn rank(quality: &str) -> usize {
    QUALITIES.iter().position(|known| *known == quality).unwrap_or(QUALITIES.len() - 1)
}
