use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use domain::RecordedEvent;
use domain::decide::{Context, Decide};
use domain::delivery::{Death, Event};
use domain::endpoint::{self, Change, Definition, NewKey, OrderedBy, WebhookEndpoint};
use domain::ports::webhooks::{Answer, Failure, Request};
use domain::{Secret, delivery, signal};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::testing::Counted;

#[derive(Clone)]
struct Now(Arc<Mutex<Timestamp>>);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Random;

impl Ids for Random {
    fn next(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// Answers by the signal's id, 200 unless told; remembers what it was sent.
#[derive(Default)]
struct Fake {
    answers: Mutex<HashMap<String, u16>>,
    sent: Mutex<Vec<String>>,
}

#[async_trait]
impl Sender for Fake {
    async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let event: Value = serde_json::from_slice(&request.body).unwrap();
        let id = event["data"]["signal"]["event"]["id"].as_str().unwrap_or("ping").to_owned();
        let status = self.answers.lock().unwrap().get(&id).copied().unwrap_or(200);
        self.sent.lock().unwrap().push(id);
        Ok(Answer { status, retry_after: None, body: Vec::new() })
    }
}

struct Bed {
    log: Arc<MemoryLog>,
    now: Now,
    fake: Arc<Fake>,
}

impl Bed {
    fn new() -> Self {
        let now = Now(Arc::new(Mutex::new(Timestamp::UNIX_EPOCH)));
        Self { log: Arc::new(MemoryLog::new(Arc::new(now.clone()))), now, fake: Arc::default() }
    }

    async fn dispatcher(&self) -> Dispatcher {
        self.over(self.log.clone(), Arc::new(MemoryRows::new())).await
    }

    async fn over(&self, log: Arc<dyn EventLog>, rows: Arc<dyn RowStore>) -> Dispatcher {
        let parts = Parts {
            log,
            rows: rows.clone(),
            clock: Arc::new(self.now.clone()),
            ids: Arc::new(Random),
            sender: self.fake.clone(),
        };
        let delays = vec![Duration::from_secs(5), Duration::from_secs(60)];
        let schedule = Schedule { delays, jitter_percent: 0, max_retry_after: Duration::ZERO };
        let config = DispatcherConfig {
            owner: "test".into(),
            schedule,
            concurrency: 8,
            disable_after: Duration::from_secs(3_600),
        };
        let book = Book::open(rows, "test").await.unwrap();
        Dispatcher::open(parts, config, book).await.unwrap()
    }

    fn pass(&self, seconds: i64) {
        *self.now.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    async fn append(&self, kind: &str, id: &str, events: Vec<NewEvent>) {
        let stream = StreamId::new(&TenantId::new("acme").unwrap(), kind, id).unwrap();
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
        let append = Append { writes, ..as_append(&Random, Vec::new(), None).unwrap() };
        self.log.append(vec![append]).await.remove(0).unwrap();
    }

    async fn endpoint(&self, more: Definition) {
        let filter = endpoint::Filter { types: vec!["*".into()], ..Default::default() };
        let definition = Definition { url: "https://hooks.example/".into(), filter, ..more };
        let key = signatures::Key::new(signatures::Scheme::V1, &[1; 32]);
        let key = NewKey { secret: Secret::new(key.text().as_str()), public: None };
        let change = Change { definition, credential: None, headers: None };
        let command = endpoint::Command::Create { endpoint: "ops".into(), change, key };
        let context = Context { now: self.now.now(), urls: Default::default() };
        let decision = WebhookEndpoint::default().decide(command, &context).unwrap();
        let events = decision.events.iter().map(|e| registry::new_event(e, Uuid::new_v4()).unwrap());
        self.append(endpoint::KIND, "ops", events.collect()).await;
    }

    async fn signal(&self, id: &str, subject: &str) {
        let payload = json!({"app": "shop", "source": "/a", "id": id, "type": "order", "subject": subject, "format": "app"});
        let event = NewEvent {
            event_id: Uuid::new_v4(),
            event_type: signal::RECEIVED.into(),
            schema: 1,
            occurred_at: None,
            payload: payload.to_string(),
        };
        self.append(signal::KIND, id, vec![event]).await;
    }

    fn sent(&self) -> Vec<String> {
        let mut sent = std::mem::take(&mut *self.fake.sent.lock().unwrap());
        sent.sort();
        sent
    }

    async fn recorded(&self) -> Vec<RecordedEvent> {
        self.log.read(0, 10_000, &ReadFilter::default()).await.unwrap().events
    }

    async fn deliveries(&self) -> Vec<Event> {
        let all = self.recorded().await;
        all.iter()
            .filter(|e| &*e.stream.kind == delivery::KIND)
            .map(|e| registry::decode(e).unwrap())
            .collect()
    }
}

impl Dispatcher {
    /// Does all that there is to do now.
    async fn settle(&mut self) {
        loop {
            while self.step().await.unwrap() {}
            self.send_due();
            let mut done = Vec::new();
            while let Some(one) = self.under_way.join_next().await {
                done.push(one.unwrap());
            }
            if done.is_empty() {
                return;
            }
            self.record(done).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_delivery_waits_for_those_of_its_key_before_it() {
    let bed = Bed::new();
    bed.endpoint(Definition { ordered_by: Some(OrderedBy::Subject), ..Default::default() }).await;
    bed.fake.answers.lock().unwrap().insert("a1".into(), 500);
    for (id, subject) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")] {
        bed.signal(id, subject).await;
    }
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["a1", "b1", "b2"]);
    bed.pass(5);
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["a1"]);
    // One that starts now knows the same.
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), [""; 0]);
    bed.pass(60);
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["a1", "a2"]);
    let verdict = verify::verify(&*bed.log, None, bed.now.now(), Duration::ZERO).await.unwrap();
    assert!(verdict.good(), "{verdict:?}");
    assert_eq!((verdict.deliveries, verdict.delivered, verdict.dead, verdict.attempts), (4, 3, 1, 6));
}

