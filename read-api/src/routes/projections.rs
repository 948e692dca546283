//! How far each projection is, and its dead letters.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use daybook_http::auth::Role;
use daybook_http::{Json, Path, Principal, Problem, Query};
use domain::ports::rows::is_worker;
use domain::ports::rows::{Generation, GenerationStatus, ParkedEvent, RowsError, Source};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::limit;
use crate::cursor;
use crate::state::{ReadState, problem};

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/projections", get(list))
        .route("/v1/projections/{name}", get(one))
        .route("/v1/projections/{name}/dead-letters", get(dead_letters))
        .route("/v1/projections/{name}/dead-letters/retry", post(retry))
}

#[derive(OpenApi)]
#[openapi(paths(list, one, dead_letters, retry))]
pub struct Doc;

#[derive(Debug, Serialize, ToSchema)]
struct ProjectionBody {
    name: String,
    generation: u32,
    /// building, ready, live or retired.
    #[schema(value_type = String)]
    status: GenerationStatus,
    /// `name@version`.
    model: String,
    /// Every event up to here is in the rows or among the dead letters.
    position: u64,
    /// Newest position of the log.
    head: u64,
    lag: u64,
    /// Positions a second; `null` if the projector runs in another process.
    rate: Option<f64>,
    /// Until the lag is gone at this rate; `null` if that can't be said.
    eta_seconds: Option<f64>,
    /// Of all tenants.
    dead_letters: u64,
    /// What keeps it from moving, if something does.
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Projections {
    head: u64,
    projections: Vec<ProjectionBody>,
}

/// Every projection with its position against the head of the log.
#[utoipa::path(get, path = "/v1/projections", tag = "Operation", responses((status = 200, body = Projections)))]
async fn list(
    State(state): State<ReadState>,
    principal: Principal,
) -> Result<axum::Json<Projections>, Problem> {
    principal.require_any(&[Role::Reader, Role::Operator])?;
    // The positions first, so that none is past the head.
    let generations = state.rows.generations().await.map_err(problem)?;
    let head = state.log.head().await?.position;
    let projections = generations.iter().filter(|g| !is_worker(&g.id.projection));
    let projections = projections.map(|g| describe(&state, g, head)).collect();
    Ok(axum::Json(Projections { head, projections }))
}

#[derive(Debug, Serialize, ToSchema)]
struct GenerationBody {
    #[serde(flatten)]
    projection: ProjectionBody,
    /// Those of the model, such as its lists of words.
    #[schema(value_type = Object)]
    parameters: serde_json::Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProjectionDetails {
    head: u64,
    /// Newest last; one of them is live.
    generations: Vec<GenerationBody>,
}

/// One projection with the parameters of its model.
#[utoipa::path(get, path = "/v1/projections/{name}", tag = "Operation", params(("name" = String, Path)), responses((status = 200, body = ProjectionDetails)))]
async fn one(
    State(state): State<ReadState>,
    Path(name): Path<String>,
    principal: Principal,
) -> Result<axum::Json<ProjectionDetails>, Problem> {
    principal.require_any(&[Role::Reader, Role::Operator])?;
    let mut generations = state.rows.generations().await.map_err(problem)?;
    generations.retain(|g| *g.id.projection == *name && !is_worker(&name));
    if generations.is_empty() {
        return Err(Problem::not_found());
    }
    generations.sort_by_key(|g| g.id.number);
    let head = state.log.head().await?.position;
    let body = |g: Generation| GenerationBody {
        projection: describe(&state, &g, head),
        parameters: g.model.parameters,
    };
    let generations = generations.into_iter().map(body).collect();
    Ok(axum::Json(ProjectionDetails { head, generations }))
}

fn describe(state: &ReadState, generation: &Generation, head: u64) -> ProjectionBody {
    let lag = head.saturating_sub(generation.position);
    let activity = state.board.generation(&generation.id).activity();
    let rate = activity.leading.then_some(activity.rate);
    let eta_seconds = match rate {
        _ if lag == 0 => Some(0.0),
        Some(rate) if rate > 0.0 => Some(lag as f64 / rate),
        _ => None,
    };
    ProjectionBody {
        name: generation.id.projection.to_string(),
        generation: generation.id.number,
        status: generation.status,
        model: generation.model.to_string(),
        position: generation.position,
        head,
        lag,
        rate,
        eta_seconds,
        dead_letters: generation.dead_letters,
        error: activity.error.map(|_| "the projector is stopped; its log says why".into()),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DeadLetterBody {
    position: u64,
    #[serde(rename = "type")]
    event_type: String,
    /// What waits as a whole.
    partition: String,
    /// Why it failed; `null` for one that waits behind it.
    error: Option<String>,
    attempts: u32,
    retry_requested: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct DeadLetters {
    /// Oldest first.
    dead_letters: Vec<DeadLetterBody>,
    next: Option<String>,
}

/// The tenant's events that could not be folded, and those that wait behind them.
#[utoipa::path(get, path = "/v1/projections/{name}/dead-letters", tag = "Operation", params(("name" = String, Path), Page), responses((status = 200, body = DeadLetters)))]
async fn dead_letters(
    State(state): State<ReadState>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
    principal: Principal,
) -> Result<axum::Json<DeadLetters>, Problem> {
    principal.require_any(&[Role::Reader, Role::Operator])?;
    let limit = limit(page.limit, 100, MAX_LIMIT)?;
    let scope = ["dead-letters", principal.tenant.as_str(), &name];
    let after = page.cursor.as_ref().map(|text| cursor::decode(&scope, text)).transpose()?.unwrap_or(0);
    let found =
        state.rows.dead_letters(&Source::live(&name), Some(&principal.tenant), after, limit + 1).await;
    let found = found.map_err(unknown)?;
    let next = match found.get(..limit).and_then(<[_]>::last) {
        Some(last) if found.len() > limit => Some(cursor::encode(&scope, &last.letter.position)?),
        _ => None,
    };
    let dead_letters = found.into_iter().take(limit).map(body).collect();
    Ok(axum::Json(DeadLetters { dead_letters, next }))
}

fn body(parked: ParkedEvent) -> DeadLetterBody {
    DeadLetterBody {
        position: parked.letter.position,
        event_type: parked.letter.event_type,
        partition: parked.letter.partition,
        error: parked.letter.error,
        attempts: parked.attempts,
        retry_requested: parked.retry_requested,
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// Only this sequence; all of the tenant's unless told.
    partition: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Requested {
    /// Events that are going to be applied again, in order.
    events: u64,
}

/// Asks for the tenant's waiting sequences to be applied again. The projector
/// does so within a second or two.
#[utoipa::path(post, path = "/v1/projections/{name}/dead-letters/retry", tag = "Operation", params(("name" = String, Path)), request_body = Retry, responses((status = 200, body = Requested)))]
async fn retry(
    State(state): State<ReadState>,
    Path(name): Path<String>,
    principal: Principal,
    Json(retry): Json<Retry>,
) -> Result<axum::Json<Requested>, Problem> {
    principal.require(Role::Operator)?;
    let source = Source::live(&name);
    let events = state.rows.request_retry(&source, &principal.tenant, retry.partition.as_deref()).await;
    Ok(axum::Json(Requested { events: events.map_err(unknown)? }))
}

/// Here the name comes from the path.
fn unknown(error: RowsError) -> Problem {
    match error {
        RowsError::UnknownProjection(_) => Problem::not_found(),
        other => problem(other),
    }
}
