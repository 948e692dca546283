//! JSON Schemas of signals: commands, and what is in force.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::signal_schema::{self, Command, Definition, OnMismatch, Said, SignalSchema};
use domain::target_url::UrlPolicy;
use models_schemas::Compiled;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::write;
use crate::caller::{Caller, CommandAnswers, CommandHeaders};
use crate::execute::Services;
use crate::reply::Outcome;
use crate::signals::schemas::{Entry, Schemas};

/// Of a tenant: each is compiled and kept in memory.
const MAX_SCHEMAS: usize = 1_000;

#[derive(Clone)]
pub struct SchemaState {
    pub services: Services,
    pub schemas: Arc<Schemas>,
}

pub fn router(state: SchemaState) -> Router {
    Router::new()
        .route("/v1/schemas", get(list))
        .route("/v1/schemas/{app}/{type}", get(one))
        .route("/v1/schemas/{app}/{type}/define", post(define))
        .route("/v1/schemas/{app}/{type}/change", post(change))
        .route("/v1/schemas/{app}/{type}/retire", post(retire))
        .with_state(state)
}

#[derive(OpenApi)]
#[openapi(paths(list, one, define, change, retire))]
pub struct Doc;

fn said(app: &str, signal_type: &str, definition: Definition) -> Result<Said, Problem> {
    let Definition { on_mismatch, schema } = definition;
    Compiled::new(&schema).map_err(|e| Problem::field(format!("/schema{}", e.pointer), e.reason))?;
    Ok(Said { app: app.to_owned(), signal_type: signal_type.to_owned(), on_mismatch, schema })
}

/// Say what an app's signals of a type look like, for those after it.
#[utoipa::path(post, path = "/v1/schemas/{app}/{type}/define", tag = "Signals", params(("app" = String, Path), ("type" = String, Path), CommandHeaders), request_body = Definition, responses(CommandAnswers))]
async fn define(
    State(state): State<SchemaState>,
    Path((app, signal_type)): Path<(Id, Id)>,
    caller: Caller,
    body: JsonBody<Definition>,
) -> Result<Outcome, Problem> {
    state.schemas.catch_up().await?;
    let tenant = &caller.principal.tenant;
    let known = state.schemas.list(tenant).len();
    if known >= MAX_SCHEMAS && state.schemas.get(tenant, &app, &signal_type).is_none() {
        return Err(Problem::parameter("type", format!("a tenant has at most {MAX_SCHEMAS} schemas")));
    }
    let said = said(&app, &signal_type, body.value)?;
    say(&state, caller, (&app, &signal_type), body.hash, Command::Define(said)).await
}

/// Replace what they look like, for signals after it.
#[utoipa::path(post, path = "/v1/schemas/{app}/{type}/change", tag = "Signals", params(("app" = String, Path), ("type" = String, Path), CommandHeaders), request_body = Definition, responses(CommandAnswers))]
async fn change(
    State(state): State<SchemaState>,
    Path((app, signal_type)): Path<(Id, Id)>,
    caller: Caller,
    body: JsonBody<Definition>,
) -> Result<Outcome, Problem> {
    let said = said(&app, &signal_type, body.value)?;
    say(&state, caller, (&app, &signal_type), body.hash, Command::Change(said)).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetireSchema {
    /// Kept with the decision.
    reason: Option<String>,
}

/// Take signals of the type as they come again.
#[utoipa::path(post, path = "/v1/schemas/{app}/{type}/retire", tag = "Signals", params(("app" = String, Path), ("type" = String, Path), CommandHeaders), request_body = RetireSchema, responses(CommandAnswers))]
async fn retire(
    State(state): State<SchemaState>,
    Path((app, signal_type)): Path<(Id, Id)>,
    caller: Caller,
    body: JsonBody<RetireSchema>,
) -> Result<Outcome, Problem> {
    let command = Command::Retire { reason: body.value.reason };
    say(&state, caller, (&app, &signal_type), body.hash, command).await
}

async fn say(
    state: &SchemaState,
    caller: Caller,
    (app, signal_type): (&str, &str),
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    let id = signal_schema::id(app, signal_type);
    let urls = UrlPolicy::default();
    let outcome = write::<SignalSchema>(&state.services, caller, &id, body_hash, urls, command).await?;
    // It holds for the next signals here; that is done again before they are judged.
    if let Err(error) = state.schemas.catch_up().await {
        tracing::warn!(%error, "a schema that was saved is not in force here yet");
    }
    Ok(outcome)
}

#[derive(Debug, Serialize, ToSchema)]
struct SchemaOf {
    app: String,
    #[serde(rename = "type")]
    signal_type: String,
    /// Of its stream, for `If-Match`.
    version: u64,
    /// What signals that don't fit name.
    schema_version: u32,
    retired: bool,
    on_mismatch: OnMismatch,
    schema: Value,
}

fn shown(entry: Entry) -> Option<SchemaOf> {
    let Said { app, signal_type, on_mismatch, schema } = entry.state.said?;
    let (version, schema_version, retired) = (entry.version, entry.state.version, entry.state.retired);
    Some(SchemaOf { app, signal_type, version, schema_version, retired, on_mismatch, schema })
}

#[derive(Debug, Serialize, ToSchema)]
struct SchemaList {
    /// By app and type, at most 1,000.
    schemas: Vec<SchemaOf>,
}

/// The tenant's schemas, retired ones too.
#[utoipa::path(get, path = "/v1/schemas", tag = "Signals", responses((status = 200, body = SchemaList)))]
async fn list(State(state): State<SchemaState>, principal: Principal) -> Result<Json<SchemaList>, Problem> {
    principal.require(domain::api_key::Role::Reader)?;
    state.schemas.catch_up().await?;
    let schemas = state.schemas.list(&principal.tenant).into_iter().filter_map(shown).collect();
    Ok(Json(SchemaList { schemas }))
}

/// One type's schema.
#[utoipa::path(get, path = "/v1/schemas/{app}/{type}", tag = "Signals", params(("app" = String, Path), ("type" = String, Path)), responses((status = 200, body = SchemaOf), (status = 404)))]
async fn one(
    State(state): State<SchemaState>,
    Path((app, signal_type)): Path<(Id, Id)>,
    principal: Principal,
) -> Result<Json<SchemaOf>, Problem> {
    principal.require(domain::api_key::Role::Reader)?;
    state.schemas.catch_up().await?;
    let entry = state.schemas.get(&principal.tenant, &app, &signal_type);
    entry.and_then(shown).map(Json).ok_or_else(Problem::not_found)
}
