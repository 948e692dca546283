//! What people say about windows in which a series was unusual.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Path, Problem};
use domain::anomaly_window::{self, Command, Detected, Review};
use domain::api_key::Role;
use domain::registry::decode_payload;
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::{NoFields, write};
use crate::caller::{Caller, CommandAnswers, CommandHeaders};
use crate::execute::Services;
use crate::reply::Outcome;

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acknowledge {
    /// At most 2,000 bytes.
    note: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Mute {
    /// Windows of this series set nothing off before this event time, in
    /// RFC 3339.
    #[schema(value_type = String)]
    until: Timestamp,
    /// At most 2,000 bytes.
    note: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    /// 1 to 2,000 bytes.
    note: String,
}

pub fn router() -> Router<Services> {
    Router::new()
        .route("/v1/anomalies/{id}/acknowledge", post(acknowledge))
        .route("/v1/anomalies/{id}/mute", post(mute))
        .route("/v1/anomalies/{id}/unmute", post(unmute))
        .route("/v1/anomalies/{id}/note", post(note))
}

#[derive(OpenApi)]
#[openapi(paths(acknowledge, mute, unmute, note))]
pub struct Doc;

/// Take care of a window.
#[utoipa::path(post, path = "/v1/anomalies/{id}/acknowledge", tag = "Anomalies", params(("id" = String, Path), CommandHeaders), request_body = Acknowledge, responses(CommandAnswers))]
async fn acknowledge(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Acknowledge>,
) -> Result<Outcome, Problem> {
    window(&services, &caller, &id).await?;
    say(&services, caller, &id, body.hash, Command::Acknowledge { note: body.value.note }).await
}

/// Let the window's series set nothing off until an event time. Its windows are
/// recorded all the same.
#[utoipa::path(post, path = "/v1/anomalies/{id}/mute", tag = "Anomalies", params(("id" = String, Path), CommandHeaders), request_body = Mute, responses(CommandAnswers))]
async fn mute(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Mute>,
) -> Result<Outcome, Problem> {
    let Detected { rule, key, .. } = window(&services, &caller, &id).await?;
    let Mute { until, note } = body.value;
    say(&services, caller, &id, body.hash, Command::Mute { rule, key, until, note }).await
}

/// End the mute that was set at this window.
#[utoipa::path(post, path = "/v1/anomalies/{id}/unmute", tag = "Anomalies", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn unmute(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    let Detected { rule, key, .. } = window(&services, &caller, &id).await?;
    say(&services, caller, &id, body.hash, Command::Unmute { rule, key }).await
}

/// Write something down about a window.
#[utoipa::path(post, path = "/v1/anomalies/{id}/note", tag = "Anomalies", params(("id" = String, Path), CommandHeaders), request_body = Note, responses(CommandAnswers))]
async fn note(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Note>,
) -> Result<Outcome, Problem> {
    window(&services, &caller, &id).await?;
    say(&services, caller, &id, body.hash, Command::Note { note: body.value.note }).await
}

/// The window as it was opened, if there is one.
async fn window(services: &Services, caller: &Caller, id: &str) -> Result<Detected, Problem> {
    caller.principal.require(Role::Writer)?;
    let stream = anomaly_window::stream(&caller.principal.tenant, id).map_err(Problem::internal)?;
    let opened = services.log.read_stream(&stream, 1, 1).await?.pop().ok_or_else(Problem::not_found)?;
    decode_payload(&opened).map_err(Problem::internal)
}

async fn say(
    services: &Services,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Review>(services, caller, id, body_hash, UrlPolicy::default(), command).await
}
