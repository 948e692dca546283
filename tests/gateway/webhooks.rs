//! Webhooks through a whole server: from the signal to what an endpoint
//! receives, and what is recorded of it.

use std::process::Command;
use std::time::Duration;

use daybook_tests::server::{Server, binary};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Answer as Said, Bed, admin, answer};
use super::sink::{Answer, Received, Sink, until};

pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("WEBHOOKS_ALLOW_NETWORKS", "127.0.0.1"),
    ("DAYBOOK_WEBHOOKS_ALLOW_HTTP", "true"),
    ("DAYBOOK_WEBHOOKS_RETRY_AFTER", "50ms,200ms,400ms,800ms"),
    ("DAYBOOK_WEBHOOKS_MAX_RETRY_AFTER_SECONDS", "1"),
];

impl Bed {
    pub(super) async fn hook(&self, path: &str, body: &Value) -> Said {
        answer(admin(Client::new().post(format!("{}/v1/webhooks/{path}", self.server.url))).json(body)).await
    }

    /// An endpoint that this path of the sink is, told of orders.
    pub(super) async fn endpoint(&self, id: &str, sink: &Sink, path: &str, more: Value) -> Value {
        // As long as may be: an attempt that a busy machine is late for is made again.
        let mut definition = json!({"url": format!("{}/{path}", sink.url), "timeout_ms": 60_000,
            "filter": {"types": ["purchase_complete"]}});
        let mut body = json!({});
        for (name, value) in more.as_object().unwrap() {
            match name.as_str() {
                "credential" | "headers" | "signing" | "secret" => body[name] = value.clone(),
                _ => definition[name] = value.clone(),
            }
        }
        body["definition"] = definition;
        let (status, said) = self.hook(&format!("endpoints/{id}/create"), &body).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        said
    }

    pub(super) async fn order(&self, id: &str) {
        let order = json!({"appId": "shop", "idempotencyKey": id, "purchaseComplete": {"orderId": id, "totalCents": 900}});
        let body = json!({ "events": [order] }).to_string();
        let (status, said) = self.send("/v1/events/batch", "application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{said}");
    }

    /// The endpoint's deliveries once they are as asked, newest first.
    pub(super) async fn deliveries(&self, endpoint: &str, so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let path = format!("/v1/webhooks/deliveries?endpoint={endpoint}");
        until(|| async {
            let all = self.get(&path, 0).await["deliveries"].as_array().unwrap().clone();
            so(&all).then_some(all)
        })
        .await
    }

    pub(super) async fn ended(&self, endpoint: &str, status: &str, count: usize) -> Vec<Value> {
        let so = |all: &[Value]| all.iter().filter(|d| d["status"] == status).count() >= count;
        self.deliveries(endpoint, so).await
    }

    /// Stops, and holds the log to what it says of deliveries.
    pub(super) fn verified(self, settings: &[(&str, &str)]) -> Value {
        let data = self.stop().unwrap();
        let mut command = Command::new(binary().unwrap());
        command.args(["--json", "webhooks", "verify", "--data-dir"]).arg(data.path());
        let output = command.envs(settings.iter().copied()).env_remove("NATS_URL").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

fn status(delivery: &Value) -> &str {
    delivery["status"].as_str().unwrap()
}

/// Whether another library takes the request; `None` where there is none.
pub(super) fn verifies(secret: &str, request: &Received) -> Option<bool> {
    const CHECK: &str = "
import sys, json
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
headers = {name: sys.argv[i] for i, name in enumerate(('webhook-id', 'webhook-timestamp', 'webhook-signature'), 3)}
try:
    Webhook(sys.argv[1]).verify(sys.argv[2], headers)
    print('True')
except WebhookVerificationError:
    print('False')
";
    let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
        daybook_tests::skip("DAYBOOK_TEST_PYTHON is not set");
        return None;
    };
    let sent = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| request.header(name));
    let output = Command::new(python).args(["-c", CHECK, secret, &request.body]).args(sent).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim() == "True")
}

pub(super) fn signed_by(secret: &str, request: &Received) -> bool {
    let key = signatures::Key::parse(secret).unwrap();
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let entry = key.sign(request.header("webhook-id"), timestamp, &request.body).unwrap();
    request.header("webhook-signature").split(' ').any(|e| e == entry)
}

