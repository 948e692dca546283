//! Input that no log takes, and a queue that is full.

use std::time::Duration;

use domain::StreamId;
use domain::ports::log::{
    Append, AppendError, ExpectedVersion::*, MAX_EVENTS_PER_APPEND, MAX_PAYLOAD_BYTES, StreamWrite,
};
use sqlx::Connection;

use super::bed::*;

/// Changes a good append into a bad one.
type Spoil = fn(&mut Append);

#[tokio::test]
async fn bad_input_is_refused_and_harms_nobody_else() {
    let spoils: &[Spoil] = &[
        |a| a.writes[0].events[0].payload = "{".into(),
        |a| a.writes[0].events[0].payload = String::new(),
        |a| a.writes[0].events[0].payload = "\"\0\"".into(),
        |a| a.writes[0].events[0].payload = r#""\udc00""#.into(),
        |a| a.writes[0].events[0].payload = "[".repeat(1000) + &"]".repeat(1000),
        |a| a.writes[0].events[0].payload = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES)),
        |a| a.writes[0].events[0].event_type = "two words".into(),
        |a| a.writes[0].stream = StreamId { id: "a/b".into(), ..stream("a") },
        |a| a.writes[0].stream = StreamId { id: "x".repeat(129).into(), ..stream("a") },
        |a| a.writes[0].stream = StreamId { kind: "a\nb".into(), ..stream("a") },
        |a| a.writes.push(write("bad", Any, 1)),
        |a| a.writes = vec![write("bad", Any, MAX_EVENTS_PER_APPEND + 1)],
        |a| a.metadata.actor = "a\nposition 7".into(),
        |a| a.metadata.actor = "".into(),
        |a| a.metadata.correlation_id = "\0".into(),
        |a| a.metadata.correlation_id = "x".repeat(257).into(),
        |a| *a = with_key(a.clone(), "", 1),
        |a| *a = with_key(a.clone(), "a\tb", 1),
        |a| a.writes[0].events = (0..17).map(|_| event(&format!("\"{}\"", "x".repeat(1_000_000)))).collect(),
    ];
    on_each(async |bed| {
        let log = bed.open().await;
        for (index, spoil) in spoils.iter().enumerate() {
            let mut bad = one("bad", Any);
            spoil(&mut bad);
            let outcomes = log.append(vec![one("good", Any), bad, one("good", Any)]).await;
            assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
            assert!(matches!(outcomes[1], Err(AppendError::Invalid(_))), "{index}: {:?}", outcomes[1]);
        }
        assert_eq!(log.last(&stream("bad")).await.unwrap(), None);
        assert_eq!(log.head().await.unwrap().position, 2 * spoils.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn the_largest_append_goes_in_whole() {
    on_each(async |bed| {
        let log = bed.open().await;
        let writes = (0..100).map(|n| write(&format!("s{n}"), NoStream, MAX_EVENTS_PER_APPEND / 100));
        let receipt = put(&log, append(writes.collect())).await.unwrap();
        assert_eq!(receipt.events.len(), MAX_EVENTS_PER_APPEND);
        let big = (0..15).map(|_| event(&format!("\"{}\"", "x".repeat(1_000_000)))).collect();
        let big = StreamWrite { stream: stream("big"), expected: Any, events: big };
        put(&log, append(vec![big.clone()])).await.unwrap();
        put(&log, append(vec![big])).await.unwrap();
        // However large: fewer than were asked for only where the stream ends.
        assert_eq!(log.read_stream(&stream("big"), 1, 29).await.unwrap().len(), 29);
        assert_eq!(log.read_stream(&stream("big"), 2, 99).await.unwrap().len(), 29);
        check_log(&read_all(&bed.open().await, 20_000).await);
    })
    .await;
}

/// Keeps every writer of the log from writing until it is dropped.
enum Blocker {
    Sqlite(#[expect(dead_code, reason = "holds the lock")] rusqlite::Connection),
    Postgres(#[expect(dead_code, reason = "holds the lock")] sqlx::PgConnection),
}

async fn block(bed: &Bed) -> Blocker {
    if let Some(file) = bed.file() {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        return Blocker::Sqlite(connection);
    }
    let mut connection = sqlx::PgConnection::connect(bed.url().unwrap()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events").execute(&mut connection).await.unwrap();
    Blocker::Postgres(connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_loses_nothing() {
    on_databases(async |bed| {
        let log = bed.open_with(|options| options.queue_appends = 10).await;
        put(&log, one("a", Any)).await.unwrap();
        let blocker = block(bed).await;
        let mut waiting = Vec::new();
        // The writer takes some away while the queue fills.
        let refused = loop {
            let mut attempt = Box::pin(log.append(vec![one("a", Any)]));
            match futures::poll!(&mut attempt) {
                std::task::Poll::Pending => waiting.push(attempt),
                std::task::Poll::Ready(outcomes) => break outcomes,
            }
            assert!(waiting.len() < 2_000, "the queue never fills");
        };
        assert_eq!(refused, [Err(AppendError::QueueFull)]);
        drop(blocker);
        let done = tokio::time::timeout(Duration::from_secs(30), futures::future::join_all(waiting)).await;
        let done = done.unwrap();
        assert!(done.iter().all(|outcomes| outcomes[0].is_ok()));
        assert_eq!(log.head().await.unwrap().position, 1 + done.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn recorded_events_cannot_be_changed_behind_the_log() {
    on_databases(async |bed| {
        let log = bed.open().await;
        put(&log, one("a", Any)).await.unwrap();
        let statements = ["UPDATE events SET payload = '{}'", "DELETE FROM events"];
        if let Some(file) = bed.file() {
            let connection = rusqlite::Connection::open(file).unwrap();
            for statement in
                statements.into_iter().chain(["UPDATE streams SET id = 'b'", "DELETE FROM streams"])
            {
                assert!(connection.execute(statement, []).is_err());
            }
        } else {
            for statement in statements {
                let mut connection = sqlx::PgConnection::connect(bed.url().unwrap()).await.unwrap();
                assert!(sqlx::query(statement).execute(&mut connection).await.is_err());
            }
        }
        check_log(&read_all(&log, 10).await);
    })
    .await;
}