#[tokio::test]
async fn of_two_dispatchers_one_records() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.signal("s1", "a").await;
    let (mut one, mut other) = (bed.dispatcher().await, bed.dispatcher().await);
    for dispatcher in [&mut one, &mut other] {
        while dispatcher.step().await.unwrap() {}
    }
    one.send_due();
    other.send_due();
    for dispatcher in [&mut one, &mut other] {
        let done = dispatcher.under_way.join_next().await.unwrap().unwrap();
        dispatcher.record(vec![done]).await.unwrap();
    }
    assert_eq!(bed.sent(), ["s1", "s1"]);
    let deliveries = bed.deliveries().await;
    assert_eq!(deliveries.len(), 3, "{deliveries:?}");
    one.settle().await;
    other.settle().await;
    assert_eq!(bed.sent(), [""; 0]);
}

#[tokio::test]
async fn what_was_open_when_the_log_was_restored_is_not_sent() {
    let bed = Bed::new();
    assert_eq!(live_from_here(&*bed.log, &Random).await.unwrap(), None);
    bed.endpoint(Definition::default()).await;
    bed.fake.answers.lock().unwrap().insert("old".into(), 500);
    bed.signal("old", "a").await;
    bed.dispatcher().await.settle().await;
    bed.signal("unseen", "a").await;
    assert_eq!(bed.sent(), ["old"]);
    assert!(live_from_here(&*bed.log, &Random).await.unwrap().is_some());
    bed.pass(600);
    bed.signal("new", "a").await;
    bed.dispatcher().await.settle().await;
    assert_eq!(bed.sent(), ["new"]);
    let ends = bed.deliveries().await;
    let restored = |e: &&Event| matches!(e, Event::Dead { reason: Death::Restored, .. });
    assert_eq!(ends.iter().filter(restored).count(), 1, "{ends:?}");
    let verdict = verify::verify(&*bed.log, None, bed.now.now(), Duration::ZERO).await.unwrap();
    assert!(verdict.good(), "{verdict:?}");
    // Asked for again it is sent all the same.
    let id =
        bed.recorded().await.iter().find(|e| &*e.event_type == delivery::DEAD).unwrap().stream.id.clone();
    let again = Event::RequestedAgain { endpoint: "ops".into(), cause: 2, due_at: bed.now.now() };
    bed.append(delivery::KIND, &id, vec![registry::new_event(&again, Uuid::new_v4()).unwrap()]).await;
    bed.dispatcher().await.settle().await;
    assert_eq!(bed.sent(), ["old"]);
}

#[tokio::test]
async fn an_endpoint_that_only_fails_is_disabled_and_its_deliveries_end() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    for id in ["s1", "s2"] {
        bed.fake.answers.lock().unwrap().insert(id.into(), 500);
    }
    bed.signal("s1", "a").await;
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    bed.pass(3_600);
    bed.signal("s2", "a").await;
    dispatcher.settle().await;
    let all = bed.recorded().await;
    let disabled = all.iter().find(|e| &*e.event_type == endpoint::DISABLED).unwrap();
    assert_eq!(disabled.payload, r#"{"by":"failing","since":"1970-01-01T00:00:00Z"}"#);
    let ends = bed.deliveries().await;
    let ended = |e: &&Event| matches!(e, Event::Dead { reason: Death::EndpointDisabled, .. });
    assert_eq!(ends.iter().filter(ended).count(), 2, "{ends:?}");
    bed.sent();
    bed.signal("s3", "a").await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), [""; 0]);
}

