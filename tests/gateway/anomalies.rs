//! Anomaly windows through a whole server: from the rule over the points to the
//! window, its picture and what people say about it.

use daybook_tests::data;
use daybook_tests::server::{KEY, Server, binary};
use daybook_tests::skip;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Bed, admin, answer};
use super::sink::until;

const BATCH: usize = 500;
/// As fast as it goes.
const RATES: [(&str, &str); 2] =
    [("DAYBOOK_GATEWAY_RATE_PER_SECOND", "100000"), ("DAYBOOK_GATEWAY_RATE_BURST", "100000")];

fn cpu_rule() -> Value {
    json!({"name": "busy", "app": "shop", "event_type": "cpu", "anomaly": {
        "series": {"of": "value", "path": "$.data.value"}, "key": "$.data.host",
        "check": {"kind": "threshold", "max": 90.0}, "cooldown_seconds": 300}})
}

/// Tells that everything before it was looked at: a plain match.
fn done_rule() -> Value {
    json!({"name": "done", "app": "shop", "event_type": "done"})
}

fn event(id: &str, kind: &str, time: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/hosts", "type": kind, "time": time, "data": data})
}

fn point(host: &str, minute: i64, value: f64) -> Value {
    let time = jiff::Timestamp::from_second(1_700_000_000 + minute * 60).unwrap().to_string();
    event(&format!("{host}-{minute}"), "cpu", &time, &json!({"value": value, "host": host}))
}

/// A day of two hosts, of which both are busy for a quarter of an hour and one
/// is for a minute.
fn day() -> Vec<Value> {
    let value = |host: &str, minute: i64| match (host, minute) {
        ("a", 600..615) => 95.0 + (minute % 4) as f64,
        ("b", 605..620) => 97.0,
        ("b", 1_000) => 91.0,
        _ => 20.0 + (minute % 7) as f64,
    };
    (0..1_440).flat_map(|minute| ["a", "b"].map(|host| point(host, minute, value(host, minute)))).collect()
}

async fn post(server: &Server, path: &str, body: &Value) -> (StatusCode, Value) {
    answer(admin(Client::new().post(format!("{}{path}", server.url))).json(body)).await
}

async fn define(server: &Server, id: &str, rule: &Value) -> u64 {
    let (status, said) = post(server, &format!("/v1/rules/{id}/define"), rule).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    said["position"].as_u64().unwrap_or_else(|| panic!("{said}"))
}

async fn send(server: &Server, key: &str, events: &[Value]) {
    let request = Client::new()
        .post(format!("{}/v1/events/batch", server.url))
        .header("X-API-Key", key)
        .header("Content-Type", "application/cloudevents-batch+json")
        .body(Value::from(events).to_string());
    let (status, said) = answer(request).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["rejected_count"], 0, "{said}");
}

/// Waits until the reactor has looked at everything that was sent, and returns
/// the position of the match that says so.
async fn settled(server: &Server, key: &str, mark: &str) -> u64 {
    send(server, key, &[event(mark, "done", "2026-01-01T00:00:00Z", &json!({}))]).await;
    until(|| async {
        let matches = server.get("/v1/rules/done/matches", 0).await.unwrap();
        for found in matches["matches"].as_array().unwrap() {
            let signal = server.get(&format!("/v1/signals/{}", found["signal"]), 0).await.unwrap();
            if signal["event"]["id"] == mark {
                return found["position"].as_u64();
            }
        }
        None
    })
    .await
}

/// All windows without what the positions of another log make of them.
async fn windows(server: &Server, position: u64) -> Vec<Value> {
    let listed = server.get("/v1/anomalies?limit=1000", position).await.unwrap();
    let mut windows = listed["windows"].as_array().unwrap().clone();
    for window in &mut windows {
        let window = window.as_object_mut().unwrap();
        for field in ["id", "opened_by", "opened_at", "position"] {
            assert!(window.remove(field).is_some(), "{field}");
        }
        window["peak"].as_object_mut().unwrap().remove("signal");
    }
    windows
}

