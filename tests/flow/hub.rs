//! Taps: where they lead and what is recorded of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::envelope::Metadata;
use domain::ids::StreamId;
use domain::live_event::{self, EventDetails, Window, WindowKind};
use domain::ports::clock::Ids;
use domain::ports::journal::{JournalEntry, TapJournal, TapKind};
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::rows::{Commit, ModelId, RowKey, RowPut, RowStore, TableChanges};
use domain::tap::{Mode, Tap};
use domain::target_url::{TargetUrl, UrlPolicy};
use domain::{TenantId, band, registry, tenant};
use infra_journal::{DiskJournal, Options};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use jiff::Timestamp;
use projections::Projection;
use projections::hub::{BANDS, KNOWN_TENANTS, NAME};
use read_api::hub::redirect::HubBody;
use read_api::hub::{self, Ack, Hub, HubConfig, HubTable, Parts, Seed, Visitors};
use serde::Serialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const START: &str = "2026-07-01T18:00:00Z";

pub struct Fixture {
    pub hub: Arc<Hub>,
    pub table: Arc<HubTable>,
    pub log: Arc<MemoryLog>,
    pub journal: Arc<DiskJournal>,
    pub clock: Arc<FixedClock>,
    pub folder: TempDir,
    stop: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn fixture(change: impl FnOnce(&mut HubConfig), options: Options) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(START));
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let journal = Arc::new(DiskJournal::open(folder.path(), options).unwrap());
    let table = Arc::new(HubTable::new(Seed::default()));
    let mut config = HubConfig::new(TenantId::new("default").unwrap());
    change(&mut config);
    let parts = Parts {
        table: table.clone(),
        journal: journal.clone(),
        log: log.clone(),
        clock: clock.clone(),
        ids: Arc::new(CountingIds::default()),
        visitors: Visitors::in_memory(START.parse().unwrap()),
    };
    let stop = CancellationToken::new();
    tokio::spawn(hub::follow(table.clone(), log.clone(), stop.clone()));
    Fixture { hub: Arc::new(Hub::new(config, parts)), table, log, journal, clock, folder, stop }
}

pub fn url(text: &str) -> TargetUrl {
    TargetUrl::parse(text, &UrlPolicy::default()).unwrap()
}

pub fn window(id: &str, from: &str, to: &str, target: &str) -> Window {
    Window {
        id: id.into(),
        title: String::new(),
        kind: WindowKind::Live,
        starts_at: from.parse().unwrap(),
        ends_at: to.parse().unwrap(),
        url: url(target),
        priority: 0,
    }
}

impl Fixture {
    /// Records an event and waits until the hub knows it.
    pub async fn tell<E: Serialize>(&self, of: &str, kind: &str, id: &str, event: &E) {
        let stream = StreamId::new(&TenantId::new(of).unwrap(), kind, id).unwrap();
        let event = registry::new_event(event, CountingIds::default().next()).unwrap();
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }];
        let metadata = Metadata {
            actor: "test".into(),
            command_id: Uuid::nil(),
            correlation_id: "test".into(),
            causation_id: None,
        };
        let appended = self.log.append(vec![Append { writes, metadata, idempotency: None }]).await;
        let position = appended[0].as_ref().unwrap().position();
        self.table.watch().wait_for(|p| *p >= position).await.unwrap();
    }

    pub async fn schedule(&self, tenant: &str, id: &str, fallback: Option<&str>) {
        let details = EventDetails {
            name: id.into(),
            venue: String::new(),
            place: String::new(),
            time_zone: "UTC".into(),
            starts_at: "2026-07-01T19:00:00Z".parse().unwrap(),
            ends_at: "2026-07-01T23:00:00Z".parse().unwrap(),
            pre_url: None,
            live_url: None,
            post_url: None,
            fallback_url: fallback.map(url),
        };
        self.tell(tenant, live_event::KIND, id, &live_event::Event::Scheduled(details)).await;
    }

    pub async fn register(&self, tenant: &str, id: &str, event_id: Option<&str>) {
        let event =
            band::Event::Registered { event_id: event_id.map(str::to_owned), tags: Default::default() };
        self.tell(tenant, band::KIND, id, &event).await;
    }

    pub async fn configure(&self, tenant: &str, fallback: &str) {
        let settings = tenant::Settings { fallback_url: Some(url(fallback)), urls: UrlPolicy::default() };
        self.tell(tenant, tenant::KIND, tenant, &tenant::Event::Configured(settings)).await;
    }

    pub async fn add_window(&self, event: &str, window: Window) {
        self.tell("default", live_event::KIND, event, &live_event::Event::WindowAdded(window)).await;
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<HubBody> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let peer: IpAddr = "192.0.2.44".parse().unwrap();
        let path: Uri = path.parse().unwrap();
        self.hub.answer(&method, &path, &map, peer).await
    }

    pub async fn tap(&self, path: &str) -> (StatusCode, Option<String>) {
        outcome(&self.ask(Method::GET, path, &[]).await)
    }

    pub async fn journaled(&self) -> Vec<(JournalEntry, Tap)> {
        let batch = self.journal.read(0, 100_000).await.unwrap();
        batch
            .entries
            .into_iter()
            .map(|(_, e)| (e.clone(), serde_json::from_str(&e.payload).unwrap()))
            .collect()
    }
}

