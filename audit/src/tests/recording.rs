use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use daybook_http::auth::{Authenticator, KeyRing, authenticate, parse_static};
use domain::ports::log::LogError;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::recording::{Recorder, record_query};

// Not of the API's document.
const READ: &str = "/v1/audit/x";
const SQL: &str = "/v1/sql";
const KEYS: &str = "auditor-key:acme:auditor,reader-key:acme:reader";

/// Stands still until it is moved.
#[derive(Default)]
struct Hand(AtomicI64);

impl Hand {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

struct Watched {
    bed: Bed,
    clock: Arc<Hand>,
    recorder: Arc<Recorder>,
    router: axum::Router,
    /// Questions that were answered.
    asked: Arc<AtomicI64>,
}

impl Watched {
    async fn new() -> Self {
        let (bed, clock) = (small().await, Arc::<Hand>::default());
        let recorder = Recorder::new(bed.log.clone(), clock.clone(), Arc::new(Counting::default()));
        let (ring, _) = KeyRing::new(parse_static(KEYS, &tenant("acme")).unwrap());
        let seen = Some(recorder.seen());
        let auth = Authenticator { seen, ..Authenticator::new(ring, clock.clone()) };
        let asked = Arc::<AtomicI64>::default();
        let count = asked.clone();
        let sql = axum::Router::new().route(
            SQL,
            post(move |principal: Principal, body: String| async move {
                principal.require(Role::Auditor)?;
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<_, daybook_http::Problem>(body)
            }),
        );
        let sql = sql.route_layer(from_fn_with_state(recorder.clone(), record_query));
        let router = router(bed.state()).merge(sql);
        let router = router.route_layer(from_fn_with_state(auth, authenticate));
        Self { bed, clock, recorder, router, asked }
    }

    async fn get(&self, key: &str, path: &str) -> u16 {
        self.send(Request::builder().uri(path).header("x-api-key", key).body(Body::empty()).unwrap()).await.0
    }

