//! Market snapshots: known by the hash of their content, immutable, and called
//! by names that clients give them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use commands::caller::{Caller, CommandHeaders, ProblemBody, problem};
use commands::execute::{Call, execute};
use daybook_http::extract::BodyLimits;
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::valuation::market_name::{Give, MarketName};
use domain::valuation::market_snapshot::{MAX_CONTENT_BYTES, MarketSnapshot, Record};
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::inputs::market_of;
use crate::{Desk, on_a_thread};

pub fn router() -> Router<Desk> {
    // White space and names come on top of what is kept.
    let limits = BodyLimits { bytes: 2 * MAX_CONTENT_BYTES, ..BodyLimits::default() };
    Router::new().route("/v1/marketdata/snapshots", post(record)).layer(Extension(limits))
}

pub fn reads() -> Router<Desk> {
    Router::new().route("/v1/marketdata/snapshots/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(record, one))]
pub struct Doc;

#[derive(Debug, Serialize, ToSchema)]
struct Recorded {
    /// SHA-256 of the content: its id.
    id: String,
    /// What it is called, or its id.
    snapshot_id: String,
    /// The same as `id`.
    payload_hash: String,
    as_of_time: String,
    /// Whether it was there already.
    unchanged: bool,
}

/// Record a market snapshot: curves, exchange rates, volatilities, fixings, each
/// quote with its quality. The same content twice is one snapshot. A name
/// (`snapshot_id`) is that of one content for ever.
#[utoipa::path(post, path = "/v1/marketdata/snapshots", tag = "Market data", params(CommandHeaders), request_body = Object, responses((status = 200, body = Recorded), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn record(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<Value>,
) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let record = Record::new(body.value)?;
    let content = record.content.clone();
    on_a_thread(move || market_of(content)).await?.map_err(|reason| Problem::field("", reason))?;
    let id = record.id();
    let name = record.name.clone();
    let call = caller.call(Role::Writer, &id, body.hash, UrlPolicy::default());
    if let Some(name) = &name
        && let Some(other) = taken(&desk, &call, name, &id).await?
    {
        let reason = format!("is the name of another snapshot, {other}; snapshots don't change");
        return Err(Problem::new(daybook_http::Kind::Conflict, format!("{name} {reason}")));
    }
    let as_of_time = record.as_of.clone();
    let refused = |e| problem(e, call.names_version());
    let mut outcome = execute::<MarketSnapshot>(&desk.services, &call, record).await.map_err(refused)?;
    let unchanged = outcome.events.is_empty();
    if let Some(name) = &name {
        let call = Call { id: name.clone(), idempotency: None, if_match: None, ..call };
        let given = execute::<MarketName>(&desk.services, &call, Give { sha256: id.clone() }).await;
        outcome.position = outcome.position.max(given.map_err(|e| problem(e, false))?.position);
    }
    let snapshot_id = name.unwrap_or_else(|| id.clone());
    let body = Recorded { snapshot_id, payload_hash: id.clone(), id, as_of_time, unchanged };
    Ok(outcome.answer(body))
}

/// The other content that has this name.
async fn taken(desk: &Desk, call: &Call, name: &str, id: &str) -> Result<Option<String>, Problem> {
    let known = desk.snapshot_id(&call.principal.tenant, name).await?;
    Ok(known.filter(|known| known != id))
}

#[derive(Debug, Serialize, ToSchema)]
struct Shown {
    id: String,
    snapshot_id: String,
    payload_hash: String,
    as_of_time: String,
    vendor: Option<String>,
    #[schema(value_type = Object)]
    content: Value,
}

/// A snapshot by its id or what it is called.
#[utoipa::path(get, path = "/v1/marketdata/snapshots/{id}", tag = "Market data", params(("id" = String, Path)), responses((status = 200, body = Shown), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn one(
    State(desk): State<Desk>,
    Path(named): Path<Id>,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let id = desk.snapshot_id(&principal.tenant, &named).await?.ok_or_else(Problem::not_found)?;
    let snapshot = desk.snapshot(&principal.tenant, &id).await?;
    let body = Shown {
        snapshot_id: snapshot.name.unwrap_or_else(|| id.clone()),
        payload_hash: id.clone(),
        id,
        as_of_time: snapshot.as_of,
        vendor: snapshot.vendor,
        content: snapshot.content.unwrap_or_default(),
    };
    Ok(Json(body).into_response())
}
