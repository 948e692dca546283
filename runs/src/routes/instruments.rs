//! Instruments: terms that positions share, by version.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use commands::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody};
use commands::{NoFields, Outcome, write};
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::valuation::instrument::{Command, Instrument};
use models_pricing::terms::Product;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::{Desk, inputs};

pub fn router() -> Router<Desk> {
    Router::new()
        .route("/v1/instruments/{id}/define", post(define))
        .route("/v1/instruments/{id}/approve", post(approve))
        .route("/v1/instruments/{id}/retire", post(retire))
}

pub fn reads() -> Router<Desk> {
    Router::new().route("/v1/instruments/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(define, approve, retire, one))]
pub struct Doc;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Define {
    /// Such as `FIXED_BOND`.
    product_type: String,
    #[schema(value_type = Object)]
    terms: Value,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approve {
    version: u32,
}

/// Define an instrument, or its next version if the terms are others.
#[utoipa::path(post, path = "/v1/instruments/{id}/define", tag = "Instruments", params(("id" = String, Path), CommandHeaders), request_body = Define, responses(CommandAnswers))]
async fn define(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Define>,
) -> Result<Outcome, Problem> {
    let Define { product_type, terms } = body.value;
    Product::read(&product_type, &terms).map_err(|reason| Problem::field("/terms", reason))?;
    say(&desk, caller, &id, body.hash, Command::Define { product_type, terms }).await
}

/// Approve a version.
#[utoipa::path(post, path = "/v1/instruments/{id}/approve", tag = "Instruments", params(("id" = String, Path), CommandHeaders), request_body = Approve, responses(CommandAnswers))]
async fn approve(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Approve>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Approve { version: body.value.version }).await
}

/// Retire an instrument.
#[utoipa::path(post, path = "/v1/instruments/{id}/retire", tag = "Instruments", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn retire(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    say(&desk, caller, &id, body.hash, Command::Retire).await
}

async fn say(
    desk: &Desk,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Instrument>(&desk.services, caller, id, body_hash, UrlPolicy::default(), command).await
}

/// An instrument with all its versions.
#[utoipa::path(get, path = "/v1/instruments/{id}", tag = "Instruments", params(("id" = String, Path)), responses((status = 200, body = Object), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn one(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    principal: Principal,
) -> Result<Json<Instrument>, Problem> {
    principal.require(Role::Reader)?;
    inputs::state::<Instrument>(&desk, &principal.tenant, &id).await.map(Json)
}
