//! Position snapshots: positions as they were at a position of the log, under a
//! name.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use commands::caller::{Caller, CommandHeaders, ProblemBody, problem};
use commands::execute::{Call, execute};
use commands::many::execute_many;
use daybook_http::extract::BodyLimits;
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::valuation::market_snapshot::canonical;
use domain::valuation::position::Position;
use domain::valuation::position_snapshot::{Pin, PositionSnapshot, Take};
use models_pricing::position::Position as Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::{OpenApi, ToSchema};

use crate::submit::Scope;
use crate::{Desk, inputs, on_a_thread};

const CHUNK: usize = 500;
const MAX_BODY_BYTES: usize = 64 << 20;

pub fn router() -> Router<Desk> {
    let limits = BodyLimits { bytes: MAX_BODY_BYTES, ..BodyLimits::default() };
    Router::new().route("/v1/position-snapshots", post(take)).layer(Extension(limits))
}

pub fn reads() -> Router<Desk> {
    Router::new().route("/v1/position-snapshots/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(take, one))]
pub struct Doc;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Its name; `PS-<book>-<day>-<hash>` unless told.
    #[serde(alias = "snapshot_id")]
    position_snapshot_id: Option<String>,
    #[serde(alias = "as_of")]
    as_of_time: Option<String>,
    /// A book; with `positions`, where they are held unless they say otherwise.
    portfolio_node_id: Option<String>,
    #[serde(default, alias = "scope")]
    portfolio_scope: Scope,
    /// Up to this position of the log; now unless told.
    at: Option<u64>,
    /// Opened, or amended to what is said, before the snapshot is taken.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    positions: Vec<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Taken {
    position_snapshot_id: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pin: Pin,
    /// The same as `sha256`.
    payload_hash: String,
}

/// Pin positions: of some books or all, now or at a position of the log. With
/// `positions`, as the replaced service took them, these are recorded first.
#[utoipa::path(post, path = "/v1/position-snapshots", tag = "Positions", params(CommandHeaders), request_body = Body, responses((status = 201, body = Taken), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn take(State(desk): State<Desk>, caller: Caller, body: JsonBody<Body>) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let Body { position_snapshot_id, as_of_time, portfolio_node_id, portfolio_scope, at, positions } =
        body.value;
    let call = caller.call(Role::Writer, "-", body.hash, UrlPolicy::default());
    let tenant = &call.principal.tenant;
    let rows = rows(&positions, portfolio_node_id.as_deref())?;
    let mut books = portfolio_scope.node_ids;
    if let Some(book) = portfolio_node_id.filter(|_| books.is_empty()) {
        books.push(book);
    }
    let recorded = record(&desk, &call, rows).await?;
    let head = desk.services.log.head().await?.position;
    let at = match at {
        Some(_) if recorded => return Err(Problem::field("/at", "must not be given beside positions")),
        Some(at) if at > head => return Err(Problem::field("/at", format!("is past the log's end, {head}"))),
        given => given.unwrap_or(head),
    };
    let portfolio = desk.portfolio(tenant, at).await?;
    let scope = books.clone();
    let (count, sha256) = on_a_thread(move || digest(&inputs::positions(&portfolio, &scope))).await?;
    let id = position_snapshot_id.unwrap_or_else(|| name(&books, as_of_time.as_deref(), &sha256));
    let pin = Pin { at, books, as_of: as_of_time, positions: count, sha256 };
    let call = Call { id: id.clone(), ..call };
    let outcome = execute::<PositionSnapshot>(&desk.services, &call, Take(pin)).await;
    let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
    // As it was taken first.
    let taken = shown(&desk, &call.principal, &id).await?;
    Ok((StatusCode::CREATED, outcome.answer(taken)).into_response())
}

fn rows(positions: &[Value], book: Option<&str>) -> Result<Vec<Row>, Problem> {
    let read = |(at, row): (usize, &Value)| {
        Row::read(row, book).map_err(|reason| Problem::field(format!("/positions/{at}"), reason))
    };
    positions.iter().enumerate().map(read).collect()
}

/// True if there was something to record. A position that is open and differs is
/// amended.
async fn record(desk: &Desk, call: &Call, rows: Vec<Row>) -> Result<bool, Problem> {
    use domain::decide::Rejection;
    use domain::valuation::position::Command;
    let some = !rows.is_empty();
    for (chunk, first) in rows.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let of = |row: &Row| (row.position_id.clone(), inputs::open(row.clone()));
        let taken = execute_many::<Position>(&desk.services, call, chunk.iter().map(of).collect()).await;
        for ((at, row), taken) in (first..).zip(chunk).zip(taken) {
            let refusal = match taken {
                Ok(_) => continue,
                Err(commands::execute::Refusal::Rejected(Rejection::State(_))) => {
                    let call = Call { id: row.position_id.clone(), idempotency: None, ..call.clone() };
                    let amended = Command::Amend(inputs::holding(row.clone()));
                    match execute::<Position>(&desk.services, &call, amended).await {
                        Ok(_) => continue,
                        Err(refusal) => refusal,
                    }
                }
                Err(refusal) => refusal,
            };
            return Err(match refusal {
                commands::execute::Refusal::Rejected(Rejection::Field { field, reason }) => {
                    Problem::field(format!("/positions/{at}{field}"), reason)
                }
                other => problem(other, false),
            });
        }
    }
    Ok(some)
}

/// How many, and the hash of them in canonical JSON, a line each.
fn digest(positions: &[Row]) -> (u64, String) {
    let mut hash = Sha256::new();
    for position in positions {
        let row = serde_json::to_value(position).unwrap_or_default();
        hash.update(canonical(&row));
        hash.update(b"\n");
    }
    (positions.len() as u64, hex::encode(hash.finalize()))
}

fn name(books: &[String], as_of: Option<&str>, sha256: &str) -> String {
    let book = books.first().map_or("ALL", String::as_str).replace('/', ".");
    let day: String = as_of.unwrap_or_default().chars().filter(char::is_ascii_digit).take(8).collect();
    format!("PS-{book}-{day}-{}", &sha256[..8])
}

async fn shown(desk: &Desk, principal: &Principal, id: &str) -> Result<Taken, Problem> {
    let pin = desk.pin(&principal.tenant, id).await?.pin.ok_or_else(Problem::not_found)?;
    Ok(Taken { position_snapshot_id: id.to_owned(), payload_hash: pin.sha256.clone(), pin })
}

#[derive(Debug, Serialize, ToSchema)]
struct WithPositions {
    #[serde(flatten)]
    taken: Taken,
    #[schema(value_type = Vec<Object>)]
    positions: Vec<Row>,
}

/// A pin and what it holds.
#[utoipa::path(get, path = "/v1/position-snapshots/{id}", tag = "Positions", params(("id" = String, Path)), responses((status = 200, body = WithPositions), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn one(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    principal: Principal,
) -> Result<Json<WithPositions>, Problem> {
    principal.require(Role::Reader)?;
    let taken = shown(&desk, &principal, &id).await?;
    let portfolio = desk.portfolio(&principal.tenant, taken.pin.at).await?;
    let positions = inputs::positions(&portfolio, &taken.pin.books);
    Ok(Json(WithPositions { taken, positions }))
}
