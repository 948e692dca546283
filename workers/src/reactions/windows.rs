//! What becomes of windows: recorded once, the same after every restart.

use std::sync::Arc;

use domain::anomaly_window::{self, Change, DETECTED, Detected, Reason, Severity};
use domain::envelope::NewEvent;
use domain::ports::log::{EventLog, ReadFilter};
use domain::rule::{Command, Definition, Rule, Throttle};
use domain::{registry, signal};
use infra_log::MemoryLog;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::tests::{append, log, react, reactor, say};

/// Busy above 90, for each host, closed after ten ordinary seconds.
fn busy() -> Definition {
    let rule = json!({"name": "busy", "app": "ops", "anomaly": {
        "series": {"of": "value", "path": "$.data.cpu"}, "key": "$.data.host",
        "check": {"kind": "threshold", "max": 90.0}, "cooldown_seconds": 10, "lateness_seconds": 30}});
    serde_json::from_value(rule).unwrap()
}

async fn point(log: &dyn EventLog, host: &str, second: i64, cpu: f64) {
    let id = Uuid::new_v4().to_string();
    let payload = json!({"app": "ops", "source": "/a", "id": &id, "type": "load", "format": "app",
        "data": {"cpu": cpu, "host": host}});
    let event = NewEvent {
        event_id: Uuid::new_v4(),
        event_type: signal::RECEIVED.into(),
        schema: 1,
        occurred_at: Timestamp::from_second(second).ok(),
        payload: payload.to_string(),
    };
    append(log, signal::KIND, &id, vec![event]).await;
}

/// What was recorded, in the order of the log, with versions.
async fn found(log: &dyn EventLog) -> Vec<(u64, Detected)> {
    let page = log.read(0, 10_000, &ReadFilter::types([DETECTED])).await.unwrap();
    page.events
        .iter()
        .map(|e| {
            let detected: Detected = registry::decode_payload(e).unwrap();
            assert_eq!((&*e.stream.kind, &*e.stream.id), (anomaly_window::KIND, &*detected.window));
            (e.version, detected)
        })
        .collect()
}

fn words(found: &[(u64, Detected)]) -> Vec<String> {
    found
        .iter()
        .map(|(version, d)| {
            let change = serde_json::to_value(d.change).unwrap();
            let (start, end) = (d.start.as_second(), d.end.as_second());
            let key = d.key.as_deref().unwrap_or("-");
            let acts = if d.acts { " acts" } else { "" };
            format!("{key} {version} {} {start}-{end} {}{acts}", change.as_str().unwrap(), d.peak.value)
        })
        .collect()
}

/// Two hosts, one of which goes silent, and a point that comes late.
async fn story(log: &dyn EventLog) {
    for (host, second, cpu) in [
        ("a", 0, 50.0),
        ("a", 1, 95.0),
        ("b", 2, 99.0),
        ("a", 3, 97.0),
        ("a", 14, 40.0),
        ("a", 40, 30.0),
        ("a", 16, 91.0),
        ("a", 60, 92.0),
    ] {
        point(log, host, second, cpu).await;
    }
}

const STORY: [&str; 7] = [
    "a 1 opened 1-1 95 acts",
    "b 1 opened 2-2 99 acts",
    "a 2 extended 1-3 97",
    "a 3 closed 1-3 97 acts",
    // Its host has said nothing since; the other is past the lateness.
    "b 2 closed 2-2 99 acts",
    "a 1 opened 16-16 91 acts",
    "a 2 closed 16-16 91 acts",
];

#[tokio::test]
async fn windows_are_facts_and_recorded_once() {
    let log = log();
    say(&*log, "busy", &mut Rule::default(), Command::Define(busy())).await;
    story(&*log).await;
    react(&log).await;
    let first = found(&*log).await;
    let told = words(&first);
    let late: Vec<&String> = told.iter().filter(|w| w.contains("16-16")).collect();
    assert_eq!(late.len(), 2, "{told:?}");
    assert_eq!(told.len(), STORY.len() + 1, "{told:?}");
    for word in STORY {
        assert!(told.iter().any(|t| t == word), "no {word} in {told:?}");
    }
    assert_eq!(told.last().unwrap(), "a 1 opened 60-60 92 acts");
    let opened = &first[0].1;
    assert_eq!((opened.severity, opened.points, opened.app.as_str()), (Severity::Low, 1, "ops"));
    assert_eq!(opened.observed[0].signal, opened.signal);
    assert_eq!(opened.expected.unwrap().upper, Some(90.0));
    assert_eq!(opened.expected.unwrap().lower, None);
    react(&log).await;
    assert_eq!(found(&*log).await, first);
}

