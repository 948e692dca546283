use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Bed, admin, answer};

const CLOUD: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn tap(key: &str) -> String {
    json!({"event": {"appId": "shop", "deviceId": "d1", "timestampMs": 1_751_389_200_250_u64,
        "idempotencyKey": key, "buttonTap": {"buttonId": "buy", "coordinates": {"x": 0}}}})
    .to_string()
}

fn order(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/orders", "type": "order.placed", "data": {"n": 1}})
}

#[tokio::test]
async fn a_repeat_is_told_where_the_first_one_is() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let (status, first) = bed.send("/v1/events/ingest", "application/json", tap("k1")).await;
    assert_eq!((status, &first["status"]), (StatusCode::OK, &json!("accepted")));
    let (status, again) = bed.send("/v1/events/ingest", "application/json", tap("k1")).await;
    assert_eq!((status, &again["status"]), (StatusCode::OK, &json!("duplicate")));
    assert_eq!((&again["position"], &again["event_id"]), (&first["position"], &first["event_id"]));
    let event = bed.event(&first["position"]).await;
    assert_eq!(event["type"], "button_tap");
    assert_eq!(event["time"], "2025-07-01T17:00:00.25Z");
    assert_eq!(event["data"], json!({"button_id": "buy", "coordinates": {"x": 0}}));
    let listed = bed.get("/v1/signals?app=shop", first["position"].as_u64().unwrap()).await;
    assert_eq!(listed["signals"].as_array().unwrap().len(), 1);
    assert_eq!(listed["signals"][0]["category"], "interaction");
}

#[tokio::test]
async fn a_batch_answers_for_each_and_keeps_what_it_rejects() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let body = json!([order("1"), {"specversion": "1.0", "id": "2"}, order("1"), "text", order("3")]);
    let (status, all) = bed.send("/v1/events/batch", BATCH, body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let states: Vec<&str> =
        all["results"].as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["accepted", "rejected", "duplicate", "rejected", "accepted"], "{all}");
    assert_eq!((&all["accepted_count"], &all["rejected_count"]), (&json!(2), &json!(2)));
    assert_eq!(all["results"][2]["position"], all["results"][0]["position"]);
    assert_eq!(all["results"][1]["pointer"], "/source");
    let last = all["results"].as_array().unwrap().iter().filter_map(|r| r["position"].as_u64()).max();
    let rejected = bed.get("/v1/signals/rejected?app=shop", last.unwrap()).await;
    assert_eq!(rejected["rejected"].as_array().unwrap().len(), 2, "{rejected}");
    let position = &all["results"][1]["position"];
    let kept = bed.get(&format!("/v1/signals/rejected/{position}"), 0).await;
    assert_eq!(kept["text"], json!({"specversion": "1.0", "id": "2"}).to_string());
    assert_eq!(kept["reason"], "is missing");
}

#[tokio::test]
async fn every_mode_of_cloud_events_comes_in() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let (_, structured) = bed.send("/v1/events/ingest", CLOUD, order("s").to_string()).await;
    assert_eq!(bed.event(&structured["position"]).await, order("s"));
    let binary = bed
        .post("/v1/events/ingest")
        .header("ce-specversion", "1.0")
        .header("ce-id", "b%20%E2%82%AC")
        .header("ce-source", "/orders")
        .header("ce-type", "order.placed")
        .header("Content-Type", "application/json")
        .body("{\"n\": 1.50}");
    let (status, binary) = answer(binary).await;
    assert_eq!(status, StatusCode::OK, "{binary}");
    let event = bed.event(&binary["position"]).await;
    assert_eq!((&event["id"], &event["data"]), (&json!("b €"), &json!({"n": 1.5})));
    // Written by hand: id 1, source 2, specversion 3, type 4, text 7.
    let mut proto = Vec::new();
    for (tag, text) in [(1, "p"), (2, "/orders"), (3, "1.0"), (4, "order.placed"), (7, "hello")] {
        proto.extend([tag << 3 | 2, u8::try_from(text.len()).unwrap()]);
        proto.extend(text.as_bytes());
    }
    let kind = "application/cloudevents+protobuf";
    let (status, one) = bed.send("/v1/events/ingest", kind, proto.clone()).await;
    assert_eq!(status, StatusCode::OK, "{one}");
    assert_eq!(bed.event(&one["position"]).await["data"], "hello");
    let mut batch = vec![1 << 3 | 2, u8::try_from(proto.len()).unwrap()];
    batch.extend(&proto);
    let kind = "application/cloudevents-batch+protobuf";
    let (_, many) = bed.send("/v1/events/batch", kind, batch).await;
    assert_eq!(many["results"][0]["status"], "duplicate", "{many}");
    let lines = format!("{}\n\n{}\n", order("l"), tap("l"));
    let (_, lines) = bed.send("/v1/events/batch", "application/x-ndjson", lines).await;
    assert_eq!(lines["accepted_count"], 2, "{lines}");
}