#[tokio::test]
async fn what_a_rule_finds_arrives_signed_and_is_recorded() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    let more = json!({"filter": {}, "headers": {"X-Team": "ops"}, "auth": {"kind": "hmac", "header": "X-Signature"}, "credential": "shared-key"});
    let made = bed.endpoint("ops", &sink, "ops", more).await;
    let secret = made["secret"].as_str().unwrap();
    let rule = json!({"name": "big orders", "event_type": "purchase_complete", "actions": {"webhooks": ["ops"]},
        "conditions": [{"path": "$.data.total_cents", "operator": "gte", "value": 500}]});
    bed.server.post("/v1/rules/big/define", &rule).await.unwrap();
    bed.order("o-1").await;
    let all = sink.wait("ops", 1).await;
    let event = all[0].event();
    assert_eq!(
        (&event["type"], &event["data"]["rule"]["name"]),
        (&json!("rule.matched"), &json!("big orders"))
    );
    assert_eq!(event["data"]["signal"]["event"]["data"]["order_id"], "o-1");
    assert!(signed_by(secret, &all[0]));
    let others = verifies(secret, &all[0]);
    assert_ne!(others, Some(false));
    if others.is_some() {
        let forged = Received { body: all[0].body.replace("o-1", "o-2"), ..all[0].clone() };
        assert_eq!(verifies(secret, &forged), Some(false));
    }
    assert_eq!(all[0].header("x-signature"), signatures::body_hmac(b"shared-key", all[0].body.as_bytes()));
    assert_eq!(
        (all[0].header("x-team"), all[0].header("content-type")),
        ("ops", "application/cloudevents+json; charset=utf-8")
    );
    let delivery = bed.ended("ops", "delivered", 1).await.remove(0);
    assert_eq!((&delivery["attempts"][0]["status"], &delivery["rule"]), (&json!(204), &json!("big")));
    assert_eq!(delivery["id"], all[0].header("webhook-id"));
    let endpoint = bed.get("/v1/webhooks/endpoints/ops", 0).await;
    assert_eq!((&endpoint["success_rate"], &endpoint["delivered"]), (&json!(1.0), &json!(1)));
    assert!(endpoint["latency_ms"]["p50"].is_number(), "{endpoint}");
    assert!(!endpoint.to_string().contains("whsec_") && !endpoint.to_string().contains("shared-key"));
    // Nothing on disk says the secrets.
    for text in [secret.trim_start_matches("whsec_"), "shared-key"] {
        assert_eq!(daybook_tests::holding(bed.data(), text), Vec::<String>::new());
    }
    let verdict = bed.verified(SETTINGS);
    assert_eq!((&verdict["delivered"], &verdict["problems"]), (&json!(1), &json!(0)), "{verdict}");
}

#[tokio::test]
async fn an_endpoint_that_fails_is_tried_again_until_the_schedule_ends() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("flaky", &sink, "flaky", json!({})).await;
    bed.endpoint("broken", &sink, "broken", json!({})).await;
    bed.endpoint("busy", &sink, "busy", json!({})).await;
    sink.answer("flaky", Answer::First(2, 500));
    sink.answer("broken", Answer::Status(302));
    sink.answer("busy", Answer::With(503, "Retry-After", "1".into()));
    bed.order("o-1").await;
    let flaky = bed.ended("flaky", "delivered", 1).await.remove(0);
    let statuses: Vec<&Value> =
        flaky["attempts"].as_array().unwrap().iter().map(|tried| &tried["status"]).collect();
    assert_eq!(statuses, [500, 500, 204]);
    let tried = sink.received("flaky");
    assert!(tried.iter().all(|t| t.header("webhook-id") == tried[0].header("webhook-id")));
    let broken = bed.ended("broken", "dead", 1).await.remove(0);
    assert_eq!((&broken["count"], &broken["reason"]), (&json!(5), &json!("exhausted")));
    let waited = sink.wait("busy", 2).await;
    assert!(waited[1].at - waited[0].at >= Duration::from_millis(950));
    // Asked for again it begins anew, with the id that it had.
    sink.answer("broken", Answer::Status(201));
    let again = format!("deliveries/{}/redeliver", broken["id"].as_str().unwrap());
    assert_eq!(bed.hook(&again, &json!({})).await.0, StatusCode::OK);
    bed.ended("broken", "delivered", 1).await;
    let all = sink.received("broken");
    assert_eq!((all.len(), all[5].header("webhook-id")), (6, all[0].header("webhook-id")));
    let before = sink.received("flaky").len();
    let (_, many) = bed.hook("redeliver", &json!({"endpoint": "flaky", "ended": "delivered"})).await;
    assert_eq!((&many["requested"], &many["complete"]), (&json!(1), &json!(true)), "{many}");
    sink.wait("flaky", before + 1).await;
    bed.ended("flaky", "delivered", 1).await;
    bed.ended("busy", "dead", 1).await;
    let verdict = bed.verified(SETTINGS);
    assert_eq!((&verdict["deliveries"], &verdict["problems"]), (&json!(3), &json!(0)), "{verdict}");
}

