//! The event gateway: signals of apps, phones and services. CloudEvents in
//! every mode of their HTTP binding, the typed JSON events of apps, one or a
//! thousand at once. Acknowledged means in the log.

mod binary;
pub mod decode;
mod encoding;
mod proto;
pub mod record;
pub mod schemas;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use daybook_http::extract::{BodyLimits, read_body};
use daybook_http::headers::POSITION;
use daybook_http::limits::RateLimits;
use daybook_http::{Id, Json, Kind, Problem, Query};
use domain::api_key::Role;
use domain::ports::log::AppendError;
use domain::signal::Fault;
use domain::signal::cloud_event::Apps;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use crate::caller::{Caller, ProblemBody};
use crate::execute::Services;
use decode::{Events, Item, Reader};
use record::{Answer, Sender, record};
use schemas::Schemas;

#[derive(Clone)]
pub struct Gateway {
    pub services: Services,
    pub schemas: Arc<Schemas>,
    /// Counted in events.
    pub rates: Arc<RateLimits>,
}

pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/v1/events/ingest", post(ingest))
        .route("/v1/events/batch", post(ingest_batch))
        .layer(DefaultBodyLimit::disable())
        .with_state(gateway)
}

#[derive(OpenApi)]
#[openapi(paths(ingest, ingest_batch), components(schemas(Ingested, BatchAnswer)))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IngestQuery {
    /// The app of events that name none.
    #[param(value_type = Option<String>)]
    app: Option<Id>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Accepted,
    /// The same identity is in the log already: `position` is its.
    Duplicate,
    Rejected,
    /// The log could not take it; send it again.
    Failed,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
struct Ingested {
    /// Of a batch, 0….
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
    /// Where it stands in the log; of what was rejected, its dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// JSON pointer to what was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BatchAnswer {
    accepted_count: usize,
    duplicate_count: usize,
    rejected_count: usize,
    failed_count: usize,
    /// One for each event, in order.
    results: Vec<Ingested>,
}

/// Take in one event: a CloudEvent (structured or binary mode, JSON or
/// Protobuf) or a typed JSON event of an app. A repeat answers `duplicate` with
/// the position of the first. Role ingest or writer.
#[utoipa::path(
    post, path = "/v1/events/ingest", tag = "Signals", params(IngestQuery),
    request_body(content((Object = "application/json"), (Object = "application/cloudevents+json"), (String = "application/cloudevents+protobuf"))),
    responses(
        (status = 200, body = Ingested),
        (status = "4XX", description = "Rejected; `position` is its dead letter", content_type = "application/problem+json", body = ProblemBody),
    )
)]
async fn ingest(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<IngestQuery>,
    request: Request,
) -> Result<Response, Problem> {
    take(gateway, caller, query, request).await
}

/// Take in up to 1,000 events: a CloudEvents batch, `{"events": […]}`, an array
/// or NDJSON. One that is rejected does not stop the others. Role ingest or writer.
#[utoipa::path(
    post, path = "/v1/events/batch", tag = "Signals", params(IngestQuery),
    request_body(content((Object = "application/json"), (Object = "application/cloudevents-batch+json"), (String = "application/x-ndjson"), (String = "application/cloudevents-batch+protobuf"))),
    responses(
        (status = 200, body = BatchAnswer),
        (status = "4XX", description = "Refused as a whole", content_type = "application/problem+json", body = ProblemBody),
    )
)]
async fn ingest_batch(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<IngestQuery>,
    request: Request,
) -> Result<Response, Problem> {
    take(gateway, caller, query, request).await
}

