//! Questions about taps over HTTP: in-memory log, the real projector, the
//! in-memory row store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use commands::{BulkLimits, Services};
use daybook_http::Principal;
use daybook_http::auth::KeyRing;
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::api_key::Role;
use domain::envelope::Metadata;
use domain::ports::clock::Ids;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::rows::RowStore;
use domain::tap::{KIND, Mode, PREVIEWED, TAPPED, Tap};
use domain::{NewEvent, StreamId, TenantId};
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use jiff::Timestamp;
use projections::Projection;
use projections::board::Board;
use projections::projector::{Options, Projector};
use projections::tap_analytics::TapAnalytics;
use read_api::ReadState;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1";

struct App {
    router: Router,
    log: Arc<MemoryLog>,
    ids: CountingIds,
    head: AtomicU64,
    _projector: DropGuard,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

async fn app() -> App {
    let clock = Arc::new(FixedClock::at("2026-05-01T00:00:00Z"));
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let board = Arc::new(Board::default());
    let cancel = CancellationToken::new();
    let projector = Projector {
        log: log.clone(),
        rows: rows.clone(),
        board: board.clone(),
        options: Options::new("test"),
    };
    let projection: Arc<dyn Projection> = Arc::new(TapAnalytics::default());
    rows.open(projection.name(), &projection.model(), projection.tables()).await.unwrap();
    let running = cancel.clone();
    tokio::spawn(async move { projector.run(projection, running).await });
    let services = Services {
        log: log.clone(),
        clock,
        ids: Arc::new(CountingIds::default()),
        bulk: BulkLimits::default(),
    };
    let read = ReadState { log: log.clone(), rows, board, stop: cancel.clone() };
    let router = commands::router(services, KeyRing::new(vec![]).0)
        .merge(read_api::routes::analytics_router().with_state(read));
    let head = AtomicU64::new(0);
    App { router, log, ids: CountingIds::default(), head, _projector: cancel.drop_guard() }
}

fn tap(band: &str, event: &str) -> Tap {
    Tap {
        band_id: band.into(),
        event_id: Some(event.into()),
        window_id: None,
        mode: Mode::Live,
        url: None,
        user_agent: Some(IPHONE.into()),
        referrer: None,
        language: None,
        country: None,
        visitor: None,
        source: "test".into(),
    }
}

impl App {
    async fn answer(
        &self,
        tenant: &str,
        roles: &[Role],
        request: axum::http::request::Builder,
        body: Body,
    ) -> Answer {
        let mut request = request.body(body).unwrap();
        let principal = Principal::new(TenantId::new(tenant).unwrap(), "test", roles);
        request.extensions_mut().insert(principal);
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn request(&self, path: &str) -> axum::http::request::Builder {
        Request::get(path).header("daybook-at-least", self.head.load(Ordering::Relaxed))
    }

    async fn get(&self, path: &str) -> Answer {
        self.answer("acme", &[Role::Reader], self.request(path), Body::empty()).await
    }

    async fn ok(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn post(&self, path: &str, body: Value) {
        let request = Request::post(path).header("content-type", "application/json");
        let answer = self.answer("acme", &[Role::Writer], request, Body::from(body.to_string())).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        let position = answer.headers["daybook-position"].to_str().unwrap().parse().unwrap();
        self.head.store(position, Ordering::Relaxed);
    }

    async fn schedule(&self, id: &str, zone: &str, starts_at: &str) {
        self.command(id, "schedule", zone, starts_at).await;
    }

    async fn command(&self, id: &str, command: &str, zone: &str, starts_at: &str) {
        let body =
            json!({"name": id, "time_zone": zone, "starts_at": starts_at, "ends_at": "2026-12-31T00:00:00Z"});
        self.post(&format!("/v1/events/{id}/{command}"), body).await;
    }

    async fn record(&self, event_type: &str, taps: &[(&str, Tap)]) {
        let stream = StreamId::new(&TenantId::new("acme").unwrap(), KIND, "test").unwrap();
        let event = |(at, tap): &(&str, Tap)| NewEvent {
            event_id: self.ids.next(),
            event_type: event_type.into(),
            schema: 1,
            occurred_at: Some(at.parse::<Timestamp>().unwrap()),
            payload: serde_json::to_string(tap).unwrap(),
        };
        let metadata = Metadata {
            actor: "hub".into(),
            command_id: self.ids.next(),
            correlation_id: "test".into(),
            causation_id: None,
        };
        let events = taps.iter().map(event).collect();
        let write = StreamWrite { stream, expected: ExpectedVersion::Any, events };
        let append = Append { writes: vec![write], metadata, idempotency: None };
        let receipt = self.log.append(vec![append]).await.remove(0).unwrap();
        self.head.store(receipt.position(), Ordering::Relaxed);
    }

    async fn tapped(&self, taps: &[(&str, Tap)]) {
        self.record(TAPPED, taps).await;
    }
}

#[tokio::test]
async fn a_summary_reflects_the_position_asked_for() {
    let app = app().await;
    app.schedule("show", "America/New_York", "2026-07-01T19:00").await;
    let empty = app.ok("/v1/analytics/events/show/summary").await;
    assert_eq!((&empty["taps"], &empty["name"]), (&json!(0), &json!("show")));
    let bot = Tap { user_agent: Some("Googlebot/2.1".into()), ..tap("b1", "show") };
    app.tapped(&[("2026-07-01T23:00:00Z", tap("b1", "show")), ("2026-07-01T23:00:01Z", bot)]).await;
    app.record(PREVIEWED, &[("2026-07-01T23:00:02Z", tap("b2", "show"))]).await;
    let answer = app.get("/v1/analytics/events/show/summary").await;
    let summary = answer.json();
    assert_eq!([&summary["taps"], &summary["bots"], &summary["previews"]], [1, 1, 1]);
    assert_eq!(summary["modes"], json!([{"name": "live", "taps": 1}]));
    assert_eq!(summary["bot_classes"], json!([{"name": "head", "taps": 1}, {"name": "search", "taps": 1}]));
    assert_eq!(summary["devices"], json!([{"name": "mobile", "taps": 1}]));
    assert_eq!(answer.headers["daybook-position"], app.head.load(Ordering::Relaxed).to_string());
    assert_eq!(answer.headers["daybook-model"], "bots@1");
}

#[tokio::test]
async fn rows_of_another_tenant_are_not_there() {
    let app = app().await;
    app.schedule("show", "UTC", "2026-07-01T19:00").await;
    app.tapped(&[("2026-07-01T23:00:00Z", tap("b1", "show"))]).await;
    let paths = [
        "/v1/analytics/events/show/summary",
        "/v1/analytics/events/show/series",
        "/v1/analytics/events/show/top-bands",
        "/v1/analytics/events/show/export.csv",
        "/v1/analytics/events/show/stream",
        "/v1/bands/b1/taps",
        "/v1/analytics/retention?events=show",
    ];
    for path in paths {
        let stranger = app.answer("umbrella", &[Role::Reader], app.request(path), Body::empty()).await;
        assert_eq!(stranger.status, 404, "{path}: {}", stranger.text);
        let writer = app.answer("acme", &[Role::Writer], app.request(path), Body::empty()).await;
        assert_eq!(writer.status, 403, "{path}");
        let unnamed =
            app.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(unnamed.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn hours_are_those_of_the_event_even_after_its_zone_changed() {
    let app = app().await;
    app.schedule("show", "Asia/Kolkata", "2026-07-01T19:00").await;
    app.tapped(&[
        ("2026-07-01T18:31:00Z", tap("b1", "show")),
        ("2026-07-01T18:29:59.999999Z", tap("b2", "show")),
        ("2026-07-01T18:29:59Z", tap("b1", "show")),
    ])
    .await;
    let hours = "/v1/analytics/events/show/series?granularity=hour";
    let points = |series: &Value| {
        let point = |p: &Value| (p["local"].as_str().unwrap().to_owned(), p["taps"].as_u64().unwrap());
        series["points"].as_array().unwrap().iter().map(point).collect::<Vec<_>>()
    };
    let series = app.ok(hours).await;
    assert_eq!(
        points(&series),
        [("2026-07-01T23:00:00+05:30".into(), 2), ("2026-07-02T00:00:00+05:30".into(), 1)]
    );
    assert_eq!(series["points"][0]["new_bands"], 2);
    app.command("show", "change", "America/New_York", "2026-07-01T19:00").await;
    assert_eq!(points(&app.ok(hours).await), [("2026-07-01T14:00:00-04:00".into(), 3)]);
    let tens = app.ok("/v1/analytics/events/show/series?granularity=10s&from=2026-07-01T18:29:50Z").await;
    assert_eq!(points(&tens).iter().map(|p| p.1).collect::<Vec<_>>(), [2, 0, 0, 0, 0, 0, 0, 1]);
    let days = app
        .ok("/v1/analytics/events/show/series?granularity=day&from=2026-06-30T00:00&to=2026-07-03T00:00")
        .await;
    assert_eq!(points(&days).iter().map(|p| p.1).collect::<Vec<_>>(), [0, 3, 0]);
}

#[tokio::test]
async fn a_series_comes_as_csv_too() {
    let app = app().await;
    app.schedule("show", "Australia/Lord_Howe", "2026-04-05T00:00").await;
    app.tapped(&[("2026-04-04T14:45:00Z", tap("b1", "show")), ("2026-04-04T15:15:00Z", tap("b1", "show"))])
        .await;
    let request =
        app.request("/v1/analytics/events/show/series?granularity=hour").header("accept", "text/csv");
    let answer = app.answer("acme", &[Role::Reader], request, Body::empty()).await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert_eq!(
        answer.text.lines().collect::<Vec<_>>(),
        [
            "start,end,local,taps,bots,previews,new_bands,pre,live,post,custom,fallback,tenant_fallback,none",
            "2026-04-04T14:00:00Z,2026-04-04T15:00:00Z,2026-04-05T01:00:00+11:00,1,0,0,1,0,1,0,0,0,0,0",
            "2026-04-04T15:00:00Z,2026-04-04T15:30:00Z,2026-04-05T01:30:00+10:30,1,0,0,0,0,1,0,0,0,0,0",
        ]
    );
}

#[tokio::test]
async fn top_bands_are_paged_to_the_last() {
    let app = app().await;
    let taps: Vec<(&str, Tap)> = (0..25u32)
        .flat_map(|band| {
            (0..=band % 4).map(move |_| ("2026-07-01T19:00:00Z", tap(&format!("b{band:02}"), "show")))
        })
        .collect();
    app.tapped(&taps).await;
    let path = "/v1/analytics/events/show/top-bands?limit=10";
    let (mut bands, mut next) = (Vec::new(), String::new());
    loop {
        let page = app.ok(&format!("{path}{next}")).await;
        bands.extend(page["bands"].as_array().unwrap().clone());
        let Some(cursor) = page["next"].as_str() else { break };
        assert_eq!(
            app.get(&format!("/v1/analytics/events/other/top-bands?cursor={cursor}")).await.status,
            400
        );
        next = format!("&cursor={cursor}");
    }
    let order: Vec<_> =
        bands.iter().map(|b| (b["taps"].as_u64().unwrap(), b["band_id"].to_string())).collect();
    let mut sorted = order.clone();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    assert_eq!((order.len(), &order), (25, &sorted));
}

#[tokio::test]
async fn a_band_has_a_history_over_events() {
    let app = app().await;
    let stray = Tap { event_id: None, mode: Mode::TenantFallback, ..tap("b1", "-") };
    app.tapped(&[
        ("2026-07-08T19:00:00Z", tap("b1", "albany")),
        ("2026-07-01T19:00:00Z", tap("b1", "boston")),
        ("2026-07-09T19:00:00Z", stray),
    ])
    .await;
    let history = app.ok("/v1/bands/b1/taps").await;
    let events: Vec<_> = history["taps"].as_array().unwrap().iter().map(|t| t["event_id"].clone()).collect();
    assert_eq!(events, [json!(null), json!("albany"), json!("boston")]);
    assert_eq!(app.ok("/v1/bands/b1/taps?limit=1").await["taps"][0]["mode"], "tenant_fallback");
    assert_eq!(app.ok("/v1/analytics/events/-/summary").await["taps"], 1);
    app.post("/v1/bands/b2/register", json!({})).await;
    assert_eq!(app.ok("/v1/bands/b2/taps").await["taps"], json!([]));
    assert_eq!(app.get("/v1/bands/b3/taps").await.status, 404);
}

#[tokio::test]
async fn events_are_compared_and_their_bands_come_back() {
    let app = app().await;
    for (event, day) in [("chicago", "2026-07-15"), ("boston", "2026-07-01"), ("albany", "2026-07-08")] {
        app.schedule(event, "America/New_York", &format!("{day}T19:00")).await;
    }
    let bands = |event, bands: std::ops::Range<u32>| {
        bands.map(move |b| ("2026-07-20T19:00:00Z", tap(&format!("b{b}"), event))).collect::<Vec<_>>()
    };
    app.tapped(&[bands("boston", 0..10), bands("albany", 5..9), bands("chicago", 8..20)].concat()).await;
    let retention = app.ok("/v1/analytics/retention").await;
    let events = retention["events"].as_array().unwrap();
    let names: Vec<_> = events.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["boston", "albany", "chicago"]);
    assert_eq!(
        events[0]["later"],
        json!([{"event_id": "albany", "bands": 4, "share": 0.4}, {"event_id": "chicago", "bands": 2, "share": 0.2}])
    );
    assert_eq!(events[1]["later"], json!([{"event_id": "chicago", "bands": 1, "share": 0.25}]));
    let last = app.ok("/v1/analytics/retention?limit=2").await;
    assert_eq!(last["events"].as_array().unwrap().len(), 2);
    let compared = app.ok("/v1/analytics/compare?events=chicago,boston").await;
    assert_eq!(
        compared["events"].as_array().unwrap().iter().map(|e| e["unique_bands"].clone()).collect::<Vec<_>>(),
        [12, 10]
    );
    assert_eq!(compared["events"][0]["peak_minute"], json!({"start": "2026-07-20T19:00:00Z", "taps": 12}));
    assert_eq!(app.get("/v1/analytics/compare?events=boston,nowhere").await.status, 404);
}

#[tokio::test]
async fn an_export_has_every_band_and_no_formula() {
    let app = app().await;
    let mut taps: Vec<(&str, Tap)> =
        (0..2_100).map(|b| ("2026-07-01T19:00:00Z", tap(&format!("b{b:05}"), "show"))).collect();
    taps.push(("2026-07-01T19:00:00Z", tap("=1+1", "show")));
    app.tapped(&taps).await;
    let answer = app.get("/v1/analytics/events/show/export.csv").await;
    let lines: Vec<_> = answer.text.lines().collect();
    assert_eq!(lines.len(), 2_102);
    assert_eq!(lines[0], "band_id,taps,bots,previews,first_tap_at,last_tap_at");
    assert_eq!(lines[1], "'=1+1,1,0,0,2026-07-01T19:00:00Z,2026-07-01T19:00:00Z");
    assert!(lines[2101].starts_with("b02099,"));
    assert!(answer.headers["content-disposition"].to_str().unwrap().contains("show-bands.csv"));
    let minutes = app.get("/v1/analytics/events/show/export.csv?rows=minutes").await;
    assert_eq!(minutes.text.lines().nth(1), Some("2026-07-01T19:00:00Z,2101,0,0,2101,0,2101,0,0,0,0,0"));
}

/// The next message of a stream, with its id.
async fn message(body: &mut Body) -> Option<(u64, Value)> {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let frame = body.frame().await?.unwrap();
        text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
    }
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
    assert_eq!(field("event:").as_deref(), Some("summary"));
    Some((field("id:")?.parse().unwrap(), serde_json::from_str(&field("data:")?).unwrap()))
}

async fn follow(app: &App, last: Option<u64>) -> Body {
    let mut request = app.request("/v1/analytics/events/show/stream");
    if let Some(id) = last {
        request = request.header("last-event-id", id);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Principal::new(TenantId::new("acme").unwrap(), "test", &[Role::Reader]));
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    response.into_body()
}

#[tokio::test]
async fn a_live_summary_moves_with_the_rows_and_resumes() {
    let app = app().await;
    app.tapped(&[("2026-07-01T19:00:00Z", tap("b1", "show"))]).await;
    let mut body = follow(&app, None).await;
    let (id, first) = message(&mut body).await.unwrap();
    assert_eq!((id, &first["taps"]), (1, &json!(1)));
    app.tapped(&[("2026-07-01T19:00:01Z", tap("b2", "show"))]).await;
    let (id, second) = message(&mut body).await.unwrap();
    assert_eq!((id, &second["taps"]), (2, &json!(2)));
    drop(body);
    // Somebody who has seen all waits for what is new.
    let mut body = follow(&app, Some(2)).await;
    app.tapped(&[("2026-07-01T19:00:02Z", tap("b3", "show"))]).await;
    assert_eq!(message(&mut body).await.unwrap().1["taps"], 3);
    // Who missed something gets it at once.
    let mut body = follow(&app, Some(2)).await;
    assert_eq!(message(&mut body).await.unwrap().0, 3);
}

#[tokio::test]
async fn streams_are_counted_by_tenant_while_they_are_open() {
    let app = app().await;
    app.tapped(&[("2026-07-01T19:00:00Z", tap("b1", "show"))]).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(follow(&app, None).await);
    }
    assert_eq!(app.get("/v1/analytics/events/show/stream").await.status, 429);
    open.pop();
    drop(follow(&app, None).await);
}

#[tokio::test]
async fn bad_questions_name_their_parameter() {
    let app = app().await;
    app.schedule("show", "America/New_York", "2026-07-01T19:00").await;
    app.tapped(&[("2026-07-01T19:00:00Z", tap("b1", "show"))]).await;
    let long = "x".repeat(129);
    let cases = [
        ("events/show/series?granularity=week", "granularity"),
        ("events/show/series?granularity=10s&from=1990-01-01T00:00:00Z", "granularity"),
        (
            "events/show/series?granularity=day&from=-009999-01-02T01:59:59Z&to=9999-12-30T00:00:00Z",
            "granularity",
        ),
        ("events/show/series?from=yesterday", "from"),
        ("events/show/series?from=2026-03-08T02:30", "from"),
        ("events/show/series?to=2026-11-01T01:30", "to"),
        ("events/show/series?from=2026-07-02T00:00:00Z&to=2026-07-01T00:00:00Z", "to"),
        ("events/show/series?format=xml", "format"),
        ("events/show/series?granulrity=hour", "granulrity"),
        ("events/show/top-bands?limit=0", "limit"),
        ("events/show/top-bands?limit=1001", "limit"),
        ("events/show/top-bands?limit=-1", "limit"),
        ("events/show/top-bands?limit=many", "limit"),
        ("events/show/top-bands?cursor=00", "cursor"),
        ("events/show/top-bands?cursor=%FF", "cursor"),
        ("events/show/export.csv?rows=taps", "rows"),
        ("compare", "events"),
        ("compare?events=show", "events"),
        ("compare?events=show,show", "events"),
        ("compare?events=a,b%2Fc", "events"),
        ("retention?limit=21", "limit"),
        ("retention?events=", "events"),
        ("events/%00/summary", "id"),
        ("events/%FF/summary", "id"),
        (&format!("events/{long}/summary"), "id"),
        ("events/a%2Fb/summary", "id"),
    ];
    for (path, parameter) in cases {
        let answer = app.get(&format!("/v1/analytics/{path}")).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{path}: {}", answer.text);
    }
    let request = app.request("/v1/analytics/events/show/stream").header("last-event-id", "first");
    let answer = app.answer("acme", &[Role::Reader], request, Body::empty()).await;
    assert_eq!(
        (answer.status, &answer.json()["errors"][0]["header"]),
        (StatusCode::BAD_REQUEST, &json!("Last-Event-ID"))
    );
    let request = app.request("/v1/analytics/events/show/series").header("accept", "image/png");
    assert_eq!(app.answer("acme", &[Role::Reader], request, Body::empty()).await.status, 406);
    let extremes = "events/show/series?granularity=day&from=9999-12-30T00:00:00Z&to=9999-12-30T21:59:59Z";
    assert_eq!(app.get(&format!("/v1/analytics/{extremes}")).await.status, 200);
}

#[tokio::test]
async fn every_route_is_documented() {
    let doc = serde_json::to_value(read_api::routes::analytics_openapi()).unwrap();
    let paths: Vec<_> = doc["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths.len(), 8, "{paths:?}");
    for (path, item) in doc["paths"].as_object().unwrap() {
        assert!(item["get"]["summary"].is_string(), "{path}");
        assert!(item["get"]["responses"]["200"]["content"].is_object(), "{path}");
    }
}