#[tokio::test]
async fn gone_disables_and_a_pause_lets_wait() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("gone", &sink, "gone", json!({})).await;
    bed.endpoint("paused", &sink, "paused", json!({})).await;
    sink.answer("gone", Answer::Status(410));
    assert_eq!(bed.hook("endpoints/paused/pause", &json!({"reason": "move"})).await.0, StatusCode::OK);
    bed.order("o-1").await;
    assert_eq!(bed.ended("gone", "dead", 1).await[0]["reason"], "gone");
    let gone = until(|| async {
        let gone = bed.get("/v1/webhooks/endpoints/gone", 0).await;
        (gone["status"] == "disabled").then_some(gone)
    })
    .await;
    assert_eq!(gone["disabled_by"], "gone");
    bed.order("o-2").await;
    bed.deliveries("paused", |all| all.len() == 2 && all.iter().all(|d| status(d) == "due")).await;
    assert_eq!((sink.received("gone").len(), sink.received("paused").len()), (1, 0));
    assert_eq!(bed.hook("endpoints/paused/resume", &json!({})).await.0, StatusCode::OK);
    sink.wait("paused", 2).await;
    bed.ended("paused", "delivered", 2).await;
    let (status, said) = bed.hook("endpoints/gone/test", &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    // A ping is a delivery like any other.
    assert_eq!(bed.hook("endpoints/paused/test", &json!({})).await.0, StatusCode::OK);
    let all = sink.wait("paused", 3).await;
    assert_eq!(all[2].event()["type"], "webhook.ping");
    bed.ended("paused", "delivered", 3).await;
    let verdict = bed.verified(SETTINGS);
    assert_eq!((&verdict["deliveries"], &verdict["dead"]), (&json!(4), &json!(1)), "{verdict}");
}

#[tokio::test]
async fn who_hangs_or_floods_delays_no_other() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("hangs", &sink, "hangs", json!({"concurrency": 1})).await;
    bed.endpoint("floods", &sink, "floods", json!({})).await;
    bed.endpoint("fine", &sink, "fine", json!({})).await;
    sink.answer("hangs", Answer::Hangs);
    sink.answer("floods", Answer::Bytes(200 << 20));
    for number in 0..20 {
        bed.order(&format!("o-{number}")).await;
    }
    bed.ended("fine", "delivered", 20).await;
    let floods = bed.ended("floods", "delivered", 20).await;
    assert!(floods[0]["attempts"][0]["excerpt"].as_str().unwrap().len() <= 1_024);
    let waits = bed.deliveries("hangs", |all| all.len() == 20).await;
    assert!(waits.iter().all(|d| status(d) == "due"), "{waits:?}");
    bed.server.stop_unchecked().unwrap();
}

