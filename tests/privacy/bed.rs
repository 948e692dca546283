//! Taps of two bands, each by an agent that nobody else has.

use daybook_tests::cli::Cli;
use daybook_tests::server::{KEY, Server};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Value, json};

/// In the agents of these bands and nowhere else.
pub const MARKS: [(&str, &str); 2] = [("b1", "Unmistakable77"), ("b2", "Singular88")];
pub const TAPS: u64 = 3;

pub async fn prepared(server: &Server) {
    let show = json!({"name": "Night", "time_zone": "Europe/Berlin", "starts_at": "2020-01-01T18:00",
        "ends_at": "2029-01-01T23:00", "live_url": "https://a.example/{band_id}"});
    server.post("/v1/events/show-1/schedule", &show).await.unwrap();
    for (band, _) in MARKS {
        let body = json!({"event_id": "show-1"});
        let answer = server.post(&format!("/v1/bands/{band}/register"), &body).await.unwrap();
        let mut position = answer["position"].as_u64().unwrap();
        for _ in 0..TAPS {
            position = tap(server, band, position).await;
        }
    }
}

/// One tap, and where it stands in the log.
pub async fn tap(server: &Server, band: &str, at_least: u64) -> u64 {
    let mark = MARKS.iter().find(|(b, _)| *b == band).unwrap().1;
    let agent = format!("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1 {mark}");
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let tap = client
        .get(format!("{}/e?bandId={band}", server.url))
        .header("Daybook-At-Least", at_least)
        .header("Daybook-Ack", "log")
        .header("User-Agent", agent);
    let answer = tap.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    answer.headers()["daybook-position"].to_str().unwrap().parse().unwrap()
}

/// A tap that is answered from the journal, and waits there until it is
/// counted.
pub async fn tap_by_journal(server: &Server, band: &str, counted: u64) {
    let mark = MARKS.iter().find(|(b, _)| *b == band).unwrap().1;
    let agent = format!("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1 {mark}");
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let tap = client.get(format!("{}/e?bandId={band}", server.url)).header("User-Agent", agent);
    assert_eq!(tap.send().await.unwrap().status(), StatusCode::FOUND);
    for _ in 0..600 {
        let summary = server.get("/v1/analytics/events/show-1/summary", 0).await.unwrap();
        if summary["taps"] == counted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the tap does not arrive");
}

/// Status and body, with a key.
pub async fn post(server: &Server, key: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Client::new().post(format!("{}{path}", server.url)).header("X-API-Key", key).json(body);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub async fn get(server: &Server, path: &str) -> (u16, String) {
    let request = Client::new().get(format!("{}{path}", server.url)).header("X-API-Key", KEY);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What `privacy export` writes of a band, line by line.
pub fn exported(cli: &Cli, band: &str) -> Vec<Value> {
    let output = cli.output(&["privacy", "export", &format!("band:{band}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Payloads of the taps in an export.
pub fn taps(lines: &[Value]) -> Vec<&Value> {
    let facts = lines.iter().filter_map(|line| line.get("fact"));
    facts.filter(|fact| fact["type"] == "band.tapped").map(|fact| &fact["payload"]).collect()
}

/// Everything that is verified of an installation at rest.
pub fn all_holds(cli: &Cli) {
    cli.json(&["archive", "run"], 0);
    cli.json(&["archive", "verify"], 0);
    cli.json(&["backup", "verify"], 0);
    cli.json(&["audit", "verify"], 0);
    for more in [&[][..], &["--from-archive"]] {
        let verified = cli.json(&[&["replay", "verify", "tap_analytics"], more].concat(), 0);
        assert_eq!(verified["same"], true, "{verified}");
    }
}
