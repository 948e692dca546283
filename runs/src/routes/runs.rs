//! Runs: asked for, looked at, cancelled, retried.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event as Sent;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use commands::caller::{Caller, CommandAnswers, CommandHeaders, ProblemBody, problem};
use commands::execute::execute;
use commands::{Outcome, write};
use daybook_http::extract::BodyLimits;
use daybook_http::headers::POSITION;
use daybook_http::sse::{COALESCE, LIFETIME, Open, last_event_id, streamed};
use daybook_http::{Id, Json, JsonBody, Path, Principal, Problem};
use domain::TenantId;
use domain::api_key::Role;
use domain::decide::{Decide, stream_of};
use domain::registry::decode;
use domain::target_url::UrlPolicy;
use domain::valuation::repricing::is_repriced_id;
use domain::valuation::run::{Command, Event, Run, RunStatus, TaskState, TaskStatus};
use futures::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::Desk;
use crate::submit::{Request, Unpriced};

/// Scenarios of hundreds of days come along.
const MAX_BODY_BYTES: usize = 16 << 20;
const PAGE: usize = 1_000;
/// How often a stream looks whether claims ran out, if the log is quiet.
const LOOK: Duration = Duration::from_secs(5);

pub fn router() -> Router<Desk> {
    let limits = BodyLimits { bytes: MAX_BODY_BYTES, ..BodyLimits::default() };
    Router::new()
        .route("/v1/runs", post(start))
        .route("/v1/runs/{id}/cancel", post(cancel))
        .route("/v1/runs/{id}/retry", post(retry))
        .layer(Extension(limits))
}

pub fn reads() -> Router<Desk> {
    Router::new().route("/v1/runs/{id}", get(one)).route("/v1/runs/{id}/progress", get(progress))
}

#[derive(OpenApi)]
#[openapi(paths(start, cancel, retry, one, progress))]
pub struct Doc;

#[derive(Debug, Serialize, ToSchema)]
struct Started {
    run_id: String,
    status: String,
    as_of: String,
    /// The snapshot's content hash.
    market_snapshot_id: String,
    position_snapshot_id: Option<String>,
    /// Positions are those of the log up to here.
    at: u64,
    model_set_id: String,
    positions: u64,
    scenarios: u32,
    measures: Vec<String>,
    base_currency: Option<String>,
    tasks: usize,
    task_product_types: Vec<String>,
    /// How many positions have no price; they are flagged in the results.
    unpriced_count: u64,
    /// The first hundred of them.
    unpriced: Vec<Unpriced>,
}

