//! Events that mean nothing, to fill a log with.

use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::{RecordedEvent, StreamId, TenantId};
use uuid::Uuid;

/// Appends so many taps of tenant `acme` and answers the head after them.
pub async fn fill(log: &dyn EventLog, events: usize) -> u64 {
    fill_with(log, events, |n| format!(r#"{{"band_id":"b-{n}","source":"hub"}}"#)).await
}

/// # Panics
/// If the log refuses them.
pub async fn fill_with(log: &dyn EventLog, events: usize, payload: impl Fn(usize) -> String) -> u64 {
    let tenant = TenantId::new("acme").expect("a tenant");
    let stream = StreamId::new(&tenant, "taps", "journal-1").expect("a stream");
    let mut head = 0;
    for chunk in (0..events).collect::<Vec<_>>().chunks(1_000) {
        let events = chunk.iter().map(|n| NewEvent {
            event_id: Uuid::now_v7(),
            event_type: "band.tapped".into(),
            schema: 1,
            occurred_at: None,
            payload: payload(*n),
        });
        let write =
            StreamWrite { stream: stream.clone(), expected: ExpectedVersion::Any, events: events.collect() };
        let metadata = Metadata {
            actor: "hub".into(),
            command_id: Uuid::now_v7(),
            correlation_id: "test".into(),
            causation_id: None,
        };
        let done = log.append(vec![Append { writes: vec![write], metadata, idempotency: None }]).await;
        head = done.into_iter().next().expect("an outcome").expect("appended").position();
    }
    head
}

/// All events past a position.
///
/// # Panics
/// If the log does not read.
pub async fn all(log: &dyn EventLog, mut after: u64) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    loop {
        let page = log.read(after, 10_000, &ReadFilter::default()).await.expect("the log reads");
        if page.events.is_empty() {
            return events;
        }
        after = page.through;
        events.extend(page.events);
    }
}
