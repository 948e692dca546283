//! «Why this number?»: a row of a read model, the events that made it what it
//! is, and how it looked at another time.

use std::collections::BTreeSet;

use axum::extract::State;
use daybook_http::{Json, Kind, Path, Problem, Query as Parameters};
use domain::decide::Rejection;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::ports::rows::{GenerationId, ModelId, Query, RowKey, RowsError, Source};
use domain::replay::FIRST;
use domain::{RecordedEvent, TenantId};
use projections::{ModelError, instantiate, versions};
use replays::compare::{ExplainError, Part, RowName, Traced, trace};
use replays::engine::At;
use replays::facts::decided_at;
use replays::{Engine, ReplayError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::AuditState;
use crate::access::{Auditor, rows_problem, within};
use crate::body::EventBody;

pub const MAX_LIMIT: usize = 1_000;

/// Which row, and what is told of it.
#[derive(Debug, Clone)]
pub struct Ask {
    pub projection: String,
    pub table: String,
    pub key: String,
    /// As it was then; as it is unless told.
    pub at: Option<At>,
    /// Events are told past this position,
    pub after: u64,
    /// so many of them.
    pub limit: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Why {
    pub tenant: String,
    pub projection: String,
    pub table: String,
    pub key: String,
    /// The one that readers saw.
    pub generation: u32,
    pub model: Model,
    /// The row reflects the events up to here and no other.
    pub position: u64,
    /// As it is stored or, with `at`, as it is folded again. Not there if there
    /// was no such row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub row: Option<Box<RawValue>>,
    /// Whether folding the events again gives the stored row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same: Option<bool>,
    /// What it gives, if that is another row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub folded: Option<Box<RawValue>>,
    /// Why the events were not folded again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_folded: Option<String>,
    /// How many events changed the row.
    pub count: u64,
    pub events: Vec<Behind>,
    /// `after` of the next events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// With `at`: how an operator gets all rows as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// `name@version`.
    #[schema(example = "bots@2")]
    pub model: String,
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Whether the log says so. It does not of the generation that an
    /// installation began with; that has the model that the rows name.
    pub recorded: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Behind {
    #[serde(flatten)]
    pub event: EventBody,
    /// Where its proof is.
    pub proof: String,
}

#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    #[error("there is no such row")]
    NoRow,
    #[error("there is no such table of {0}")]
    NoTable(String),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Broken(String),
}

/// What readers are shown, or were.
struct Shown {
    generation: u32,
    model: ModelId,
    recorded: bool,
    position: u64,
    row: Option<String>,
    left_out: BTreeSet<u64>,
}

/// Looks at the row and folds the history of its tenant again, up to where the
/// row is. Events are told from `recorded`, as they can be proved.
pub async fn why(
    engine: &Engine,
    recorded: &dyn EventLog,
    tenant: &TenantId,
    ask: &Ask,
) -> Result<Why, WhyError> {
    let shown = match ask.at {
        None => now(engine, tenant, ask).await?,
        Some(at) => then(engine, ask, engine.position_at(at).await?).await?,
    };
    let past = ask.at.is_some();
    let part = Part { through: shown.position, left_out: shown.left_out, after: ask.after, limit: ask.limit };
    let row = RowKey { tenant: tenant.clone(), key: ask.key.as_str().into() };
    let name = RowName { table: ask.table.clone(), row };
    let traced = match instantiate(&ask.projection, &shown.model) {
        Ok(projection) if projection.tables().iter().all(|t| t.name != ask.table) => {
            return Err(WhyError::NoTable(ask.projection.clone()));
        }
        Ok(projection) => match trace(&*engine.log, projection, &name, part).await {
            Ok(traced) => Ok(traced),
            Err(error @ ExplainError::TooLarge) => Err(error.to_string()),
            Err(ExplainError::Log(error)) => return Err(error.into()),
            Err(ExplainError::Rows(error)) => return Err(error.into()),
            Err(ExplainError::Broken(reason)) => return Err(WhyError::Broken(reason)),
        },
        Err(error @ ModelError::UnknownModel { .. }) => Err(error.to_string()),
        Err(error) => return Err(ReplayError::from(error).into()),
    };
    let (traced, not_folded) = match traced {
        Ok(traced) => (traced, None),
        Err(reason) => (Traced::default(), Some(reason)),
    };
    let same = (!past && not_folded.is_none()).then(|| equal(shown.row.as_deref(), traced.doc.as_deref()));
    let (row, folded) = match (past, same) {
        (true, _) => (traced.doc, None),
        (false, Some(false)) => (shown.row, traced.doc),
        (false, _) => (shown.row, None),
    };
    let next = (traced.events.len() == ask.limit).then(|| traced.events.last().map(|e| e.position)).flatten();
    let events = as_recorded(recorded, &traced.events).await?.into_iter().map(|event| {
        let proof = format!("/v1/audit/proofs/{}", event.position);
        EventBody::new(event).map(|event| Behind { event, proof })
    });
    let events =
        events.collect::<Result<Vec<_>, _>>().map_err(|p| WhyError::Broken(p.detail().to_owned()))?;
    let raw = |doc: Option<String>| doc.map(RawValue::from_string).transpose();
    let raw = |doc| raw(doc).map_err(|e| WhyError::Broken(e.to_string()));
    Ok(Why {
        tenant: tenant.to_string(),
        projection: ask.projection.clone(),
        table: ask.table.clone(),
        key: ask.key.clone(),
        generation: shown.generation,
        build: past.then(|| build(&ask.projection, &shown.model, shown.position)),
        model: Model {
            model: shown.model.to_string(),
            parameters: shown.model.parameters,
            recorded: shown.recorded,
        },
        position: shown.position,
        row: raw(row)?,
        same,
        folded: raw(folded)?,
        not_folded,
        count: traced.count,
        events,
        next,
    })
}

/// The same events, with what is personal sealed.
async fn as_recorded(log: &dyn EventLog, events: &[RecordedEvent]) -> Result<Vec<RecordedEvent>, WhyError> {
    let mut found: Vec<RecordedEvent> = Vec::with_capacity(events.len());
    while let Some(next) = events.get(found.len()) {
        let rest = &events[found.len()..];
        let run =
            rest.iter().zip(next.position..).take_while(|(event, position)| event.position == *position);
        let run = run.count();
        let page = log.read(next.position - 1, run, &ReadFilter::default()).await?;
        let same = page.events.iter().zip(rest).all(|(a, b)| a.position == b.position && a.leaf == b.leaf);
        if page.events.is_empty() || !same {
            return Err(WhyError::Broken(format!("position {} was read differently twice", next.position)));
        }
        found.extend(page.events);
    }
    Ok(found)
}

async fn now(engine: &Engine, tenant: &TenantId, ask: &Ask) -> Result<Shown, WhyError> {
    let query = Query::get(&ask.table, &ask.key);
    let read = engine.rows.read(&Source::live(&ask.projection), tenant, &[query]).await?;
    let row = read.results.into_iter().flatten().next().ok_or(WhyError::NoRow)?.doc;
    let facts = engine.facts(&ask.projection).await?;
    let number = read.generation.number;
    Ok(Shown {
        generation: number,
        recorded: facts.state.generations.get(&number).is_some_and(|known| known.model.is_some()),
        left_out: facts.state.left_out(number),
        model: read.model,
        position: read.position,
        row: Some(row),
    })
}

/// What was live when the log ended at this position, as the facts have it.
async fn then(engine: &Engine, ask: &Ask, position: u64) -> Result<Shown, WhyError> {
    let state = decided_at(&*engine.log, &ask.projection, position).await?;
    let known = state.generations.get(&state.live).and_then(|known| known.model.clone());
    let recorded = known.is_some();
    let model = match known {
        Some(model) => model,
        None => first_model(engine, &ask.projection).await?,
    };
    let left_out = state.left_out(state.live);
    Ok(Shown { generation: state.live, model, recorded, position, row: None, left_out })
}

/// Of the generation that nobody asked for.
async fn first_model(engine: &Engine, projection: &str) -> Result<ModelId, WhyError> {
    let first = engine.of(projection).await?.into_iter().find(|g| g.id.number == FIRST);
    let default = || versions(projection).into_iter().next();
    let id = || GenerationId { projection: projection.into(), number: FIRST };
    Ok(first.map(|g| g.model).or_else(default).ok_or_else(|| ReplayError::UnknownGeneration(id()))?)
}

fn equal(stored: Option<&str>, folded: Option<&str>) -> bool {
    let parsed = |text: Option<&str>| text.map(serde_json::from_str::<Value>).transpose().ok();
    match (parsed(stored), parsed(folded)) {
        (Some(stored), Some(folded)) => stored == folded,
        _ => stored == folded,
    }
}

fn build(projection: &str, model: &ModelId, position: u64) -> String {
    let parameters = if model.parameters.is_null() { "" } else { " --params <these parameters>" };
    format!("daybook replay build {projection} --model {model}{parameters} --at {position}")
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RowPath {
    projection: String,
    table: String,
    /// As the row store has it: ids joined with `/`, which stands as it is or
    /// as `%2F`.
    key: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Bounds {
    /// A position, or an RFC 3339 time: what was shown then. What is shown now
    /// unless told.
    at: Option<String>,
    /// Tell events past this position: `next` of the answer before.
    after: Option<u64>,
    /// Most events told: 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

/// A row of a read model, which model made it of which events, and where their
/// proofs are. The tenant's history is folded again, which takes time in
/// proportion to it: one such request is worked on at once.
#[utoipa::path(get, path = "/v1/audit/why/{projection}/{table}/{key}", tag = "Audit", params(RowPath, Bounds), responses((status = 200, body = Why)))]
pub async fn answer(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(path): Path<RowPath>,
    Parameters(bounds): Parameters<Bounds>,
) -> Result<Json<Why>, Problem> {
    let tenant = auditor.tenant(bounds.tenant.as_deref())?;
    let limit = within("limit", bounds.limit, 100, MAX_LIMIT)?;
    let at = bounds.at.map(|text| text.parse::<At>()).transpose();
    let at = at.map_err(|reason| Problem::parameter("at", reason))?;
    let RowPath { projection, table, key } = path;
    if key.len() > domain::ports::rows::MAX_KEY_BYTES {
        return Err(Problem::not_found());
    }
    let ask = Ask { projection, table, key, at, after: bounds.after.unwrap_or(0), limit };
    let _turn = state.turn()?;
    why(&state.engine, &*state.log, &tenant, &ask).await.map(Json).map_err(problem)
}

fn problem(error: WhyError) -> Problem {
    match error {
        WhyError::NoRow
        | WhyError::NoTable(_)
        | WhyError::Replay(ReplayError::UnknownProjection(_) | ReplayError::UnknownGeneration(_))
        | WhyError::Rows(RowsError::UnknownProjection(_) | RowsError::UnknownTable(_)) => {
            Problem::not_found()
        }
        WhyError::Replay(ReplayError::Rejected(Rejection::Field { reason, .. })) => {
            Problem::parameter("at", reason)
        }
        WhyError::Replay(ReplayError::Log(error)) | WhyError::Log(error) => error.into(),
        WhyError::Replay(ReplayError::Rows(error)) | WhyError::Rows(error) => rows_problem(error),
        other => Problem::internal(other),
    }
}

impl AuditState {
    /// For what goes through all of a history.
    pub(crate) fn turn(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
        self.heavy.clone().try_acquire_owned().map_err(|_| {
            let detail = "The history is gone through for another request already.";
            Problem::new(Kind::TooManyQueries, detail).retry_after(2)
        })
    }
}
