//! API keys: issue, list, revoke. Role admin; only of the own tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daybook_http::auth::{KeyRing, KeySummary, KeyUsed, NewKey};
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::api_key::{ApiKey, Command, Role};
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{OpenApi, ToSchema};

use super::NoFields;
use crate::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody, problem};
use crate::execute::{Call, Refusal, Services, execute};
use crate::reply::Outcome;

/// How long the answer waits for this process to know a key that it issued or
/// revoked.
const RING_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Keys {
    services: Services,
    ring: Arc<KeyRing>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueKey {
    #[schema(example = "box office")]
    name: String,
    roles: Vec<Role>,
    /// Makes it the key of one app: it sends this app's signals and nothing
    /// else. `roles` is `ingest` alone then.
    app: Option<String>,
    /// RFC 3339; without it the key does not expire.
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
struct IssuedKey {
    id: String,
    /// The key itself, shown this once. Absent where an answer is repeated
    /// for an Idempotency-Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

pub fn router(services: Services, ring: Arc<KeyRing>) -> Router {
    Router::new()
        .route("/v1/keys", get(list).post(issue))
        .route("/v1/keys/{id}/revoke", post(revoke))
        .with_state(Keys { services, ring })
}

#[derive(OpenApi)]
#[openapi(paths(issue, list, revoke))]
pub struct Doc;

/// Issue an API key. The answer is the only time it is shown.
#[utoipa::path(
    post, path = "/v1/keys", tag = "Keys", params(CommandHeaders), request_body = IssueKey,
    responses((status = 201, body = IssuedKey), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn issue(
    State(keys): State<Keys>,
    caller: Caller,
    body: JsonBody<IssueKey>,
) -> Result<Response, Problem> {
    let IssueKey { name, roles, app, expires_at } = body.value;
    let new = NewKey::generate();
    // A repeated request must reach the stream of the first one, whose id is
    // in the stored events; the new id is used only if there is none.
    let call = caller.call(Role::Admin, &new.id, body.hash, UrlPolicy::default());
    let command = Command::Issue { name, roles, expires_at, app, secret_sha256: new.secret_sha256.clone() };
    let outcome = run(&keys, &call, command).await?;
    let fresh = outcome.stream.id == new.id;
    let issued = IssuedKey {
        id: outcome.stream.id.clone(),
        key: fresh.then(|| new.text.reveal().to_owned()),
        outcome,
    };
    let mut response = (StatusCode::CREATED, Json(issued)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Revoke a key; it is refused from now on.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "Keys", params(("id" = String, Path), CommandHeaders), request_body = NoFields, responses(CommandAnswers))]
async fn revoke(
    State(keys): State<Keys>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    let call = caller.call(Role::Admin, &id.0, body.hash, UrlPolicy::default());
    run(&keys, &call, Command::Revoke).await
}

async fn run(keys: &Keys, call: &Call, command: Command) -> Result<Outcome, Problem> {
    let outcome = execute::<ApiKey>(&keys.services, call, command)
        .await
        .map_err(|e| problem(e, call.names_version()))?;
    // Best effort: other processes learn of it a moment later anyway.
    tokio::time::timeout(RING_PATIENCE, keys.ring.reached(outcome.position)).await.ok();
    Ok(outcome)
}

#[derive(Debug, Serialize, ToSchema)]
struct KeyList {
    #[schema(value_type = Vec<Object>)]
    keys: Vec<KeySummary>,
}

/// The tenant's keys, without their secrets.
#[utoipa::path(get, path = "/v1/keys", tag = "Keys", responses((status = 200, body = KeyList)))]
async fn list(State(keys): State<Keys>, principal: Principal) -> Result<Json<KeyList>, Problem> {
    principal.require(Role::Admin)?;
    Ok(Json(KeyList { keys: keys.ring.list(&principal.tenant) }))
}

/// Writes down which keys were used, at most hourly for a key. Ends with the
/// channel.
pub async fn record_uses(services: Services, mut used: mpsc::Receiver<KeyUsed>) {
    while let Some(KeyUsed { tenant, key_id, .. }) = used.recv().await {
        let principal = Principal::new(tenant, &key_id, &[Role::Admin]);
        let call = Call {
            actor: principal.actor(),
            principal,
            role: Role::Admin,
            id: key_id.to_string(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        };
        match execute::<ApiKey>(&services, &call, Command::Use).await {
            Ok(_) => {}
            Err(Refusal::Rejected(reason)) => tracing::debug!(%reason, "a key's use was not recorded"),
            Err(error) => tracing::warn!(%error, "a key's use was not recorded"),
        }
    }
}