#[tokio::test]
async fn a_lost_delivery_is_told_of() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.signal("s1", "a").await;
    let place = place_event(ADVANCED, 2, Uuid::new_v4());
    bed.log.append(vec![as_append(&Random, vec![place], None).unwrap()]).await.remove(0).unwrap();
    let look = async || verify::verify(&*bed.log, None, bed.now.now(), Duration::ZERO).await.unwrap();
    assert_eq!(look().await.named[0].what, "was never scheduled");
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.fake.answers.lock().unwrap().insert("s1".into(), 500);
    bed.signal("s1", "a").await;
    bed.dispatcher().await.settle().await;
    let late = |now| {
        let log = bed.log.clone();
        async move { verify::verify(&*log, None, now, Duration::from_secs(10)).await.unwrap() }
    };
    assert!(late(Timestamp::from_second(15).unwrap()).await.good());
    assert_eq!(late(Timestamp::from_second(16).unwrap()).await.problems, 1);
}

#[tokio::test]
async fn a_start_reads_what_is_open_and_no_history() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let mut dispatcher = bed.over(bed.log.clone(), rows.clone()).await;
    for n in 0..300 {
        bed.signal(&format!("s{n}"), "a").await;
    }
    bed.fake.answers.lock().unwrap().insert("open".into(), 500);
    bed.signal("open", "a").await;
    dispatcher.settle().await;
    dispatcher.keep().await.unwrap();
    assert_eq!(bed.sent().len(), 301);
    // One event of an endpoint, and what was said after the place was kept.
    let counted = Arc::new(Counted::new(bed.log.clone()));
    let lease = dispatcher.book.lease.clone();
    rows.release(&lease).await.unwrap();
    let mut dispatcher = bed.over(counted.clone(), rows.clone()).await;
    assert_eq!(counted.read.load(Ordering::Relaxed), 1);
    bed.signal("new", "a").await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["new"]);
    bed.pass(5);
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["open"]);
    // The signal, four facts of its delivery, one more attempt, one place.
    let read = counted.read.load(Ordering::Relaxed);
    assert!(read < 20, "{read} events read");
    // It is failing since its first failure, not since the start.
    let key = (TenantId::new("acme").unwrap(), "ops".into());
    let failing = |d: &Dispatcher| d.ledger.get(&key).unwrap().failing_since;
    assert_eq!(failing(&dispatcher), Some(Timestamp::from_second(5).unwrap()));
    bed.pass(60);
    dispatcher.settle().await;
    dispatcher.keep().await.unwrap();
    let lease = dispatcher.book.lease.clone();
    rows.release(&lease).await.unwrap();
    let dispatcher = bed.over(counted.clone(), rows.clone()).await;
    assert_eq!(failing(&dispatcher), Some(Timestamp::from_second(5).unwrap()));
    assert!(dispatcher.ledger.all().all(|(_, endpoint)| endpoint.open.is_empty()));
    let verdict = verify::verify(&*bed.log, None, bed.now.now(), Duration::ZERO).await.unwrap();
    assert!(verdict.good(), "{verdict:?}");
    assert_eq!((verdict.deliveries, verdict.delivered, verdict.dead), (302, 301, 1));
}

#[tokio::test]
async fn rows_that_know_more_than_the_log_are_not_used() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.signal("s1", "a").await;
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let mut dispatcher = bed.over(bed.log.clone(), rows.clone()).await;
    dispatcher.settle().await;
    dispatcher.keep().await.unwrap();
    rows.release(&dispatcher.book.lease.clone()).await.unwrap();
    let other = Bed::new();
    other.endpoint(Definition::default()).await;
    other.fake.answers.lock().unwrap().insert("s2".into(), 500);
    other.signal("s2", "a").await;
    let mut dispatcher = other.over(other.log.clone(), rows).await;
    dispatcher.settle().await;
    assert_eq!(other.sent(), ["s2"]);
    other.pass(5);
    dispatcher.settle().await;
    assert_eq!(other.sent(), ["s2"]);
}

