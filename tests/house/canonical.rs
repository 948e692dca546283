//! The page that specifies the canonical bytes tells what the code does.

use std::fs;

use daybook_tests::repository;
use domain::envelope::{Metadata, RecordedEvent};
use domain::{StreamId, TenantId};
use uuid::Uuid;

fn example() -> RecordedEvent {
    let tenant = TenantId::new("acme").unwrap();
    let uuid = |n: u128| Uuid::from_u128(0x7000_8000_0000_0000_0000 + n);
    RecordedEvent {
        position: 7,
        stream: StreamId::new(&tenant, "band", "b-1").unwrap(),
        version: 1,
        event_id: uuid(1),
        event_type: "band.registered".into(),
        schema: 1,
        occurred_at: None,
        recorded_at: "2026-07-01T12:00:00Z".parse().unwrap(),
        metadata: Metadata {
            actor: "key:k1".into(),
            command_id: uuid(2),
            correlation_id: "order-17".into(),
            causation_id: None,
        },
        payload: r#"{"event_id":"tour","tags":["vip"]}"#.into(),
        leaf: [0; 32],
    }
}

#[test]
fn the_example_of_the_page_is_what_the_code_computes() {
    let page = fs::read_to_string(repository().join("docs/canonical-bytes.md")).unwrap();
    let event = example();
    let bytes = String::from_utf8(event.canonical_bytes()).unwrap();
    assert!(page.contains(&format!("```\n{bytes}\n```")), "the page should show:\n{bytes}");
    let leaf = hex::encode(event.compute_leaf());
    assert!(page.contains(&leaf), "the page should name the leaf {leaf}");
}
