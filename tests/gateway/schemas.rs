//! JSON Schemas of signals through a whole server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Bed, admin, answer};

const SCHEMA: &str = "/v1/schemas/shop/purchase_complete";

fn schema(on_mismatch: &str, max: u64) -> Value {
    json!({"on_mismatch": on_mismatch, "schema": {
        "type": "object", "required": ["order_id"],
        "properties": {"order_id": {"type": "string"}, "total_cents": {"type": "integer", "maximum": max}},
    }})
}

fn order(id: &str, cents: &Value) -> Value {
    json!({"appId": "shop", "idempotencyKey": id, "purchaseComplete": {"orderId": id, "totalCents": cents}})
}

impl Bed {
    async fn save(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(admin(Client::new().post(format!("{}{path}", self.server.url))).json(body)).await
    }

    async fn batch(&self, events: Value) -> Value {
        let body = json!({"events": events}).to_string();
        let (status, all) = self.send("/v1/events/batch", "application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{all}");
        all
    }
}

#[tokio::test]
async fn what_does_not_fit_is_rejected_with_its_bytes() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let (status, said) = bed.save(&format!("{SCHEMA}/define"), &schema("reject", 1_000)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let all =
        bed.batch(json!([order("1", &json!(900)), order("2", &json!(1_001)), order("3", &json!("9"))])).await;
    assert_eq!((&all["accepted_count"], &all["rejected_count"]), (&json!(1), &json!(2)), "{all}");
    let second = &all["results"][1];
    assert_eq!((&second["status"], &second["pointer"]), (&json!("rejected"), &json!("/data/total_cents")));
    let error = second["error"].as_str().unwrap();
    assert!(error.contains("version 1 of the schema of purchase_complete"), "{error}");
    let position = second["position"].as_u64().unwrap();
    let kept = bed.get(&format!("/v1/signals/rejected/{position}"), position).await;
    assert_eq!((&kept["app"], &kept["id"]), (&json!("shop"), &json!("2")), "{kept}");
    let bytes = STANDARD.decode(kept["bytes_base64"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), order("2", &json!(1_001)));
    // A single one is a problem.
    let (status, problem) =
        bed.send("/v1/events/ingest", "application/json", order("4", &json!(5_000)).to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/data/total_cents", "{problem}");

    // A change holds for what comes after it, and what is retired no more.
    assert_eq!(bed.save(&format!("{SCHEMA}/change"), &schema("reject", 5_000)).await.0, StatusCode::OK);
    let all = bed.batch(json!([order("2", &json!(1_001)), order("5", &json!(5_001))])).await;
    assert_eq!((&all["accepted_count"], &all["rejected_count"]), (&json!(1), &json!(1)), "{all}");
    assert!(all["results"][1]["error"].as_str().unwrap().contains("version 2"), "{all}");
    assert_eq!(bed.save(&format!("{SCHEMA}/retire"), &json!({})).await.0, StatusCode::OK);
    let all = bed.batch(json!([order("5", &json!(5_001))])).await;
    assert_eq!(all["accepted_count"], 1, "{all}");
    let listed = bed.get("/v1/schemas", 0).await["schemas"].clone();
    assert_eq!((&listed[0]["schema_version"], &listed[0]["retired"]), (&json!(2), &json!(true)), "{listed}");
}

#[tokio::test]
async fn what_is_flagged_is_recorded_and_says_so() {
    let Some(bed) = Bed::new(&[]).await else { return };
    bed.save(&format!("{SCHEMA}/define"), &schema("flag", 1_000)).await;
    let all = bed.batch(json!([order("1", &json!(1)), order("2", &json!(2_000))])).await;
    assert_eq!(all["accepted_count"], 2, "{all}");
    let mismatch = async |i: usize| {
        let position = all["results"][i]["position"].as_u64().unwrap();
        bed.get(&format!("/v1/signals/{position}"), position).await["mismatch"].clone()
    };
    assert_eq!(mismatch(0).await, Value::Null);
    let found = mismatch(1).await;
    assert_eq!((&found["schema"], &found["pointer"]), (&json!(1), &json!("/data/total_cents")), "{found}");
    // Another app's signals of the type, and this one's of another, are not asked.
    let other = json!({"appId": "shop", "idempotencyKey": "x", "appStart": {"isColdStart": 3}});
    assert_eq!(bed.batch(json!([other])).await["accepted_count"], 1);
    let cloud = |id: &str, data: Value| {
        json!({"specversion": "1.0", "id": id, "source": "/s", "type": "purchase_complete", "data": data})
            .to_string()
    };
    let (status, sent) =
        bed.send("/v1/events/ingest", "application/cloudevents+json", cloud("c1", json!([]))).await;
    assert_eq!(status, StatusCode::OK, "{sent}");
    let position = sent["position"].as_u64().unwrap();
    let signal = bed.get(&format!("/v1/signals/{position}"), position).await;
    assert_eq!(signal["mismatch"]["pointer"], "/data", "{signal}");
    // The event comes back as it was sent.
    assert_eq!(signal["event"]["data"], json!([]));
    assert_eq!(signal["event"]["mismatch"], Value::Null);
}

#[tokio::test]
async fn a_schema_that_cannot_be_judged_is_refused_by_its_part() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let define = format!("{SCHEMA}/define");
    let of = |schema: Value| json!({"on_mismatch": "reject", "schema": schema});
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"items": deep});
    }
    for (schema, pointer) in [
        (json!({"type": "text"}), "/schema/type"),
        (json!({"$ref": "http://127.0.0.1:9/x"}), "/schema/$ref"),
        (json!({"$ref": "#"}), "/schema/$ref"),
        (json!({"pattern": "(a"}), "/schema/pattern"),
        (json!([1]), "/schema"),
        (json!({"required": vec!["a"; 2_000]}), "/schema/required"),
    ] {
        let (status, problem) = bed.save(&define, &of(schema.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{schema}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{schema}: {problem}");
    }
    assert_eq!(bed.save(&define, &of(deep)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        bed.save(&define, &json!({"on_mismatch": "drop", "schema": {}})).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(bed.save(&format!("{SCHEMA}/change"), &schema("flag", 1)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(bed.save(&format!("{SCHEMA}/retire"), &json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(bed.get("/v1/schemas", 0).await["schemas"], json!([]));
    // The key of an app does not say what its signals look like.
    let (status, _) = answer(bed.post(&define).json(&schema("flag", 1))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
