//! A small API behind the real layers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::{get, post};
use daybook_http::auth::{Authenticator, KeyRing, KeyUsed, Role, parse_static};
use daybook_http::extract::BodyLimits;
use daybook_http::health::{Health, Status};
use daybook_http::layers::{Config, Cors, Routes, apply};
use daybook_http::limits::RateLimits;
use daybook_http::{
    CorrelationId, Id, IdempotencyKey, IfMatch, Json, JsonBody, Path, Principal, Problem, Query, openapi,
    problem_pages,
};
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::TenantId;
use domain::decide::Rejection;
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

/// An admin of the tenant `default`.
pub const KEY: &str = "operator-key";
/// A reader of the tenant `acme`.
pub const READER: &str = "reader-key";

pub struct App {
    pub router: Router,
    pub log: Arc<MemoryLog>,
    pub ring: Arc<KeyRing>,
    pub clock: Arc<FixedClock>,
    pub used: mpsc::Receiver<KeyUsed>,
    pub health: Arc<Health>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read into")]
pub struct Thing {
    name: String,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    tags: Vec<String>,
    any: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    limit: u16,
    after: Option<Id>,
}

async fn put_thing(
    Path(id): Path<Id>,
    IdempotencyKey(key): IdempotencyKey,
    CorrelationId(correlation): CorrelationId,
    IfMatch(expected): IfMatch,
    body: JsonBody<Thing>,
) -> Json<Value> {
    Json(json!({
        "id": id.0, "key": key, "correlation": correlation, "expected": format!("{expected:?}"),
        "name": body.value.name, "hash": hex::encode(body.hash),
    }))
}

async fn list_things(Query(page): Query<Page>, principal: Principal) -> Result<Json<Value>, Problem> {
    principal.require_any(&[Role::Reader, Role::Auditor])?;
    Ok(Json(json!({"limit": page.limit, "after": page.after, "tenant": principal.tenant})))
}

async fn refuse(Path(how): Path<String>) -> Problem {
    match how.as_str() {
        "internal" => Problem::internal("connection to 10.1.2.3 failed"),
        "field" => Rejection::field("/ends_at", "must be after /starts_at").into(),
        "state" => Rejection::State("the event is archived".into()).into(),
        _ => Problem::not_found(),
    }
}

fn api() -> Router {
    Router::new()
        .route("/things/{id}", post(put_thing))
        .route("/things", get(list_things))
        .route("/empty", post(|_: Json<NoFields>| async { "done" }))
        .route("/refused/{how}", get(refuse))
        .route("/panic", get(panics))
        .route("/never", get(std::future::pending::<()>))
}

async fn panics() {
    panic!("a secret of the database");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl App {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
        let log = Arc::new(MemoryLog::new(clock.clone()));
        let list = format!("{KEY},{READER}:acme:reader");
        let fixed = parse_static(&list, &TenantId::new("default").unwrap()).unwrap();
        let (ring, used) = KeyRing::new(fixed);
        let mut config = Config {
            auth: Authenticator::new(ring.clone(), clock.clone()),
            rates: RateLimits::new(None, None),
            body: BodyLimits { bytes: 1 << 20, depth: 64 },
            timeout: Duration::from_secs(30),
            concurrency: 100,
            cors: Cors::None,
            proxies: Default::default(),
            ids: Arc::new(CountingIds::default()),
        };
        change(&mut config);
        let health = Health::new("0.0.0", || "taps_total 1\n".into())
            .component("log", true, || async { Status::ok("at 7") })
            .component("bus", false, || async { Status::failed("not connected") });
        let health = Arc::new(health);
        let document = openapi::document("0.0.0", "A test", vec![]);
        let open = problem_pages::routes().merge(openapi::routes(&document).unwrap());
        let routes = Routes { api: api(), open, health: health.clone().routes() };
        Self { router: apply(routes, config), log, ring, clock, used, health }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// A request with the operator's key.
pub fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("x-api-key", KEY)
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem this answer is, checked for what every problem has.
    pub fn problem(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {text}", self.status);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(self.body.len() < 8_192);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|t| !t.is_empty()), "{member} of {text}");
        }
        problem
    }

    /// Type and the first place named.
    pub fn fault(&self) -> (String, String) {
        let problem = self.problem();
        let slug = problem["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned();
        let first = &problem["errors"][0];
        let place = ["pointer", "parameter", "header"].iter().find_map(|p| first[p].as_str());
        (slug, place.unwrap_or("-").to_owned())
    }
}
