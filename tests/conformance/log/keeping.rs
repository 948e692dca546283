//! Restoring and trimming.

use domain::ports::log::{
    Append, AppendError, EventLog, ExpectedVersion, Idempotency, LogError, ReadFilter, RestoreError,
    StreamWrite,
};
use domain::{RecordedEvent, StreamId, tap};
use infra_log::{LogOptions, SqliteLog};

use super::bed::{Bed, Kept, event, metadata, on_databases, on_each, stream, tenant};

fn taps() -> StreamId {
    StreamId::new(&tenant("acme"), tap::KIND, "hub").unwrap()
}

fn write(stream: StreamId, expected: ExpectedVersion, event_type: &str) -> StreamWrite {
    let mut new = event(r#"{"x": 1}"#);
    new.event_type = event_type.into();
    StreamWrite { stream, expected, events: vec![new] }
}

async fn append(log: &dyn Kept, write: StreamWrite) -> Result<u64, AppendError> {
    let append = Append { writes: vec![write], metadata: metadata(), idempotency: None };
    log.append(vec![append]).await.remove(0).map(|receipt| receipt.events[0].version)
}

/// Odd positions are taps of one stream, even ones things of two streams.
async fn filled(bed: &Bed) -> std::sync::Arc<dyn Kept> {
    let log = bed.keep().await;
    for n in 0..60 {
        append(&*log, write(taps(), ExpectedVersion::Any, tap::TAPPED)).await.unwrap();
        let thing = stream(if n % 2 == 0 { "a" } else { "b" });
        append(&*log, write(thing, ExpectedVersion::Any, "thing.done")).await.unwrap();
    }
    log
}

async fn all(log: &dyn Kept) -> Vec<RecordedEvent> {
    log.read(0, 1_000, &ReadFilter::default()).await.unwrap().events
}

#[tokio::test]
async fn a_restored_log_is_the_log() {
    let original = Bed::memory();
    let events = all(&*filled(&original).await).await;
    on_each(async |bed| {
        let log = bed.keep().await;
        log.restore(&events[..50]).await.unwrap();
        log.restore(&events[50..]).await.unwrap();
        assert_eq!(all(&*log).await, events);
        assert_eq!(log.read_stream(&stream("a"), 1, 99).await.unwrap().len(), 30);
        // It goes on like the original would.
        let stale = append(&*log, write(stream("a"), ExpectedVersion::Exact(29), "thing.done")).await;
        assert!(matches!(stale, Err(AppendError::Conflict { actual: 30, .. })), "{stale:?}");
        let next = write(stream("a"), ExpectedVersion::Exact(30), "thing.done");
        assert_eq!(append(&*log, next).await, Ok(31));
        assert_eq!(log.head().await.unwrap().position, 121);
        bed.check_tree().await;
    })
    .await;
}

#[tokio::test]
async fn only_what_comes_next_is_restored() {
    let original = Bed::memory();
    let events = all(&*filled(&original).await).await;
    on_each(async |bed| {
        let log = bed.keep().await;
        let gap = log.restore(&events[1..]).await;
        assert_eq!(gap, Err(RestoreError::NotNext { head: 0, first: 2 }));
        let mut changed = events.clone();
        changed[70].payload.push(' ');
        let refused = log.restore(&changed).await;
        assert!(matches!(refused, Err(RestoreError::Invalid { position: 71, .. })), "{refused:?}");
        let hole = [&events[..10], &events[11..]].concat();
        assert!(matches!(log.restore(&hole).await, Err(RestoreError::NotNext { .. })));
        assert_eq!(log.head().await.unwrap().position, 0);
        log.restore(&events).await.unwrap();
        let again = log.restore(&events).await;
        assert_eq!(again, Err(RestoreError::NotNext { head: 120, first: 1 }));
    })
    .await;
}

#[tokio::test]
async fn a_trim_drops_facts_and_nothing_that_is_needed() {
    on_each(async |bed| {
        let log = filled(bed).await;
        let before = all(&*log).await;
        assert_eq!(log.trim(100).await.unwrap(), 50);
        assert_eq!((log.trim(100).await.unwrap(), log.trimmed().await.unwrap()), (0, 100));
        // Opened anew, so that nothing is answered from memory.
        let log = bed.keep().await;
        let everything = ReadFilter::default();
        let trimmed = Err(LogError::Trimmed { upto: 100 });
        assert_eq!(log.read(0, 10, &everything).await, trimmed);
        assert_eq!(log.read(99, 10, &ReadFilter::types([tap::TAPPED])).await, trimmed);
        assert_eq!(log.read(100, 50, &everything).await.unwrap().events, before[100..]);
        let things = log.read(0, 100, &ReadFilter::types(["thing.done"])).await.unwrap().events;
        assert_eq!(things.len(), 60);
        // What decisions load is whole.
        assert_eq!(log.read_stream(&stream("a"), 1, 99).await.unwrap().len(), 30);
        assert!(matches!(log.read_stream(&taps(), 1, 99).await, Err(LogError::Trimmed { .. })));
        assert_eq!(log.read_stream(&taps(), 51, 99).await.unwrap().len(), 10);
        assert_eq!(log.last(&taps()).await.unwrap().unwrap().version, 60);
    })
    .await;
}

#[tokio::test]
async fn versions_go_on_after_a_trim() {
    on_each(async |bed| {
        let log = filled(bed).await;
        // Even if every tap but the newest is gone.
        assert_eq!(log.trim(u64::MAX).await.unwrap(), 59);
        let log = bed.keep().await;
        let stale = append(&*log, write(taps(), ExpectedVersion::NoStream, tap::TAPPED)).await;
        assert!(matches!(stale, Err(AppendError::Conflict { actual: 60, .. })), "{stale:?}");
        assert_eq!(append(&*log, write(taps(), ExpectedVersion::Exact(60), tap::TAPPED)).await, Ok(61));
        assert_eq!(append(&*log, write(taps(), ExpectedVersion::Any, tap::TAPPED)).await, Ok(62));
        assert_eq!(log.head().await.unwrap().position, 122);
    })
    .await;
}

#[tokio::test]
async fn no_reply_names_what_may_be_trimmed() {
    on_each(async |bed| {
        let log = bed.keep().await;
        let idempotency = Some(Idempotency {
            tenant: tenant("acme"),
            key: "k".into(),
            request_hash: [0; 32],
            reply: "{}".into(),
        });
        let writes = vec![write(taps(), ExpectedVersion::Any, tap::TAPPED)];
        let refused = log.append(vec![Append { writes, metadata: metadata(), idempotency }]).await.remove(0);
        assert!(matches!(refused, Err(AppendError::Invalid(_))), "{refused:?}");
    })
    .await;
}

/// SQLite's write-ahead log is brought into the file while others have it open.
#[tokio::test]
async fn what_is_appended_comes_into_the_file() {
    on_databases(async |bed| {
        let Some(file) = bed.file() else { return };
        let log = SqliteLog::open(&file, LogOptions::new(bed.clock.clone())).await.unwrap();
        let reader = rusqlite::Connection::open(&file).unwrap();
        for _ in 0..12 {
            let mut write = write(taps(), ExpectedVersion::Any, tap::TAPPED);
            write.events[0].payload = format!(r#"{{"x": "{}"}}"#, "x".repeat(1_000_000));
            let append = Append { writes: vec![write], metadata: metadata(), idempotency: None };
            log.append(vec![append]).await.remove(0).unwrap();
        }
        // The reader keeps SQLite from doing it at the end.
        log.close().await;
        assert!(std::fs::metadata(&file).unwrap().len() > 8 << 20);
        drop(reader);
    })
    .await;
}