#[tokio::test]
async fn a_window_is_found_shown_and_taken_care_of() {
    let Some(bed) = Bed::new(&RATES).await else { return };
    let since = define(&bed.server, "busy", &cpu_rule()).await;
    define(&bed.server, "done", &done_rule()).await;
    for batch in day().chunks(BATCH) {
        send(&bed.server, &bed.shop, batch).await;
    }
    let position = settled(&bed.server, &bed.shop, "end").await;
    let listed = bed.get("/v1/anomalies", position).await["windows"].clone();
    let told: Vec<(&str, u64, bool)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (w["key"].as_str().unwrap(), w["points"].as_u64().unwrap(), w["open"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [("b", 1, false), ("b", 15, false), ("a", 15, false)]);
    for (query, count) in [
        ("rule=busy", 3),
        ("rule=other", 0),
        ("key=a", 1),
        ("app=shop&status=closed", 3),
        ("status=open", 0),
        ("from=2023-11-15T08:15:00Z&to=2023-11-15T08:20:00Z", 1),
        ("from=2023-11-15T08:13:20Z&to=2023-11-15T08:18:20Z", 1),
        ("from=2023-11-15T08:13:20Z&to=2023-11-15T08:18:21Z", 2),
    ] {
        let found = bed.get(&format!("/v1/anomalies?{query}"), position).await;
        assert_eq!(found["windows"].as_array().unwrap().len(), count, "{query}: {found}");
    }

    let incidents = bed.get("/v1/incidents", position).await["incidents"].clone();
    assert_eq!((&incidents[0]["count"], &incidents[1]["count"]), (&json!(1), &json!(2)), "{incidents}");
    assert_eq!(incidents[1]["series_count"], 2);

    // What the rule would have found is what was found.
    let path = format!("/v1/rules/busy/dry-run?after={since}");
    let (_, run) = post(&bed.server, &path, &json!({})).await;
    let mut recorded = Vec::new();
    for window in listed.as_array().unwrap() {
        let id = window["id"].as_str().unwrap();
        let one = bed.get(&format!("/v1/anomalies/{id}"), position).await;
        recorded.extend(one["facts"].as_array().unwrap().iter().map(|fact| fact["payload"].clone()));
    }
    let sorted = |facts: &[Value]| {
        let mut facts: Vec<String> = facts
            .iter()
            .cloned()
            .map(|mut fact| {
                fact["acts"] = json!(false);
                fact.to_string()
            })
            .collect();
        facts.sort();
        facts
    };
    assert_eq!(sorted(run["windows"].as_array().unwrap()), sorted(&recorded));
    assert_eq!(run["changes"], json!(recorded.len()));
    pictured(&bed, listed[2]["id"].as_str().unwrap(), position).await;
    reviewed(&bed, listed[2]["id"].as_str().unwrap()).await;
    from_the_terminal(&bed, listed[0]["id"].as_str().unwrap());
    bed.server.stop().unwrap();
}

async fn pictured(bed: &Bed, id: &str, position: u64) {
    let plot = bed.get(&format!("/v1/anomalies/{id}/series?points=50"), position).await;
    let points = plot["points"].as_array().unwrap();
    assert_eq!((points.len(), &plot["exact"], &plot["complete"]), (115, &json!(true), &json!(true)));
    assert_eq!(points.iter().filter(|p| p["unusual"] == true).count(), 15);
    assert_eq!(points[0]["expected"], json!({"upper": 90.0}));
    let answer = admin(Client::new().get(format!("{}/v1/anomalies/{id}/series", bed.server.url)))
        .header("Accept", "image/svg+xml")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "image/svg+xml");
    let svg = answer.text().await.unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for part in ["class=\"window\"", "class=\"band\"", "class=\"series\"", "class=\"peak\"", "busy · a"] {
        assert!(svg.contains(part), "{part} is not in {svg}");
    }
    assert_eq!(svg.matches("class=\"unusual\"").count(), 15);
}