#[tokio::test]
async fn the_key_of_an_app_sends_its_signals_and_nothing_else() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let foreign = json!({"appId": "bank", "screenView": {}}).to_string();
    let (status, problem) = bed.send("/v1/events/ingest", "application/json", foreign.clone()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["pointer"], "/appId");
    for path in ["/v1/signals", "/v1/bands", "/v1/keys", "/v1/audit/events"] {
        let get = Client::new().get(format!("{}{path}", bed.server.url)).header("X-API-Key", &bed.shop);
        assert_eq!(get.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{path}");
    }
    let (status, _) = bed.send("/v1/bands/b1/register", "application/json", "{}").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let both = json!({"name": "n", "roles": ["ingest", "reader"], "app": "shop"});
    let refused = admin(Client::new().post(format!("{}/v1/keys", bed.server.url))).json(&both);
    assert_eq!(answer(refused).await.1["errors"][0]["pointer"], "/roles");
    // A writer names the app.
    let anyone = admin(Client::new().post(format!("{}/v1/events/ingest", bed.server.url)));
    let (status, _) = answer(anyone.header("Content-Type", "application/json").body(foreign)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_broken_is_refused_and_kept() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let deep = format!("{{\"specversion\":\"1.0\",\"data\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let cases = [
        (CLOUD, "{".to_owned()),
        (CLOUD, deep),
        (CLOUD, "{\"specversion\":\"1.0\",\"data\":1e999}".to_owned()),
        (CLOUD, "{\"specversion\":\"1.0\",\"data\":NaN}".to_owned()),
        (CLOUD, "{\"id\":\"1\",\"id\":\"2\"}".to_owned()),
        (BATCH, "[{},".to_owned()),
        ("application/json", "null".to_owned()),
        ("application/json", "{\"screenView\":{},\"timestampMs\":9223372036854775808}".to_owned()),
    ];
    for (media_type, body) in &cases {
        let (status, problem) = bed.send("/v1/events/ingest", media_type, body.clone()).await;
        assert!(status.is_client_error(), "{body}: {status} {problem}");
        let kept = bed.get(&format!("/v1/signals/rejected/{}", problem["position"]), 0).await;
        assert_eq!(kept["text"], body.as_str(), "{problem}");
    }
    let header = bed.post("/v1/events/ingest").header("ce-specversion", "1.0").header("ce-id", "50%");
    let (status, problem) = answer(header).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/id")));
    let (status, _) = bed.send("/v1/events/ingest", "text/csv", "a,b").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let big = format!("{{\"screenView\":{{\"screenName\":\"{}\"}}}}", "x".repeat(300 << 10));
    let (status, problem) = bed.send("/v1/events/ingest", "application/json", big).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let kept = bed.get(&format!("/v1/signals/rejected/{}", problem["position"]), 0).await;
    let bytes = STANDARD.decode(kept["bytes_base64"].as_str().unwrap()).unwrap();
    assert_eq!((bytes.len(), kept["size"].as_u64() > Some(300 << 10)), (64 << 10, true));
    let many = format!("[{}]", vec!["{}"; 1_001].join(","));
    let (status, _) = bed.send("/v1/events/batch", "application/json", many).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_compressed_batch_is_read_and_a_bomb_is_not() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let pack = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let send = |bytes: Vec<u8>| {
        let post = bed.post("/v1/events/batch").header("Content-Type", BATCH);
        answer(post.header("Content-Encoding", "gzip").body(bytes))
    };
    let (status, all) = send(pack(json!([order("1"), order("2")]).to_string().as_bytes())).await;
    assert_eq!((status, &all["accepted_count"]), (StatusCode::OK, &json!(2)));
    let bomb = pack(&vec![b' '; 64 << 20]);
    assert_eq!(send(bomb).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_app_that_sends_too_much_waits() {
    // As many again are due only after a quarter of an hour.
    let limits = [("DAYBOOK_GATEWAY_RATE_PER_SECOND", "1"), ("DAYBOOK_GATEWAY_RATE_BURST", "900")];
    let Some(bed) = Bed::new(&limits).await else { return };
    let batch = |from: usize, to: usize| {
        json!((from..to).map(|n| order(&n.to_string())).collect::<Vec<_>>()).to_string()
    };
    assert_eq!(bed.send("/v1/events/batch", BATCH, batch(0, 900)).await.0, StatusCode::OK);
    let (status, problem) = bed.send("/v1/events/batch", BATCH, batch(900, 1_800)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{problem}");
    let (status, problem) = bed.send("/v1/events/batch", BATCH, batch(0, 901)).await;
    assert_eq!((status, &problem["limit_events"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(900)));
}

#[tokio::test]
async fn events_without_ids_are_named_by_the_requests_key() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let send = |key: &'static str| {
        let body = json!({"events": [{"screenView": {}}, {"screenView": {}}]}).to_string();
        let post = bed.post("/v1/events/batch").header("Content-Type", "application/json");
        answer(post.header("Idempotency-Key", key).body(body))
    };
    let (first, again, other) = (send("a").await.1, send("a").await.1, send("b").await.1);
    assert_eq!((&first["accepted_count"], &other["accepted_count"]), (&json!(2), &json!(2)));
    assert_eq!(again["duplicate_count"], 2, "{again}");
    assert_eq!(again["results"][1]["position"], first["results"][1]["position"]);
}
