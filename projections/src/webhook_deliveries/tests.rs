use domain::StreamId;
use domain::delivery::Event;
use domain::envelope::Metadata;
use domain::registry;
use serde::Serialize;
use uuid::Uuid;

use super::*;
use crate::testing::fold;

struct History {
    events: Vec<RecordedEvent>,
}

impl History {
    fn tenant() -> TenantId {
        TenantId::new("acme").unwrap()
    }

    fn say<E: Serialize>(&mut self, kind: &str, id: &str, event: E) {
        let new = registry::new_event(&event, Uuid::nil()).unwrap();
        let stream = StreamId::new(&Self::tenant(), kind, id).unwrap();
        let version = 1 + self.events.iter().filter(|e| e.stream == stream).count() as u64;
        self.events.push(RecordedEvent {
            position: self.events.len() as u64 + 1,
            stream,
            version,
            event_id: new.event_id,
            event_type: new.event_type,
            schema: new.schema,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                actor: "test".into(),
                command_id: Uuid::nil(),
                correlation_id: "c".into(),
                causation_id: None,
            },
            payload: new.payload,
            leaf: [0; 32],
        });
    }

    fn attempt(&mut self, id: &str, cause: u64, attempt: u32, status: u16, latency_ms: u64) {
        let attempted = Attempted {
            endpoint: "ops".into(),
            cause,
            attempt,
            at: Timestamp::UNIX_EPOCH,
            latency_ms,
            status: Some(status),
            error: None,
            detail: None,
            excerpt: None,
            next_at: (status >= 300).then(|| Timestamp::from_second(5).unwrap()),
        };
        self.say(delivery::KIND, id, Event::Attempted(attempted));
    }

    fn schedule(&mut self, id: &str, cause: u64) {
        let of = Scheduled {
            endpoint: "ops".into(),
            cause,
            cause_id: Uuid::nil(),
            cause_type: "rule.matched".into(),
            signal: None,
            app: None,
            rule: None,
            rule_version: None,
            key: None,
            due_at: Timestamp::UNIX_EPOCH,
        };
        self.say(delivery::KIND, id, Event::Scheduled(of));
    }
}

fn history() -> History {
    let mut history = History { events: Vec::new() };
    let definition = Definition { url: "https://a.example/".into(), ..Definition::default() };
    let created = endpoint::Event::Created {
        endpoint: "ops".into(),
        definition,
        secret: "whsec_secret".into(),
        public_key: None,
        credential: Some("password".into()),
        headers: Some(r#"{"X-Token":"value"}"#.into()),
    };
    history.say(endpoint::KIND, "ops", created);
    history.schedule("msg_1", 40);
    history.schedule("msg_2", 41);
    history.attempt("msg_1", 40, 1, 500, 2_000);
    history.attempt("msg_2", 41, 1, 200, 10);
    let ended = Event::Delivered { endpoint: "ops".into(), cause: 41, attempts: 1 };
    history.say(delivery::KIND, "msg_2", ended);
    history
}

#[test]
fn deliveries_are_listed_and_counted() {
    let history = history();
    for batch in [1, 100] {
        let rows = fold(&WebhookDeliveries, &history.events, batch).unwrap();
        let tenant = History::tenant();
        let statistics: StatisticsRow = rows.get(STATISTICS, &tenant, "ops").unwrap();
        assert_eq!((statistics.scheduled, statistics.delivered, statistics.attempts), (2, 1, 2));
        assert_eq!(statistics.failed_attempts, 1);
        let [middle, most] = [0.5, 0.99].map(|part| statistics.percentile(part).unwrap());
        assert!((10.0..=10.5).contains(&middle) && (2_000.0..=2_100.0).contains(&most), "{middle} {most}");
        let newest: Vec<(String, DeliveryRow)> = rows.table(NEWEST, &tenant);
        let states: Vec<_> = newest.iter().map(|(_, row)| (row.id.as_str(), row.status)).collect();
        assert_eq!(states, [("msg_2", State::Delivered), ("msg_1", State::Due)]);
        assert_eq!(newest[1].1.next_at, Timestamp::from_second(5).ok());
        assert_eq!(rows.get::<IdRow>(IDS, &tenant, "msg_1").unwrap().cause, 40);
    }
}

#[test]
fn no_secret_is_in_a_row() {
    let rows = fold(&WebhookDeliveries, &history().events, 10).unwrap();
    for (_, doc) in rows.all().values() {
        assert!(!doc.contains("whsec_") && !doc.contains("password") && !doc.contains("value"), "{doc}");
    }
    let row: EndpointRow = rows.get(ENDPOINTS, &History::tenant(), "ops").unwrap();
    assert_eq!((row.headers, row.keys.len()), (vec!["X-Token".to_owned()], 1));
}

#[test]
fn without_an_answer_there_is_no_percentile() {
    assert_eq!(StatisticsRow::default().percentile(0.5), None);
}