async fn reviewed(bed: &Bed, id: &str) {
    let path = |what: &str| format!("/v1/anomalies/{id}/{what}");
    let (status, said) = post(&bed.server, &path("acknowledge"), &json!({"note": "a deploy"})).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let until = json!({"until": "2024-01-01T00:00:00Z"});
    let (_, said) = post(&bed.server, &path("mute"), &until).await;
    let position = said["position"].as_u64().unwrap();
    let one = bed.get(&format!("/v1/anomalies/{id}"), position).await;
    assert!(one["acknowledged"]["by"].as_str().unwrap().starts_with("key:"), "{one}");
    assert_eq!((&one["muted_until"], &one["notes"]), (&until["until"], &json!(1)));
    let facts = one["facts"].as_array().unwrap();
    assert_eq!(facts.last().unwrap()["type"], "anomaly.muted");
    let muted = bed.get("/v1/anomalies?status=muted", position).await;
    assert_eq!(muted["windows"].as_array().unwrap().len(), 1);
    // The same series again, before and after the mute is over.
    let week = 7 * 1_440;
    let points = [point("a", week, 99.0), point("a", week + 60 * 24 * 60, 99.0)];
    send(&bed.server, &bed.shop, &points).await;
    let position = settled(&bed.server, &bed.shop, "muted").await;
    let later = bed.get("/v1/anomalies?key=a&from=2023-11-20T00:00:00Z", position).await;
    let told: Vec<_> =
        later["windows"].as_array().unwrap().iter().map(|w| (&w["acts"], &w["muted"])).collect();
    assert_eq!(told, [(&json!(true), &json!(false)), (&json!(false), &json!(true))]);

    for (what, body, expected) in [
        ("note", json!({"note": ""}), "/note"),
        ("mute", json!({"until": "soon"}), "/until"),
        ("acknowledge", json!({"note": "x".repeat(2_001)}), "/note"),
    ] {
        let (status, problem) = post(&bed.server, &path(what), &body).await;
        assert!(status.is_client_error(), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], expected, "{problem}");
    }
    let (status, _) = post(&bed.server, "/v1/anomalies/1.00/note", &json!({"note": "x"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // A key of the app sends signals and does nothing else.
    let request = bed.post(&path("acknowledge")).header("Content-Type", "application/json").body("{}");
    assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN);
    let request =
        Client::new().get(format!("{}/v1/anomalies/{id}", bed.server.url)).header("X-API-Key", &bed.shop);
    assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN);
}

