//! Commands over HTTP, against the in-memory log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use commands::{BulkLimits, Services};
use daybook_http::Principal;
use daybook_http::auth::KeyRing;
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::api_key::Role;
use domain::ports::log::{EventLog, ReadFilter};
use domain::{StreamId, TenantId};
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::slow_log::SlowLog;

struct App {
    router: Router,
    log: Arc<MemoryLog>,
    slow: Arc<SlowLog>,
    uploads: Arc<tokio::sync::Semaphore>,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn app() -> App {
    let clock = Arc::new(FixedClock::at("2026-05-01T00:00:00Z"));
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let slow = Arc::new(SlowLog::new(log.clone()));
    let (ids, bulk) = (Arc::new(CountingIds::default()), BulkLimits::default());
    let uploads = bulk.uploads.clone();
    let services = Services { log: slow.clone(), clock, ids, bulk };
    let (ring, _) = KeyRing::new(vec![]);
    App { router: commands::router(services, ring), log, slow, uploads }
}

fn principal(tenant: &str, roles: &[Role]) -> Principal {
    Principal::new(TenantId::new(tenant).unwrap(), "test", roles)
}

impl App {
    async fn send(&self, principal: Principal, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(principal, request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn raw(&self, principal: Principal, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(principal);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(principal("acme", &[Role::Writer]), path, &[], body).await
    }

    async fn events(&self) -> u64 {
        self.log.head().await.unwrap().position
    }
}

fn show() -> Value {
    json!({
        "name": "Night one", "time_zone": "America/New_York",
        "starts_at": "2026-07-01T19:00", "ends_at": "2026-07-01T23:00",
        "live_url": "https://a.example/live"
    })
}

#[tokio::test]
async fn a_command_answers_with_what_was_recorded() {
    let app = app();
    let answer = app.post("/v1/events/show-1/schedule", show()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.headers["etag"], "\"1\"");
    assert_eq!(answer.headers["daybook-position"], "1");
    let body = answer.json();
    assert_eq!(body["stream"], json!({"kind": "event", "id": "show-1"}));
    assert_eq!(body["events"][0]["type"], "live_event.scheduled");
    assert_eq!(body["position"], 1);
    let stream = StreamId::new(&TenantId::new("acme").unwrap(), "event", "show-1").unwrap();
    let recorded = app.log.last(&stream).await.unwrap().unwrap();
    assert_eq!(&*recorded.metadata.actor, "key:test");
}

#[tokio::test]
async fn the_same_key_gives_the_same_bytes_and_appends_nothing() {
    let app = app();
    let key = [("idempotency-key", "k1")];
    let send = || app.send(principal("acme", &[Role::Writer]), "/v1/events/s/schedule", &key, show());
    let first = send().await;
    let again = send().await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    assert_eq!(app.events().await, 1);
    let other = json!({"reason": "rain"});
    let reused = app.send(principal("acme", &[Role::Writer]), "/v1/events/s/cancel", &key, other).await;
    assert_eq!(reused.status, 422, "{:?}", reused.body);
    // Another tenant's keys are its own.
    let foreign = app.send(principal("other", &[Role::Writer]), "/v1/events/s/schedule", &key, show()).await;
    assert_eq!(foreign.status, 200);
}

#[tokio::test]
async fn a_key_gives_its_first_answer_also_when_nothing_changed() {
    let app = app();
    app.post("/v1/events/s/schedule", show()).await;
    let key = [("idempotency-key", "k1")];
    let send = || app.send(principal("acme", &[Role::Writer]), "/v1/events/s/schedule", &key, show());
    let first = send().await;
    assert_eq!(first.json()["events"], json!([]));
    app.post("/v1/events/s/cancel", json!({"reason": "rain"})).await;
    assert_eq!(send().await.body, first.body, "although the event has moved on");
}

#[tokio::test]
async fn a_hundred_concurrent_duplicates_append_once() {
    let app = Arc::new(app());
    let bodies = futures::future::join_all((0..100).map(|_| {
        let app = app.clone();
        tokio::spawn(async move {
            let key = [("idempotency-key", "k1")];
            app.send(principal("acme", &[Role::Writer]), "/v1/events/s/schedule", &key, show()).await.body
        })
    }))
    .await;
    let first = bodies[0].as_ref().unwrap();
    assert!(bodies.iter().all(|b| b.as_ref().unwrap() == first));
    assert_eq!(app.events().await, 1);
}

#[tokio::test]
async fn if_match_guards_and_concurrent_commands_without_it_all_go_in() {
    let app = Arc::new(app());
    app.post("/v1/events/s/schedule", show()).await;
    let writer = || principal("acme", &[Role::Writer]);
    let stale =
        app.send(writer(), "/v1/events/s/set-mode", &[("if-match", "\"9\"")], json!({"mode": "off"})).await;
    assert_eq!(stale.status, 412);
    assert_eq!(stale.json()["actual_version"], 1);
    let fresh =
        app.send(writer(), "/v1/events/s/set-mode", &[("if-match", "\"1\"")], json!({"mode": "off"})).await;
    assert_eq!(fresh.status, 200);
    // `*` holds whoever else appends, as long as there is a stream.
    for headers in [&[][..], &[("if-match", "*")]] {
        let answers = futures::future::join_all((0..6).map(|i| {
            let id = format!("w{i}-{}", headers.len());
            let window = json!({"id": id, "kind": "live", "starts_at": "2026-07-01T20:00",
                "ends_at": "2026-07-01T21:00", "url": "https://a.example/"});
            app.send(writer(), "/v1/events/s/add-window", headers, window)
        }))
        .await;
        assert!(answers.iter().all(|a| a.status == 200), "{headers:?}");
    }
    let none =
        app.send(writer(), "/v1/events/t/set-mode", &[("if-match", "*")], json!({"mode": "off"})).await;
    assert_eq!(none.status, 412);
}

#[tokio::test]
async fn a_lost_answer_is_told_from_a_refusal_and_repeated() {
    let app = app();
    let key = [("idempotency-key", "k1")];
    let send = || app.send(principal("acme", &[Role::Writer]), "/v1/events/s/schedule", &key, show());
    app.slow.breaks.store(true, Ordering::SeqCst);
    let lost = send().await;
    assert_eq!((lost.status, &lost.json()["recorded"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unknown")));
    app.slow.mend();
    let found = send().await;
    assert_eq!(found.status, 200);
    assert_eq!(found.json()["events"][0]["position"], 1);
    assert_eq!(app.events().await, 1);
}

#[tokio::test]
async fn a_band_is_registered_with_an_event_that_exists() {
    let app = app();
    let refused = app.post("/v1/bands/b1/register", json!({"event_id": "show-1"})).await;
    assert_eq!(refused.status, 422, "{:?}", refused.body);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/event_id");
    app.post("/v1/events/show-1/schedule", show()).await;
    let done = app.post("/v1/bands/b1/register", json!({"event_id": "show-1", "tags": ["vip"]})).await;
    assert_eq!(done.status, 200);
    // Another tenant's event is as unknown as none.
    let foreign = principal("other", &[Role::Writer]);
    let refused = app.send(foreign, "/v1/bands/b1/register", &[], json!({"event_id": "show-1"})).await;
    assert_eq!(refused.status, 422);
}

#[tokio::test]
async fn roles_are_asked_for() {
    let app = app();
    let reader = principal("acme", &[Role::Reader, Role::Operator, Role::Auditor]);
    assert_eq!(app.send(reader, "/v1/events/s/schedule", &[], show()).await.status, 403);
    let writer = principal("acme", &[Role::Writer]);
    let refused = app.send(writer, "/v1/tenant/configure", &[], json!({})).await;
    assert_eq!(refused.status, 403);
    assert_eq!(app.events().await, 0);
}

#[tokio::test]
async fn the_allow_list_of_the_tenant_binds_new_targets() {
    let app = app();
    let admin = principal("acme", &[Role::Admin]);
    let settings = json!({"allowed_hosts": ["b.example"]});
    assert_eq!(app.send(admin, "/v1/tenant/configure", &[], settings).await.status, 200);
    let refused = app.post("/v1/events/s/schedule", show()).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/live_url");
}

async fn bulk(app: &App, content_type: &str, body: String) -> Vec<Value> {
    let request =
        Request::post("/v1/bands/bulk").header("content-type", content_type).body(Body::from(body)).unwrap();
    let answer = app.raw(principal("acme", &[Role::Writer]), request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn bulk_rows_are_answered_one_by_one_and_can_be_sent_again() {
    let app = app();
    app.post("/v1/events/show-1/schedule", show()).await;
    let csv =
        "band_id,event_id,tags\nb1,show-1,vip;crew\nb/2,show-1,\nb3,nowhere,\nb4,,\nb1,show-1,vip;crew\nb5\n";
    let answers = bulk(&app, "text/csv", csv.into()).await;
    let statuses: Vec<_> = answers.iter().map(|a| a["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["registered", "rejected", "rejected", "registered", "unchanged", "rejected"]);
    assert_eq!(answers[1]["problem"]["errors"][0]["pointer"], "/band_id");
    assert_eq!(answers[2]["problem"]["errors"][0]["pointer"], "/event_id");
    assert_eq!(answers[0]["line"], 2);
    let before = app.events().await;
    let again = bulk(&app, "text/csv", csv.into()).await;
    assert_eq!(again[0]["status"], "unchanged");
    assert_eq!(app.events().await, before);
}

#[tokio::test]
async fn bulk_answers_name_the_line_of_the_file() {
    let app = app();
    for csv in
        ["band_id,tags\r\nb1,a\r\n\r\nb/2,b\r\nb3\r\nb4,c\r\n", "band_id,tags\nb1,a\n\nb/2,b\nb3\nb4,c\n"]
    {
        let answers = bulk(&app, "text/csv", csv.into()).await;
        let lines: Vec<_> = answers.iter().map(|a| a["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [2, 4, 5, 6], "{csv:?}");
        let detail = answers[2]["problem"]["errors"][0]["detail"].as_str().unwrap();
        assert_eq!(detail, "must have 2 cells as the heading has, not 1");
    }
}

#[tokio::test]
async fn bulk_refuses_a_wrong_heading_and_one_row_too_many() {
    let app = app();
    let rows = |n: usize, end: &str| (0..n).map(|i| format!("b{i}{end}")).collect::<String>();
    let many = 200_001;
    let cases = [
        ("text/csv", "id,tags\nb1,\n".into(), 422),
        ("text/csv", "band_id,colour\nb1,red\n".into(), 422),
        ("text/csv", "band_id,bandId\nb1,b2\n".into(), 422),
        ("text/csv", format!("band_id\n{}", rows(many, "\n")), 413),
        ("application/x-ndjson", rows(many, "\n"), 413),
        ("application/x-ndjson", rows(many, "\n").trim_end().to_owned(), 413),
    ];
    for (kind, body, status) in cases {
        let shown = body[..body.len().min(30)].to_owned();
        let request = Request::post("/v1/bands/bulk").header("content-type", kind).body(Body::from(body));
        let answer = app.raw(principal("acme", &[Role::Writer]), request.unwrap()).await;
        assert_eq!(answer.status, status, "{kind} {shown:?}");
    }
    assert_eq!(app.events().await, 0);
}

#[tokio::test]
async fn bulk_takes_more_rows_than_one_batch() {
    let app = app();
    let rows: String = (0..10_001).map(|i| format!("{{\"band_id\":\"b{i}\"}}\n")).collect();
    let answers = bulk(&app, "application/x-ndjson", rows).await;
    assert_eq!(answers.len(), 10_001);
    assert!(answers.iter().all(|a| a["status"] == "registered"));
    let page = app.log.read(0, 20_000, &ReadFilter::default()).await.unwrap();
    assert_eq!(page.events.len(), 10_001);
}

#[tokio::test]
async fn no_more_bulk_requests_are_taken_than_fit() {
    let app = app();
    let held = app.uploads.clone().acquire_many_owned(4).await.unwrap();
    let request = || {
        let body = Body::from("band_id\nb1\n");
        Request::post("/v1/bands/bulk").header("content-type", "text/csv").body(body).unwrap()
    };
    let writer = || principal("acme", &[Role::Writer]);
    let refused = app.raw(writer(), request()).await;
    assert_eq!(refused.status, 503, "{:?}", refused.body);
    assert!(refused.headers.contains_key("retry-after"));
    drop(held);
    assert_eq!(app.raw(writer(), request()).await.status, 200);
}