#[tokio::test]
async fn after_a_rotation_old_and_new_key_sign() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    let first = bed.endpoint("ops", &sink, "ops", json!({})).await["secret"].as_str().unwrap().to_owned();
    let (_, second) = bed.hook("endpoints/ops/rotate", &json!({})).await;
    let (_, third) = bed.hook("endpoints/ops/rotate", &json!({"signing": "v1a"})).await;
    let public = third["public_key"].as_str().unwrap();
    bed.order("o-1").await;
    let request = sink.wait("ops", 1).await.remove(0);
    for secret in [first.as_str(), second["secret"].as_str().unwrap()] {
        assert!(signed_by(secret, &request));
        assert_ne!(verifies(secret, &request), Some(false));
    }
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let id = request.header("webhook-id");
    let signatures = request.header("webhook-signature");
    assert!(signatures::verify_v1a(public, id, timestamp, &request.body, signatures));
    assert_eq!(signatures.split(' ').count(), 3);
    let (status, said) = bed.hook("endpoints/ops/rotate", &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn who_is_killed_after_sending_sends_again_under_the_same_id() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("ops", &sink, "ops", json!({})).await;
    sink.answer("ops", Answer::Hangs);
    bed.order("o-1").await;
    sink.wait("ops", 1).await;
    // The first request hangs on; the next one is answered.
    sink.answer("ops", Answer::Status(200));
    let bed = bed.killed_and_started(SETTINGS);
    let all = sink.wait("ops", 2).await;
    assert_eq!(all[0].header("webhook-id"), all[1].header("webhook-id"));
    let ended = bed.ended("ops", "delivered", 1).await;
    assert_eq!((ended.len(), &ended[0]["count"]), (1, &json!(1)));
    let verdict = bed.verified(SETTINGS);
    assert_eq!((&verdict["deliveries"], &verdict["attempts"]), (&json!(1), &json!(1)), "{verdict}");
    assert_eq!(sink.received("ops").len(), 2);
}

#[tokio::test]
async fn a_private_address_is_not_sent_to() {
    let Some(bed) = Bed::new(&SETTINGS[1..]).await else { return };
    let sink = Sink::start().await;
    let port = sink.url.rsplit(':').next().unwrap();
    let create = |url: String| json!({"definition": {"url": url, "filter": {"types": ["*"]}}});
    for host in ["127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254"] {
        let (status, said) = bed.hook("endpoints/x/create", &create(format!("http://{host}:{port}/x"))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert_eq!(said["errors"][0]["pointer"], "/definition/url", "{said}");
    }
    // What a name leads to is found out when something is sent.
    let url = format!("http://localhost:{port}/x");
    assert_eq!(bed.hook("endpoints/x/create", &create(url)).await.0, StatusCode::OK);
    bed.order("o-1").await;
    let dead = bed.ended("x", "dead", 1).await.remove(0);
    assert_eq!(dead["attempts"][0]["error"], "refused", "{dead}");
    assert!(sink.received("x").is_empty());
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn an_answer_that_tells_secrets_is_kept_without_them() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    let more = json!({"auth": {"kind": "bearer"}, "credential": "very-secret-token", "headers": {"X-Key": "another-secret"}});
    bed.endpoint("echo", &sink, "echo", more).await;
    sink.answer("echo", Answer::Echo);
    bed.order("o-1").await;
    let delivery = bed.ended("echo", "delivered", 1).await.remove(0);
    let excerpt = delivery["attempts"][0]["excerpt"].as_str().unwrap();
    assert!(excerpt.contains("[secret]"), "{excerpt}");
    assert!(!excerpt.contains("very-secret-token") && !excerpt.contains("another-secret"), "{excerpt}");
    assert_eq!(sink.received("echo")[0].header("authorization"), "Bearer very-secret-token");
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn building_the_past_again_sends_nothing() {
    let Some(bed) = Bed::new(SETTINGS).await else { return };
    let sink = Sink::start().await;
    bed.endpoint("ops", &sink, "ops", json!({"ordered_by": "app"})).await;
    for number in 0..5 {
        bed.order(&format!("o-{number}")).await;
    }
    bed.ended("ops", "delivered", 5).await;
    let ids = |all: Vec<Received>| {
        all.iter().map(|r| r.event()["data"]["signal"]["event"]["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(sink.received("ops")), ["o-0", "o-1", "o-2", "o-3", "o-4"]);
    // Stopping folds every view anew and compares.
    let data = bed.stop().unwrap();
    let server = Server::start(&binary().unwrap(), data.path(), SETTINGS).unwrap();
    server.post("/v1/webhooks/endpoints/ops/test", &json!({})).await.unwrap();
    sink.wait("ops", 6).await;
    assert_eq!(sink.received("ops").len(), 6);
    server.stop().unwrap();
}