fn from_the_terminal(bed: &Bed, id: &str) {
    let run = |args: &[&str]| {
        let done = std::process::Command::new(binary().unwrap())
            .args(args)
            .env("DAYBOOK_URL", &bed.server.url)
            .env("DAYBOOK_KEY", KEY)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(
        run(&["anomaly", "ack", id, "--note", "one point"]).starts_with(&format!("{id} acknowledged at "))
    );
    let listed = run(&["anomaly", "windows", "--rule", "busy", "--series", "b"]);
    let told: Vec<&str> = listed.lines().collect();
    assert_eq!(told.len(), 2, "{listed}");
    assert!(told[0].starts_with(&format!("{id} closed low busy b 2023-11-15T14:53:20Z to")), "{listed}");
}

#[tokio::test]
async fn changes_are_told_as_they_are_recorded_and_again_on_request() {
    let Some(bed) = Bed::new(&RATES).await else { return };
    define(&bed.server, "busy", &cpu_rule()).await;
    define(&bed.server, "done", &done_rule()).await;
    let url = format!("{}/v1/anomalies/stream", bed.server.url);
    let mut live = admin(Client::new().get(&url)).send().await.unwrap();
    send(&bed.server, &bed.shop, &[point("a", 0, 99.0), point("a", 30, 1.0)]).await;
    settled(&bed.server, &bed.shop, "end").await;
    let first = told(&mut live, 2).await;
    let changes: Vec<&Value> = first.iter().map(|(_, message)| &message["payload"]["change"]).collect();
    assert_eq!(changes, [&json!("opened"), &json!("closed")]);
    let mut again = admin(Client::new().get(&url)).header("Last-Event-ID", &first[0].0).send().await.unwrap();
    assert_eq!(told(&mut again, 1).await, first[1..]);
}

/// The next so many messages: id and data.
async fn told(stream: &mut reqwest::Response, count: usize) -> Vec<(String, Value)> {
    let (mut text, mut messages) = (String::new(), Vec::new());
    while messages.len() < count {
        // A stream that tells nothing is ended by the test runner.
        let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((message, rest)) = text.split_once("\n\n") {
            let line = |name: &str| message.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(data)) = (line("id:"), line("data:")) {
                messages.push((id.to_owned(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    messages
}

/// A server of its own whose process is killed while signals come in.
async fn windows_of(events: &[Value], rule: &Value, kill_after: Option<usize>) -> Option<Vec<Value>> {
    let Ok(binary) = binary() else {
        skip("the daybook binary is not built");
        return None;
    };
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(&binary, data.path(), &RATES).unwrap();
    let asked = json!({"name": "hosts", "roles": ["ingest"], "app": "shop"});
    let key = server.post("/v1/keys", &asked).await.unwrap()["key"].as_str().unwrap().to_owned();
    define(&server, "watched", rule).await;
    define(&server, "done", &done_rule()).await;
    for (i, batch) in events.chunks(BATCH).enumerate() {
        send(&server, &key, batch).await;
        if kill_after == Some(i) {
            server.kill().unwrap();
            server = Server::start(&binary, data.path(), &RATES).unwrap();
        }
    }
    let position = settled(&server, &key, "end").await;
    let windows = windows(&server, position).await;
    server.stop().unwrap();
    Some(windows)
}

#[tokio::test]
async fn a_killed_server_finds_the_same_windows() {
    let day = day();
    // In the middle of the long windows, too.
    let rule = cpu_rule();
    let Some(whole) = windows_of(&day, &rule, None).await else { return };
    assert_eq!(whole.len(), 3);
    for kill_after in [0, 2] {
        assert_eq!(windows_of(&day, &rule, Some(kill_after)).await.unwrap(), whole, "after {kill_after}");
    }
}

#[tokio::test]
async fn a_real_series_is_watched_by_a_detector() {
    let Some(folder) = data("anomaly/nab") else { return };
    let Some(events) = nab(&folder, "machine_temperature_system_failure.csv") else {
        skip("the series of a machine's temperature is not at hand");
        return;
    };
    let rule = json!({"name": "machine", "app": "shop", "anomaly": {
        "series": {"of": "value", "path": "$.data.value"},
        "check": {"kind": "detector", "model": "seasonal_band@1"}, "min_samples": 288, "cooldown_seconds": 3600}});
    let events = &events[..events.len().min(6_000)];
    let Some(whole) = windows_of(events, &rule, None).await else { return };
    assert!(!whole.is_empty());
    assert!(whole.iter().all(|w| w["expected"]["value"].is_f64()), "{whole:?}");
    assert_eq!(windows_of(events, &rule, Some(5)).await.unwrap(), whole);
}

/// The points of a file as signals, wherever in the folder it is.
fn nab(folder: &std::path::Path, name: &str) -> Option<Vec<Value>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n == name) {
                let text = std::fs::read_to_string(&path).unwrap();
                let point = |(i, line): (usize, &str)| {
                    let (at, value) = line.split_once(',')?;
                    let time = format!("{}Z", at.replace(' ', "T"));
                    let value: f64 = value.trim().parse().ok()?;
                    Some(event(&i.to_string(), "temperature", &time, &json!({"value": value})))
                };
                let points: Vec<Value> = text.lines().skip(1).enumerate().filter_map(point).collect();
                return (!points.is_empty()).then_some(points);
            }
        }
    }
    None
}
