//! Positions, one by one.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use commands::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody};
use commands::{Outcome, write};
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem, Query};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::valuation::position::{Command, Position};
use models_pricing::position::Position as Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::Desk;
use crate::inputs::{self, holding, open as opening};

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<Desk> {
    Router::new()
        .route("/v1/positions/{id}/open", post(open))
        .route("/v1/positions/{id}/amend", post(amend))
        .route("/v1/positions/{id}/transfer", post(transfer))
        .route("/v1/positions/{id}/tag", post(tag))
        .route("/v1/positions/{id}/close", post(close))
}

pub fn reads() -> Router<Desk> {
    Router::new().route("/v1/positions", get(list)).route("/v1/positions/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(open, amend, transfer, tag, close, list, one))]
pub struct Doc;

/// As the body says, under the path's id.
fn row(id: &str, mut body: Map<String, Value>) -> Result<Row, Problem> {
    let named = body.insert("position_id".into(), id.into());
    if named.is_some_and(|named| named != id) {
        return Err(Problem::field("/position_id", "is not that of the path"));
    }
    super::rows::read(&Value::Object(body), None).map_err(|reason| Problem::field("", reason))
}

/// Open a position. Members: product_type, book, quantity, terms or instrument_id
/// and instrument_version, tags; or the replaced service's.
#[utoipa::path(post, path = "/v1/positions/{id}/open", tag = "Positions", params(("id" = String, Path), CommandHeaders), request_body = Object, responses(CommandAnswers))]
async fn open(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Map<String, Value>>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, opening(row(&id, body.value)?)).await
}

/// Replace what a position holds: product, quantity and terms.
#[utoipa::path(post, path = "/v1/positions/{id}/amend", tag = "Positions", params(("id" = String, Path), CommandHeaders), request_body = Object, responses(CommandAnswers))]
async fn amend(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Map<String, Value>>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Amend(holding(row(&id, body.value)?))).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Transfer {
    /// A book, such as `DESK/BOOK`.
    to: String,
}

/// Move a position to another book.
#[utoipa::path(post, path = "/v1/positions/{id}/transfer", tag = "Positions", params(("id" = String, Path), CommandHeaders), request_body = Transfer, responses(CommandAnswers))]
async fn transfer(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Transfer>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Transfer { to: body.value.to }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Tag {
    tags: BTreeMap<String, String>,
}

/// Replace a position's tags.
#[utoipa::path(post, path = "/v1/positions/{id}/tag", tag = "Positions", params(("id" = String, Path), CommandHeaders), request_body = Tag, responses(CommandAnswers))]
async fn tag(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Tag>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Tag { tags: body.value.tags }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Close {
    /// Kept with the fact.
    reason: Option<String>,
}

/// Close a position.
#[utoipa::path(post, path = "/v1/positions/{id}/close", tag = "Positions", params(("id" = String, Path), CommandHeaders), request_body = Close, responses(CommandAnswers))]
async fn close(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Close>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Close { reason: body.value.reason }).await
}

async fn say(
    desk: &Desk,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Position>(&desk.services, caller, id, body_hash, UrlPolicy::default(), command).await
}

/// A position as it is.
#[utoipa::path(get, path = "/v1/positions/{id}", tag = "Positions", params(("id" = String, Path)), responses((status = 200, body = Object), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn one(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    principal: Principal,
) -> Result<Json<Position>, Problem> {
    principal.require(Role::Reader)?;
    inputs::state::<Position>(&desk, &principal.tenant, &id).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListOf {
    /// A book and those below it; all unless told.
    book: Option<String>,
    /// Past this id.
    after: Option<String>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Positions {
    /// The log's end when it was read.
    at: u64,
    /// Open ones, in the order of their ids.
    #[schema(value_type = Vec<Object>)]
    positions: Vec<Row>,
    /// `after` of the next page, if there is one.
    next: Option<String>,
}

/// Open positions with their terms.
#[utoipa::path(get, path = "/v1/positions", tag = "Positions", params(ListOf), responses((status = 200, body = Positions), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn list(
    State(desk): State<Desk>,
    Query(of): Query<ListOf>,
    principal: Principal,
) -> Result<Json<Positions>, Problem> {
    principal.require(Role::Reader)?;
    let limit = of.limit.unwrap_or(100);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::parameter("limit", format!("must be 1 to {MAX_LIMIT}")));
    }
    let at = desk.services.log.head().await?.position;
    let portfolio = desk.portfolio(&principal.tenant, at).await?;
    let books: Vec<String> = of.book.into_iter().collect();
    let past = |row: &Row| of.after.as_ref().is_none_or(|after| row.position_id > *after);
    let mut positions: Vec<Row> =
        inputs::positions(&portfolio, &books).into_iter().filter(past).take(limit + 1).collect();
    let more = positions.len() > limit;
    positions.truncate(limit);
    let next = positions.last().filter(|_| more).map(|row| row.position_id.clone());
    Ok(Json(Positions { at, positions, next }))
}
