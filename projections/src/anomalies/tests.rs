use domain::envelope::Metadata;
use domain::{StreamId, TenantId, registry};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::testing::fold;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn event(position: u64, kind: &str, version: u64, name: &str, payload: serde_json::Value) -> RecordedEvent {
    RecordedEvent {
        position,
        stream: StreamId::new(&tenant(), kind, "7.ab").unwrap(),
        version,
        event_id: Uuid::nil(),
        event_type: name.into(),
        schema: registry::schema_of(name),
        occurred_at: None,
        recorded_at: Timestamp::from_second(position.cast_signed()).unwrap(),
        metadata: Metadata {
            actor: "key:ops".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        payload: payload.to_string(),
        leaf: [0; 32],
    }
}

fn found(position: u64, version: u64, change: &str, start: i64, end: i64) -> RecordedEvent {
    let at = |second| Timestamp::from_second(second).unwrap().to_string();
    let peak = json!({"at": at(end), "value": 99.5, "signal": position});
    let payload = json!({"change": change, "window": "7.ab", "rule": "cpu", "rule_version": 1, "app": "ops",
        "start": at(start), "end": at(end), "peak": peak, "score": 0.5, "severity": "low",
        "observed": [peak], "points": 1, "signal": position, "acts": change == "opened"});
    event(position, anomaly_window::KIND, version, DETECTED, payload)
}

fn history() -> Vec<RecordedEvent> {
    let said = anomaly_window::REVIEW_KIND;
    vec![
        found(10, 1, "opened", 100, 100),
        event(11, said, 1, ACKNOWLEDGED, json!({"note": "mine"})),
        found(12, 2, "extended", 100, 120),
        event(13, said, 2, MUTED, json!({"rule": "cpu", "until": "2026-01-01T00:00:00Z"})),
        found(14, 3, "closed", 100, 120),
        found(15, 4, "reopened", 90, 120),
        event(16, said, 3, NOTED, json!({"note": "a deploy"})),
        found(17, 5, "closed", 90, 120),
    ]
}

#[test]
fn a_window_has_one_row_in_each_table() {
    for batch in [1, 3, 100] {
        let rows = fold(&Anomalies, &history(), batch).unwrap();
        let row: WindowRow = rows.get(WINDOWS, &tenant(), "7.ab").unwrap();
        let listed = rows.table::<WindowRow>(BY_START, &tenant());
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].1, row);
        assert_eq!(listed[0].0, format!("{}/7.ab", newest_start_first(row.start)));
        assert_eq!((row.open, row.acts, row.version, row.review_version), (false, true, 5, 3));
        assert_eq!((row.start.as_second(), row.end.as_second()), (90, 120));
        assert_eq!((row.notes, row.opened_by, row.position), (2, 10, 17));
        assert_eq!(row.acknowledged.unwrap().by, "key:ops");
        assert!(row.muted_until.is_some());
    }
}

#[test]
fn what_is_said_about_no_window_is_refused() {
    assert!(fold(&Anomalies, &history()[1..2], 1).is_err());
}

#[test]
fn later_starts_come_first() {
    let key = |second| newest_start_first(Timestamp::from_second(second).unwrap());
    assert!(key(2) < key(1) && key(1) < key(-1));
    let ends = [Timestamp::MAX, Timestamp::MIN].map(newest_start_first);
    assert!(ends[0] < ends[1] && ends[0].len() == ends[1].len());
}
