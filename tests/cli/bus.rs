//! `daybook bus` against a real server, on a log in SQLite.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use async_nats::jetstream;
use daybook_tests::cli::Cli;
use daybook_tests::nats::Nats;
use daybook_tests::server::{Server, binary};
use daybook_tests::skip;
use futures::StreamExt;
use serde_json::{Value, json};

struct Site<'a> {
    data: &'a Path,
    nats: String,
}

impl Site<'_> {
    fn bus(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary().unwrap());
        command.arg("--data-dir").arg(self.data).args(["bus", "--json"]).args(arguments);
        command.env("NATS_URL", &self.nats).env("LOG_LEVEL", "error").output().unwrap()
    }

    /// Exit code and the last line that was printed.
    fn answer(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let done = self.bus(arguments);
        let text = String::from_utf8(done.stdout).unwrap();
        let last = text.lines().last().unwrap_or("null");
        (done.status.code(), serde_json::from_str(last).unwrap())
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_refilled() {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return;
    };
    let Some(nats) = Nats::start() else { return };
    let data = tempfile::tempdir().unwrap();
    let site = Site { data: data.path(), nats: nats.url() };
    let server = Server::start(&binary, data.path(), &[("NATS_URL", &site.nats)]).unwrap();
    for band in ["b1", "b2", "b3"] {
        let show = json!({"name": band, "time_zone": "UTC", "starts_at": "2026-01-01T18:00",
            "ends_at": "2026-01-02T18:00"});
        server.post(&format!("/v1/events/{band}/schedule"), &show).await.unwrap();
    }
    server.stop().unwrap();
    // Also what was published by nobody before the server stopped.
    assert_eq!(site.answer(&["refill"]).0, Some(0));
    let (code, status) = site.answer(&["status"]);
    assert_eq!((code, &status["lag"], &status["first"]), (Some(0), &json!(0), &json!(1)));
    assert_eq!(site.answer(&["verify"]).0, Some(0));

    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    context.get_stream("DAYBOOK_EVENTS").await.unwrap().delete_message(2).await.unwrap();
    let (code, verdict) = site.answer(&["verify"]);
    assert_eq!(code, Some(4));
    assert_eq!(verdict["ranges"], json!([{"kind": "missing", "first": 2, "last": 2}]));
    let (code, verdict) = site.answer(&["refill"]);
    assert_eq!((code, &verdict["wrong"], &verdict["compared"]), (Some(0), &json!(0), &status["head"]));
    assert_eq!(site.answer(&["verify"]).0, Some(0));

    // Somebody else publishes where the next event belongs.
    let stranger = context.publish("events.acme.taps.band.tapped", "{}".into()).await.unwrap().await.unwrap();
    let (code, status) = site.answer(&["status"]);
    let first = stranger.sequence;
    assert_eq!((code, &status["wrong"]["first"]), (Some(4), &json!(first)), "{status}");
    let said = String::from_utf8(site.bus(&["status"]).stderr).unwrap();
    assert!(said.contains("until `daybook bus refill`"), "{said}");
    assert_eq!(site.answer(&["refill"]).0, Some(0));
    assert_eq!(site.answer(&["status"]).0, Some(0));

    // A trimmed log is filled up from the archive.
    let cli = Cli::new(data.path(), &[]).unwrap();
    let projections = cli.output(&["projections"]).stdout;
    assert!(!String::from_utf8(projections).unwrap().contains("relay"), "it is no projection");
    taps(&cli, 30).await;
    cli.json(&["archive", "run"], 0);
    assert!(cli.json(&["archive", "trim"], 0)["dropped"].as_u64().unwrap() >= 29);
    let (code, verdict) = site.answer(&["refill", "--force"]);
    assert_eq!((code, &verdict["wrong"], &verdict["first"]), (Some(0), &json!(0), &json!(1)), "{verdict}");
    assert_eq!(site.answer(&["verify"]).0, Some(0));
}

async fn taps(cli: &Cli, count: usize) {
    let server = cli.serve();
    let band = server.post("/v1/bands/x1/register", &json!({"event_id": "b1"})).await.unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for _ in 0..count {
        let tap = client.get(format!("{}/e?bandId=x1", server.url)).header("Daybook-Ack", "log");
        tap.header("Daybook-At-Least", band["position"].as_u64().unwrap()).send().await.unwrap();
    }
    server.stop().unwrap();
}

