//! Commands and reads of races over the real projector, with a clock that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use commands::{BulkLimits, Services};
use daybook_http::Principal;
use daybook_http::auth::KeyRing;
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::TenantId;
use domain::api_key::Role;
use domain::ports::rows::RowStore;
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use projections::Projection;
use projections::board::Board;
use projections::dfs_projections::{DfsProjections, Settings};
use projections::projector::{Options, Projector};
use racing::Racing;
use read_api::ReadState;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(600);

pub struct Bed {
    pub router: Router,
    pub services: Services,
    rows: Arc<dyn RowStore>,
    pub clock: Arc<FixedClock>,
    head: AtomicU64,
    _projector: DropGuard,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Status and the first place that the problem names.
    pub fn fault(&self) -> (u16, String) {
        let problem = self.json();
        let first = &problem["errors"][0];
        let place = ["pointer", "parameter", "header"].iter().find_map(|p| first[p].as_str());
        (self.status.as_u16(), place.unwrap_or("-").to_owned())
    }
}

impl Bed {
    pub async fn new(now: &str) -> Self {
        Self::under(now, Settings::default()).await
    }

    /// Forecasts are by these settings.
    pub async fn under(now: &str, settings: Settings) -> Self {
        Self::of(now, DfsProjections::new(settings)).await
    }

    /// There are no forecasts.
    pub async fn plain(now: &str) -> Self {
        Self::of(now, DfsProjections::plain()).await
    }

    async fn of(now: &str, projection: DfsProjections) -> Self {
        let clock = Arc::new(FixedClock::at(now));
        let log = Arc::new(MemoryLog::new(clock.clone()));
        let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
        let (board, cancel) = (Arc::new(Board::default()), CancellationToken::new());
        let projection = Arc::new(projection);
        rows.open(projection.name(), &projection.model(), projection.tables()).await.unwrap();
        let options = Options::new("test");
        let projector = Projector { log: log.clone(), rows: rows.clone(), board: board.clone(), options };
        let running = cancel.clone();
        tokio::spawn(async move { projector.run(projection, running).await });
        let ids = Arc::new(CountingIds::default());
        let services = Services { log: log.clone(), clock: clock.clone(), ids, bulk: BulkLimits::default() };
        let read = ReadState { log, rows: rows.clone(), board, stop: cancel.clone() };
        let reads = read_api::routes::races::router().with_state(read);
        let reads = reads.layer(axum::middleware::from_fn(read_api::lens_layer));
        // However slow the machine is.
        let racing = Racing::new(services.clone(), rows.clone(), 1).patient(PATIENCE);
        let router = commands::router(services.clone(), KeyRing::new(vec![]).0)
            .merge(reads)
            .merge(racing::router(racing));
        Self { router, services, rows, clock, head: AtomicU64::new(0), _projector: cancel.drop_guard() }
    }

    pub async fn send(&self, tenant: &str, role: Role, request: Request<Body>) -> Answer {
        let (parts, body) = self.open(tenant, role, request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes).unwrap() }
    }

    /// As another process has it.
    pub fn racing(&self) -> Racing {
        Racing::new(self.services.clone(), self.rows.clone(), 1).patient(PATIENCE)
    }

    /// Something was recorded up to here.
    pub fn seen(&self, position: u64) {
        self.head.fetch_max(position, Ordering::Relaxed);
    }

    /// Position of the last thing that was posted.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// With a body that is not read yet.
    pub async fn open(
        &self,
        tenant: &str,
        role: Role,
        mut request: Request<Body>,
    ) -> axum::response::Response {
        request.extensions_mut().insert(Principal::new(TenantId::new(tenant).unwrap(), "test", &[role]));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Whatever comes of it.
    pub async fn try_post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        let answer =
            self.send("acme", Role::Writer, request.body(Body::from(body.to_string())).unwrap()).await;
        if let Some(position) = answer.headers.get("daybook-position") {
            self.seen(position.to_str().unwrap().parse().unwrap());
        }
        answer
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.try_post(path, &body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()
    }

    /// Reads what reflects everything that was posted.
    pub async fn get_as(&self, tenant: &str, path: &str, accept: &str) -> Answer {
        let at_least = if tenant == "acme" { self.head() } else { 0 };
        // Where the rows have that at once, nobody waits.
        let request = Request::get(path).header("accept", accept).header("daybook-at-least", at_least);
        let request = request.header("prefer", "wait=60");
        self.send(tenant, Role::Reader, request.body(Body::empty()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.get_as("acme", path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// A short track and a race of six cars on 2023-11-05, scheduled.
    pub async fn race(&self, id: &str, number: u32) {
        self.post("/v1/tracks/phoenix/define", json!({"name": "Phoenix Raceway", "kind": "short"})).await;
        let race = json!({"series": "cup", "season": 2023, "number": number, "track": "phoenix", "name": "Finale",
            "date": "2023-11-05", "starts_at": "2023-11-05T20:00:00Z", "laps": 312, "official": true});
        self.post(&format!("/v1/races/{id}/schedule"), race).await;
        self.post(&format!("/v1/races/{id}/enter"), json!({"entries": entries()})).await;
    }
}

pub fn entries() -> Vec<Value> {
    let teams = ["T1", "T1", "T2", "T2", "T3", "T3"];
    let makes = ["Ford", "Ford", "Toyota", "Toyota", "Ford", "Chevrolet"];
    let entry = |i: usize| json!({"driver": format!("d{i}"), "team": teams[i], "make": makes[i], "car": format!("0{i}"), "start": i + 1});
    (0..6).map(entry).collect()
}

/// In this order of finish; the last two crashed on the same lap.
pub fn results(order: [usize; 6]) -> Vec<Value> {
    let placed = |(place, driver): (usize, usize)| {
        let (laps, status) = if place > 4 { (100, "accident") } else { (312, "running") };
        json!({"driver": format!("d{driver}"), "finish": place, "laps": laps, "led": if place == 1 { 312 } else { 0 },
            "status": status})
    };
    (1..).zip(order).map(placed).collect()
}