async fn take(
    gateway: Gateway,
    caller: Caller,
    query: IngestQuery,
    request: Request,
) -> Result<Response, Problem> {
    caller.principal.require_any(&[Role::Ingest, Role::Writer])?;
    let (parts, body) = request.into_parts();
    let limits = BodyLimits::of(&parts.extensions);
    let body = read_body(&parts.headers, body, limits.bytes).await?;
    let body = encoding::decoded(&parts.headers, body, limits.bytes)?;
    let bound = caller.principal.app.as_deref();
    let default = query.app.as_deref().or(bound);
    let services = &gateway.services;
    let request_key = caller.request_key();
    let fresh = |index: usize| match &request_key {
        // The same request again names its events the same.
        Some(key) => hex::encode(&Sha256::digest(format!("{key}/{index}"))[..16]),
        None => services.ids.next().to_string(),
    };
    let reader = Reader { apps: Apps { bound, default }, limits, fresh_id: &fresh };
    let sender = Sender {
        tenant: caller.principal.tenant.clone(),
        actor: caller.principal.actor(),
        correlation_id: caller.correlation_id.clone(),
        app: default.map(str::to_owned),
    };
    let events = match reader.read(&parts.headers, body.clone()) {
        Ok(events) => events,
        Err(problem) if problem.kind() == Kind::InvalidJson => {
            gateway.rates.take(&caller.principal.key_id, 1)?;
            let item = unreadable(&problem, body, &parts.headers);
            let kept = record(&*services.log, &*services.ids, &sender, vec![item]).await;
            return Err(match kept.into_iter().next() {
                Some(Answer::Rejected { position, .. }) => problem.with("position", position),
                Some(Answer::Failed(error)) => error.into(),
                _ => problem,
            });
        }
        Err(problem) => return Err(problem),
    };
    let (single, mut items) = match events {
        Events::One(item) => (true, vec![*item]),
        Events::Many(items) => (false, items),
    };
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    gateway.rates.take(&caller.principal.key_id, count)?;
    gateway.schemas.check(&sender.tenant, &mut items).await?;
    let answers = record(&*services.log, &*services.ids, &sender, items).await;
    count_metrics(&answers);
    if single { one(answers) } else { many(answers) }
}

fn one(answers: Vec<Answer>) -> Result<Response, Problem> {
    match answers.into_iter().next() {
        Some(Answer::Failed(error)) => Err(error.into()),
        Some(Answer::Rejected { fault, position }) => Err(decode::problem(fault).with("position", position)),
        Some(answer) => Ok(respond(ingested(None, answer), |a| a.position)),
        None => Err(Problem::internal("an event was not answered")),
    }
}

fn many(answers: Vec<Answer>) -> Result<Response, Problem> {
    let done = |a: &Answer| !matches!(a, Answer::Failed(_));
    if !answers.iter().any(done)
        && let Some(Answer::Failed(error)) = answers.first()
    {
        return Err(error.clone().into());
    }
    let results: Vec<_> = answers.into_iter().enumerate().map(|(i, a)| ingested(Some(i), a)).collect();
    let count = |status| results.iter().filter(|r| r.status == status).count();
    let answer = BatchAnswer {
        accepted_count: count(Status::Accepted),
        duplicate_count: count(Status::Duplicate),
        rejected_count: count(Status::Rejected),
        failed_count: count(Status::Failed),
        results,
    };
    Ok(respond(answer, |a| a.results.iter().filter_map(|r| r.position).max()))
}

fn respond<T: Serialize>(answer: T, position: impl Fn(&T) -> Option<u64>) -> Response<Body> {
    let position = position(&answer);
    let mut response = Json(answer).into_response();
    if let Some(position) = position {
        response.headers_mut().insert(POSITION, HeaderValue::from(position));
    }
    response
}

fn ingested(index: Option<usize>, answer: Answer) -> Ingested {
    let empty =
        |status| Ingested { index, status, event_id: None, position: None, pointer: None, error: None };
    match answer {
        Answer::Accepted { event_id, position } => {
            Ingested { event_id: Some(event_id), position: Some(position), ..empty(Status::Accepted) }
        }
        Answer::Duplicate { event_id, position } => {
            Ingested { event_id: Some(event_id), position: Some(position), ..empty(Status::Duplicate) }
        }
        Answer::Rejected { fault, position } => Ingested {
            position: Some(position),
            pointer: Some(fault.pointer),
            error: Some(fault.reason),
            ..empty(Status::Rejected)
        },
        Answer::Failed(error) => {
            let error = match error {
                AppendError::QueueFull => "too many writes are waiting; send it again",
                _ => "the log could not take it; send it again",
            };
            Ingested { error: Some(error.into()), ..empty(Status::Failed) }
        }
    }
}

fn count_metrics(answers: &[Answer]) {
    for answer in answers {
        let outcome = match answer {
            Answer::Accepted { .. } => "accepted",
            Answer::Duplicate { .. } => "duplicate",
            Answer::Rejected { .. } => "rejected",
            Answer::Failed(_) => "failed",
        };
        metrics::counter!("signals_total", "outcome" => outcome).increment(1);
    }
}

/// A batch that does not read at all is kept as one reject.
fn unreadable(problem: &Problem, bytes: Bytes, headers: &HeaderMap) -> Item {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let fault = Fault::new("", problem.detail().to_owned());
    Item { read: Err(fault), refused: None, bytes, media_type: media_type.to_owned() }
}
