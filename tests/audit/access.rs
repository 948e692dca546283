//! Who read what, who was refused, and who got which keys: asked for like any
//! other event.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bed::{Bed, ELSEWHERE};

/// For the index of the history.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_the_history_is_in_the_history() {
    let Some(bed) = Bed::sqlite() else { return };
    let server = bed.cli.serve();
    let client = reqwest::Client::new();
    let status = async |key: &str, path: &str| {
        let asked = client.get(format!("{}{path}", server.url)).header("X-API-Key", key);
        asked.send().await.unwrap().status().as_u16()
    };
    let issued = server.post("/v1/keys", &json!({"name": "till", "roles": ["reader"]})).await.unwrap();
    let (id, reader) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(status(ELSEWHERE, "/v1/audit/events?limit=1").await, 200);
        assert_eq!(status(reader, "/v1/audit/events").await, 403);
    }
    assert_eq!(status("wrong", "/v1/events/show").await, 401);
    let asked = server.post("/v1/sql", &json!({"query": "select count(*) from events"})).await.unwrap();
    // The question stands before its answer, which counts it.
    let head = server.get("/v1/audit/events?type=audit.queried", 0).await.unwrap();
    let queried = &head["events"][0];
    assert_eq!(queried["payload"]["query"], "select count(*) from events");
    assert!(queried["position"].as_u64() <= asked["position"].as_u64(), "{queried} {asked}");
    server.post(&format!("/v1/keys/{id}/revoke"), &json!({})).await.unwrap();
    let keys = server.get("/v1/audit/events?type=api_key.issued,api_key.revoked", 0).await.unwrap();
    let told: Vec<&Value> = keys["events"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    assert_eq!(told, ["api_key.issued", "api_key.revoked"]);
    assert_eq!(keys["events"][0]["payload"]["roles"], json!(["reader"]));
    server.stop().unwrap();

    // What was counted is recorded when the server stops, in the tenant of the key.
    let server = bed.cli.serve();
    let denied = server.get("/v1/audit/events?type=audit.denied", 0).await.unwrap();
    let denied = &denied["events"][0];
    assert_eq!((&denied["payload"]["count"], &denied["payload"]["status"]), (&json!(3), &json!(403)));
    assert_eq!(denied["stream"], json!({"kind": "access", "id": id}));
    let actor = denied["actor"].as_str().unwrap();
    let head = denied["position"].as_u64().unwrap();
    let by_actor = format!("/v1/audit/events?actor={actor}&after={}&upto={head}", head - 1);
    let asked = Instant::now();
    let found = loop {
        let page = server.get(&by_actor, 0).await.unwrap();
        // How far the index is.
        if page["upto"] == head {
            break page["events"].clone();
        }
        assert!(asked.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(found, json!([denied]));

    let asked = client.get(format!("{}/v1/audit/events?type=audit.read", server.url));
    let elsewhere: Value = asked.header("X-API-Key", ELSEWHERE).send().await.unwrap().json().await.unwrap();
    let read = &elsewhere["events"][0]["payload"];
    assert_eq!((&read["count"], &read["targets"]), (&json!(3), &json!(["/v1/audit/events?limit=1"])));
    server.stop().unwrap();
    let nobody = bed.cli.output(&["events", "stream", "access/anonymous", "--tenant", "_system"]);
    let nobody = String::from_utf8(nobody.stdout).unwrap();
    assert!(nobody.contains(r#""status":401"#) && nobody.contains("GET /v1/events/{id}"), "{nobody}");
}