fn outcome(response: &Response<HubBody>) -> (StatusCode, Option<String>) {
    let location = response.headers().get("location").map(|v| v.to_str().unwrap().to_owned());
    (response.status(), location)
}

fn to(target: &str) -> (StatusCode, Option<String>) {
    (StatusCode::FOUND, Some(target.to_owned()))
}

const NOTHING: (StatusCode, Option<String>) = (StatusCode::NOT_FOUND, None);

#[tokio::test]
async fn a_window_flips_exactly_at_its_instant() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/fallback")).await;
    f.register("default", "b1", Some("show")).await;
    let first = window("w1", "2026-07-01T19:00:00Z", "2026-07-01T20:00:00Z", "https://a.example/one");
    let second = window("w2", "2026-07-01T20:00:00Z", "2026-07-01T21:00:00Z", "https://a.example/two");
    f.add_window("show", first).await;
    f.add_window("show", second).await;
    for (at, target) in [
        ("2026-07-01T18:59:59.999999Z", "https://a.example/fallback"),
        ("2026-07-01T19:00:00Z", "https://a.example/one"),
        ("2026-07-01T19:59:59.999999Z", "https://a.example/one"),
        ("2026-07-01T20:00:00Z", "https://a.example/two"),
        ("2026-07-01T21:00:00Z", "https://a.example/fallback"),
    ] {
        f.clock.set(at.parse().unwrap());
        assert_eq!(f.tap("/e?bandId=b1").await, to(target), "{at}");
    }
    let taps = f.journaled().await;
    let windows: Vec<_> = taps.iter().map(|(_, tap)| tap.window_id.as_deref()).collect();
    assert_eq!(windows, [None, Some("w1"), Some("w1"), Some("w2"), None]);
    let at: Timestamp = "2026-07-01T20:00:00Z".parse().unwrap();
    assert_eq!(taps[3].0.occurred_at, at);
    assert_eq!((taps[0].1.mode, taps[3].1.mode), (Mode::Fallback, Mode::Live));
}

#[tokio::test]
async fn a_changed_window_is_served_on_the_next_tap() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", None).await;
    f.register("default", "b1", Some("show")).await;
    let old = window("w", "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "https://a.example/old");
    f.add_window("show", old.clone()).await;
    assert_eq!(f.tap("/e?bandId=b1").await, to("https://a.example/old"));
    let new = Window { url: url("https://a.example/new"), ..old };
    f.tell("default", live_event::KIND, "show", &live_event::Event::WindowChanged(new)).await;
    assert_eq!(f.tap("/e?bandId=b1").await, to("https://a.example/new"));
}

#[tokio::test]
async fn a_tap_may_wait_for_a_position_and_tell_its_own() {
    let f = fixture(|_| {}, Options::default());
    f.register("default", "b1", None).await;
    let late = [("daybook-at-least", "99"), ("prefer", "wait=0")];
    let response = f.ask(Method::GET, "/e?bandId=b1", &late).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let garbled = f.ask(Method::GET, "/e?bandId=b1", &[("daybook-at-least", "soon")]).await;
    assert!(garbled.status().is_client_error());
    let reached = [("daybook-at-least", "1"), ("daybook-ack", "log")];
    let response = f.ask(Method::GET, "/e?bandId=b1", &reached).await;
    assert_eq!(outcome(&response), NOTHING);
    assert_eq!(response.headers()["daybook-position"], "2");
    assert_eq!(f.journaled().await.len(), 0);
}

