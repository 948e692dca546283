//! Directories, projections and dead letters over HTTP: in-memory log, the
//! real projectors, the in-memory row store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, request};
use commands::{BulkLimits, Services};
use daybook_http::Principal;
use daybook_http::auth::KeyRing;
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::api_key::Role;
use domain::envelope::Metadata;
use domain::ports::clock::Ids;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::rows::{ModelId, RowStore, TableSpec};
use domain::{RecordedEvent, StreamId, TenantId, band, registry};
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use projections::bands::Bands;
use projections::board::Board;
use projections::live_events::LiveEvents;
use projections::projector::{Options, Projector};
use projections::{ApplyError, Projection, Rows, Wanted};
use read_api::ReadState;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

const POISON: &str = "poison";

/// The directory of bands, which cannot stand bands that are tagged poison
/// until it is cured.
struct Delicate {
    bands: Bands,
    cured: Arc<AtomicBool>,
}

impl Projection for Delicate {
    fn name(&self) -> &'static str {
        self.bands.name()
    }
    fn model(&self) -> ModelId {
        self.bands.model()
    }
    fn event_types(&self) -> &'static [&'static str] {
        self.bands.event_types()
    }
    fn tables(&self) -> &'static [TableSpec] {
        self.bands.tables()
    }
    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        self.bands.prefetch(event, want);
    }
    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        if event.payload.contains(POISON) && !self.cured.load(Ordering::SeqCst) {
            return Err(ApplyError::Event("it is poison".into()));
        }
        self.bands.apply(rows, event)
    }
}

struct App {
    router: Router,
    log: Arc<MemoryLog>,
    ids: CountingIds,
    head: AtomicU64,
    cured: Arc<AtomicBool>,
    _projectors: DropGuard,
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
    let (board, cancel) = (Arc::new(Board::default()), CancellationToken::new());
    let cured = Arc::new(AtomicBool::new(false));
    let delicate = Delicate { bands: Bands, cured: cured.clone() };
    let all: [Arc<dyn Projection>; 2] = [Arc::new(LiveEvents), Arc::new(delicate)];
    for projection in all {
        rows.open(projection.name(), &projection.model(), projection.tables()).await.unwrap();
        let options = Options::new("test");
        let projector = Projector { log: log.clone(), rows: rows.clone(), board: board.clone(), options };
        let running = cancel.clone();
        tokio::spawn(async move { projector.run(projection, running).await });
    }
    let ids = Arc::new(CountingIds::default());
    let services = Services { log: log.clone(), clock, ids, bulk: BulkLimits::default() };
    let read = ReadState { log: log.clone(), rows, board, stop: cancel.clone() };
    let router = commands::router(services, KeyRing::new(vec![]).0)
        .merge(read_api::routes::directory_router().with_state(read));
    let (ids, head) = (CountingIds::default(), AtomicU64::new(0));
    App { router, log, ids, head, cured, _projectors: cancel.drop_guard() }
}