    async fn sql(&self, key: &str, body: &Value) -> (u16, String) {
        let request = Request::builder().method("POST").uri("/v1/sql").header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (u16, String) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// What was recorded: type, stream, actor, payload.
    async fn recorded(&self) -> Vec<(String, String, String, Value)> {
        let events = self.bed.all().await.into_iter().skip(4);
        let told = |e: RecordedEvent| {
            let payload = serde_json::from_str(&e.payload).unwrap();
            (e.event_type.to_string(), e.stream.to_string(), e.metadata.actor.to_string(), payload)
        };
        events.map(told).collect()
    }
}

#[tokio::test]
async fn a_storm_of_reads_makes_one_event_a_minute() {
    let watched = Watched::new().await;
    for n in 0..9_999 {
        if n % 1_000 == 0 {
            watched.clock.pass(5);
            watched.recorder.record(false).await;
        }
        let path = format!("/v1/audit/events?after={}", n % 20);
        assert_eq!(watched.get("auditor-key", &path).await, 200);
    }
    assert_eq!(watched.recorded().await, [], "its minute is not over");
    watched.clock.pass(60);
    watched.recorder.record(false).await;
    let mut recorded = watched.recorded().await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    let (event_type, stream, actor, payload) = recorded.remove(0);
    assert_eq!(event_type, "audit.read");
    let key = actor.strip_prefix("key:").unwrap();
    assert_eq!(stream, format!("acme/access/{key}"));
    let targets: Vec<String> = (0..10).map(|n| format!("/v1/audit/events?after={n}")).collect();
    assert_eq!(
        payload,
        json!({"what": "GET /v1/audit/events", "count": 9_999, "from": "1970-01-01T00:00:05Z",
            "to": "1970-01-01T00:00:50Z", "targets": targets})
    );
    // Very many are not waited for.
    for _ in 0..10_000 {
        watched.get("auditor-key", "/v1/audit/events").await;
    }
    watched.recorder.record(false).await;
    assert_eq!(watched.recorded().await.len(), 2);
}

#[tokio::test]
async fn reading_of_reads_is_a_read_like_any() {
    let watched = Watched::new().await;
    watched.get("auditor-key", "/v1/audit/events").await;
    watched.recorder.record(true).await;
    let stream = watched.recorded().await.remove(0).1;
    let path = format!("/v1/audit/streams/{}", stream.strip_prefix("acme/").unwrap());
    for _ in 0..5 {
        assert_eq!(watched.get("auditor-key", &path).await, 200);
        watched.recorder.record(false).await;
    }
    assert_eq!(watched.recorded().await.len(), 1);
    watched.clock.pass(60);
    watched.recorder.record(false).await;
    watched.clock.pass(600);
    watched.recorder.record(false).await;
    let recorded = watched.recorded().await;
    assert_eq!((recorded.len(), &recorded[1].3["count"]), (2, &json!(5)));
    assert_eq!(recorded[1].3["what"], "GET /v1/audit/streams/{kind}/{id}");
}

#[tokio::test]
async fn refusals_are_recorded_by_key_and_route() {
    let watched = Watched::new().await;
    for _ in 0..3 {
        assert_eq!(watched.get("reader-key", "/v1/audit/streams/band/secret?x=1").await, 403);
        assert_eq!(watched.get("wrong", "/v1/audit/events").await, 401);
    }
    assert_eq!(watched.sql("reader-key", &json!({"query": "select 1"})).await.0, 403);
    assert_eq!(watched.get("auditor-key", "/v1/audit/events?tenant=other").await, 403);
    // Neither a read nor a refusal.
    assert_eq!(watched.get("auditor-key", "/v1/audit/events?limit=0").await, 400);
    watched.recorder.record(true).await;
    let mut recorded = watched.recorded().await;
    recorded.sort_by_key(|r| (r.3["what"].to_string(), r.3["status"].as_u64()));
    let told: Vec<_> = recorded
        .iter()
        .map(|(t, s, _, p)| {
            let owner = s.split('/').next().unwrap();
            (
                t.as_str(),
                owner,
                p["what"].as_str().unwrap(),
                p["status"].as_u64().unwrap(),
                p["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("audit.denied", "_system", "GET /v1/audit/events", 401, 3),
            ("audit.denied", "acme", "GET /v1/audit/events", 403, 1),
            ("audit.denied", "acme", "GET /v1/audit/streams/{kind}/{id}", 403, 3),
            ("audit.denied", "acme", "POST /v1/sql", 403, 1),
        ]
    );
    assert_eq!(recorded[0].1, "_system/access/anonymous");
    assert!(!format!("{recorded:?}").contains("secret"), "{recorded:?}");
    assert_eq!(watched.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_question_is_recorded_before_it_is_answered() {
    let watched = Watched::new().await;
    let long = format!("select '{}'", "ü".repeat(5_000));
    for (query, at) in [("select 1", Some(4)), (long.as_str(), None)] {
        let body = match at {
            Some(at) => json!({"query": query, "at": at}),
            None => json!({"query": query}),
        };
        let (status, answered) = watched.sql("auditor-key", &body).await;
        assert_eq!((status, answered), (200, body.to_string()), "what was asked comes through whole");
    }
    let recorded = watched.recorded().await;
    assert_eq!(
        (&*recorded[0].0, &recorded[0].3["query"], &recorded[0].3["at"]),
        ("audit.queried", &json!("select 1"), &json!(4))
    );
    let kept = recorded[1].3["query"].as_str().unwrap();
    assert!(kept.len() > 4_000 && kept.len() <= 4_096 && long.starts_with(kept));
    // What cannot be read is left to who refuses it.
    watched.sql("auditor-key", &json!({"query": 7})).await;
    assert_eq!(watched.recorded().await.len(), 2);
}

#[tokio::test]
async fn a_log_that_is_away_costs_no_record() {
    let (clock, gate) = (Arc::<Hand>::default(), Arc::new(Away::new()));
    let recorder = Recorder::new(gate.clone(), clock.clone(), Arc::new(Counting::default()));
    let seen = recorder.seen();
    let router = axum::Router::new().route(READ, axum::routing::get(|| async { StatusCode::OK }));
    let sql = axum::Router::new().route(SQL, post(|| async { "answered" }));
    let sql = sql.route_layer(from_fn_with_state(recorder.clone(), record_query));
    let (ring, _) = KeyRing::new(parse_static(KEYS, &tenant("acme")).unwrap());
    let auth = Authenticator { seen: Some(seen), ..Authenticator::new(ring, clock.clone()) };
    let router = router.merge(sql).route_layer(from_fn_with_state(auth, authenticate));
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", "auditor-key");
        let request = request.header("content-type", "application/json");
        let body = Body::from(r#"{"query":"select 1"}"#);
        router.clone().oneshot(request.body(body).unwrap()).await.unwrap().status().as_u16()
    };
    gate.away.store(1, Ordering::Relaxed);
    assert_eq!(ask("GET", READ).await, 200);
    recorder.record(true).await;
    assert_eq!(ask("POST", SQL).await, 503, "nothing is answered that was not recorded");
    assert_eq!(gate.log.head().await.unwrap().position, 0);
    gate.away.store(0, Ordering::Relaxed);
    assert_eq!(ask("GET", READ).await, 200);
    // Told to stop, it records what is left.
    let stop = CancellationToken::new();
    stop.cancel();
    recorder.clone().run(stop).await;
    let all = gate.log.read(0, 10, &ReadFilter::default()).await.unwrap().events;
    assert_eq!(all.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&all[0].payload).unwrap()["count"], 2);
}

/// A log that takes nothing while it is away.
struct Away {
    log: Arc<MemoryLog>,
    away: AtomicI64,
}

impl Away {
    fn new() -> Self {
        Self { log: Bed::new().log, away: AtomicI64::default() }
    }
}

#[async_trait::async_trait]
impl EventLog for Away {
    async fn append(
        &self,
        batch: Vec<Append>,
    ) -> Vec<Result<domain::ports::log::Receipt, domain::ports::log::AppendError>> {
        if self.away.load(Ordering::Relaxed) == 0 {
            return self.log.append(batch).await;
        }
        let away = |_| {
            let reason = "it is away".to_owned();
            Err(domain::ports::log::AppendError::Unavailable { reason, unknown: false })
        };
        batch.into_iter().map(away).collect()
    }

    async fn read(
        &self,
        after: u64,
        limit: usize,
        filter: &ReadFilter,
    ) -> Result<domain::ports::log::Page, LogError> {
        self.log.read(after, limit, filter).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.read_stream(stream, from, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        self.log.last(stream).await
    }

    async fn stored_reply(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<domain::ports::log::StoredReply>, LogError> {
        self.log.stored_reply(tenant, key).await
    }

    async fn head(&self) -> Result<domain::ports::log::Head, LogError> {
        self.log.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.log.changed(after).await
    }
}

#[tokio::test]
async fn methods_that_nobody_knows_are_one() {
    let watched = Watched::new().await;
    for n in 0..50 {
        let request = Request::builder().method(format!("BREW{n}").as_str()).uri("/v1/audit/events");
        assert_eq!(watched.send(request.body(Body::empty()).unwrap()).await.0, 401);
    }
    watched.recorder.record(true).await;
    let recorded = watched.recorded().await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    let denied = &recorded[0].3;
    assert_eq!((&denied["what"], &denied["count"]), (&json!("other /v1/audit/events"), &json!(50)));
}

#[test]
fn the_key_of_a_row_is_recorded_as_a_digest() {
    let told = |uri: &'static str| crate::recording::target(&uri.parse().unwrap()).unwrap();
    let row = told("/v1/audit/why/tap_analytics/visitors/show/0123?at=7");
    assert!(row.starts_with("/v1/audit/why/tap_analytics/visitors/sha256:"), "{row}");
    assert!(row.ends_with("?at=7") && !row.contains("show"), "{row}");
    assert_eq!(told("/v1/audit/events?actor=key:a"), "/v1/audit/events?actor=key:a");
}
