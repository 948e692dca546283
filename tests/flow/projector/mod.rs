//! The projector against stores that fail, stop and hand over.

pub mod faulty;
mod passing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook_tests::clock::FixedClock;
use domain::envelope::Metadata;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::ports::rows::*;
use domain::{NewEvent, RecordedEvent, StreamId, TenantId};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use projections::board::Board;
use projections::projector::{Options, Projector};
use projections::testing::fold;
use projections::{ApplyError, Projection, Row, Rows};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use faulty::{Fault, Faulty};

const TYPE: &str = "band.tapped";
/// Between two looks at whether a condition holds.
const POLL: Duration = Duration::from_millis(2);
const POISON: &str = r#"{"poison":true}"#;
const TABLES: &[TableSpec] = &[
    TableSpec { name: "counts", sorted: true, columns: &[] },
    TableSpec { name: "total", sorted: false, columns: &[] },
];

/// Notes every event of a stream in order, and counts all of them. Applying an
/// event twice, or leaving one out, shows.
#[derive(Default)]
struct Counting {
    /// Poison is food now.
    cured: AtomicBool,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    positions: Vec<u64>,
}

impl Row for Seen {
    fn sort_key(&self) -> Option<String> {
        Some(format!("{:06}", self.positions.len()))
    }
}

impl Projection for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }
    fn model(&self) -> ModelId {
        ModelId::new("counting", 1)
    }
    fn event_types(&self) -> &'static [&'static str] {
        &[TYPE]
    }
    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }
    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let (tenant, id) = (&event.stream.tenant, &event.stream.id);
        rows.entry_or_default::<Seen>("total", tenant, "all")?.positions.push(0);
        rows.entry_or_default::<Seen>("counts", tenant, id)?.positions.push(event.position);
        if event.payload == POISON && !self.cured.load(Ordering::SeqCst) {
            // Rows are half changed by now.
            if event.position.is_multiple_of(2) {
                panic!("cannot stand it")
            }
            return Err(ApplyError::Event("poison".into()));
        }
        Ok(())
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(Arc::new(FixedClock::at("2026-05-01T00:00:00Z"))))
}

async fn append(log: &MemoryLog, stream: &str, payload: &str) {
    append_of(log, TYPE, stream, payload).await;
}

async fn append_of(log: &MemoryLog, event_type: &'static str, stream: &str, payload: &str) {
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: event_type.into(),
        schema: 1,
        occurred_at: None,
        payload: payload.into(),
    };
    let write = StreamWrite {
        stream: StreamId::new(&tenant(), "taps", stream).unwrap(),
        expected: ExpectedVersion::Any,
        events: vec![event],
    };
    let metadata = Metadata {
        actor: "test".into(),
        command_id: Uuid::now_v7(),
        correlation_id: "test".into(),
        causation_id: None,
    };
    let outcome = log.append(vec![Append { writes: vec![write], metadata, idempotency: None }]).await;
    outcome.into_iter().next().unwrap().unwrap();
}

struct Run {
    task: JoinHandle<()>,
    cancel: CancellationToken,
}

