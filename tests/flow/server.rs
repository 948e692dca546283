//! The whole server as a process, on each database.

use std::path::Path;

use daybook_tests::server::{KEY, Server, binary};
use daybook_tests::{postgres, skip};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

fn start(data: &Path, database: Option<&str>) -> Option<Server> {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return None;
    };
    let settings: Vec<_> = database.map(|url| ("DATABASE_URL", url)).into_iter().collect();
    Some(Server::start(&binary, data, &settings).unwrap())
}

fn show() -> Value {
    json!({"name": "Night", "time_zone": "Asia/Kolkata", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{event_id}/{band_id}"})
}

/// Taps and returns where the answer leads and the tap's position.
async fn tap(server: &Server, band: &str, after: u64) -> (String, u64) {
    let answer = client()
        .get(format!("{}/e?bandId={band}", server.url))
        .header("Daybook-At-Least", after)
        .header("Daybook-Ack", "log")
        .header("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (header("location"), header("daybook-position").parse().unwrap())
}

async fn from_command_to_figures(database: Option<&str>) {
    let data = tempfile::tempdir().unwrap();
    let Some(server) = start(data.path(), database) else { return };
    server.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let band = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let (location, position) = tap(&server, "b1", band["position"].as_u64().unwrap()).await;
    assert_eq!(location, "https://a.example/show-1/b1");
    let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!((&summary["taps"], &summary["unique_bands"]), (&json!(1), &json!(1)));
    // Answered from the journal, then stopped in good order: nothing is lost.
    for _ in 0..50 {
        let plain = client().get(format!("{}/e?bandId=b1", server.url)).header("User-Agent", "curl/8").send();
        assert_eq!(plain.await.unwrap().status(), StatusCode::FOUND);
    }
    server.stop().unwrap();
    let server = start(data.path(), database).unwrap();
    let head = server.get("/v1/projections", 0).await.unwrap()["head"].as_u64().unwrap();
    let summary = server.get("/v1/analytics/events/show-1/summary", head).await.unwrap();
    assert_eq!((&summary["taps"], &summary["bots"]), (&json!(1), &json!(50)));
    let directory = server.get("/v1/bands/b1", head).await.unwrap();
    assert_eq!(directory["event_id"], "show-1");
    server.stop().unwrap();
}

#[tokio::test]
async fn from_command_to_figures_on_sqlite() {
    from_command_to_figures(None).await;
}

#[tokio::test]
async fn from_command_to_figures_on_postgres() {
    let Some(database) = postgres::database().await else { return };
    from_command_to_figures(Some(&database.url)).await;
}

#[tokio::test]
async fn two_servers_share_one_postgres() {
    let Some(database) = postgres::database().await else { return };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(first) = start(one.path(), Some(&database.url)) else { return };
    let second = start(two.path(), Some(&database.url)).unwrap();
    first.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let band = second.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let (_, position) = tap(&second, "b1", band["position"].as_u64().unwrap()).await;
    let (_, position) = tap(&first, "b1", position).await;
    for server in [&first, &second] {
        let summary = server.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
        assert_eq!(summary["taps"], 2);
    }
    // Whoever takes over the leases goes on where the other was.
    first.kill().unwrap();
    let (_, position) = tap(&second, "b1", position).await;
    let summary = second.get("/v1/analytics/events/show-1/summary", position).await.unwrap();
    assert_eq!(summary["taps"], 3);
    second.stop().unwrap();
}

#[tokio::test]
async fn an_issued_key_works_at_once_and_a_revoked_one_no_more() {
    let data = tempfile::tempdir().unwrap();
    let Some(server) = start(data.path(), None) else { return };
    let issued = server.post("/v1/keys", &json!({"name": "box office", "roles": ["reader"]})).await.unwrap();
    let (id, key) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    let read = || client().get(format!("{}/v1/events", server.url)).header("X-API-Key", key).send();
    assert_eq!(read().await.unwrap().status(), StatusCode::OK);
    let write = client().post(format!("{}/v1/bands/b1/register", server.url)).header("X-API-Key", key).send();
    assert_eq!(write.await.unwrap().status(), StatusCode::FORBIDDEN);
    server.post(&format!("/v1/keys/{id}/revoke"), &json!({})).await.unwrap();
    assert_eq!(read().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let listed = server.get("/v1/keys", 0).await.unwrap();
    assert_eq!((&listed["keys"][0]["id"], &listed["keys"][0]["revoked"]), (&json!(id), &json!(true)));
    assert!(!listed.to_string().contains(key));
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let data = tempfile::tempdir().unwrap();
    let Some(server) = start(data.path(), None) else { return };
    let deep = format!("{{\"tags\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let long_id = format!("/v1/bands/{}/register", "x".repeat(129));
    let post = "POST";
    let window = "/v1/events/nope/add-window";
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        (post, "/v1/bands/b1/register", b"{".into(), 400),
        (post, "/v1/bands/b1/register", b"{\"tags\": [\"a\xff\"]}".into(), 400),
        (post, "/v1/bands/b1/register", br#"{"tags": ["a\u0000"]}"#.into(), 422),
        (post, "/v1/bands/b1/register", br#"{"unknown": 1}"#.into(), 422),
        (post, "/v1/bands/b1/register", br#"{"tags": "vip"}"#.into(), 422),
        (post, "/v1/bands/b1/register", br#"{"event_id": "nowhere"}"#.into(), 422),
        (post, "/v1/bands/b1/register", deep.into_bytes(), 422),
        (post, "/v1/bands/b1/register", vec![b' '; 10 << 20], 413),
        (post, &long_id, b"{}".into(), 400),
        (post, "/v1/bands/a%2Fb/register", b"{}".into(), 400),
        (post, "/v1/bands/b1/eat", b"{}".into(), 404),
        (post, "/v1/bands/unknown/retire", b"{}".into(), 404),
        (post, window, br#"{"id":"w","kind":"live","starts_at":"2026-01-01T00:00","ends_at":"2026-01-02T00:00","url":"https://a.example/"}"#.into(), 404),
        (post, "/v1/events/e1/schedule", br#"{"name":"x","time_zone":"Mars/Base","starts_at":"2026-01-01T00:00","ends_at":"2026-01-02T00:00"}"#.into(), 422),
        (post, "/v1/events/e1/schedule", br#"{"name":"x","time_zone":"UTC","starts_at":"2026-01-02T00:00","ends_at":"2026-01-01T00:00"}"#.into(), 422),
        (post, "/v1/events/e1/schedule", br#"{"name":"x","time_zone":"UTC","starts_at":"2026-01-01T00:00","ends_at":"2026-01-02T00:00","live_url":"javascript:alert(1)"}"#.into(), 422),
        ("GET", "/v1/bands?limit=0", vec![], 400),
        ("GET", "/v1/bands?cursor=zz", vec![], 400),
        ("GET", "/v1/events/unknown", vec![], 404),
        ("GET", "/v1/analytics/events/unknown/summary", vec![], 404),
        ("GET", "/v1/nothing", vec![], 404),
        ("PUT", "/v1/bands", vec![], 405),
    ];
    for (method, path, body, status) in cases {
        let shown = format!(
            "{method} {} {}",
            &path[..path.len().min(60)],
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
        let request = client()
            .request(method.parse().unwrap(), format!("{}{path}", server.url))
            .header("X-API-Key", KEY)
            .header("Content-Type", "application/json")
            .body(body);
        let answer = request.send().await.unwrap_or_else(|e| panic!("{shown}: {e}"));
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{shown}");
        let code = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(code, status, "{shown}: {problem}");
        assert_eq!(problem["status"], status, "{shown}");
        assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{shown}");
    }
    assert_eq!(server.get("/v1/projections", 0).await.unwrap()["head"], 0, "nothing was recorded");
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let data = tempfile::tempdir().unwrap();
    let Ok(binary) = binary() else { return skip("the daybook binary is not built") };
    let keys = [("API_KEYS", "test-key,other:acme:admin")];
    let server = Server::start(&binary, data.path(), &keys).unwrap();
    server.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let done = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let position = done["position"].as_u64().unwrap();
    for path in [
        "/v1/events/show-1",
        "/v1/bands/b1",
        "/v1/bands/b1/taps",
        "/v1/analytics/events/show-1/summary",
        "/v1/analytics/events/show-1/series",
        "/v1/analytics/events/show-1/top-bands",
        "/v1/analytics/events/show-1/export.csv",
        "/v1/analytics/events/show-1/stream",
    ] {
        let foreign = client()
            .get(format!("{}{path}", server.url))
            .header("X-API-Key", "other")
            .header("Daybook-At-Least", position)
            .send()
            .await
            .unwrap();
        assert_eq!(foreign.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let foreign = client()
        .post(format!("{}/v1/bands/b1/retire", server.url))
        .header("X-API-Key", "other")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hub_stays_ready_without_its_database() {
    let Some(database) = postgres::database().await else { return };
    let data = tempfile::tempdir().unwrap();
    let Some(server) = start(data.path(), Some(&database.url)) else { return };
    server.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let band = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let (_, position) = tap(&server, "b1", band["position"].as_u64().unwrap()).await;
    let status = async |path: &str| {
        let request = client().get(format!("{}{path}", server.url)).header("X-API-Key", KEY);
        request.send().await.unwrap().status().as_u16()
    };
    database.allow_connections(false).await;
    // A proxy that asks for /ready must not take the redirects away.
    assert_eq!((status("/e?bandId=b1").await, status("/ready").await), (302, 200));
    assert_eq!(status("/v1/bands/b1").await, 503);
    database.allow_connections(true).await;
    // The journal's tap and the drainer's note follow.
    let summary = server.get("/v1/analytics/events/show-1/summary", position + 2).await.unwrap();
    assert_eq!((&summary["taps"], &summary["bots"]), (&json!(1), &json!(1)));
}

/// What every test that stops its server is checked for.
#[tokio::test]
async fn a_row_that_does_not_come_from_the_log_is_noticed() {
    let data = tempfile::tempdir().unwrap();
    let Some(server) = start(data.path(), None) else { return };
    server.post("/v1/events/show-1/schedule", &show()).await.unwrap();
    let band = server.post("/v1/bands/b1/register", &json!({"event_id": "show-1"})).await.unwrap();
    let head = band["position"].as_u64().unwrap();
    server.get("/v1/bands/b1", head).await.unwrap();
    server.get("/v1/events/show-1", head).await.unwrap();
    server.stop().unwrap();
    let rows = rusqlite::Connection::open(data.path().join("daybook.rows.db")).unwrap();
    let forged = "UPDATE rows_live_events_1_events SET doc = json_set(doc, '$.name', 'Day')";
    assert_eq!(rows.execute(forged, []).unwrap(), 1);
    drop(rows);
    let server = start(data.path(), None).unwrap();
    let noticed = format!("{:#}", server.stop().unwrap_err());
    assert!(noticed.contains("folding live_events again"), "{noticed}");
}
