//! From a series to who is told of it, through a whole server.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::bed::Bed;
use super::sink::{Received, Sink, until};
use super::webhooks::{SETTINGS, signed_by, verifies};

fn load(id: &str, at: Timestamp, value: f64) -> Value {
    let data = json!({"host": "a", "value": value});
    json!({"specversion": "1.0", "id": id, "source": "/hosts", "type": "load", "time": at.to_string(), "data": data})
}

async fn send(bed: &Bed, events: &[Value]) {
    let body = Value::from(events).to_string();
    let (status, said) = bed.send("/v1/events/batch", "application/cloudevents-batch+json", body).await;
    assert_eq!((status.as_u16(), &said["rejected_count"]), (200, &json!(0)), "{said}");
}

fn change(request: &Received) -> Value {
    request.event()["data"]["anomaly"]["change"].clone()
}

#[tokio::test]
async fn a_window_is_told_once_as_it_opens_and_once_as_it_closes() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    let made = bed.endpoint("ops", &sink, "ops", json!({"filter": {}, "ordered_by": "app"})).await;
    let secret = made["secret"].as_str().unwrap();
    let rule = json!({"name": "busy hosts", "app": "shop", "event_type": "load",
        "actions": {"webhooks": ["ops"]}, "anomaly": {
            "series": {"of": "value", "path": "$.data.value"}, "key": "$.data.host",
            "check": {"kind": "threshold", "max": 90.0}, "cooldown_seconds": 60}});
    bed.server.post("/v1/rules/busy/define", &rule).await.unwrap();
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let minute = |n: i64| begin + SignedDuration::from_mins(n);
    let points = [(0, 10.0), (1, 95.0), (2, 99.0), (3, 97.0), (10, 20.0), (11, 21.0)];
    let points: Vec<Value> = points.iter().map(|(n, v)| load(&format!("p{n}"), minute(*n), *v)).collect();
    send(&bed, &points).await;
    let all = sink.wait("ops", 2).await;
    assert_eq!([change(&all[0]), change(&all[1])], [json!("opened"), json!("closed")]);
    let event = all[1].event();
    assert_eq!(
        (&event["type"], &event["data"]["rule"]["name"], &event["data"]["anomaly"]["peak"]["value"]),
        (&json!("rule.anomaly_detected"), &json!("busy hosts"), &json!(99.0))
    );
    // What the change was brought by is told along.
    assert_eq!(event["data"]["signal"]["event"]["id"], "p10");
    for request in &all {
        assert!(signed_by(secret, request));
        assert_ne!(verifies(secret, request), Some(false));
    }
    bed.ended("ops", "delivered", 2).await;
    // The same signals again change nothing, and nobody is told twice.
    send(&bed, &points).await;
    send(&bed, &[load("p12", minute(12), 20.0)]).await;
    let seen = bed.get("/v1/anomalies?rule=busy", 0).await;
    assert_eq!(seen["windows"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(sink.received("ops").len(), 2);
    let verdict = bed.verified(SETTINGS);
    let counts = (&verdict["deliveries"], &verdict["delivered"], &verdict["attempts"], &verdict["problems"]);
    assert_eq!(counts, (&json!(2), &json!(2), &json!(2), &json!(0)), "{verdict}");
}

#[tokio::test]
async fn a_series_that_falls_silent_is_told_of_and_kept_through_a_kill() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("ops", &sink, "ops", json!({"filter": {}})).await;
    let rule = json!({"name": "down", "app": "shop", "event_type": "load", "actions": {"webhooks": ["ops"]},
        "anomaly": {"series": {"of": "count"}, "check": {"kind": "silence", "seconds": 2},
            "cooldown_seconds": 1, "tick_seconds": 10}});
    bed.server.post("/v1/rules/down/define", &rule).await.unwrap();
    let begin = Timestamp::now();
    send(&bed, &[load("p1", begin, 1.0)]).await;
    // Nothing else is sent: time alone opens it.
    let all = sink.wait("ops", 1).await;
    let event = all[0].event();
    assert_eq!(change(&all[0]), "opened");
    assert!(event["data"]["anomaly"]["peak"]["value"].as_f64().unwrap() > 2.0, "{event}");
    // It was opened by no signal, so none is told along.
    assert_eq!(event["data"]["signal"], Value::Null);
    // A kill before the answer is kept would have it sent again.
    bed.ended("ops", "delivered", 1).await;
    let bed = bed.killed_and_started(SETTINGS);
    // Later than any tick can make it, however long the start took.
    let back = begin + SignedDuration::from_hours(2);
    send(&bed, &[load("p2", back, 1.0), load("p3", back + SignedDuration::from_secs(2), 1.0)]).await;
    // The series falls silent again with the next tick, which may come any time.
    let window = |request: &Received| request.event()["data"]["anomaly"]["window"].clone();
    let of_first = || sink.received("ops").into_iter().filter(|r| window(r) == window(&all[0]));
    until(|| async { of_first().nth(1) }).await;
    bed.deliveries("ops", |all| all.len() >= 2 && all.iter().all(|d| d["status"] == "delivered")).await;
    assert_eq!(of_first().map(|r| change(&r)).collect::<Vec<_>>(), ["opened", "closed"]);
    until(|| async {
        let seen = bed.get("/v1/anomalies?rule=down&status=closed", 0).await;
        let closed = seen["windows"].as_array().unwrap().iter().any(|w| w["id"] == window(&all[0]));
        closed.then_some(())
    })
    .await;
    let verdict = bed.verified(SETTINGS);
    assert_eq!(verdict["problems"], 0, "{verdict}");
}

#[tokio::test]
async fn an_endpoint_is_sent_to_no_faster_than_it_said() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("slow", &sink, "slow", json!({"rate_per_second": 5, "concurrency": 8})).await;
    for n in 0..16 {
        bed.order(&format!("o-{n}")).await;
    }
    // Fifteen gaps of a fifth of a second, by the clock of who sends: whole seconds.
    let all = sink.wait("slow", 16).await;
    let sent: Vec<i64> = all.iter().map(|r| r.header("webhook-timestamp").parse().unwrap()).collect();
    assert!(sent.iter().max().unwrap() - sent.iter().min().unwrap() >= 2, "{sent:?}");
    bed.ended("slow", "delivered", 16).await;
    let verdict = bed.verified(SETTINGS);
    assert_eq!((&verdict["delivered"], &verdict["attempts"]), (&json!(16), &json!(16)), "{verdict}");
}
