//! From one kind of store through the archive into the other: sealed,
//! trimmed, dropped, restored, and every view as it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::postgres;
use daybook_tests::server::{KEK, KEY, Server};
use reqwest::{Client, redirect};
use serde_json::{Value, json};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1";
const TAPS: u64 = 60;
const VIEWS: [&str; 5] = ["hub", "live_events", "bands", "tap_analytics", "history"];

async fn tapped(server: &Server) {
    let show = json!({"name": "Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{band_id}"});
    server.post("/v1/events/show-1/schedule", &show).await.unwrap();
    let mut after = 0;
    for band in ["b1", "b2"] {
        let (path, body) = (format!("/v1/bands/{band}/register"), json!({"event_id": "show-1"}));
        after = server.post(&path, &body).await.unwrap()["position"].as_u64().unwrap();
    }
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    for n in 0..TAPS {
        let agent = if n % 5 == 0 { "curl/8" } else { PHONE };
        let tap = client.get(format!("{}/e?bandId=b{}", server.url, 1 + n % 2)).header("User-Agent", agent);
        let tap = tap.header("Daybook-At-Least", after).header("Daybook-Ack", "log").send().await.unwrap();
        assert_eq!(tap.status(), 302);
        after = tap.headers()["daybook-position"].to_str().unwrap().parse().unwrap();
    }
    // Another model is live than a new installation's.
    server.post("/v1/models/tap_analytics", &json!({"model": "bots@2"})).await.unwrap();
    let built = server.post("/v1/replays/tap_analytics/build", &json!({})).await.unwrap();
    until_ready(server, &built["generation"]).await;
    server.post("/v1/replays/tap_analytics/promote", &json!({"wait_seconds": 60})).await.unwrap();
}

