//! Series that fall silent, series of taps, and of Daybook itself.

use std::sync::Arc;

use domain::anomaly_window::{Change, DETECTED, Detected};
use domain::envelope::NewEvent;
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::rows::RowStore;
use domain::rule::{Command, Definition, Rule};
use domain::rule_match::TICKED;
use domain::{RecordedEvent, registry, signal, tap};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tests::{Now, RandomIds, append, say, tenant};
use super::{Parts, Reactor};
use crate::vitals::{DELIVERIES, LAG, Vitals};

struct Bed {
    now: Now,
    log: Arc<MemoryLog>,
}

impl Bed {
    fn new() -> Self {
        let now = Now::default();
        *now.0.lock().unwrap() = Timestamp::from_second(1_800_000_000).unwrap();
        Self { log: Arc::new(MemoryLog::new(Arc::new(now.clone()))), now }
    }

    fn parts(&self) -> Parts {
        let clock = Arc::new(self.now.clone());
        Parts { log: self.log.clone(), ids: Arc::new(RandomIds), clock, shelf: None }
    }

    async fn reactor(&self) -> Reactor {
        Reactor::open(self.parts()).await.unwrap()
    }

    fn pass(&self, seconds: i64) {
        *self.now.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    fn at(&self) -> Timestamp {
        *self.now.0.lock().unwrap()
    }

    async fn define(&self, id: &str, rule: Value) {
        let definition: Definition = serde_json::from_value(rule).unwrap();
        definition.check().unwrap();
        say(&*self.log, id, &mut Rule::default(), Command::Define(definition)).await;
    }

    async fn record(&self, name: &str, at: Timestamp, payload: &Value) {
        let event = NewEvent {
            event_id: Uuid::new_v4(),
            event_type: name.into(),
            schema: 1,
            occurred_at: Some(at),
            payload: payload.to_string(),
        };
        append(&*self.log, "facts", &Uuid::new_v4().to_string(), vec![event]).await;
    }

    /// A signal of this host, with this event time.
    async fn beat(&self, host: &str, at: Timestamp) {
        let payload = json!({"app": "ops", "source": "/a", "id": "i", "type": "beat", "format": "app",
            "data": {"host": host}});
        self.record(signal::RECEIVED, at, &payload).await;
    }

    async fn found(&self) -> Vec<Detected> {
        self.all(DETECTED).await.iter().map(|e| registry::decode_payload(e).unwrap()).collect()
    }

    async fn all(&self, name: &str) -> Vec<RecordedEvent> {
        self.log.read(0, 100_000, &ReadFilter::types([name])).await.unwrap().events
    }
}

impl Reactor {
    /// Looks at all there is, and says that time has passed.
    async fn round(&mut self) {
        while self.step().await.unwrap() {}
        self.tick().await.unwrap();
        while self.step().await.unwrap() {}
    }
}

fn silence() -> Value {
    json!({"name": "down", "app": "ops", "actions": {"subjects": ["hosts.down"]}, "anomaly": {
        "series": {"of": "count"}, "key": "$.data.host", "check": {"kind": "silence", "seconds": 60},
        "cooldown_seconds": 30, "tick_seconds": 10}})
}

fn changes(found: &[Detected]) -> Vec<(&str, Change)> {
    found.iter().map(|d| (d.key.as_deref().unwrap_or("-"), d.change)).collect()
}

#[tokio::test]
async fn a_silent_series_opens_a_window_and_the_next_signal_ends_it() {
    let bed = Bed::new();
    bed.define("down", silence()).await;
    let (mut reactor, begin) = (bed.reactor().await, bed.at());
    for _ in 0..6 {
        bed.beat("a", bed.at()).await;
        bed.beat("b", bed.at()).await;
        reactor.round().await;
        bed.pass(20);
    }
    // Only b goes on, from second 100 of a.
    for _ in 0..5 {
        bed.beat("b", bed.at()).await;
        reactor.round().await;
        bed.pass(20);
    }
    let found = bed.found().await;
    assert_eq!(changes(&found), [("a", Change::Opened)]);
    let opened = &found[0];
    let after = |at: Timestamp| at.duration_since(begin).as_secs();
    assert_eq!((after(opened.start), opened.peak.value), (180, 80.0));
    assert_eq!((opened.app.as_str(), opened.acts), ("ops", true));
    assert_eq!(opened.subjects, ["hosts.down"]);
    assert_eq!(opened.expected.unwrap().upper, Some(60.0));
    // The fact that opened it is a tick.
    let ticks = bed.all(TICKED).await;
    assert!(ticks.iter().any(|tick| tick.position == opened.signal), "{opened:?}");
    // A day and more of silence is told of now and then, and no longer.
    for _ in 0..2_000 {
        bed.pass(60);
        reactor.round().await;
    }
    let of_a = |found: &[Detected]| found.iter().filter(|d| d.key.as_deref() == Some("a")).count();
    let told = of_a(&bed.found().await);
    assert!((5..20).contains(&told), "{told}");
    let last = bed.found().await;
    bed.pass(3_600 * 24);
    reactor.round().await;
    assert_eq!(bed.found().await.len(), last.len());
    bed.beat("a", bed.at()).await;
    bed.pass(10);
    bed.beat("a", bed.at()).await;
    bed.pass(40);
    bed.beat("a", bed.at()).await;
    reactor.round().await;
    let found: Vec<Detected> =
        bed.found().await.into_iter().filter(|d| d.key.as_deref() == Some("a")).collect();
    let [.., extended, closed] = &found[..] else { panic!("{found:?}") };
    assert_eq!((extended.change, closed.change), (Change::Extended, Change::Closed));
    assert_eq!(closed.window, found[0].window);
    assert_eq!(closed.end, bed.at() - SignedDuration::from_secs(50));
    assert!(closed.acts && closed.subjects == ["hosts.down"]);
}

#[tokio::test]
async fn a_count_that_falls_to_nothing_is_told_without_another_signal() {
    let bed = Bed::new();
    let rule = |tick: u32| {
        json!({"name": "few", "app": "ops", "anomaly": {"series": {"of": "count"}, "step_seconds": 60,
        "check": {"kind": "threshold", "min": 1.0}, "missing": "zero", "tick_seconds": tick}})
    };
    bed.define("few", rule(30)).await;
    // The same without ticks says nothing.
    bed.define("mute", rule(0)).await;
    let mut reactor = bed.reactor().await;
    for _ in 0..5 {
        bed.beat("a", bed.at()).await;
        reactor.round().await;
        bed.pass(30);
    }
    for _ in 0..6 {
        reactor.round().await;
        bed.pass(30);
    }
    let found = bed.found().await;
    assert!(!found.is_empty() && found.iter().all(|d| d.rule == "few"), "{found:?}");
    assert_eq!((found[0].change, found[0].peak.value), (Change::Opened, 0.0));
    // The first step without any, told as it was over.
    let begin = Timestamp::from_second(1_800_000_000).unwrap();
    assert_eq!(found[0].start, begin + SignedDuration::from_secs(180));
    let tick = bed.all(TICKED).await.into_iter().find(|tick| tick.position == found[0].signal).unwrap();
    assert_eq!(tick.recorded_at, begin + SignedDuration::from_secs(240));
    // A restart at the end, and one that reads it all anew, find no more.
    let before = found.len();
    reactor.keep().await.unwrap();
    bed.reactor().await.round().await;
    let found = bed.found().await;
    assert_eq!(found.len(), before, "{found:#?}");
}

#[tokio::test]
async fn imported_history_is_not_silent_because_it_is_old() {
    let bed = Bed::new();
    bed.define("down", silence()).await;
    let mut reactor = bed.reactor().await;
    let old = Timestamp::from_second(1_400_000_000).unwrap();
    for n in 0..50 {
        bed.beat("a", old + SignedDuration::from_secs(n * 20)).await;
        bed.pass(1);
        reactor.round().await;
    }
    assert_eq!(bed.found().await.len(), 0);
    // Its feed stops.
    bed.pass(61);
    reactor.round().await;
    let found = bed.found().await;
    assert_eq!(changes(&found), [("a", Change::Opened)]);
    assert_eq!(found[0].start.duration_since(old).as_secs(), 49 * 20 + 62);
}

#[tokio::test]
async fn ticks_are_recorded_once_and_only_where_they_are_asked_for() {
    let bed = Bed::new();
    let mut reactor = bed.reactor().await;
    bed.beat("a", bed.at()).await;
    reactor.round().await;
    assert_eq!(bed.all(TICKED).await.len(), 0);
    bed.define("down", silence()).await;
    let mut other = bed.reactor().await;
    for reactor in [&mut reactor, &mut other] {
        while reactor.step().await.unwrap() {}
    }
    // Both find that it is due.
    reactor.tick().await.unwrap();
    other.tick().await.unwrap();
    let ticks = bed.all(TICKED).await;
    assert_eq!(ticks.len(), 1);
    assert_eq!((&ticks[0].stream.tenant, &*ticks[0].payload), (&tenant(), r#"{"every_seconds":10}"#));
    bed.pass(9);
    reactor.round().await;
    assert_eq!(bed.all(TICKED).await.len(), 1);
    bed.pass(1);
    reactor.round().await;
    other.round().await;
    assert_eq!(bed.all(TICKED).await.len(), 2);
}

#[tokio::test]
async fn taps_are_points_by_band_and_by_destination() {
    let bed = Bed::new();
    let rule = |key: &str| {
        json!({"name": "rush", "anomaly": {"series": {"of": "taps"}, "key": key,
        "check": {"kind": "count", "window_seconds": 60, "max": 3}, "cooldown_seconds": 30}})
    };
    let mut reactor = bed.reactor().await;
    bed.define("bands", rule("$.band_id")).await;
    bed.define("urls", rule("$.url")).await;
    // What is personal of a tap is no key.
    bed.define("people", rule("$.visitor")).await;
    let live = json!({"name": "live", "conditions": [{"path": "$.mode", "operator": "eq", "value": "live"}],
        "anomaly": rule("$.url")["anomaly"]});
    bed.define("live", live).await;
    let begin = bed.at();
    for n in 0..8 {
        let (band, mode) = if n % 2 == 0 { ("b1", "pre") } else { ("b2", "live") };
        let tap = json!({"band_id": band, "mode": mode, "url": "https://show.example/",
            "visitor": "0123456789abcdef", "user_agent": "x", "source": "hub"});
        bed.record(tap::TAPPED, begin + SignedDuration::from_secs(n), &tap).await;
    }
    // A signal that looks like a tap is none.
    let signal = json!({"app": "ops", "source": "/a", "id": "i", "type": "tap", "format": "app",
        "band_id": "b3", "url": "https://show.example/"});
    for _ in 0..9 {
        bed.record(signal::RECEIVED, begin, &signal).await;
    }
    reactor.round().await;
    let found = bed.found().await;
    let mut opened: Vec<(&str, &str, &str)> = found
        .iter()
        .filter(|d| d.change == Change::Opened)
        .map(|d| (d.rule.as_str(), d.key.as_deref().unwrap(), d.app.as_str()))
        .collect();
    opened.sort_unstable();
    let url = "https://show.example/";
    let expected =
        [("bands", "b1", "taps"), ("bands", "b2", "taps"), ("live", url, "taps"), ("urls", url, "taps")];
    assert_eq!(opened, expected);
    // Taps before their rule are none of its points.
    assert!(found.iter().all(|d| d.start >= begin));
}

#[tokio::test]
async fn lag_and_deliveries_are_signals_that_a_rule_can_watch() {
    let bed = Bed::new();
    let lag = json!({"name": "behind", "app": "daybook", "event_type": "daybook.lag", "anomaly": {
        "series": {"of": "value", "path": "$.data.lag"}, "key": "$.data.part",
        "check": {"kind": "threshold", "max": 20.0}}});
    bed.define("behind", lag).await;
    let rows = MemoryRows::new();
    for name in ["tap_analytics", "dispatcher", "relay"] {
        rows.open(name, &domain::ports::rows::ModelId::new(name, 1), &[]).await.unwrap();
    }
    let parts = bed.parts();
    let (log, clock, ids) = (parts.log, parts.clock, parts.ids);
    let every = std::time::Duration::from_secs(30);
    let rows: Arc<dyn RowStore> = Arc::new(rows);
    let mut vitals = Vitals { log, rows, clock, ids, tenant: tenant(), every, counted: 0 };
    let mut reactor = bed.reactor().await;
    vitals.measure().await.unwrap();
    // The same interval, measured by another process.
    vitals.measure().await.unwrap();
    let of = |events: &[RecordedEvent], name: &str| -> Vec<Value> {
        let read = |e: &RecordedEvent| serde_json::from_str::<Value>(&e.payload).unwrap();
        events.iter().map(read).filter(|s| s["app"] == "daybook" && s["type"] == name).collect()
    };
    let first = bed.all(signal::RECEIVED).await;
    let parts: Vec<Value> = of(&first, LAG).iter().map(|s| s["data"]["part"].clone()).collect();
    assert_eq!(parts, ["relay", "tap_analytics"]);
    assert_eq!(of(&first, DELIVERIES).len(), 1);
    for status in [200, 500, 500, 200] {
        let attempted = json!({"endpoint": "ops", "cause": 1, "attempt": 1, "at": bed.at(), "status": status,
            "latency_ms": 1});
        bed.record(domain::delivery::ATTEMPTED, bed.at(), &attempted).await;
    }
    for n in 0..30 {
        bed.beat(&format!("h{n}"), bed.at()).await;
    }
    bed.pass(30);
    vitals.measure().await.unwrap();
    let all = bed.all(signal::RECEIVED).await;
    let deliveries = of(&all, DELIVERIES);
    assert_eq!(
        (&deliveries[1]["data"]["attempts"], &deliveries[1]["data"]["failure_share"]),
        (&json!(4), &json!(0.5))
    );
    reactor.round().await;
    let found = bed.found().await;
    let mut opened = changes(&found);
    opened.sort_unstable_by_key(|(key, _)| key.to_owned());
    assert_eq!(opened, [("relay", Change::Opened), ("tap_analytics", Change::Opened)]);
    assert_eq!(found[0].app, "daybook");
}
