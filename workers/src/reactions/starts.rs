//! What a start reads, and that nobody sees from the facts that there was one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::anomaly_window::{DETECTED, Detected};
use domain::envelope::NewEvent;
use domain::ports::log::{EventLog, ReadFilter};
use domain::rule::{Definition, Rule};
use domain::rule_match::{MATCHED, RuleMatch};
use domain::{registry, rule, signal};
use infra_log::MemoryLog;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::tests::{Now, RandomIds, append, log, say};
use super::{Parts, Reactor, Shelf};
use crate::testing::Counted;

struct Bed {
    log: Arc<Counted>,
    shelf: Option<Shelf>,
    folder: TempDir,
}

impl Bed {
    fn new(log: Arc<MemoryLog>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Some(Shelf::new(folder.path().join("reactor.state")));
        Self { log: Arc::new(Counted::new(log)), shelf, folder }
    }

    async fn open(&self) -> Reactor {
        let (clock, ids) = (Arc::new(Now::default()), Arc::new(RandomIds));
        Reactor::open(Parts { log: self.log.clone(), ids, clock, shelf: self.shelf.clone() }).await.unwrap()
    }

    /// Events read since the last time.
    fn read(&self) -> usize {
        self.log.read.swap(0, Ordering::Relaxed)
    }
}

impl Reactor {
    async fn settle(&mut self) {
        while self.step().await.unwrap() {}
    }

    async fn stop(mut self) {
        self.keep().await.unwrap();
        self.shelve().await;
    }
}