impl App {
    async fn answer(&self, tenant: &str, role: Role, request: request::Builder, body: &Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.header("content-type", "application/json").body(body).unwrap();
        let principal = Principal::new(TenantId::new(tenant).unwrap(), "test", &[role]);
        request.extensions_mut().insert(principal);
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes).unwrap() }
    }

    fn request(&self, path: &str) -> request::Builder {
        Request::get(path).header("daybook-at-least", self.head.load(Ordering::Relaxed))
    }

    async fn get(&self, path: &str) -> Answer {
        self.answer("acme", Role::Reader, self.request(path), &Value::Null).await
    }

    async fn ok(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn post(&self, path: &str, body: Value) {
        let answer = self.answer("acme", Role::Writer, Request::post(path), &body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        if let Some(position) = answer.headers.get("daybook-position") {
            self.head.store(position.to_str().unwrap().parse().unwrap(), Ordering::Relaxed);
        }
    }

    async fn schedule(&self, id: &str, starts_at: &str) {
        let body = json!({"name": id, "time_zone": "America/New_York", "starts_at": starts_at, "ends_at": "2026-12-31T00:00:00Z"});
        self.post(&format!("/v1/events/{id}/schedule"), body).await;
    }

    /// Straight into the log.
    async fn register<'a>(&self, bands: impl IntoIterator<Item = (String, Option<&'a str>, &'a [&'a str])>) {
        let tenant = TenantId::new("acme").unwrap();
        let append = |(id, event, tags): (String, Option<&'a str>, &'a [&'a str])| {
            let tags: BTreeSet<String> = tags.iter().map(|t| (*t).to_owned()).collect();
            let registered = band::Event::Registered { event_id: event.map(str::to_owned), tags };
            let stream = StreamId::new(&tenant, band::KIND, &id).unwrap();
            let events = vec![registry::new_event(&registered, self.ids.next()).unwrap()];
            let metadata = Metadata {
                actor: "test".into(),
                command_id: self.ids.next(),
                correlation_id: "test".into(),
                causation_id: None,
            };
            let writes = vec![StreamWrite { stream, expected: ExpectedVersion::NoStream, events }];
            Append { writes, metadata, idempotency: None }
        };
        for outcome in self.log.append(bands.into_iter().map(append).collect()).await {
            self.head.store(outcome.unwrap().position(), Ordering::Relaxed);
        }
    }

    /// Ids of a whole list, and how many each of its pages has.
    async fn pages(&self, path: &str, list: &str) -> (Vec<String>, Vec<usize>) {
        let (mut ids, mut sizes, mut next) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = self.ok(&format!("{path}{next}")).await;
            let items = page[list].as_array().unwrap();
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            sizes.push(items.len());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return (ids, sizes),
            }
        }
    }

    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) {
        let wait = async {
            while !holds(&self.ok(path).await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to hold");
    }
}

#[tokio::test]
async fn events_are_listed_latest_first_and_read_whole() {
    let app = app().await;
    app.schedule("boston", "2026-07-01T19:00").await;
    app.schedule("albany", "2026-07-08T19:00").await;
    app.schedule("chicago", "2026-07-08T19:00").await;
    let window = json!({"id": "late", "kind": "custom", "starts_at": "2026-07-02T00:00", "ends_at": "2026-07-02T02:00", "url": "https://example.org/late"});
    app.post("/v1/events/boston/add-window", window).await;
    app.post("/v1/events/albany/cancel", json!({"reason": "rain"})).await;
    assert_eq!(app.pages("/v1/events?limit=2", "events").await.0, ["albany", "chicago", "boston"]);
    assert_eq!(app.pages("/v1/events?limit=2&status=scheduled", "events").await.0, ["chicago", "boston"]);
    assert_eq!(app.ok("/v1/events").await["events"][2]["windows"], 1);

    let answer = app.get("/v1/events/boston").await;
    let whole = answer.json();
    assert_eq!((&whole["version"], &whole["windows"][0]["id"]), (&json!(2), &json!("late")));
    assert_eq!(answer.headers["etag"], "\"2\"");
    assert_eq!(answer.headers["daybook-model"], "live_events@1");
    assert_eq!(answer.headers["daybook-position"], app.head.load(Ordering::Relaxed).to_string());
    let cancelled = app.ok("/v1/events/albany").await;
    assert_eq!(
        (&cancelled["status"], &cancelled["cancelled_because"]),
        (&json!("cancelled"), &json!("rain"))
    );
    assert_eq!(app.get("/v1/events/detroit").await.status, 404);
}

#[tokio::test]
async fn a_version_that_is_known_is_not_sent_again() {
    let app = app().await;
    app.schedule("boston", "2026-07-01T19:00").await;
    app.register([("b1".into(), Some("boston"), &[][..])]).await;
    for path in ["/v1/events/boston", "/v1/bands/b1"] {
        for known in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
            let request = app.request(path).header("if-none-match", known);
            let answer = app.answer("acme", Role::Reader, request, &Value::Null).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(answer.headers["etag"], "\"1\"");
        }
        let request = app.request(path).header("if-none-match", "\"2\"");
        assert_eq!(app.answer("acme", Role::Reader, request, &Value::Null).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn bands_move_between_the_lists_of_their_events_and_tags() {
    let app = app().await;
    app.schedule("boston", "2026-07-01T19:00").await;
    app.schedule("albany", "2026-07-08T19:00").await;
    let tags: [&[&str]; 3] = [&["vip", "a/b"], &["vip"], &[]];
    app.register((1..=3).map(|n| (format!("b{n}"), Some("boston"), tags[n - 1]))).await;
    let ids = async |filter: &str| app.pages(&format!("/v1/bands?{filter}"), "bands").await.0;
    assert_eq!(ids("event=boston").await, ["b1", "b2", "b3"]);
    assert_eq!(ids("tag=vip").await, ["b1", "b2"]);
    assert_eq!(ids("tag=a%2Fb").await, ["b1"]);
    assert!(ids("tag=a").await.is_empty());
    app.post("/v1/bands/b1/assign", json!({"event_id": "albany"})).await;
    app.post("/v1/bands/b2/unassign", json!({})).await;
    app.post("/v1/bands/b1/tag", json!({"tags": ["staff"]})).await;
    app.post("/v1/bands/b3/retire", json!({})).await;
    assert_eq!(ids("event=boston").await, ["b3"]);
    assert_eq!(ids("event=albany&tag=staff").await, ["b1"]);
    assert_eq!(ids("tag=vip").await, ["b2"]);
    assert_eq!(ids("status=retired").await, ["b3"]);
    assert_eq!(ids("status=active").await, ["b1", "b2"]);
    let band = app.ok("/v1/bands/b1").await;
    let expected =
        json!({"id": "b1", "version": 3, "event_id": "albany", "tags": ["staff"], "status": "active"});
    assert_eq!(band, expected);
}

#[tokio::test]
async fn pages_are_full_whatever_the_filter_leaves_out() {
    let app = app().await;
    let name = |n: u32| format!("b{n:05}");
    // Every hundredth of the bands of the show is tagged.
    let all = (0..12_500).map(|n| {
        let tags: &[&str] = if n % 100 == 0 { &["rare"] } else { &["common"] };
        (name(n), Some(if n % 5 == 4 { "other" } else { "show" }), tags)
    });
    app.register(all).await;
    let (ids, sizes) = app.pages("/v1/bands?event=show&limit=1000", "bands").await;
    assert_eq!((ids.len(), sizes), (10_000, vec![1_000; 10]));
    let rare: Vec<String> = (0..125).map(|n| name(n * 100)).collect();
    let (ids, sizes) = app.pages("/v1/bands?event=show&tag=rare&limit=50", "bands").await;
    assert_eq!((ids, sizes), (rare.clone(), vec![50, 50, 25]));
    assert_eq!(app.pages("/v1/bands?tag=rare&limit=125", "bands").await, (rare, vec![125]));
    // What was looked at for one page has a bound; its cursor goes on there.
    app.post("/v1/bands/b12400/retire", json!({})).await;
    let (ids, sizes) = app.pages("/v1/bands?status=retired&limit=10", "bands").await;
    assert_eq!((ids, sizes), (vec!["b12400".to_owned()], vec![0, 1]));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_only() {
    let app = app().await;
    for (id, day) in [("boston", "01"), ("albany", "08")] {
        app.schedule(id, &format!("2026-07-{day}T19:00")).await;
    }
    app.register((1..=3).map(|n| (format!("b{n}"), Some("boston"), &["vip"][..]))).await;
    let lists = ["/v1/events?limit=1", "/v1/bands?limit=1", "/v1/bands?limit=1&event=boston"];
    for list in lists {
        let cursor = app.ok(list).await["next"].as_str().unwrap().to_owned();
        let mut changed = cursor.clone().into_bytes();
        let last = changed.last_mut().unwrap();
        *last = if *last == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        let refused = [
            format!("{list}&cursor={changed}"),
            format!("/v1/bands?event=albany&cursor={cursor}"),
            format!("/v1/bands?event=boston&tag=vip&cursor={cursor}"),
            format!("/v1/events?status=cancelled&cursor={cursor}"),
        ];
        for path in refused {
            let answer = app.get(&path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text);
            assert_eq!(answer.json()["errors"][0]["parameter"], "cursor", "{path}");
        }
        let request = app.request(&format!("{list}&cursor={cursor}"));
        assert_eq!(app.answer("umbrella", Role::Reader, request, &Value::Null).await.status, 400, "{list}");
    }
}

#[tokio::test]
async fn bad_questions_name_their_parameter() {
    let app = app().await;
    for (path, parameter) in [
        ("/v1/bands?limit=0", "limit"),
        ("/v1/bands?limit=1001", "limit"),
        ("/v1/bands?event=a%2Fb", "event"),
        ("/v1/bands?status=lost", "status"),
        ("/v1/bands?evnt=boston", "evnt"),
        ("/v1/bands?cursor=00", "cursor"),
        ("/v1/bands/%00", "id"),
        ("/v1/events?status=lost", "status"),
        ("/v1/events?limit=many", "limit"),
        ("/v1/events/a%2Fb", "id"),
        ("/v1/projections/bands/dead-letters?limit=0", "limit"),
        ("/v1/projections/bands/dead-letters?cursor=zz", "cursor"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn rows_of_another_tenant_are_not_there() {
    let app = app().await;
    app.schedule("boston", "2026-07-01T19:00").await;
    app.register([("b1".into(), Some("boston"), &["vip"][..]), ("b2".into(), None, &[POISON][..])]).await;
    app.until("/v1/projections/bands/dead-letters", |l| l["dead_letters"][0].is_object()).await;
    for path in ["/v1/events/boston", "/v1/bands/b1"] {
        let stranger = app.answer("umbrella", Role::Reader, app.request(path), &Value::Null).await;
        assert_eq!(stranger.status, 404, "{path}: {}", stranger.text);
    }
    for (path, list) in [
        ("/v1/events", "events"),
        ("/v1/bands", "bands"),
        ("/v1/bands?event=boston", "bands"),
        ("/v1/bands?tag=vip", "bands"),
        ("/v1/projections/bands/dead-letters", "dead_letters"),
    ] {
        let stranger = app.answer("umbrella", Role::Reader, app.request(path), &Value::Null).await;
        assert_eq!((stranger.status.as_u16(), &stranger.json()[list]), (200, &json!([])), "{path}");
    }
    let retry = Request::post("/v1/projections/bands/dead-letters/retry");
    assert_eq!(app.answer("umbrella", Role::Operator, retry, &json!({})).await.json()["events"], 0);
}

#[tokio::test]
async fn each_route_asks_for_its_role() {
    let app = app().await;
    let dead_letters = "/v1/projections/bands/dead-letters";
    let cases: [(&str, &[Role]); 6] = [
        ("/v1/events", &[Role::Reader]),
        ("/v1/events/boston", &[Role::Reader]),
        ("/v1/bands", &[Role::Reader]),
        ("/v1/bands/b1", &[Role::Reader]),
        ("/v1/projections", &[Role::Reader, Role::Operator]),
        (dead_letters, &[Role::Reader, Role::Operator]),
    ];
    for (path, roles) in cases {
        for role in [Role::Reader, Role::Writer, Role::Operator, Role::Admin] {
            let answer = app.answer("acme", role, app.request(path), &Value::Null).await;
            let allowed = role == Role::Admin || roles.contains(&role);
            assert_eq!(answer.status != 403, allowed, "{path} {role:?}: {}", answer.text);
        }
        let unnamed = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(app.router.clone().oneshot(unnamed).await.unwrap().status(), 401, "{path}");
    }
    for (role, status) in
        [(Role::Reader, 403), (Role::Writer, 403), (Role::Operator, 200), (Role::Admin, 200)]
    {
        let request = Request::post(format!("{dead_letters}/retry"));
        let answer = app.answer("acme", role, request, &json!({})).await;
        assert_eq!(answer.status, status, "{role:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn projections_say_how_far_they_are() {
    let app = app().await;
    app.schedule("boston", "2026-07-01T19:00").await;
    app.register([("b1".into(), None, &[POISON][..]), ("b2".into(), None, &[][..])]).await;
    app.until("/v1/projections", |p| {
        p["projections"].as_array().unwrap().iter().all(|p| p["lag"] == 0 && p["rate"].is_number())
    })
    .await;
    let told = app.ok("/v1/projections").await;
    assert_eq!(told["head"], 3);
    let [bands, events] = &told["projections"].as_array().unwrap()[..] else { panic!("{told}") };
    for (projection, name, dead_letters) in [(bands, "bands", 1), (events, "live_events", 0)] {
        assert_eq!(projection["name"], name);
        assert_eq!(projection["model"], format!("{name}@1"));
        assert_eq!((&projection["status"], &projection["generation"]), (&json!("live"), &json!(1)));
        assert_eq!((&projection["position"], &projection["eta_seconds"]), (&json!(3), &json!(0.0)));
        assert_eq!((&projection["dead_letters"], &projection["error"]), (&json!(dead_letters), &json!(null)));
    }
}

#[tokio::test]
async fn dead_letters_are_paged_and_wait_for_a_retry() {
    let app = app().await;
    let letters = "/v1/projections/bands/dead-letters";
    let retry = format!("{letters}/retry");
    let bad = |n| (format!("bad{n}"), None, &[POISON][..]);
    app.register((0..3).map(bad).chain([("good".into(), None, &[][..])])).await;
    app.post("/v1/bands/bad0/retire", json!({})).await;
    assert_eq!(app.pages("/v1/bands?limit=9", "bands").await.0, ["good"]);

    let first = app.ok(&format!("{letters}?limit=3")).await;
    let failed = json!({"position": 1, "type": "band.registered", "partition": "acme/band/bad0", "error": "it is poison", "attempts": 1, "retry_requested": false});
    assert_eq!((first["dead_letters"].as_array().unwrap().len(), &first["dead_letters"][0]), (3, &failed));
    let cursor = first["next"].as_str().unwrap();
    let second = app.ok(&format!("{letters}?limit=3&cursor={cursor}")).await;
    let behind = &second["dead_letters"][0];
    assert_eq!((&behind["position"], &behind["error"]), (&json!(5), &json!(null)));
    assert_eq!((second["dead_letters"].as_array().unwrap().len(), &second["next"]), (1, &json!(null)));
    for path in [
        format!("{letters}?cursor=0{}", &cursor[1..]),
        format!("/v1/projections/live_events/dead-letters?cursor={cursor}"),
    ] {
        assert_eq!(app.get(&path).await.status, 400, "{path}");
    }

    // One sequence, and it fails again.
    let one = json!({"partition": "acme/band/bad0"});
    let answer = app.answer("acme", Role::Operator, Request::post(&retry), &one).await;
    assert_eq!(answer.json(), json!({"events": 2}));
    app.until(letters, |l| l["dead_letters"][0]["attempts"] == 2).await;
    app.cured.store(true, Ordering::SeqCst);
    let answer = app.answer("acme", Role::Operator, Request::post(&retry), &json!({})).await;
    assert_eq!(answer.json(), json!({"events": 4}));
    app.until(letters, |l| l["dead_letters"] == json!([])).await;
    assert_eq!(app.pages("/v1/bands?tag=poison&limit=9", "bands").await.0, ["bad0", "bad1", "bad2"]);
    assert_eq!(app.ok("/v1/bands/bad0").await["status"], "retired");

    for (path, body) in [(letters, Value::Null), (&retry, json!({}))] {
        let path = path.replace("bands", "nothing");
        let request = if body.is_null() { Request::get(path) } else { Request::post(path) };
        assert_eq!(app.answer("acme", Role::Admin, request, &body).await.status, 404);
    }
    let unknown = app.answer("acme", Role::Operator, Request::post(&retry), &json!({"all": true})).await;
    assert_eq!(unknown.status, 422, "{}", unknown.text);
}

#[tokio::test]
async fn every_route_is_documented() {
    let doc = serde_json::to_value(read_api::routes::directory_openapi()).unwrap();
    let paths: Vec<_> = doc["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths.len(), 26, "{paths:?}");
    for (path, item) in doc["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(operation["summary"].is_string(), "{path}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{path}");
        }
    }
}