/// Start a run. Everything is pinned; unknown measures, scenarios, snapshots and
/// models are refused, naming them, and positions without a price are told.
#[utoipa::path(post, path = "/v1/runs", tag = "Runs", params(CommandHeaders), request_body = Request, responses((status = 201, body = Started), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn start(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<Request>,
) -> Result<Response, Problem> {
    caller.principal.require(Role::Writer)?;
    let tenant = caller.principal.tenant.clone();
    let generated = || format!("RUN_{}", desk.services.ids.next());
    let run_id = body.value.run_id.clone().unwrap_or_else(generated);
    let run_id = Id::try_from(run_id).map_err(|e| Problem::field("/run_id", e))?;
    if is_repriced_id(&run_id) {
        return Err(Problem::field("/run_id", "must not end with @ and a number, as re-pricings do"));
    }
    let submitted = desk.submit(&tenant, body.value).await?;
    let call = caller.call(Role::Writer, &run_id, body.hash, UrlPolicy::default());
    let command = Command::Start(Box::new(submitted.start));
    let outcome = execute::<Run>(&desk.services, &call, command).await;
    let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
    let seen = Seen::read(&desk, &tenant, &outcome.stream.id).await?;
    let plan = seen.run.plan.as_ref().ok_or_else(Problem::not_found)?;
    let mut products: Vec<String> = plan.tasks.iter().map(|task| task.product_type.clone()).collect();
    products.dedup();
    let started = Started {
        run_id: outcome.stream.id.clone(),
        status: seen.run.status().name().to_owned(),
        as_of: plan.as_of.clone(),
        market_snapshot_id: plan.market_snapshot.clone(),
        position_snapshot_id: plan.position_snapshot.clone(),
        at: plan.at,
        model_set_id: plan.model.clone(),
        positions: plan.positions,
        scenarios: plan.scenarios,
        measures: plan.measures.clone(),
        base_currency: plan.base_currency.clone(),
        tasks: plan.tasks.len(),
        task_product_types: products,
        unpriced_count: plan.unpriced,
        unpriced: submitted.unpriced,
    };
    Ok((StatusCode::CREATED, outcome.answer(started)).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    /// Kept with the fact.
    reason: Option<String>,
}

/// Cancel a run; what is done of it stays.
#[utoipa::path(post, path = "/v1/runs/{id}/cancel", tag = "Runs", params(("id" = String, Path), CommandHeaders), request_body = Cancel, responses(CommandAnswers))]
async fn cancel(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Cancel>,
) -> Result<Outcome, Problem> {
    let command = Command::Cancel { reason: body.value.reason };
    write::<Run>(&desk.services, caller, &id, body.hash, UrlPolicy::default(), command).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// Dead tasks; all of them unless told.
    #[serde(default)]
    tasks: Vec<String>,
}

/// Let dead tasks be tried again.
#[utoipa::path(post, path = "/v1/runs/{id}/retry", tag = "Runs", params(("id" = String, Path), CommandHeaders), request_body = Retry, responses(CommandAnswers))]
async fn retry(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Retry>,
) -> Result<Outcome, Problem> {
    let command = Command::Retry { tasks: body.value.tasks };
    write::<Run>(&desk.services, caller, &id, body.hash, UrlPolicy::default(), command).await
}

/// A run with the times that its events have.
pub struct Seen {
    pub run: Run,
    version: u64,
    position: u64,
    started_at: Option<Timestamp>,
    /// The first claim.
    begun_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
}

impl Seen {
    pub async fn read(desk: &Desk, tenant: &TenantId, id: &str) -> Result<Self, Problem> {
        let mut seen = Self {
            run: Run::default(),
            version: 0,
            position: 0,
            started_at: None,
            begun_at: None,
            changed_at: None,
        };
        seen.read_on(desk, tenant, id).await?;
        match seen.run.plan.is_some() {
            true => Ok(seen),
            false => Err(Problem::not_found()),
        }
    }

    /// What was recorded since.
    async fn read_on(&mut self, desk: &Desk, tenant: &TenantId, id: &str) -> Result<(), Problem> {
        let stream = stream_of::<Run>(tenant, id).map_err(|_| Problem::not_found())?;
        loop {
            let page = desk.services.log.read_stream(&stream, self.version + 1, PAGE).await?;
            for recorded in &page {
                let event: Event = decode(recorded).map_err(Problem::internal)?;
                let at = recorded.recorded_at;
                if matches!(event, Event::TaskClaimed { .. }) {
                    self.begun_at.get_or_insert(at);
                }
                self.started_at.get_or_insert(at);
                (self.changed_at, self.version, self.position) =
                    (Some(at), recorded.version, recorded.position);
                self.run.evolve(event);
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn body(&self, id: &str, now: Timestamp) -> RunBody {
        let run = &self.run;
        let mut tasks: BTreeMap<&'static str, usize> = BTreeMap::new();
        let (mut done, mut all) = (0, 0);
        let weights = run.plan.iter().flat_map(|plan| &plan.tasks).map(|task| (&task.id, task.positions));
        for (id, positions) in weights {
            let state = run.tasks.get(id).map(|task| &task.status).unwrap_or(&TaskStatus::Queued);
            *tasks.entry(status_name(state)).or_default() += 1;
            all += u64::from(positions);
            done += u64::from(positions) * u64::from(matches!(state, TaskStatus::Succeeded(_)));
        }
        let elapsed = self.begun_at.map(|begun| now.duration_since(begun).as_secs_f64().max(0.0));
        let left = match (run.status(), elapsed) {
            (RunStatus::Running, Some(elapsed)) if done > 0 => {
                Some((elapsed * (all - done) as f64 / done as f64).ceil() as u64)
            }
            _ => None,
        };
        let failures = run.tasks.iter().filter_map(|(id, task)| failure(id, task));
        RunBody {
            run_id: id.to_owned(),
            status: run.status().name().to_owned(),
            tasks,
            progress: if all == 0 { 0.0 } else { done as f64 / all as f64 },
            eta_seconds: left,
            started_at: self.started_at.map(|at| at.to_string()),
            changed_at: self.changed_at.map(|at| at.to_string()),
            sha256: run.sealed.clone(),
            rows: run.results().map(|(_, cells)| cells.rows).sum(),
            flagged: run.results().map(|(_, cells)| cells.flagged).sum(),
            bytes: run.results().map(|(_, cells)| cells.bytes).sum(),
            failures: failures.take(100).collect(),
            running: run.tasks.iter().filter_map(|(id, task)| running(id, task)).collect(),
            claims: run.tasks.values().map(|task| u64::from(task.token)).sum(),
            plan: serde_json::to_value(&run.plan).unwrap_or_default(),
        }
    }
}

fn failure(id: &str, task: &TaskState) -> Option<Failure> {
    let reason = match &task.status {
        TaskStatus::Dead { reason } => reason.clone(),
        _ => task.last_error.clone()?,
    };
    Some(Failure { task: id.to_owned(), attempts: task.attempts, reason })
}

fn running(id: &str, task: &TaskState) -> Option<Running> {
    let TaskStatus::Running { worker, until } = &task.status else { return None };
    Some(Running { task: id.to_owned(), worker: worker.clone(), until: until.to_string() })
}

fn status_name(status: &TaskStatus) -> &'static str {
    match status {
        TaskStatus::Queued => "QUEUED",
        TaskStatus::Running { .. } => "RUNNING",
        TaskStatus::Succeeded(_) => "SUCCEEDED",
        TaskStatus::Dead { .. } => "DEAD",
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    task: String,
    attempts: u32,
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Running {
    task: String,
    worker: String,
    /// When somebody else may take it.
    until: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct RunBody {
    run_id: String,
    /// QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED.
    status: String,
    /// How many are QUEUED, RUNNING, SUCCEEDED, DEAD.
    #[schema(value_type = Object)]
    tasks: BTreeMap<&'static str, usize>,
    /// 0 to 1, by positions.
    progress: f64,
    /// At the pace so far.
    eta_seconds: Option<u64>,
    started_at: Option<String>,
    changed_at: Option<String>,
    /// Over all results, once the run is completed.
    sha256: Option<String>,
    rows: u64,
    flagged: u64,
    bytes: u64,
    failures: Vec<Failure>,
    /// Who works on what.
    running: Vec<Running>,
    /// Claims of tasks so far.
    claims: u64,
    /// Everything that is pinned.
    #[schema(value_type = Object)]
    plan: serde_json::Value,
}

/// A run: where it stands, how far it is, and what it was made of.
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "Runs", params(("id" = String, Path)), responses((status = 200, body = RunBody), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn one(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let seen = Seen::read(&desk, &principal.tenant, &id).await?;
    let mut response = Json(seen.body(&id, desk.services.clock.now())).into_response();
    response.headers_mut().insert(POSITION, seen.position.into());
    Ok(response)
}

/// Where a run stands, whenever it changes, until it is over: server-sent
/// events named `progress` whose id is the position of the log. Ends after ten
/// minutes; a client that comes back with `Last-Event-ID` goes on from there, and
/// is answered 204 if nothing can follow.
#[utoipa::path(get, path = "/v1/runs/{id}/progress", tag = "Runs", params(("id" = String, Path), ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last message that was seen.")), responses((status = 200, content_type = "text/event-stream", body = RunBody), (status = 204, description = "It is over, and the client has seen that."), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn progress(
    State(desk): State<Desk>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let seen = last_event_id(&headers)?.unwrap_or(0);
    let run = Seen::read(&desk, &principal.tenant, &id).await?;
    if run.run.status().is_over() && run.position <= seen {
        // Tells a browser not to come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let open = desk.connections.open(&principal.tenant)?;
    let stop = desk.stop.clone();
    let (head, until) = (run.position, Instant::now() + LIFETIME);
    let follower = Follower { desk, id, open, run, seen, head, until };
    let messages = stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        let (message, over) = follower.next().await?;
        Some((Ok(message), (!over).then_some(follower)))
    });
    Ok(streamed(messages, stop))
}

struct Follower {
    desk: Desk,
    id: Id,
    open: Open,
    run: Seen,
    /// What the client has.
    seen: u64,
    /// Where the log was when it was looked at.
    head: u64,
    until: Instant,
}

impl Follower {
    /// The run as it is past what the client has seen, and whether it is over.
    /// `None` ends the stream; the client comes back.
    async fn next(&mut self) -> Option<(Sent, bool)> {
        while Instant::now() < self.until {
            let over = self.run.run.status().is_over();
            if self.run.position > self.seen {
                self.seen = self.run.position;
                let body = self.run.body(&self.id, self.desk.services.clock.now());
                let message = Sent::default().id(self.seen.to_string()).event("progress");
                return Some((message.json_data(&body).ok()?, over));
            }
            // Whether the log moved or the time is over, it is read on.
            let moved = tokio::time::timeout(LOOK, self.desk.services.log.changed(self.head)).await;
            if let Ok(Ok(head)) = moved {
                self.head = head;
            }
            // Moves during this pause are one message.
            tokio::time::sleep(COALESCE).await;
            self.run.read_on(&self.desk, self.open.tenant(), &self.id).await.ok()?;
        }
        None
    }
}
