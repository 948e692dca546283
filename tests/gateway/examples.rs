//! The examples of the specification and of SDKs, beside what its JSON schema
//! says of them.

use daybook_tests::data;
use reqwest::StatusCode;
use serde_json::Value;

use super::bed::Bed;

/// Line and place of events that are none: an empty subject, which the
/// specification's schema refuses, words where base64 should be, and data alone.
const INVALID: [(usize, usize); 6] = [(16, 0), (17, 0), (18, 0), (23, 0), (29, 0), (31, 0)];

/// Null members are the same as absent ones.
fn told(event: &Value) -> Value {
    let members = event.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    members.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn every_valid_example_comes_back_as_it_was() {
    let Some(folder) = data("events") else { return };
    let Some(bed) = Bed::new(&[]).await else { return };
    let text = std::fs::read_to_string(folder.join("cloudevents_examples.jsonl")).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for (line, text) in text.lines().enumerate() {
        let line = line + 1;
        let example: Value = serde_json::from_str(text).unwrap();
        let payload = &example["payload"];
        let events = match payload {
            Value::Null => {
                let raw = example["raw"].as_str().unwrap().to_owned();
                let (status, problem) =
                    bed.send("/v1/events/ingest", "application/cloudevents+json", raw).await;
                assert!(status.is_client_error(), "line {line}: {problem}");
                refused += 1;
                continue;
            }
            Value::Array(events) => events.clone(),
            event => vec![event.clone()],
        };
        for (i, event) in events.iter().enumerate() {
            // Many examples have one identity: each is of an app of its own.
            let path = "/v1/events/ingest?app=shop";
            let mut event = event.clone();
            let app = format!("line{line}-{i}");
            event["appid"] = app.clone().into();
            let post = reqwest::Client::new().post(format!("{}{path}", bed.server.url));
            let post = super::bed::admin(post).header("Content-Type", "application/cloudevents+json");
            let (status, answer) = super::bed::answer(post.body(event.to_string())).await;
            if INVALID.contains(&(line, i)) {
                assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "line {line}: {answer}");
                refused += 1;
                continue;
            }
            assert_eq!(status, StatusCode::OK, "line {line}: {answer}");
            assert_eq!(bed.event(&answer["position"]).await, told(&event), "line {line}");
            accepted += 1;
        }
    }
    assert_eq!((accepted, refused), (30, 9));
}
