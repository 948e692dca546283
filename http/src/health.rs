//! `/live`, `/ready`, `/health` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::extract::Json;

/// A probe that has not answered by then counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Probes are not repeated more often, however often someone asks.
const REPORT_AGE: Duration = Duration::from_millis(250);

/// How a part of the server is. `detail` is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub ok: bool,
    pub detail: String,
}

impl Status {
    pub fn ok(detail: impl Into<String>) -> Self {
        Self { ok: true, detail: detail.into() }
    }

    pub fn failed(detail: impl Into<String>) -> Self {
        Self { ok: false, detail: detail.into() }
    }
}

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Status> + Send + Sync>;

#[derive(Clone)]
struct Component {
    name: &'static str,
    /// Whether the server can do nothing useful without it.
    required: bool,
    probe: Probe,
}

#[derive(Debug, Clone, Serialize)]
struct ComponentReport {
    name: &'static str,
    required: bool,
    #[serde(flatten)]
    status: Status,
}

/// The parts of a server that can fail, and whether it is shutting down.
pub struct Health {
    version: &'static str,
    components: Vec<Component>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    draining: AtomicBool,
    report: Mutex<Option<(Instant, Vec<ComponentReport>)>>,
}

impl Health {
    /// `metrics` renders the Prometheus text.
    pub fn new(version: &'static str, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            version,
            components: Vec::new(),
            metrics: Arc::new(metrics),
            draining: AtomicBool::new(false),
            report: Mutex::default(),
        }
    }

    /// Adds a part. Only a `required` one makes the server not ready.
    pub fn component<F, R>(mut self, name: &'static str, required: bool, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Status> + Send + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(probe()));
        self.components.push(Component { name, required, probe });
        self
    }

    /// From now on the server is not ready, so that balancers send it nothing
    /// new while it finishes what it has.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/health", get(health))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    async fn report(&self) -> Vec<ComponentReport> {
        let mut kept = self.report.lock().await;
        if let Some((_, report)) = kept.as_ref().filter(|(at, _)| at.elapsed() < REPORT_AGE) {
            return report.clone();
        }
        let report = join_all(self.components.iter().map(probe)).await;
        *kept = Some((Instant::now(), report.clone()));
        report
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

async fn probe(component: &Component) -> ComponentReport {
    let status = match tokio::time::timeout(PROBE_TIMEOUT, (component.probe)()).await {
        Ok(status) => status,
        Err(_) => Status::failed("did not answer in time"),
    };
    ComponentReport { name: component.name, required: component.required, status }
}

fn code(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[utoipa::path(
    get,
    path = "/live",
    tag = "Server",
    summary = "The process runs",
    security(()),
    responses((status = 200, description = "It is so")),
)]
pub(crate) async fn live() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

#[utoipa::path(
    get,
    path = "/ready",
    tag = "Server",
    summary = "Whether requests can be served; fails while draining",
    security(()),
    responses((status = 200, description = "It is so"), (status = 503, description = "Not the case")),
)]
pub(crate) async fn ready(State(health): State<Arc<Health>>) -> Response {
    let failed: Vec<&str> =
        health.report().await.iter().filter(|c| c.required && !c.status.ok).map(|c| c.name).collect();
    let draining = health.is_draining();
    let ok = failed.is_empty() && !draining;
    let status = match (ok, draining) {
        (true, _) => "ready",
        (_, true) => "draining",
        _ => "not ready",
    };
    (code(ok), Json(json!({"status": status, "failed": failed}))).into_response()
}

#[utoipa::path(
    get,
    path = "/health",
    tag = "Server",
    summary = "Every part and how it is",
    security(()),
    responses((status = 200, description = "It is so"), (status = 503, description = "Not the case")),
)]
pub(crate) async fn health(State(health): State<Arc<Health>>) -> Response {
    let components = health.report().await;
    let ok = components.iter().all(|c| c.status.ok || !c.required);
    let status = match (ok, components.iter().all(|c| c.status.ok)) {
        (true, true) => "ok",
        (true, false) => "degraded",
        _ => "failed",
    };
    let body = json!({
        "status": status,
        "version": health.version,
        "draining": health.is_draining(),
        "components": components,
    });
    (code(ok), Json(body)).into_response()
}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Server",
    summary = "Metrics in the Prometheus text format",
    security(()),
    responses((status = 200, description = "It is so")),
)]
pub(crate) async fn metrics(State(health): State<Arc<Health>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (health.metrics)()).into_response()
}