#[tokio::test]
async fn what_was_asked_for_again_outlasts_a_start_that_made_the_rows() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.signal("s1", "a").await;
    bed.dispatcher().await.settle().await;
    assert_eq!(bed.sent(), ["s1"]);
    let all = bed.recorded().await;
    let id = all.iter().find(|e| &*e.event_type == delivery::DELIVERED).unwrap().stream.id.clone();
    let again = Event::RequestedAgain { endpoint: "ops".into(), cause: 2, due_at: bed.now.now() };
    bed.append(delivery::KIND, &id, vec![registry::new_event(&again, Uuid::new_v4()).unwrap()]).await;
    let head = bed.log.head().await.unwrap().position;
    let place = place_event(ADVANCED, head, Uuid::new_v4());
    bed.log.append(vec![as_append(&Random, vec![place], None).unwrap()]).await.remove(0).unwrap();
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let killed = bed.over(bed.log.clone(), rows.clone()).await;
    rows.release(&killed.book.lease.clone()).await.unwrap();
    drop(killed);
    bed.over(bed.log.clone(), rows).await.settle().await;
    assert_eq!(bed.sent(), ["s1"]);
}

#[tokio::test]
async fn rows_at_a_position_that_the_log_does_not_name_are_not_used() {
    let bed = Bed::new();
    bed.endpoint(Definition::default()).await;
    bed.fake.answers.lock().unwrap().insert("gone".into(), 500);
    bed.signal("gone", "a").await;
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let mut dispatcher = bed.over(bed.log.clone(), rows.clone()).await;
    dispatcher.settle().await;
    dispatcher.keep().await.unwrap();
    let at = dispatcher.book.position;
    rows.release(&dispatcher.book.lease.clone()).await.unwrap();
    // What was recorded instead, and more of it.
    let other = Bed::new();
    other.endpoint(Definition::default()).await;
    other.fake.answers.lock().unwrap().insert("open".into(), 500);
    for id in ["s1", "s2", "open"] {
        other.signal(id, "a").await;
    }
    let mut dispatcher = other.dispatcher().await;
    dispatcher.settle().await;
    dispatcher.keep().await.unwrap();
    assert!(dispatcher.position > at);
    assert_eq!(other.sent(), ["open", "s1", "s2"]);
    for _ in 0..2 {
        let mut dispatcher = other.over(other.log.clone(), rows.clone()).await;
        assert!(dispatcher.ledger.all().all(|(_, endpoint)| endpoint.open.len() == 1));
        dispatcher.settle().await;
        assert_eq!(other.sent(), [""; 0]);
        dispatcher.keep().await.unwrap();
        assert_eq!(dispatcher.book.position, at);
        rows.release(&dispatcher.book.lease.clone()).await.unwrap();
    }
    other.pass(5);
    other.over(other.log.clone(), rows).await.settle().await;
    assert_eq!(other.sent(), ["open"]);
}

#[tokio::test]
async fn a_rate_holds_for_each_endpoint_by_itself() {
    let bed = Bed::new();
    bed.endpoint(Definition { rate_per_second: Some(2), concurrency: Some(8), ..Default::default() }).await;
    for n in 0..5 {
        bed.signal(&format!("s{n}"), "a").await;
    }
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["s0"]);
    dispatcher.settle().await;
    assert_eq!(bed.sent(), [""; 0]);
    for n in 1..5 {
        *bed.now.0.lock().unwrap() += SignedDuration::from_millis(499);
        dispatcher.settle().await;
        assert_eq!(bed.sent(), [""; 0]);
        *bed.now.0.lock().unwrap() += SignedDuration::from_millis(1);
        dispatcher.settle().await;
        assert_eq!(bed.sent(), [format!("s{n}")]);
    }
}

#[tokio::test]
async fn a_clock_set_back_holds_up_only_what_waits_for_a_time() {
    let bed = Bed::new();
    bed.pass(7_200);
    bed.endpoint(Definition { rate_per_second: Some(2), ..Default::default() }).await;
    for id in ["a1", "b1"] {
        bed.fake.answers.lock().unwrap().insert(id.into(), 500);
    }
    bed.signal("a1", "a").await;
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["a1"]);
    bed.pass(-3_600);
    bed.signal("b1", "b").await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), ["b1"], "at once, and once");
    // One that starts meanwhile waits as well.
    let mut dispatcher = bed.dispatcher().await;
    dispatcher.settle().await;
    assert_eq!(bed.sent(), [""; 0]);
    bed.fake.answers.lock().unwrap().clear();
    for again in ["a1", "b1"] {
        bed.pass(if again == "a1" { 3_605 } else { 1 });
        dispatcher.settle().await;
        assert_eq!(bed.sent(), [again]);
    }
    let verdict = verify::verify(&*bed.log, None, bed.now.now(), Duration::ZERO).await.unwrap();
    assert!(verdict.good() && verdict.delivered == 2, "{verdict:?}");
}
