//! Rules through a whole server: from the signal to the match.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::bed::{Answer, Bed, admin, answer};
use super::sink::until;

fn order(id: &str, cents: u64) -> Value {
    json!({"appId": "shop", "idempotencyKey": id, "purchaseComplete": {"orderId": id, "totalCents": cents}})
}

impl Bed {
    async fn say(&self, path: &str, body: &Value) -> Answer {
        answer(admin(Client::new().post(format!("{}{path}", self.server.url))).json(body)).await
    }

    async fn orders(&self, orders: Value) -> Value {
        let body = json!({ "events": orders }).to_string();
        let (status, all) = self.send("/v1/events/batch", "application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{all}");
        all
    }

    /// The rule once it has matched so often.
    async fn matched(&self, rule: &str, count: u64) -> Value {
        let path = format!("/v1/rules/{rule}");
        until(|| async {
            let rule = self.get(&path, 0).await;
            (rule["matches"].as_u64() >= Some(count)).then_some(rule)
        })
        .await
    }
}

#[tokio::test]
async fn what_matches_is_recorded_once_and_with_its_cause() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let listed = json!({"name": "big", "app": "shop", "category": "commerce",
        "conditions": [{"path": "$.data.total_cents", "operator": "gte", "value": 500}]});
    let cel =
        json!({"name": "free", "event_type": "purchase_complete", "cel": "event.data.total_cents == 0"});
    assert_eq!(bed.say("/v1/rules/big/define", &listed).await.0, StatusCode::OK);
    let (status, said) = bed.say("/v1/rules/free/define", &cel).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let all = bed.orders(json!([order("1", 900), order("2", 100), order("3", 0), order("1", 900)])).await;
    assert_eq!(all["duplicate_count"], 1);
    let rule = bed.matched("big", 1).await;
    assert_eq!((&rule["matches"], &rule["definition"]["name"]), (&json!(1), &json!("big")), "{rule}");
    assert_eq!(bed.matched("free", 1).await["matches"], 1);
    let found = bed.get("/v1/rules/big/matches", 0).await["matches"][0].clone();
    assert_eq!((&found["signal"], &found["acts"]), (&all["results"][0]["position"], &json!(true)));
    let caused = bed.get(&format!("/v1/signals/{}", found["signal"]), 0).await;
    assert_eq!(caused["event"]["data"]["order_id"], "1");
}

#[tokio::test]
async fn a_dry_run_tells_what_another_rule_would_have_matched() {
    let Some(bed) = Bed::new(&[]).await else { return };
    bed.orders(json!([order("1", 900), order("2", 100), order("3", 0)])).await;
    let rule = |cents: u64| json!({"name": "r", "conditions": [{"path": "$.data.total_cents", "operator": "gt", "value": cents}]});
    assert_eq!(bed.say("/v1/rules/r/define", &rule(500)).await.0, StatusCode::OK);
    let (status, run) = bed.say("/v1/rules/r/dry-run", &json!({})).await;
    assert_eq!((status, &run["matched"], &run["signals"]), (StatusCode::OK, &json!(1), &json!(3)), "{run}");
    let (_, run) = bed.say("/v1/rules/r/dry-run", &json!({"definition": rule(50)})).await;
    assert_eq!((&run["matched"], &run["complete"]), (&json!(2), &json!(true)), "{run}");
    let upto = run["positions"][0].as_u64().unwrap();
    let path = format!("/v1/rules/r/dry-run?upto={upto}");
    let (_, part) = bed.say(&path, &json!({"definition": rule(50)})).await;
    assert_eq!(part["matched"], 1, "{part}");
    // Nothing of it is recorded.
    assert_eq!(bed.get("/v1/rules/r", 0).await["matches"], 0);
}

#[tokio::test]
async fn a_rule_that_cannot_be_asked_is_refused_by_its_field() {
    let Some(bed) = Bed::new(&[]).await else { return };
    let condition = |path: &str, operator: &str, value: Value| json!({"name": "r", "conditions": [{"path": path, "operator": operator, "value": value}]});
    let cases = [
        (condition("$[", "eq", json!(1)), "/conditions/0/path"),
        (condition("$.a", "regex", json!("(")), "/conditions/0/value"),
        (condition("$.a", "regex", json!("(a{1000}){1000}")), "/conditions/0/value"),
        (condition(&format!("$[{}0]", "0,".repeat(10_000)), "eq", json!(1)), "/conditions/0/path"),
        (json!({"name": "r", "cel": "event.data.("}), "/cel"),
        (json!({"name": "r", "cel": format!("{}1", "1+".repeat(4_000))}), "/cel"),
        (json!({"name": ""}), "/name"),
    ];
    for (rule, pointer) in cases {
        let (status, problem) = bed.say("/v1/rules/r/define", &rule).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let (status, _) = bed.say("/v1/rules/none/change", &json!({"name": "x", "event_type": "y"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