/// Rules of every kind over one stream of signals.
async fn rules(log: &dyn EventLog) {
    let anomaly = |check: Value, more: Value| {
        let mut rule = json!({"name": "watch", "app": "ops", "anomaly": {
            "series": {"of": "value", "path": "$.data.v"}, "key": "$.data.host", "check": &check,
            "cooldown_seconds": 600, "min_samples": 20}});
        rule["anomaly"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        // What costs more is looked at for one host.
        if check["model"].as_str().is_some_and(|model| !model.starts_with("seasonal")) {
            rule["conditions"] = json!([{"path": "$.data.host", "operator": "eq", "value": "a"}]);
        }
        rule
    };
    let detector = |model: &str| json!({"kind": "detector", "model": model});
    let stepped =
        json!({"series": {"of": "count"}, "step_seconds": 300, "missing": "zero", "lateness_seconds": 60});
    let all = [
        ("limits", anomaly(json!({"kind": "threshold", "max": 90.0}), json!({"lateness_seconds": 120}))),
        ("rate", anomaly(json!({"kind": "count", "window_seconds": 600, "max": 9}), json!({}))),
        ("few", anomaly(json!({"kind": "threshold", "min": 2.0}), stepped)),
        ("gaps", anomaly(json!({"kind": "silence", "seconds": 400}), json!({}))),
        ("band", anomaly(detector("seasonal_band@1"), json!({}))),
        ("mean", anomaly(detector("windowed_gaussian@1"), json!({"sensitivity": 0.9}))),
        ("shape", anomaly(detector("ensemble@1"), json!({"sensitivity": 0.8}))),
        ("turn", anomaly(detector("context@1"), json!({"sensitivity": 0.8}))),
        (
            "high",
            json!({"name": "high", "conditions": [{"path": "$.data.v", "operator": "gt", "value": 50}],
                "throttle": {"actions": 2, "seconds": 900}, "actions": {"subjects": ["hosts.high"]}}),
        ),
    ];
    for (id, rule) in all {
        let definition: Definition = serde_json::from_value(rule).unwrap();
        say(log, id, &mut Rule::default(), rule::Command::Define(definition)).await;
    }
}

/// `count` signals of three hosts, one a minute each, the same in every run.
async fn signals(log: &dyn EventLog, from: u64, count: u64) {
    let mut batch = Vec::new();
    for n in from..from + count {
        // A plain sequence with outliers, a gap and points that come late.
        let noise = (n.wrapping_mul(6_364_136_223_846_793_005) >> 40) % 100;
        let value = if noise == 7 { 97.5 } else { 40.0 + (n % 17) as f64 + noise as f64 / 10.0 };
        let minute = n / 3 + if n / 700 % 2 == 1 { 40 } else { 0 };
        let second = minute * 60 - if noise == 3 { 90 } else { 0 };
        let host = ["a", "b", "c"][(n % 3) as usize];
        let id = format!("s{n}");
        let payload = json!({"app": "ops", "source": "/a", "id": &id, "type": "load", "format": "app",
            "data": {"v": value, "host": host}});
        let event = NewEvent {
            event_id: Uuid::from_u128(u128::from(n) + 1),
            event_type: signal::RECEIVED.into(),
            schema: 1,
            occurred_at: Timestamp::from_second(1_700_000_000 + second as i64).ok(),
            payload: payload.to_string(),
        };
        batch.push(event);
    }
    append(log, signal::KIND, &format!("batch{from}"), batch).await;
}

/// What was found, without ids that are drawn.
async fn found(log: &dyn EventLog) -> (Vec<(u64, Detected)>, Vec<RuleMatch>) {
    let (mut windows, mut matches, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = log.read(after, 1_000, &ReadFilter::types([DETECTED, MATCHED])).await.unwrap();
        for event in &page.events {
            match &*event.event_type {
                DETECTED => windows.push((event.version, registry::decode_payload(event).unwrap())),
                _ => matches.push(registry::decode_payload(event).unwrap()),
            }
        }
        if page.through <= after {
            return (windows, matches);
        }
        after = page.through;
    }
}

async fn filled() -> Arc<MemoryLog> {
    let log = log();
    rules(&*log).await;
    for from in (0..2_400).step_by(800) {
        signals(&*log, from, 800).await;
    }
    log
}

#[tokio::test]
async fn a_restart_gives_the_facts_of_no_restart() {
    let log = filled().await;
    let whole = Bed { shelf: None, ..Bed::new(log) };
    whole.open().await.settle().await;
    let expected = found(&*whole.log).await;
    for rule in ["limits", "rate", "few", "gaps", "band", "mean", "shape", "turn"] {
        assert!(expected.0.iter().any(|(_, d)| d.rule == rule), "{rule} finds nothing");
    }
    assert!(expected.1.iter().any(|m| m.acts) && expected.1.iter().any(|m| !m.acts));
    // After each page: kept, killed with an old file, and without any file.
    for cut in [1, 2] {
        for (keeps, file) in [(true, true), (false, true), (true, false)] {
            let bed = Bed::new(filled().await);
            let mut reactor = bed.open().await;
            for step in 0..cut {
                assert!(reactor.step().await.unwrap());
                if step == 0 {
                    reactor.shelve().await;
                }
            }
            if keeps {
                reactor.stop().await;
            }
            if !file {
                std::fs::remove_file(bed.folder.path().join("reactor.state")).unwrap();
            }
            bed.open().await.settle().await;
            let seen = found(&*bed.log).await;
            assert_eq!(seen.1, expected.1, "cut after {cut}, {keeps}, {file}");
            assert_eq!(seen.0, expected.0, "cut after {cut}, {keeps}, {file}");
        }
    }
}

#[tokio::test]
async fn a_start_reads_what_is_recent() {
    let bed = Bed::new(filled().await);
    let mut reactor = bed.open().await;
    reactor.settle().await;
    reactor.stop().await;
    assert!(bed.read() > 2_400);
    signals(&*bed.log, 2_400, 5).await;
    let mut reactor = bed.open().await;
    // The one that says which log it is.
    assert_eq!(bed.read(), 1);
    reactor.settle().await;
    assert_eq!(bed.read(), 5);
    // Without the file it is history, once.
    reactor.stop().await;
    std::fs::remove_file(bed.folder.path().join("reactor.state")).unwrap();
    bed.read();
    bed.open().await;
    assert!(bed.read() > 2_400);
    bed.open().await;
    assert!(bed.read() <= 1);
}

#[tokio::test]
async fn what_does_not_belong_here_is_not_used() {
    let bed = Bed::new(filled().await);
    let mut reactor = bed.open().await;
    reactor.settle().await;
    reactor.stop().await;
    let path = bed.folder.path().join("reactor.state");
    let whole = std::fs::read(&path).unwrap();
    let history = async |bytes: &[u8], log: Arc<MemoryLog>| {
        std::fs::write(&path, bytes).unwrap();
        let bed = Bed { shelf: bed.shelf.clone(), ..Bed::new(log) };
        bed.open().await;
        bed.read() > 2_400
    };
    let same = bed.log.log.clone();
    assert!(!history(&whole, same.clone()).await);
    // Cut, changed, and by another build.
    assert!(history(&whole[..whole.len() - 1], same.clone()).await);
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    assert!(history(&changed, same.clone()).await);
    assert!(history(b"daybook~", same.clone()).await);
    // Of another log, that ends where this one does.
    let other = filled().await;
    let mut reactor = Bed { shelf: None, ..Bed::new(other.clone()) }.open().await;
    reactor.settle().await;
    reactor.keep().await.unwrap();
    assert!(history(&whole, other).await);
}

#[tokio::test]
async fn a_log_that_parted_after_the_last_signal_is_another() {
    let beginning = async || {
        let log = log();
        signals(&*log, 0, 3).await;
        log
    };
    let own = beginning().await;
    // What no rule looks at.
    let other = async |log: &MemoryLog, id: &str, n: u128| {
        let event = NewEvent {
            event_id: Uuid::from_u128(n),
            event_type: "other.said".into(),
            schema: 1,
            occurred_at: None,
            payload: "{}".into(),
        };
        append(log, "other", id, vec![event]).await;
    };
    other(&own, "here", 100).await;
    let bed = Bed::new(own);
    let mut reactor = bed.open().await;
    reactor.settle().await;
    reactor.shelve().await;
    let position = reactor.position;
    assert!(position > 0);
    let parts = |log: Arc<MemoryLog>| Parts {
        log,
        ids: Arc::new(RandomIds),
        clock: Arc::new(Now::default()),
        shelf: bed.shelf.clone(),
    };
    let usable = async |log: Arc<MemoryLog>| super::stored(&parts(log)).await.unwrap().is_some();
    assert!(usable(bed.log.log.clone()).await);
    let parted = beginning().await;
    other(&parted, "there", 200).await;
    assert!(!usable(parted).await);
    // Without a mark nothing says which log it is.
    bed.shelf.clone().unwrap().save(position, None, &reactor.engine).await.unwrap();
    assert!(!usable(bed.log.log.clone()).await);
}

#[tokio::test]
async fn a_rule_that_no_longer_compiles_keeps_nobody_from_the_file() {
    let log = filled().await;
    let bad =
        |text: &str| -> Definition { serde_json::from_value(json!({"name": "bad", "cel": text})).unwrap() };
    say(&*log, "bad", &mut Rule::default(), rule::Command::Define(bad("true"))).await;
    let bad = registry::new_event(&rule::Event::Changed(bad("event.")), Uuid::new_v4()).unwrap();
    append(&*log, rule::KIND, "bad", vec![bad]).await;
    let bed = Bed::new(log);
    let mut reactor = bed.open().await;
    reactor.settle().await;
    reactor.stop().await;
    // As a kill while writing leaves it.
    let half = bed.folder.path().join(".reactor.state.abcdef");
    let others = bed.folder.path().join(".tmpabcdef");
    std::fs::write(&half, b"daybook~").unwrap();
    std::fs::write(&others, b"").unwrap();
    bed.read();
    bed.open().await;
    assert_eq!(bed.read(), 1);
    assert!(!half.exists() && others.exists());
}

#[tokio::test]
async fn an_older_match_read_again_takes_no_throttles_place() {
    let log = log();
    let rule = json!({"name": "once", "app": "ops", "throttle": {"actions": 1, "seconds": 100}});
    let rule: Definition = serde_json::from_value(rule).unwrap();
    say(&*log, "once", &mut Rule::default(), rule::Command::Define(rule)).await;
    let at = async |id: &str, second: i64| {
        let payload = json!({"app": "ops", "source": "/a", "id": id, "type": "t", "format": "app"});
        let event = NewEvent {
            event_id: Uuid::new_v4(),
            event_type: signal::RECEIVED.into(),
            schema: 1,
            occurred_at: Timestamp::from_second(second).ok(),
            payload: payload.to_string(),
        };
        append(&*log, signal::KIND, id, vec![event]).await;
    };
    let bed = Bed { shelf: None, ..Bed::new(log.clone()) };
    // Both act, and are recorded past the place that is written down.
    at("s1", 0).await;
    let mut reactor = bed.open().await;
    reactor.settle().await;
    reactor.keep().await.unwrap();
    at("s2", 150).await;
    at("s3", 260).await;
    reactor.settle().await;
    drop(reactor);
    at("s4", 265).await;
    let mut reactor = bed.open().await;
    reactor.settle().await;
    let acts: Vec<bool> = found(&*log).await.1.iter().map(|m| m.acts).collect();
    assert_eq!(acts, [true, true, true, false]);
    // A match that was recorded after the place was written down counts, too.
    at("s5", 400).await;
    let mut reactor = bed.open().await;
    reactor.step().await.unwrap();
    reactor.keep().await.unwrap();
    at("s6", 450).await;
    at("s7", 510).await;
    let mut reactor = bed.open().await;
    reactor.settle().await;
    let acts: Vec<bool> = found(&*log).await.1.iter().map(|m| m.acts).collect();
    assert_eq!(acts, [true, true, true, false, true, false, true]);
}
