use domain::api_key::ApiKey;
use domain::decide::Decide;
use domain::registry::decode;
use serde_json::json;

use super::*;

const PATH: &str = "/v1/audit/streams/band/b1";

#[tokio::test]
async fn each_event_comes_with_the_state_after_it() {
    let bed = small().await;
    let told = bed.ok("acme", PATH).await;
    assert_eq!((&told["version"], &told["next"]), (&json!(3), &json!(null)));
    assert_eq!(positions(&told["events"]), [1, 2, 4]);
    let state =
        |event_id, tags| json!({"registered": true, "event_id": event_id, "tags": tags, "retired": false});
    let states = [
        state(json!(null), json!([])),
        state(json!("show"), json!([])),
        state(json!("show"), json!(["vip"])),
    ];
    for (event, state) in told["events"].as_array().unwrap().iter().zip(&states) {
        assert_eq!(&event["state"], state);
    }
    let recorded = &bed.all().await[3];
    let last = &told["events"][2];
    assert_eq!(last["leaf"], hex::encode(recorded.leaf));
    assert_eq!((&last["actor"], &last["payload"]), (&json!("worker:w"), &json!({"tags": ["vip"]})));
    assert_eq!(last["causation_id"], told["events"][1]["event_id"]);
    // From the middle the state is that of all before it, too.
    let late = bed.ok("acme", &format!("{PATH}?from=3")).await;
    assert_eq!(late["events"][0], *last);
}

#[tokio::test]
async fn pages_go_through_a_stream_exactly_once() {
    let mut bed = Bed::new();
    let tags: Vec<String> = (0..700).map(|n| format!(r#"band.tagged {{"tags":["t{n}"]}}"#)).collect();
    for part in tags.chunks(50) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        bed.append(By("acme", "key:a", "c", None), ("band", "b1"), &part).await;
    }
    for (limit, bytes) in [(1_000, 8 << 20), (299, 8 << 20), (1_000, 3_000)] {
        bed.limits.bytes = bytes;
        let (mut next, mut seen) = (Some(1), Vec::new());
        while let Some(from) = next {
            let page = bed.ok("acme", &format!("{PATH}?from={from}&limit={limit}")).await;
            let events = page["events"].as_array().unwrap();
            assert!(!events.is_empty() && events.len() <= limit);
            for event in events {
                let version = event["version"].as_u64().unwrap();
                assert_eq!(event["state"]["tags"], json!([format!("t{}", version - 1)]));
                seen.push(version);
            }
            next = page["next"].as_u64();
        }
        assert_eq!(seen, (1..=700).collect::<Vec<u64>>(), "{limit} {bytes}");
    }
    // What is past the end is nothing.
    let past = bed.ok("acme", &format!("{PATH}?from=701")).await;
    assert_eq!((&past["events"], &past["next"]), (&json!([]), &json!(null)));
}

#[tokio::test]
async fn a_stream_without_an_aggregate_has_no_states() {
    let bed = Bed::new();
    bed.append(By("acme", "hub", "c", None), ("journal", "j1"), &[r#"journal.drained {"from":0,"to":3}"#])
        .await;
    let told = bed.ok("acme", "/v1/audit/streams/journal/j1").await;
    assert_eq!(told["events"][0]["payload"]["to"], 3);
    assert!(told["events"][0].get("state").is_none() && told["events"][0].get("state_error").is_none());
    let refused = bed.ask("acme", Role::Auditor, "/v1/audit/streams/journal/j1/diff?from=0&to=1").await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (400, &json!("kind")));
    assert_eq!(bed.ask("acme", Role::Auditor, "/v1/audit/streams/journal/j2").await.status, 404);
    assert_eq!(
        bed.ask("acme", Role::Auditor, "/v1/audit/streams/band/j1/diff?from=0&to=0").await.status,
        404
    );
}

#[tokio::test]
async fn an_event_that_does_not_fold_ends_the_states_and_not_the_history() {
    let bed = Bed::new();
    let events = [r#"band.registered {"tags":[]}"#, r#"band.tagged {"tags":7}"#, "band.retired {}"];
    bed.append(By("acme", "key:a", "c", None), ("band", "b1"), &events).await;
    let told = bed.ok("acme", PATH).await;
    assert_eq!(told["events"][0]["state"]["registered"], true);
    for event in &told["events"].as_array().unwrap()[1..] {
        assert!(event.get("state").is_none());
        assert!(event["state_error"].as_str().unwrap().starts_with("version 2 does not fold"), "{event}");
    }
    let refused = bed.ask("acme", Role::Auditor, &format!("{PATH}/diff?from=1&to=3")).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (400, &json!("to")));
    assert_eq!(bed.ok("acme", &format!("{PATH}/diff?from=1&to=1")).await["changes"], json!([]));
}

#[tokio::test]
async fn what_differs_between_versions_is_told_by_field() {
    let bed = small().await;
    let changes =
        async |query: &str| bed.ok("acme", &format!("{PATH}/diff?{query}")).await["changes"].clone();
    let assigned = json!({"pointer": "/event_id", "before": null, "after": "show"});
    let tagged = json!({"pointer": "/tags", "before": [], "after": ["vip"]});
    assert_eq!(changes("from=1&to=3").await, json!([assigned, tagged]));
    let untagged = json!({"pointer": "/tags", "before": ["vip"], "after": []});
    assert_eq!(changes("from=3&to=2").await, json!([untagged]));
    let first = changes("from=0&to=1").await;
    assert_eq!((&first[0]["pointer"], &first[0]["after"]["registered"]), (&json!(""), &json!(true)));
    assert!(first[0].get("before").is_none());
    assert_eq!(changes("from=2&to=2").await, json!([]));
}

/// Every kind that decides something has its states told.
#[tokio::test]
async fn all_aggregates_have_states() {
    let bed = Bed::new();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/samples");
    for (kind, event_type) in [
        ("event", "live_event.scheduled"),
        ("band", "band.registered"),
        ("tenant", "tenant.configured"),
        ("api_key", "api_key.issued"),
        ("model", "model.defined"),
        ("replay", "replay.requested"),
        ("instrument", "instrument.defined"),
        ("position", "position.opened"),
        ("market_snapshot", "market_snapshot.recorded"),
        ("fixings", "fixings.published"),
        ("repricing", "repricing.requested"),
    ] {
        let payload = std::fs::read_to_string(format!("{samples}/{event_type}.1.json")).unwrap();
        let event = format!("{event_type} {}", payload.trim());
        bed.append(By("acme", "key:a", "c", None), (kind, "x"), &[&event]).await;
        let told = bed.ok("acme", &format!("/v1/audit/streams/{kind}/x")).await;
        assert!(told["events"][0]["state"].is_object(), "{told}");
    }
    let issued = &bed.all().await[3];
    let mut key = ApiKey::default();
    key.evolve(decode(issued).unwrap());
    let told = bed.ok("acme", "/v1/audit/streams/api_key/x").await;
    assert_eq!(told["events"][0]["state"], serde_json::to_value(key).unwrap());
}