#[tokio::test]
async fn a_head_request_answers_the_same_and_is_a_preview() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/")).await;
    f.register("default", "b1", Some("show")).await;
    let get = f.ask(Method::GET, "/e?bandId=b1", &[]).await;
    let head = f.ask(Method::HEAD, "/e?bandId=b1", &[]).await;
    assert_eq!((get.status(), get.headers()), (head.status(), head.headers()));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-robots-tag", "noindex"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("location", "https://a.example/"),
    ] {
        assert_eq!(get.headers()[name], value);
    }
    let kinds: Vec<_> = f.journaled().await.iter().map(|(entry, _)| entry.kind).collect();
    assert_eq!(kinds, [TapKind::Tapped, TapKind::Previewed]);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let refused = f.ask(method, "/e?bandId=b1", &[]).await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    assert_eq!(f.journaled().await.len(), 2);
}

#[tokio::test]
async fn fallbacks_follow_in_their_order() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "bare", None).await;
    f.schedule("default", "show", Some("https://a.example/{event_id}/{band_id}")).await;
    for (band, event) in [("free", None), ("old", Some("show")), ("bare", Some("bare")), ("ok", Some("show"))]
    {
        f.register("default", band, event).await;
    }
    f.tell("default", band::KIND, "old", &band::Event::Retired {}).await;
    for band in ["free", "old", "bare", "unknown"] {
        assert_eq!(f.tap(&format!("/e?bandId={band}")).await, NOTHING, "{band}");
    }
    f.configure("default", "https://a.example/tenant?b={band_id}").await;
    for band in ["free", "old", "bare", "unknown"] {
        let target = format!("https://a.example/tenant?b={band}");
        assert_eq!(f.tap(&format!("/e?bandId={band}")).await, to(&target));
    }
    assert_eq!(f.tap("/e?bandId=ok").await, to("https://a.example/show/ok"));
    assert_eq!(f.tap("/e?bandId=new&eventId=show").await, to("https://a.example/show/new"));
    assert_eq!(f.tap("/e?bandId=old&eventId=show").await, to("https://a.example/tenant?b=old"));
    f.tell("default", band::KIND, "old", &band::Event::Restored {}).await;
    assert_eq!(f.tap("/e?bandId=old").await, to("https://a.example/show/old"));
    let modes: Vec<_> = f.journaled().await.iter().map(|(_, tap)| tap.mode).collect();
    assert_eq!(modes[..4], [Mode::None; 4]);
    assert_eq!(modes[4..8], [Mode::TenantFallback; 4]);
    assert_eq!(modes[8..10], [Mode::Fallback; 2]);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let acme = TenantId::new("acme").unwrap();
    let f = fixture(|c| c.hosts = [("go.acme.example".to_owned(), acme)].into(), Options::default());
    for tenant in ["acme", "globex", "default"] {
        f.schedule(tenant, "show", Some(&format!("https://{tenant}.example/show"))).await;
        f.register(tenant, "b1", Some("show")).await;
        f.register(tenant, &format!("only-{tenant}"), Some("show")).await;
    }
    let ask = async |host: &str, query: &str| {
        outcome(&f.ask(Method::GET, &format!("/e?{query}"), &[("host", host)]).await).1
    };
    let at = |tenant: &str| Some(format!("https://{tenant}.example/show"));
    assert_eq!(ask("Go.Acme.Example:8443", "bandId=b1").await, at("acme"));
    assert_eq!(ask("go.acme.example", "bandId=b1&org=globex").await, at("acme"));
    assert_eq!(ask("go.acme.example", "bandId=only-globex").await, None);
    assert_eq!(ask("tap.example", "bandId=b1&org=globex").await, at("globex"));
    assert_eq!(ask("tap.example", "bandId=b1&orgSlug=acme").await, at("acme"));
    assert_eq!(ask("globex.tap.example", "bandId=b1").await, at("globex"));
    assert_eq!(ask("globex.example", "bandId=b1").await, at("default"));
    assert_eq!(ask("127.0.0.1:8080", "bandId=b1").await, at("default"));
    for strange in ["_system", "nobody", "No+Body", "..%2f"] {
        assert_eq!(ask("tap.example", &format!("bandId=b1&org={strange}")).await, at("default"));
    }
    let tenants: Vec<_> = f.journaled().await.iter().map(|(e, _)| e.tenant.to_string()).collect();
    let expected = ["acme", "acme", "acme", "globex", "acme", "globex"];
    assert_eq!(tenants[..6], expected);
    assert!(tenants[6..].iter().all(|t| t == "default"));
}

