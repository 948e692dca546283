//! What comes in from people who are mistaken, and from people who are not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Answer, Bed, admin, answer};
use super::sink::until;

const CLOUD: &str = "application/cloudevents+json";

async fn define(bed: &Bed, path: &str, body: &Value) -> Answer {
    answer(admin(Client::new().post(format!("{}{path}", bed.server.url))).json(body)).await
}

fn cloud(id: &str, time: &str) -> String {
    json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "time": time}).to_string()
}

#[tokio::test]
async fn any_instant_of_the_calendar_comes_back_as_it_was() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let mut newest = 0;
    for time in [
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2300-12-31T23:59:59.999999Z",
        "9999-12-30T00:00:00Z",
        "2016-12-31T18:59:60-05:00",
    ] {
        let (status, said) = bed.send("/v1/events/ingest", CLOUD, cloud(time, time)).await;
        assert_eq!(status, StatusCode::OK, "{time}: {said}");
        assert_eq!(bed.event(&said["position"]).await["time"], time);
        newest = said["position"].as_u64().unwrap();
    }
    let counted = bed.get("/v1/signals/types", newest).await["types"].clone();
    let days: Vec<&str> = counted.as_array().unwrap().iter().map(|t| t["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["0001-01-01", "1970-01-01", "2016-12-31", "2300-12-31", "9999-12-30"]);
    for time in ["2300-13-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-07-01T00:00:00", "yesterday", ""] {
        let (status, problem) = bed.send("/v1/events/ingest", CLOUD, cloud("x", time)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{time}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/time", "{time}: {problem}");
    }
    for millis in ["0", "-1", "253402300800000", "9223372036854775807", "1e3", "1.5"] {
        let body = format!(r#"{{"screenView":{{}},"timestampMs":{millis}}}"#);
        let (status, problem) = bed.send("/v1/events/ingest", "application/json", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{millis}: {problem}");
    }
}

#[tokio::test]
async fn one_that_is_too_deep_does_not_stop_the_others() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let event = |id: &str, params: &str| {
        format!(r#"{{"idempotencyKey":"{id}","screenView":{{"screenName":"s","params":{params}}}}}"#)
    };
    // Deeper than anybody's stack, and just too deep.
    for levels in [100, 50_000] {
        let body = format!("[{},{},{}]", event("1", "{}"), event("2", &deep(levels)), event("3", "{}"));
        let (status, all) = bed.send("/v1/events/batch", "application/json", body).await;
        match levels {
            100 => {
                let statuses: Vec<&Value> =
                    all["results"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
                assert_eq!(statuses, ["accepted", "rejected", "accepted"], "{all}");
            }
            _ => assert!(status.is_client_error() || all["rejected_count"] == 1, "{status} {all}"),
        }
        for path in ["/v1/rules/r/define", "/v1/schemas/shop/t/define"] {
            let request = admin(Client::new().post(format!("{}{path}", bed.server.url)));
            let (status, problem) =
                answer(request.header("Content-Type", "application/json").body(deep(levels))).await;
            assert!(status.is_client_error(), "{path}: {problem}");
        }
    }
    assert_eq!(bed.send("/v1/events/ingest", "application/json", event("4", "{}")).await.0, StatusCode::OK);
}

/// Four thousand bytes that say to be 128 MiB of zeros.
fn zstd_bomb() -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for n in 0..1_024_u32 {
        let head = (BLOCK << 3) | (1 << 1) | u32::from(n == 1_023);
        bomb.extend_from_slice(&head.to_le_bytes()[..3]);
        bomb.push(b' ');
    }
    bomb
}

#[tokio::test]
async fn what_unpacks_to_much_is_not_unpacked() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let send = |encoding: &str, bytes: Vec<u8>| {
        let post = bed.post("/v1/events/batch").header("Content-Type", "application/json");
        answer(post.header("Content-Encoding", encoding).body(bytes))
    };
    let (status, problem) = send("zstd", zstd_bomb()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    for (encoding, bytes) in
        [("zstd", b"no frame".to_vec()), ("gzip", vec![0x1f, 0x8b]), ("gzip, gzip", vec![]), ("br", vec![])]
    {
        let (status, problem) = send(encoding, bytes).await;
        assert!(status.is_client_error(), "{encoding}: {status} {problem}");
    }
}

/// Connections that never finish what they begin: half of them in the head of
/// their request, half in its body.
fn slow(bed: &Bed) -> Vec<TcpStream> {
    let whole = format!(
        "POST /v1/events/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        bed.shop
    );
    let open = |text: &str| {
        let mut stream = TcpStream::connect(bed.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(200))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    (0..120).map(|i| open(if i % 2 == 0 { &whole[..40] } else { &whole })).collect()
}

#[tokio::test]
async fn who_is_slow_keeps_nobody_waiting() {
    // Nobody who waited for them would be answered before the test is ended.
    let settings = [("DAYBOOK_HTTP_HEAD_TIMEOUT_SECONDS", "600"), ("DAYBOOK_HTTP_TIMEOUT_SECONDS", "600")];
    let Some(bed) = Bed::new(&settings).await else { return };
    let slow = slow(&bed);
    let (status, said) =
        bed.send("/v1/events/ingest", "application/json", r#"{"screenView":{"screenName":"s"}}"#).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    drop(slow);
}

#[tokio::test]
async fn who_is_too_slow_is_ended() {
    let settings = [("DAYBOOK_HTTP_HEAD_TIMEOUT_SECONDS", "1"), ("DAYBOOK_HTTP_TIMEOUT_SECONDS", "2")];
    let Some(bed) = Bed::new(&settings).await else { return };
    let slow = slow(&bed);
    let ended = tokio::task::spawn_blocking(move || {
        slow.into_iter()
            .map(|mut stream| {
                let mut said = Vec::new();
                // Ended with an answer or without; a time-out of ours is an error.
                stream.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
            })
            .collect::<Vec<_>>()
    });
    for said in ended.await.unwrap() {
        match said {
            Ok(said) => assert!(!said.contains(" 200 "), "{said}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// A rule within every bound that takes too long for one signal is not the
/// other rules' problem.
#[tokio::test]
async fn a_rule_that_explodes_is_given_up() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let items = "event.data.items.all(a, event.data.items.all(b, a + b >= 0))";
    for (id, rule) in [
        ("slow", json!({"name": "slow", "event_type": "list", "cel": items})),
        (
            "pattern",
            json!({"name": "pattern", "event_type": "list",
            "conditions": [{"path": "$.data.text", "operator": "regex", "value": "^(a+)+$"}]}),
        ),
        ("plain", json!({"name": "plain", "event_type": "list"})),
    ] {
        let (status, said) = define(&bed, &format!("/v1/rules/{id}/define"), &rule).await;
        assert_eq!(status, StatusCode::OK, "{id}: {said}");
    }
    let items: Vec<usize> = (0..5_000).collect();
    let event = json!({"idempotencyKey": "1",
        "custom": {"eventName": "list", "items": items, "text": format!("{}b", "a".repeat(50_000))}});
    let (status, said) = bed.send("/v1/events/ingest", "application/json", event.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    until(|| async { (bed.get("/v1/rules/plain", 0).await["matches"] == 1).then_some(()) }).await;
    for id in ["slow", "pattern"] {
        assert_eq!(bed.get(&format!("/v1/rules/{id}"), 0).await["matches"], 0, "{id}");
    }
    let (_, run) = define(&bed, "/v1/rules/slow/dry-run", &json!({})).await;
    assert_eq!((&run["signals"], &run["failed"]), (&json!(1), &json!(1)), "{run}");
}
