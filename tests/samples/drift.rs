//! A change of style is found and recorded once.

use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::server::KEY;
use serde_json::{Value, json};

use super::bed::{Bed, prose};

/// The first of the new style, of [`SAMPLES`] written a month after the other.
const CHANGED: u64 = 12;
const SAMPLES: u64 = 22;

fn form(month: u64) -> Value {
    let habits = if month < CHANGED { 1 } else { 3 };
    let written_at = format!("{}-{:02}-15", 2000 + month / 12, 1 + month % 12);
    // No two texts share words that were drawn for both.
    json!({"text": prose(habits, 100 * (1 + month), 900), "author": "Ann", "written_at": written_at})
}

/// The recorded changes of Ann's style.
async fn recorded(bed: &Bed) -> Vec<Value> {
    let path = "/v1/audit/streams/style_drift/Ann";
    let (status, said) = bed.ask(path, KEY, "application/json", 0).await;
    if status == reqwest::StatusCode::NOT_FOUND {
        return Vec::new();
    }
    assert!(status.is_success(), "{said}");
    said["events"].as_array().unwrap().clone()
}

/// How far samples were looked at is told by a change of another author, who
/// comes after.
async fn looked(bed: &Bed, marker: &str) {
    let mut position = 0;
    for month in 0..SAMPLES {
        let mut form = form(month);
        form["author"] = json!(marker);
        form["text"] = json!(format!("{marker} {}", form["text"].as_str().unwrap()));
        position = bed.submit(&form).await.1;
    }
    bed.get("/v1/authors", position).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let path = format!("/v1/audit/streams/style_drift/{marker}");
    while !bed.ask(&path, KEY, "application/json", 0).await.0.is_success() {
        assert!(Instant::now() < deadline, "{marker} is not looked at");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_change_of_style_is_recorded_once() {
    let data = tempfile::tempdir().unwrap();
    let Some(bed) = Bed::at(data.path(), &[]) else { return };
    let mut position = 0;
    let mut ids = Vec::new();
    for month in 0..SAMPLES {
        let (id, at) = bed.submit(&form(month)).await;
        ids.push(id);
        position = at;
    }
    let told = bed.get("/v1/authors/Ann/drift", position).await;
    let changes = told["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["sample"]), (1, &json!(ids[CHANGED as usize])), "{told}");
    assert_eq!(told["samples"].as_array().unwrap().len(), SAMPLES as usize);

    looked(&bed, "Bob").await;
    let events = recorded(&bed).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "style.drift_detected");
    let first = &events[0]["payload"];
    assert_eq!((&first["author_id"], &first["model"]), (&json!("Ann"), &json!("drift@1")), "{events:?}");
    assert!(!first["features"].as_array().unwrap().is_empty());

    // More of the same, another process, and the one that was killed.
    let roles = [("API_KEYS", KEY), ("DAYBOOK_ROLES", "reactor")];
    let other = Cli::new(data.path(), &roles).unwrap().serve();
    for month in SAMPLES..SAMPLES + 3 {
        bed.submit(&form(month)).await;
    }
    looked(&bed, "Cy").await;
    other.stop_unchecked().unwrap();
    bed.server.kill().unwrap();
    let bed = Bed::at(data.path(), &[]).unwrap();
    looked(&bed, "Dee").await;
    assert_eq!(recorded(&bed).await.len(), 1);
    bed.server.stop().unwrap();
}
