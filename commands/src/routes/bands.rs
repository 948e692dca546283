//! Commands of wristbands.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Path, Problem};
use domain::band::{Band, Command, Register};
use domain::target_url::UrlPolicy;
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::{NoFields, write};
use crate::caller::{Caller, CommandAnswers, CommandHeaders};
use crate::execute::Services;
use crate::reply::Outcome;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assign {
    event_id: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Tag {
    /// All tags from now on.
    tags: Vec<String>,
}

pub fn router() -> Router<Services> {
    Router::new()
        .route("/v1/bands/{id}/register", post(register))
        .route("/v1/bands/{id}/assign", post(assign))
        .route("/v1/bands/{id}/unassign", post(unassign))
        .route("/v1/bands/{id}/tag", post(tag))
        .route("/v1/bands/{id}/retire", post(retire))
        .route("/v1/bands/{id}/restore", post(restore))
}

#[derive(OpenApi)]
#[openapi(paths(register, assign, unassign, tag, retire, restore))]
pub struct Doc;

async fn run(
    services: Services,
    caller: Caller,
    id: Id,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Band>(&services, caller, &id.0, body_hash, UrlPolicy::default(), command).await
}

/// Register a band, with or without an event.
#[utoipa::path(post, path = "/v1/bands/{id}/register", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = Register, responses(CommandAnswers))]
async fn register(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Register>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Register(body.value)).await
}

/// Assign the band to another event.
#[utoipa::path(post, path = "/v1/bands/{id}/assign", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = Assign, responses(CommandAnswers))]
async fn assign(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Assign>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Assign { event_id: body.value.event_id }).await
}

/// Take the band off its event.
#[utoipa::path(post, path = "/v1/bands/{id}/unassign", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn unassign(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Unassign).await
}

/// Replace the band's tags.
#[utoipa::path(post, path = "/v1/bands/{id}/tag", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = Tag, responses(CommandAnswers))]
async fn tag(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Tag>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Tag { tags: body.value.tags }).await
}

/// Retire the band; it leads to the tenant's fallback.
#[utoipa::path(post, path = "/v1/bands/{id}/retire", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn retire(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Retire).await
}

/// Restore a retired band.
#[utoipa::path(post, path = "/v1/bands/{id}/restore", tag = "Bands", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn restore(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Restore).await
}
