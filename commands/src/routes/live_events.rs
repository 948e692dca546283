//! Commands of live events.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Path, Problem};
use domain::live_event::{Command, Details, LiveEvent, ModeInput, WindowInput};
use domain::registry;
use domain::target_url::UrlPolicy;
use domain::{StreamId, TenantId, tenant};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::{NoFields, write};
use crate::caller::{Caller, CommandAnswers, CommandHeaders};
use crate::execute::Services;
use crate::reply::Outcome;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RemoveWindow {
    window_id: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    #[serde(default)]
    reason: String,
}

pub fn router() -> Router<Services> {
    Router::new()
        .route("/v1/events/{id}/schedule", post(schedule))
        .route("/v1/events/{id}/change", post(change))
        .route("/v1/events/{id}/add-window", post(add_window))
        .route("/v1/events/{id}/change-window", post(change_window))
        .route("/v1/events/{id}/remove-window", post(remove_window))
        .route("/v1/events/{id}/set-mode", post(set_mode))
        .route("/v1/events/{id}/cancel", post(cancel))
        .route("/v1/events/{id}/archive", post(archive))
        .route("/v1/events/{id}/restore", post(restore))
}

#[derive(OpenApi)]
#[openapi(paths(
    schedule,
    change,
    add_window,
    change_window,
    remove_window,
    set_mode,
    cancel,
    archive,
    restore
))]
pub struct Doc;

async fn run(
    services: Services,
    caller: Caller,
    id: Id,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    let urls = url_policy(&services, &caller.principal.tenant).await?;
    write::<LiveEvent>(&services, caller, &id.0, body_hash, urls, command).await
}

/// Where the tenant lets redirects lead to: its newest settings.
async fn url_policy(services: &Services, tenant: &TenantId) -> Result<UrlPolicy, Problem> {
    let stream = StreamId::new(tenant, tenant::KIND, tenant.as_str()).map_err(Problem::internal)?;
    match services.log.last(&stream).await? {
        None => Ok(UrlPolicy::default()),
        Some(event) => {
            let tenant::Event::Configured(settings) = registry::decode(&event).map_err(Problem::internal)?;
            Ok(settings.urls)
        }
    }
}

/// Schedule a live event. Times are RFC 3339 instants or local times of the zone.
#[utoipa::path(post, path = "/v1/events/{id}/schedule", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = Details, responses(CommandAnswers))]
async fn schedule(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Details>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Schedule(body.value)).await
}

/// Change the details; the body holds all of them.
#[utoipa::path(post, path = "/v1/events/{id}/change", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = Details, responses(CommandAnswers))]
async fn change(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Details>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::ChangeDetails(body.value)).await
}

/// Add a redirect window, half-open. Overlaps are allowed and reported as warnings.
#[utoipa::path(post, path = "/v1/events/{id}/add-window", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = WindowInput, responses(CommandAnswers))]
async fn add_window(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<WindowInput>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::AddWindow(body.value)).await
}

/// Change a window; the body holds all of it.
#[utoipa::path(post, path = "/v1/events/{id}/change-window", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = WindowInput, responses(CommandAnswers))]
async fn change_window(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<WindowInput>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::ChangeWindow(body.value)).await
}

/// Remove a window.
#[utoipa::path(post, path = "/v1/events/{id}/remove-window", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = RemoveWindow, responses(CommandAnswers))]
async fn remove_window(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<RemoveWindow>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::RemoveWindow { window_id: body.value.window_id }).await
}

/// Switch the schedule: automatic by time, one window held, or off.
#[utoipa::path(post, path = "/v1/events/{id}/set-mode", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = ModeInput, responses(CommandAnswers))]
async fn set_mode(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<ModeInput>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::SetMode(body.value)).await
}

/// Cancel the event; its bands lead to the fallback.
#[utoipa::path(post, path = "/v1/events/{id}/cancel", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = Cancel, responses(CommandAnswers))]
async fn cancel(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Cancel>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Cancel { reason: body.value.reason }).await
}

/// Archive the event; its bands lead to the fallback.
#[utoipa::path(post, path = "/v1/events/{id}/archive", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn archive(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Archive).await
}

/// Restore a cancelled or archived event.
#[utoipa::path(post, path = "/v1/events/{id}/restore", tag = "Live events", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn restore(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    run(services, caller, id, body.hash, Command::Restore).await
}