#[tokio::test]
async fn a_restart_anywhere_changes_nothing() {
    let whole = log();
    say(&*whole, "busy", &mut Rule::default(), Command::Define(busy())).await;
    story(&*whole).await;
    react(&whole).await;
    let expected = words(&found(&*whole).await);
    for cut in 0..8 {
        for keeps in [true, false] {
            let log = log();
            say(&*log, "busy", &mut Rule::default(), Command::Define(busy())).await;
            let parts = story_parts(&log, cut, keeps).await;
            assert_eq!(parts, expected, "cut after {cut}, {keeps}");
        }
    }
}

/// The story with a reactor that dies after `cut` points, with or without
/// having written down how far it was.
async fn story_parts(log: &Arc<MemoryLog>, cut: usize, keeps: bool) -> Vec<String> {
    let whole = super::tests::log();
    story(&*whole).await;
    let points = whole.read(0, 100, &ReadFilter::default()).await.unwrap().events;
    for (i, event) in points.into_iter().enumerate() {
        let again = NewEvent {
            event_id: event.event_id,
            event_type: event.event_type,
            schema: event.schema,
            occurred_at: event.occurred_at,
            payload: event.payload,
        };
        append(&**log, signal::KIND, &event.stream.id, vec![again]).await;
        if i == cut {
            let mut reactor = reactor(log).await;
            while reactor.step().await.unwrap() {}
            if keeps {
                reactor.keep().await.unwrap();
            }
        }
    }
    react(log).await;
    words(&found(&**log).await)
}

#[tokio::test]
async fn what_a_rule_no_longer_says_is_closed() {
    let log = log();
    let mut rule = Rule::default();
    say(&*log, "busy", &mut rule, Command::Define(busy())).await;
    point(&*log, "a", 1, 95.0).await;
    say(&*log, "busy", &mut rule, Command::Change(Definition { priority: 1, ..busy() })).await;
    point(&*log, "a", 2, 95.0).await;
    say(&*log, "busy", &mut rule, Command::Disable { reason: None }).await;
    point(&*log, "a", 3, 95.0).await;
    say(&*log, "busy", &mut rule, Command::Enable).await;
    point(&*log, "a", 4, 95.0).await;
    say(&*log, "busy", &mut rule, Command::Archive).await;
    react(&log).await;
    let found = found(&*log).await;
    let told: Vec<_> = found.iter().map(|(_, d)| (d.change, d.rule_version, d.reason)).collect();
    let opened = |version| (Change::Opened, version, None);
    let closed = |version, reason| (Change::Closed, version, Some(reason));
    assert_eq!(
        told,
        [
            opened(1),
            closed(1, Reason::RuleChanged),
            opened(2),
            closed(2, Reason::RuleDisabled),
            opened(2),
            closed(2, Reason::RuleArchived)
        ]
    );
}

#[tokio::test]
async fn a_mute_and_a_throttle_hold_actions_back_and_no_windows() {
    let log = log();
    let throttle = Some(Throttle { actions: 1, seconds: 100 });
    let rule = Definition { throttle, ..busy() };
    say(&*log, "busy", &mut Rule::default(), Command::Define(rule)).await;
    let muted = anomaly_window::Event::Muted {
        rule: "busy".into(),
        key: Some("a".into()),
        until: Timestamp::from_second(50).unwrap(),
        note: None,
    };
    let muted = registry::new_event(&muted, Uuid::new_v4()).unwrap();
    append(&*log, anomaly_window::REVIEW_KIND, "1.x", vec![muted]).await;
    for (host, second, cpu) in
        [("a", 1, 95.0), ("b", 2, 95.0), ("b", 20, 1.0), ("b", 60, 95.0), ("a", 61, 95.0)]
    {
        point(&*log, host, second, cpu).await;
    }
    point(&*log, "a", 300, 95.0).await;
    react(&log).await;
    let found = found(&*log).await;
    let opened: Vec<(&str, bool, bool)> = found
        .iter()
        .filter(|(_, d)| d.change == Change::Opened)
        .map(|(_, d)| (d.key.as_deref().unwrap(), d.acts, d.muted))
        .collect();
    let expected = [
        ("a", false, true),
        ("b", true, false),
        ("b", false, false),
        ("a", false, false),
        ("a", true, false),
    ];
    assert_eq!(opened, expected);
    // What was not opened with an action is not closed with one.
    let closed = found.iter().filter(|(_, d)| d.change == Change::Closed && d.acts);
    assert_eq!(closed.count(), 1);
}