async fn until_ready(server: &Server, number: &Value) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = server.get("/v1/replays/tap_analytics", 0).await.unwrap();
        let list = status["generations"].as_array().unwrap();
        if list.iter().any(|g| g["generation"] == *number && g["status"] == "ready") {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_caught_up(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let all = server.get("/v1/projections", 0).await.unwrap();
        let list = all["projections"].as_array().unwrap();
        let done = |p: &Value| p["lag"] == 0 && p["status"] != "building" && p["dead_letters"] == 0;
        if list.iter().all(done) {
            return;
        }
        assert!(Instant::now() < deadline, "{all}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Of every live view, built again.
fn checksums(cli: &Cli, more: &[&str]) -> BTreeMap<&'static str, String> {
    let sum = |view: &'static str| {
        let verified = cli.json(&[&["replay", "verify", view], more].concat(), 0);
        assert_eq!((&verified["same"], &verified["checksum"]), (&json!(true), &verified["rebuilt"]));
        assert!(verified["position"].as_u64().unwrap() > TAPS, "{verified}");
        (view, verified["checksum"].as_str().unwrap().to_owned())
    };
    VIEWS.into_iter().map(sum).collect()
}

/// Starts a server, which follows the log to its end, and stops it.
async fn followed(cli: &Cli) -> Value {
    let server = cli.serve();
    until_caught_up(&server).await;
    let summary = server.get("/v1/analytics/events/show-1/summary", 0).await.unwrap();
    trimmed_history_is_read(&server).await;
    server.stop().unwrap();
    summary
}

/// Also by who asks about the past, a time that only the archive knows.
async fn trimmed_history_is_read(server: &Server) {
    for path in ["/v1/events/show-1?at=2100-01-01T00:00:00Z", "/v1/bands/b1?at=3"] {
        let request = Client::new().get(format!("{}{path}", server.url)).header("X-API-Key", KEY);
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every event with its leaf, wherever it is read from.
fn events(cli: &Cli) -> Vec<Value> {
    let output = cli.output(&["events", "tail", "-n", "100000"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

async fn there(from: &Path, archive: &str, database: Option<&str>) -> Option<(Cli, Value)> {
    let mut settings = vec![("ARCHIVE_URL", archive), ("DAYBOOK_PRIVACY_KEK", KEK)];
    settings.extend(database.map(|url| ("DATABASE_URL", url)));
    let cli = Cli::new(from, &settings)?;
    let server = cli.serve();
    tapped(&server).await;
    server.stop().unwrap();
    let head = events(&cli);
    cli.json(&["archive", "run"], 0);
    let trimmed = cli.json(&["archive", "trim"], 0);
    assert!(trimmed["dropped"].as_u64().unwrap() >= TAPS - 1, "{trimmed}");
    assert_eq!(events(&cli), head, "the archive has what the log has no more");
    let stream = head.iter().find(|e| e["type"] == "band.tapped").unwrap()["stream"].clone();
    let stream = format!("{}/{}", stream["kind"].as_str().unwrap(), stream["id"].as_str().unwrap());
    let of_stream = lines(&cli.output(&["events", "stream", &stream]).stdout);
    assert_eq!(of_stream.len() as u64, TAPS);
    assert!(of_stream.iter().zip(1..).all(|(e, version)| e["version"] == version));
    let summary = followed(&cli).await;
    Some((cli, summary))
}

async fn both_ways(first: Option<&str>, second: Option<&str>) {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let archive = folders[2].path().join("archive").display().to_string();
    let Some((old, summary)) = there(folders[0].path(), &archive, first).await else { return };
    let sums = checksums(&old, &[]);
    // What was verified is a fact too, and sealed like all others.
    cli_run(&old);
    assert_eq!(checksums(&old, &["--from-archive"]), sums);
    let facts = events(&old);

    let mut settings = vec![("ARCHIVE_URL", &*archive), ("DAYBOOK_PRIVACY_KEK", KEK)];
    settings.extend(second.map(|url| ("DATABASE_URL", url)));
    let new = Cli::new(folders[1].path(), &settings).unwrap();
    let restored = new.json(&["restore", "--from", &archive], 0);
    assert_eq!(restored["restored"].as_u64(), Some(facts.len() as u64), "{restored}");
    assert_eq!(events(&new), facts, "positions, ids, times and leaves");
    // Keys are no part of the archive.
    let keys = folders[2].path().join("keys").display().to_string();
    old.json(&["privacy", "keys", "export", &keys], 0);
    new.json(&["privacy", "keys", "import", &keys], 0);
    assert_eq!(followed(&new).await, summary);
    let again = checksums(&new, &[]);
    // The history has the facts of what was verified there.
    let others = |sums: &BTreeMap<&'static str, String>| {
        let kept = sums.iter().filter(|(view, _)| **view != "history");
        kept.map(|(view, sum)| (*view, sum.clone())).collect::<Vec<_>>()
    };
    assert_eq!(others(&again), others(&sums));
    cli_run(&new);
    new.json(&["archive", "trim"], 0);
    assert_eq!(checksums(&new, &["--from-archive"]), again);
    let built = new.json(&["replay", "build", "tap_analytics", "--model", "bots@2"], 0);
    assert_eq!(built["generation"]["built"]["checksum"], *sums["tap_analytics"], "{built}");
}

fn cli_run(cli: &Cli) {
    cli.json(&["archive", "run"], 0);
    cli.json(&["archive", "verify"], 0);
}

#[tokio::test]
async fn from_sqlite_through_the_archive_to_postgres() {
    let Some(database) = postgres::database().await else { return };
    both_ways(None, Some(&database.url)).await;
}

#[tokio::test]
async fn from_postgres_through_the_archive_to_sqlite() {
    let Some(database) = postgres::database().await else { return };
    both_ways(Some(&database.url), None).await;
}

/// What neither log nor archive has is told, and never answered in part.
#[tokio::test]
async fn an_archive_that_went_away_is_told() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let archive = folders[1].path().join("archive").display().to_string();
    let Some((cli, _)) = there(folders[0].path(), &archive, None).await else { return };
    let elsewhere = folders[1].path().join("nowhere").display().to_string();
    let settings = [("ARCHIVE_URL", &*elsewhere), ("DAYBOOK_PRIVACY_KEK", KEK)];
    let astray = Cli::new(folders[0].path(), &settings).unwrap();
    let said = astray.refused(&["replay", "verify", "tap_analytics"], 1);
    assert!(said.contains("were trimmed from the log; the archive has them"), "{said}");
    assert!(astray.refused(&["events", "tail", "-n", "100000"], 1).contains("trimmed"));
    let server = astray.serve();
    let past = Client::new().get(format!("{}/v1/events/show-1?at=2026-01-01T00:00:00Z", server.url));
    let past = past.header("X-API-Key", KEY).send().await.unwrap();
    assert_eq!(past.status(), 410);
    let problem: Value = past.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/trimmed");
    assert!(problem["upto"].as_u64().is_some_and(|upto| upto > TAPS), "{problem}");
    server.stop_unchecked().unwrap();
    assert_eq!(cli.json(&["replay", "verify", "tap_analytics"], 0)["same"], true);
}
