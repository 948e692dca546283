use std::sync::{Arc, Mutex};

use domain::decide::{Context, Decide};
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::clock::Ids;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::registry;
use domain::rule::{Command, Definition, Rule, Throttle};
use domain::rule_match::{MATCHED, RuleMatch, TICKED};
use domain::{StreamId, TenantId, rule, signal};
use infra_log::MemoryLog;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Parts, Reactor};

pub(super) struct RandomIds;

impl Ids for RandomIds {
    fn next(&self) -> Uuid {
        Uuid::new_v4()
    }
}

pub(super) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(super) async fn append(log: &dyn EventLog, kind: &str, id: &str, events: Vec<NewEvent>) {
    let stream = StreamId::new(&tenant(), kind, id).unwrap();
    let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
    let metadata = Metadata {
        actor: "test".into(),
        command_id: Uuid::new_v4(),
        correlation_id: "c".into(),
        causation_id: None,
    };
    log.append(vec![Append { writes, metadata, idempotency: None }]).await.remove(0).unwrap();
}

pub(super) async fn say(log: &dyn EventLog, id: &str, state: &mut Rule, command: Command) {
    let context = Context { now: Timestamp::UNIX_EPOCH, urls: Default::default() };
    let decision = state.decide(command, &context).unwrap();
    for event in &decision.events {
        state.evolve(event.clone());
    }
    let events = decision.events.iter().map(|e| registry::new_event(e, Uuid::new_v4()).unwrap());
    append(log, rule::KIND, id, events.collect()).await;
}

async fn send(log: &dyn EventLog, id: &str, second: i64, cents: u64) {
    let payload = json!({"app": "shop", "source": "/a", "id": id, "type": "order", "format": "app",
        "data": {"total_cents": cents}});
    let event = NewEvent {
        event_id: Uuid::new_v4(),
        event_type: signal::RECEIVED.into(),
        schema: 1,
        occurred_at: Timestamp::from_second(second).ok(),
        payload: payload.to_string(),
    };
    append(log, signal::KIND, id, vec![event]).await;
}

fn over(cents: u64) -> Definition {
    let rule: Value = json!({"name": "big", "app": "shop",
        "conditions": [{"path": "$.data.total_cents", "operator": "gte", "value": cents}]});
    serde_json::from_value(rule).unwrap()
}

async fn matches(log: &dyn EventLog) -> Vec<(String, u32, u64, bool)> {
    let page = log.read(0, 1_000, &ReadFilter::types([MATCHED])).await.unwrap();
    let read = |e: &RecordedEvent| registry::decode_payload::<RuleMatch>(e).unwrap();
    page.events.iter().map(read).map(|m| (m.rule, m.rule_version, m.signal, m.acts)).collect()
}

pub(super) async fn react(log: &Arc<MemoryLog>) {
    let mut reactor = reactor(log).await;
    while reactor.step().await.unwrap() {}
}

/// One that keeps nothing.
pub(super) async fn reactor(log: &Arc<MemoryLog>) -> Reactor {
    let clock = Arc::new(Now::default());
    Reactor::open(Parts { log: log.clone(), ids: Arc::new(RandomIds), clock, shelf: None }).await.unwrap()
}

pub(super) fn log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(Arc::new(Now::default())))
}

/// Stands still until told.
#[derive(Clone)]
pub(super) struct Now(pub Arc<Mutex<Timestamp>>);

impl Default for Now {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::UNIX_EPOCH)))
    }
}

impl domain::ports::clock::Clock for Now {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn a_rule_holds_from_its_own_position_on() {
    let log = log();
    let mut rule = Rule::default();
    send(&*log, "before", 1, 900).await;
    say(&*log, "big", &mut rule, Command::Define(over(500))).await;
    send(&*log, "over", 2, 900).await;
    send(&*log, "under", 3, 100).await;
    say(&*log, "big", &mut rule, Command::Change(over(50))).await;
    send(&*log, "now", 4, 100).await;
    say(&*log, "big", &mut rule, Command::Disable { reason: None }).await;
    send(&*log, "off", 5, 900).await;
    react(&log).await;
    let found = matches(&*log).await;
    assert_eq!(found, [("big".into(), 1, 3, true), ("big".into(), 2, 6, true)]);
    // Again from the beginning, as after a crash: nothing is recorded twice.
    react(&log).await;
    assert_eq!(matches(&*log).await, found);
}

#[tokio::test]
async fn ticks_are_recorded_while_there_is_news() {
    let log = log();
    let silent: Value = json!({"name": "silent", "app": "shop", "anomaly": {"series": {"of": "count"},
        "check": {"kind": "silence", "seconds": 60}, "tick_seconds": 10}});
    let silent = serde_json::from_value(silent).unwrap();
    say(&*log, "silent", &mut Rule::default(), Command::Define(silent)).await;
    // More than one page.
    for n in 0..super::PAGE {
        send(&*log, &n.to_string(), 1, 900).await;
    }
    let head = log.head().await.unwrap().position;
    let mut reactor = reactor(&log).await;
    assert!(reactor.turn().await.unwrap().0);
    assert!(reactor.position < head);
    let ticks = log.read(0, 10, &ReadFilter::types([TICKED])).await.unwrap().events;
    assert_eq!(ticks.len(), 1);
}

#[tokio::test]
async fn a_throttle_holds_actions_back_and_no_matches() {
    let log = log();
    let mut rule = Rule::default();
    let throttle = Some(Throttle { actions: 2, seconds: 60 });
    say(&*log, "big", &mut rule, Command::Define(Definition { throttle, ..over(1) })).await;
    for (n, second) in [10, 20, 30, 80].into_iter().enumerate() {
        send(&*log, &n.to_string(), second, 5).await;
    }
    let mut reactor = reactor(&log).await;
    while reactor.step().await.unwrap() {}
    let acted = |found: Vec<(String, u32, u64, bool)>| found.into_iter().map(|m| m.3).collect::<Vec<_>>();
    assert_eq!(acted(matches(&*log).await), [true, true, false, true]);
    // One that begins anew knows what was acted on.
    reactor.keep().await.unwrap();
    send(&*log, "later", 81, 5).await;
    send(&*log, "last", 82, 5).await;
    react(&log).await;
    assert_eq!(acted(matches(&*log).await), [true, true, false, true, true, false]);
}