impl Run {
    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// Small batches, so that there are many steps to fail at.
fn run(log: &Arc<MemoryLog>, rows: &Arc<dyn RowStore>, projection: &Arc<Counting>, owner: &str) -> Run {
    let mut options = Options::new(owner);
    options.batch = 3;
    options.lease = Duration::from_millis(60);
    options.linger = Duration::ZERO;
    let projector =
        Projector { log: log.clone(), rows: rows.clone(), board: Arc::new(Board::default()), options };
    let (projection, cancel) = (projection.clone(), CancellationToken::new());
    let stop = cancel.clone();
    Run { task: tokio::spawn(async move { projector.run(projection, stop).await }), cancel }
}

async fn reached(rows: &dyn RowStore, position: u64) {
    let wait = async {
        loop {
            let read = rows.read(&Source::live("counting"), &tenant(), &[]).await;
            if read.is_ok_and(|s| s.position >= position) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the position is reached");
}

type Table = Vec<(String, Vec<u64>)>;

async fn stored(rows: &dyn RowStore) -> [Table; 2] {
    let queries = [Query::prefix("counts", "", 1_000), Query::prefix("total", "", 10)];
    let snapshot = rows.read(&Source::live("counting"), &tenant(), &queries).await.unwrap();
    let table = |rows: &Vec<StoredRow>| {
        let seen = |r: &StoredRow| serde_json::from_str::<Seen>(&r.doc).unwrap().positions;
        rows.iter().map(|r| (r.key.clone(), seen(r))).collect()
    };
    [table(&snapshot.results[0]), table(&snapshot.results[1])]
}

/// What folding the whole log in memory comes to.
async fn rebuilt(log: &MemoryLog, projection: &Counting, without: &[u64]) -> [Table; 2] {
    let mut events = log.read(0, 10_000, &Default::default()).await.unwrap().events;
    events.retain(|e| !without.contains(&e.position));
    let rows = fold(projection, &events, 4).unwrap();
    let table =
        |name| rows.table::<Seen>(name, &tenant()).into_iter().map(|(k, v)| (k, v.positions)).collect();
    [table("counts"), table("total")]
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_exact_whatever_call_fails() {
    for fault in [Fault::Refuse, Fault::LoseTheAnswer] {
        for call in 0..24 {
            let (log, projection) = (log(), Arc::new(Counting::default()));
            for i in 0..10 {
                append(&log, &format!("s{}", i % 3), "{}").await;
            }
            let inner = Arc::new(MemoryRows::new());
            let rows: Arc<dyn RowStore> = Arc::new(Faulty::new(inner.clone(), call, fault));
            let running = run(&log, &rows, &projection, "a");
            reached(inner.as_ref(), 10).await;
            running.stop().await;
            let expected = rebuilt(&log, &projection, &[]).await;
            assert_eq!(stored(inner.as_ref()).await, expected, "{fault:?} at call {call}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_exact_whenever_the_process_dies() {
    for fault in [Fault::DieBefore, Fault::DieAfter] {
        for call in 0..14 {
            let (log, projection) = (log(), Arc::new(Counting::default()));
            for i in 0..10 {
                append(&log, &format!("s{}", i % 3), "{}").await;
            }
            let inner: Arc<MemoryRows> = Arc::new(MemoryRows::new());
            let faulty = Arc::new(Faulty::new(inner.clone(), call, fault));
            let _grave = faulty.grave.clone().drop_guard();
            let rows: Arc<dyn RowStore> = faulty.clone();
            let first = run(&log, &rows, &projection, "a");
            let done = async { reached(inner.as_ref(), 10).await };
            tokio::select! {
                () = faulty.died() => {}
                () = done => {}
            }
            first.task.abort();
            let _ = first.task.await;
            // Another process, once the lease has expired.
            let rows: Arc<dyn RowStore> = inner.clone();
            let second = run(&log, &rows, &projection, "b");
            reached(inner.as_ref(), 10).await;
            second.stop().await;
            let expected = rebuilt(&log, &projection, &[]).await;
            assert_eq!(stored(inner.as_ref()).await, expected, "{fault:?} at call {call}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_parks_its_partition_and_a_retry_heals_it() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    // Positions 1 to 8; 3 fails by an error and 6 by a panic.
    for (stream, payload) in [
        ("bad", "{}"),
        ("good", "{}"),
        ("bad", POISON),
        ("good", "{}"),
        ("bad", "{}"),
        ("worse", POISON),
        ("bad", "{}"),
        ("worse", "{}"),
    ] {
        append(&log, stream, payload).await;
    }
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let running = run(&log, &rows, &projection, "a");
    reached(rows.as_ref(), 8).await;
    let parked = [3, 5, 6, 7, 8];
    assert_eq!(stored(rows.as_ref()).await, rebuilt(&log, &projection, &parked).await);
    let source = Source::live("counting");
    let letters = rows.dead_letters(&source, Some(&tenant()), 0, 99).await.unwrap();
    assert_eq!(letters.iter().map(|p| p.letter.position).collect::<Vec<_>>(), parked);
    let failed: Vec<_> = letters.iter().filter_map(|p| p.letter.error.as_deref()).collect();
    assert_eq!(failed, ["poison", "panicked: cannot stand it"]);

    // It fails again, and stays in order.
    assert_eq!(rows.request_retry(&source, &tenant(), None).await.unwrap(), 5);
    append(&log, "bad", "{}").await;
    until(&rows, |letters| letters.iter().any(|p| p.attempts == 2)).await;
    projection.cured.store(true, Ordering::SeqCst);
    until(&rows, |letters| letters.iter().all(|p| !p.retry_requested)).await;
    rows.request_retry(&source, &tenant(), None).await.unwrap();
    until(&rows, <[_]>::is_empty).await;
    append(&log, "bad", "{}").await;
    reached(rows.as_ref(), 10).await;
    running.stop().await;
    assert!(rows.dead_letters(&source, None, 0, 9).await.unwrap().is_empty());
    assert_eq!(stored(rows.as_ref()).await, rebuilt(&log, &projection, &[]).await);
}

async fn until(rows: &Arc<dyn RowStore>, holds: impl Fn(&[ParkedEvent]) -> bool) {
    let wait = async {
        loop {
            let letters = rows.dead_letters(&Source::live("counting"), None, 0, 99).await.unwrap();
            if holds(&letters) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_paused_cannot_write() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    for i in 0..10 {
        append(&log, &format!("s{}", i % 3), "{}").await;
    }
    let inner = Arc::new(MemoryRows::new());
    let faulty = Arc::new(Faulty::paused_at_second_commit(inner.clone()));
    let paused: Arc<dyn RowStore> = faulty.clone();
    let first = run(&log, &paused, &projection, "a");
    faulty.died().await;
    let rows: Arc<dyn RowStore> = inner.clone();
    let second = run(&log, &rows, &projection, "b");
    reached(inner.as_ref(), 10).await;
    faulty.resume();
    assert_eq!(faulty.resumed().await, Err(RowsError::LeaseLost));
    append(&log, "s1", "{}").await;
    reached(inner.as_ref(), 11).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(stored(inner.as_ref()).await, rebuilt(&log, &projection, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_failures_in_one_batch_end() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    for i in 0..60 {
        append(&log, &format!("s{i}"), POISON).await;
        append(&log, "good", "{}").await;
    }
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    let mut options = Options::new("a");
    options.batch = 1_000;
    let projector = Projector { log: log.clone(), rows: rows.clone(), board: Arc::default(), options };
    let (cancel, folding) = (CancellationToken::new(), projection.clone());
    let stop = cancel.clone();
    let task = tokio::spawn(async move { projector.run(folding, stop).await });
    reached(rows.as_ref(), 120).await;
    cancel.cancel();
    task.await.unwrap();
    let odd: Vec<u64> = (1..=120).step_by(2).collect();
    assert_eq!(stored(rows.as_ref()).await, rebuilt(&log, &projection, &odd).await);
    assert_eq!(rows.generations().await.unwrap()[0].dead_letters, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_ahead_of_the_log_are_left_alone() {
    let (log, projection) = (log(), Arc::new(Counting::default()));
    let rows: Arc<dyn RowStore> = Arc::new(MemoryRows::new());
    for _ in 0..5 {
        append(&log, "s", "{}").await;
    }
    let running = run(&log, &rows, &projection, "a");
    reached(&*rows, 5).await;
    running.stop().await;
    let expected = stored(&*rows).await;

    // The log is put back as it was before most of these events.
    let older = self::log();
    append(&older, "s", "{}").await;
    let board = Arc::new(Board::default());
    let options = Options::new("b");
    let projector = Projector { log: older.clone(), rows: rows.clone(), board: board.clone(), options };
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let task = tokio::spawn(async move { projector.run(projection, stop).await });
    let told = async {
        while board.of("counting").activity().error.is_none() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("the projector says why");
    let error = board.of("counting").activity().error.unwrap();
    assert!(error.contains("the rows are at 5, the log ends at 1"), "{error}");
    for _ in 0..9 {
        append(&older, "s", "{}").await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(stored(&*rows).await, expected);
}