#[tokio::test]
async fn a_visitor_cannot_choose_where_the_redirect_leads() {
    let f = fixture(|_| {}, Options::default());
    f.schedule("default", "show", Some("https://a.example/?b={band_id}")).await;
    for query in [
        "",
        "bandId=",
        "bandId=%2F%2Fevil.example",
        "bandId=b1%0d%0aLocation:https://evil.example",
        "bandId=https://evil.example",
        "bandId=%00",
        "bandId=%ff%fe",
        "bandId=..",
        "bandid=b1",
        &format!("bandId={}", "x".repeat(129)),
    ] {
        let (status, location) = f.tap(&format!("/e?{query}")).await;
        assert_eq!((status, location), (StatusCode::BAD_REQUEST, None), "{query}");
    }
    assert_eq!(f.tap("/e").await, (StatusCode::BAD_REQUEST, None));
    assert!(f.journaled().await.is_empty());
    for extra in ["url=https://evil.example", "eventId=https://evil.example", "org=//evil.example"] {
        assert_eq!(f.tap(&format!("/e?bandId=b1&{extra}")).await, NOTHING);
    }
    let encoded = f.tap("/e?bandId=a@evil.example:1&eventId=show").await;
    assert_eq!(encoded, to("https://a.example/?b=a%40evil.example%3A1"));
    let second = f.tap("/e?bandId=b1&bandId=b2&eventId=show").await;
    assert_eq!(second, to("https://a.example/?b=b1"));
}

#[tokio::test]
async fn what_is_kept_of_a_tap_is_bounded_and_holds_no_address() {
    let f = fixture(|c| c.proxies.trusted.0 = vec!["192.0.2.44".parse().unwrap()], Options::default());
    let agent = "ü".repeat(400);
    let headers =
        [("x-forwarded-for", "203.0.113.77"), ("referer", "https://r.example/x"), ("accept-language", "de")];
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, value.parse().unwrap());
    }
    map.insert("user-agent", axum::http::HeaderValue::from_bytes(agent.as_bytes()).unwrap());
    let peer: IpAddr = "192.0.2.44".parse().unwrap();
    f.hub.answer(&Method::GET, &"/e?bandId=b1".parse().unwrap(), &map, peer).await;
    let (entry, tap) = f.journaled().await.remove(0);
    assert_eq!(tap.user_agent.unwrap().clear().unwrap().len(), 512);
    assert_eq!(tap.referrer.as_deref(), Some("https://r.example/x"));
    assert_eq!(tap.language.as_deref(), Some("de"));
    assert_eq!(tap.visitor.unwrap().clear().unwrap().len(), 32);
    assert!(!entry.payload.contains("203.0.113.77") && !entry.payload.contains("192.0.2.44"));
}

#[tokio::test]
async fn redirects_go_on_when_the_journal_is_full() {
    for ack in [Ack::Journal, Ack::None] {
        let options = Options { max_bytes: 4 << 10, ..Options::default() };
        let f = fixture(|c| c.ack = ack, options);
        f.schedule("default", "show", Some("https://a.example/")).await;
        f.register("default", "b1", Some("show")).await;
        for _ in 0..100 {
            assert_eq!(f.tap("/e?bandId=b1").await, to("https://a.example/"));
        }
        let kept = f.journaled().await.len();
        // Without waiting some may not have reached the disk yet.
        let least = if ack == Ack::Journal { 5 } else { 0 };
        assert!((least..100).contains(&kept), "{kept}");
    }
}

#[tokio::test]
async fn unknown_bands_leave_nothing_in_the_table() {
    let f = fixture(|c| c.ack = Ack::None, Options::default());
    f.register("default", "b1", None).await;
    for n in 0..20_000 {
        assert_eq!(f.tap(&format!("/e?bandId=stranger-{n}")).await, NOTHING);
    }
    assert_eq!(f.table.bands(), 1);
}

#[tokio::test]
async fn a_table_is_seeded_from_rows_of_its_own_version_only() {
    for (version, seeded) in [(1, (7, 1)), (2, (0, 0))] {
        let rows = MemoryRows::new();
        let tables = projections::hub::Hub.tables();
        let generation = rows.open(NAME, &ModelId::new(NAME, version), tables).await.unwrap();
        let lease = rows.acquire(&generation.id, "a", Duration::from_secs(60)).await.unwrap();
        let put = |table: &str, tenant: TenantId, key: &str| {
            let row = RowKey { tenant, key: key.into() };
            let puts = vec![RowPut { row, sort: None, doc: "{}".into() }];
            TableChanges { table: table.into(), puts, deletes: vec![] }
        };
        let changes = vec![
            put(KNOWN_TENANTS, TenantId::system(), "acme"),
            put(BANDS, TenantId::new("acme").unwrap(), "band-1"),
        ];
        rows.commit(Commit { lease, from: 0, to: 7, changes, parked: vec![], unparked: vec![] })
            .await
            .unwrap();
        let seed = hub::seed(&rows).await.unwrap();
        assert_eq!((seed.position, seed.bands.len()), seeded);
    }
}