/// Everything that can be on the bus is described, and every reference leads
/// somewhere.
#[test]
fn the_document_describes_every_event_type() {
    let data = tempfile::tempdir().unwrap();
    let Some(cli) = Cli::new(data.path(), &[]) else { return };
    let document = cli.json(&["bus", "asyncapi"], 0);
    assert_eq!(document["asyncapi"], "3.0.0");
    for known in domain::registry::EVENT_TYPES {
        let channel = &document["channels"][known.name];
        assert_eq!(channel["address"], format!("events.{{tenant}}.{{kind}}.{}", known.name));
        let data =
            &document["components"]["messages"][known.name]["payload"]["allOf"][1]["properties"]["data"];
        let columns = domain::columns::of(known.name).unwrap();
        assert_eq!(data["properties"].as_object().unwrap().len(), columns.len(), "{}", known.name);
    }
    let addresses: Vec<&str> =
        document["channels"].as_object().unwrap().values().map(|c| c["address"].as_str().unwrap()).collect();
    for first in ["requests.", "responses.", "anomalies.", "rules.", "daybook.bell."] {
        assert!(addresses.iter().any(|a| a.starts_with(first)), "{first}");
    }
    let operations = document["operations"].as_object().unwrap();
    assert_eq!(operations.len(), addresses.len());
    fn references<'a>(value: &'a Value, all: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                all.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|v| references(v, all));
            }
            Value::Array(items) => items.iter().for_each(|v| references(v, all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(all.len() > 3 * domain::registry::EVENT_TYPES.len());
    for reference in all {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

/// Who listens hears of each signal by app and type, and of what comes of it.
#[tokio::test]
async fn live_subjects_tell_what_comes_in() {
    let Some(nats) = Nats::start() else { return };
    let data = tempfile::tempdir().unwrap();
    let address = nats.url();
    let settings = [("NATS_URL", &*address), ("DAYBOOK_NATS_LIVE", "true")];
    let Some(cli) = Cli::new(data.path(), &settings) else { return };
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut heard = client.subscribe("*.default.>").await.unwrap();
    client.flush().await.unwrap();
    let server = cli.serve();
    let rule = json!({"name": "big", "app": "shop", "event_type": "purchase_complete",
        "actions": {"subjects": ["orders.big", "all"]}, "throttle": {"actions": 1, "seconds": 600}});
    server.post("/v1/rules/big/define", &rule).await.unwrap();
    let signal = json!({"appId": "shop", "idempotencyKey": "1", "purchaseComplete": {"totalCents": 5}});
    let bad = json!({"appId": "shop", "idempotencyKey": "2", "timestampMs": -1, "appStart": {}});
    let answer = server.post("/v1/events/batch?app=shop", &json!({"events": [signal, bad]})).await.unwrap();
    let mut wanted = vec![
        "requests.default.shop.commerce.purchase_complete",
        "responses.default.shop.rejected",
        "responses.default.shop.matched.big",
        "rules.default.orders.big",
        "rules.default.all",
    ];
    let mut named = 0;
    let listening = async {
        while !wanted.is_empty() {
            let message = heard.next().await.unwrap();
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            let headers = message.headers.unwrap();
            assert_eq!(headers.get("Daybook-Position").unwrap().as_str(), body["position"].as_str().unwrap());
            if message.subject.starts_with("requests.") {
                let position = answer["results"][0]["position"].to_string();
                assert_eq!(
                    (&body["position"], &body["data"]["data"]["total_cents"]),
                    (&json!(position), &json!(5))
                );
            }
            if message.subject.starts_with("rules.") {
                assert_eq!((&body["type"], &body["data"]["rule"]), (&json!("rule.matched"), &json!("big")));
                named += 1;
            }
            wanted.retain(|subject| **subject != *message.subject);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listening).await.expect("each is heard");
    // What the throttle holds back is told as a match and not on the rule's own.
    let again = json!({"appId": "shop", "idempotencyKey": "3", "purchaseComplete": {"totalCents": 7}});
    server.post("/v1/events/batch?app=shop", &json!({"events": [again]})).await.unwrap();
    let listening = async {
        loop {
            let message = heard.next().await.unwrap();
            named += usize::from(message.subject.starts_with("rules."));
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            if &*message.subject == "responses.default.shop.matched.big" && body["data"]["acts"] == false {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listening).await.expect("it is heard");
    // The relay tells in order: what comes after shows that none came between.
    let other = json!({"appId": "shop", "idempotencyKey": "4", "appStart": {}});
    server.post("/v1/events/batch?app=shop", &json!({"events": [other]})).await.unwrap();
    let listening = async {
        loop {
            let message = heard.next().await.unwrap();
            named += usize::from(message.subject.starts_with("rules."));
            if message.subject.ends_with(".app_start") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listening).await.expect("it is heard");
    assert_eq!(named, 2);
    server.stop().unwrap();
}

#[test]
fn without_a_bus_it_says_which_setting_is_missing() {
    if binary().is_err() {
        return skip("the daybook binary is not built");
    }
    let data = tempfile::tempdir().unwrap();
    let done = Site { data: data.path(), nats: String::new() }.bus(&["status"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("names no bus"), "{said}");
}
