//! What the promoted model says of races, and sealing by it.

use projections::dfs_projections::Settings;
use serde_json::{Value, json};

use super::bed::{Bed, results};
use super::{AFTER, BEFORE};

/// Twenty-two races that were run, and one that is to be run.
async fn seasons(model: Value) -> Bed {
    let settings = Settings::parse(&model).unwrap();
    let bed = Bed::under("2023-11-06T00:00:00Z", settings).await;
    for number in 1..=22 {
        let id = format!("cup-2023-{number}");
        bed.race(&id, number).await;
        let mut order = [0, 1, 2, 3, 4, 5];
        order.rotate_left(number as usize % 2);
        order.swap(1, number as usize % 6);
        bed.post(&format!("/v1/races/{id}/finish"), json!({"results": results(order)})).await;
    }
    bed.clock.set(BEFORE.parse().unwrap());
    bed.race("cup-2023-36", 36).await;
    bed
}

#[tokio::test]
async fn forecasts_are_read_with_their_model_and_judged_by_results() {
    let bed = seasons(json!({"runs": 100, "recent_half_life": 4})).await;
    let next = bed.get("/v1/races/cup-2023-36/forecast").await;
    assert_eq!(
        (&next["model"], &next["parameters"]["recent_half_life"]),
        (&json!("plackett-luce-back@1"), &json!(4.0))
    );
    let drivers = next["drivers"].as_array().unwrap();
    let win: f64 = drivers.iter().map(|d| d["win"].as_f64().unwrap()).sum();
    assert!(drivers.len() == 6 && (win - 1.0).abs() < 1e-3 && drivers[0]["finish"].is_null());
    assert!(drivers.is_sorted_by(|a, b| a["expected"].as_f64() <= b["expected"].as_f64()));
    assert_eq!(bed.get("/v1/races/cup-2023-1/forecast").await["drivers"], json!([]), "too early to say");
    let record = bed.get("/v1/forecasts").await;
    assert_eq!((&record["all"]["races"], &record["races"][0]["race"]), (&json!(2.0), &json!("cup-2023-36")));
    assert_eq!(record["groups"]["short"], record["all"]);

    bed.clock.set(AFTER.parse().unwrap());
    bed.post("/v1/races/cup-2023-36/finish", json!({"results": results([0, 1, 2, 3, 4, 5])})).await;
    let judged = bed.get("/v1/forecasts").await;
    assert_eq!((&judged["all"]["races"], &judged["races"][0]["cars"]), (&json!(3.0), &json!(6.0)));
    let after = bed.get("/v1/races/cup-2023-36/forecast").await;
    let said = |answer: &Value| -> Vec<Value> {
        answer["drivers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| json!([d["driver"], d["expected"], d["win"]]))
            .collect()
    };
    assert_eq!(said(&after), said(&next));
    let csv = bed.get_as("acme", "/v1/races/cup-2023-36/forecast?format=csv", "*/*").await;
    assert!(csv.text.starts_with("driver,name,start,") && csv.text.lines().count() == 7, "{}", csv.text);
    let other = bed.get_as("umbrella", "/v1/forecasts", "*/*").await;
    assert_eq!((&other.json()["all"], &other.json()["races"]), (&Value::Null, &json!([])));
    assert_eq!(bed.get_as("umbrella", "/v1/races/cup-2023-36/forecast", "*/*").await.status, 404);
}

#[tokio::test]
async fn what_is_sealed_is_by_the_live_model() {
    let bed = seasons(json!({"runs": 100, "recent_half_life": 4})).await;
    let sealed = bed.post("/v1/races/cup-2023-36/projections", json!({"runs": 1_000})).await;
    let model = sealed["model"].as_str().unwrap();
    assert!(model.starts_with("plackett-luce-back@1-"), "{model}");
    let read = bed.get("/v1/races/cup-2023-36/projections?site=draftkings").await;
    assert_eq!(
        (&read["projections"][0]["model"], &read["projections"][0]["parameters"]),
        (&json!(model), &json!({"recent_half_life": 4.0}))
    );
    // A number of draws is no other model.
    let usual = seasons(json!({"runs": 200})).await;
    let sealed = usual.post("/v1/races/cup-2023-36/projections", json!({"runs": 1_000})).await;
    assert_eq!(sealed["model"], "plackett-luce-back@1");
}

#[tokio::test]
async fn rows_without_forecasts_say_so() {
    let bed = Bed::plain(BEFORE).await;
    bed.race("cup-2023-36", 36).await;
    let answer = bed.get_as("acme", "/v1/forecasts", "*/*").await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(bed.get("/v1/races/cup-2023-36").await["status"], "scheduled");
    let sealed = bed.post("/v1/races/cup-2023-36/projections", json!({"runs": 1_000})).await;
    assert_eq!(sealed["model"], "plackett-luce-back@1");
}
