//! Subjects of personal data: held, released, exported, erased. Role admin;
//! only of the own tenant.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daybook_http::{Id, Json, JsonBody, Kind, Path, Principal, Problem};
use domain::Subject;
use domain::api_key::Role;
use domain::decide::stream_of;
use domain::ports::erasure::{ErasureError, Exports};
use domain::ports::keys::{KeyError, KeyInfo, KeyStore};
use domain::subject::{Certificate, Command, Erasing, Record, Told};
use domain::target_url::UrlPolicy;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{OpenApi, ToSchema};

use super::NoFields;
use crate::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody, problem};
use crate::execute::{Services, execute};
use crate::reply::Outcome;

/// What one answer may hold; `daybook privacy export` writes a file of any size.
const MAX_EXPORT_BYTES: usize = 64 << 20;
const PAGE: usize = 1_000;

#[derive(Clone)]
pub struct Subjects {
    pub services: Services,
    pub keys: Arc<dyn KeyStore>,
    pub exports: Arc<dyn Exports>,
    /// Each goes through the tenant's whole history: one at a time.
    pub exporting: Arc<Semaphore>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// Kept for ever, with the decision.
    #[schema(example = "asked for on paper")]
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Status {
    subject: String,
    /// Why nothing may be erased, if so.
    held: Option<String>,
    /// Decided, and not done yet.
    #[schema(value_type = Option<Object>)]
    erasing: Option<Erasing>,
    /// One for each erasure, oldest first. `GET /v1/audit/proofs/{position}` of
    /// its `erased` proves it.
    #[schema(value_type = Vec<Object>)]
    certificates: Vec<Certificate>,
    exports: u64,
    #[schema(value_type = Vec<Object>)]
    keys: Vec<KeyInfo>,
}

pub fn router(subjects: Subjects) -> Router {
    Router::new()
        .route("/v1/privacy/subjects/{id}", get(subject_status))
        .route("/v1/privacy/subjects/{id}/hold", post(hold_subject))
        .route("/v1/privacy/subjects/{id}/release", post(release_subject))
        .route("/v1/privacy/subjects/{id}/erase", post(erase_subject))
        .route("/v1/privacy/subjects/{id}/export", post(export_subject))
        .with_state(subjects)
}

#[derive(OpenApi)]
#[openapi(paths(subject_status, hold_subject, release_subject, erase_subject, export_subject))]
pub struct Doc;

fn subject_of(id: Id) -> Result<Subject, Problem> {
    Subject::try_from(id.0).map_err(|e| Problem::parameter("id", format!("{e}; a subject is <kind>:<id>")))
}

fn away(error: &KeyError) -> Problem {
    tracing::warn!(%error, "keys of personal data");
    Problem::new(Kind::Unavailable, "The keys of personal data cannot be read now.")
}

async fn run(
    subjects: &Subjects,
    caller: Caller,
    subject: &Subject,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    let call = caller.call(Role::Admin, &subject.stream_id(), body_hash, UrlPolicy::default());
    execute::<Record>(&subjects.services, &call, command).await.map_err(|e| problem(e, call.names_version()))
}

/// Keep a subject's data: nothing of it may be erased until it is released.
#[utoipa::path(post, path = "/v1/privacy/subjects/{id}/hold", tag = "Privacy", params(("id" = String, Path, example = "band:b1"), CommandHeaders), request_body = Reason, responses(CommandAnswers))]
async fn hold_subject(
    State(subjects): State<Subjects>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Reason>,
) -> Result<Outcome, Problem> {
    let subject = subject_of(id)?;
    let command = Command::Hold { subject: subject.clone(), reason: body.value.reason };
    run(&subjects, caller, &subject, body.hash, command).await
}

/// End a hold.
#[utoipa::path(post, path = "/v1/privacy/subjects/{id}/release", tag = "Privacy", params(("id" = String, Path, example = "band:b1"), CommandHeaders), request_body = Reason, responses(CommandAnswers))]
async fn release_subject(
    State(subjects): State<Subjects>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Reason>,
) -> Result<Outcome, Problem> {
    let subject = subject_of(id)?;
    let command = Command::Release { subject: subject.clone(), reason: body.value.reason };
    run(&subjects, caller, &subject, body.hash, command).await
}

/// Erase a subject: decided when this answers, done when `erasing` is gone from
/// its status and `erased` says what was done. It cannot be taken back.
#[utoipa::path(post, path = "/v1/privacy/subjects/{id}/erase", tag = "Privacy", params(("id" = String, Path, example = "band:b1"), CommandHeaders), request_body = Reason, responses(CommandAnswers))]
async fn erase_subject(
    State(subjects): State<Subjects>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Reason>,
) -> Result<Outcome, Problem> {
    let subject = subject_of(id)?;
    // Who may not erase learns nothing of keys.
    caller.principal.require(Role::Admin)?;
    let keys = subjects.keys.of(&caller.principal.tenant, &subject).await.map_err(|e| away(&e))?;
    let keys = keys.into_iter().filter(|key| key.destroyed_at.is_none()).map(|key| key.id).collect();
    let command = Command::Erase { subject: subject.clone(), reason: body.value.reason, keys };
    run(&subjects, caller, &subject, body.hash, command).await
}

/// What was decided about a subject, what came of it, and its keys by id.
#[utoipa::path(
    get, path = "/v1/privacy/subjects/{id}", tag = "Privacy", params(("id" = String, Path, example = "band:b1")),
    responses((status = 200, body = Status), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn subject_status(
    State(subjects): State<Subjects>,
    Path(id): Path<Id>,
    principal: Principal,
) -> Result<Json<Status>, Problem> {
    principal.require(Role::Admin)?;
    let subject = subject_of(id)?;
    let stream = stream_of::<Record>(&principal.tenant, &subject.stream_id());
    let stream = stream.map_err(|e| Problem::parameter("id", e))?;
    let mut told = Told::default();
    let mut version = 0;
    loop {
        let page = subjects.services.log.read_stream(&stream, version + 1, PAGE).await?;
        for event in &page {
            told.add(event).map_err(Problem::internal)?;
            version = event.version;
        }
        if page.len() < PAGE {
            break;
        }
    }
    let keys = subjects.keys.of(&principal.tenant, &subject).await.map_err(|e| away(&e))?;
    let Told { record: Record { held, erasing, exports, .. }, certificates, .. } = told;
    Ok(Json(Status { subject: subject.to_string(), held, erasing, certificates, exports, keys }))
}

/// Everything that is held about a subject, one JSON object a line: its keys by
/// id, what was decided, and its facts with what is personal in clear.
#[utoipa::path(
    post, path = "/v1/privacy/subjects/{id}/export", tag = "Privacy", params(("id" = String, Path, example = "band:b1")), request_body = NoFields,
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn export_subject(
    State(subjects): State<Subjects>,
    Path(id): Path<Id>,
    principal: Principal,
    _: JsonBody<NoFields>,
) -> Result<Response, Problem> {
    principal.require(Role::Admin)?;
    let subject = subject_of(id)?;
    let _turn = subjects.exporting.try_acquire().map_err(|_| {
        Problem::new(Kind::TooManyQueries, "Another export goes through the history.").retry_after(2)
    })?;
    let mut text = String::new();
    let mut line = |value: serde_json::Value| {
        text.push_str(&value.to_string());
        text.push('\n');
        match text.len() > MAX_EXPORT_BYTES {
            true => Err("it is too large for one answer; use daybook privacy export".to_owned()),
            false => Ok(()),
        }
    };
    let actor = principal.actor();
    subjects.exports.export(&principal.tenant, &subject, &actor, &mut line).await.map_err(unexported)?;
    let mut response = Body::from(text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn unexported(error: ErasureError) -> Problem {
    match error {
        ErasureError::Log(error) => error.into(),
        ErasureError::Append(error) => Problem::append(error, false),
        ErasureError::Keys(error) => away(&error),
        ErasureError::Line(reason) => Problem::new(Kind::Conflict, reason),
        error => Problem::internal(error),
    }
}
