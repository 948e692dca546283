//! Where the cases run, and short ways to say what they append.

use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use daybook_tests::postgres::{Database, database};
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::log::{
    Append, AppendError, EventLog, ExpectedVersion, Idempotency, LogError, LogKeeping, ReadFilter, Receipt,
    StreamWrite,
};
use domain::ports::tree::TreeLog;
use domain::tree::Frontier;
use domain::{StreamId, TenantId};
use infra_log::{LogOptions, MemoryLog, PostgresLog, SqliteLog};
use tempfile::TempDir;
use uuid::Uuid;

pub type Log = Arc<dyn EventLog>;

/// A log as those see it who keep it and prove from it.
pub trait Kept: EventLog + LogKeeping + TreeLog {}
impl<T: EventLog + LogKeeping + TreeLog> Kept for T {}

/// An empty log of one kind, which can be opened again and beside itself.
pub struct Bed {
    pub clock: Arc<FixedClock>,
    store: Store,
}

enum Store {
    Memory(Arc<MemoryLog>),
    Sqlite(TempDir),
    Postgres(Box<Database>),
}

impl Bed {
    fn new(store: impl FnOnce(&Arc<FixedClock>) -> Store) -> Self {
        let clock = Arc::new(FixedClock::at("2026-03-01T12:00:00Z"));
        Self { store: store(&clock), clock }
    }

    pub fn memory() -> Self {
        Self::new(|clock| Store::Memory(Arc::new(MemoryLog::new(clock.clone()))))
    }

    pub async fn open(&self) -> Log {
        self.open_with(|_| {}).await
    }

    pub async fn open_with(&self, change: impl FnOnce(&mut LogOptions)) -> Log {
        let mut options = LogOptions::new(self.clock.clone());
        change(&mut options);
        match &self.store {
            Store::Memory(log) => log.clone(),
            Store::Sqlite(dir) => {
                Arc::new(SqliteLog::open(dir.path().join("log.db"), options).await.unwrap())
            }
            Store::Postgres(database) => {
                Arc::new(PostgresLog::connect(&database.url, options).await.unwrap())
            }
        }
    }

    /// The log of a database, if it can be opened.
    pub async fn try_open(&self) -> Result<Log, LogError> {
        let options = LogOptions::new(self.clock.clone());
        match &self.store {
            Store::Memory(log) => Ok(log.clone()),
            Store::Sqlite(dir) => Ok(Arc::new(SqliteLog::open(dir.path().join("log.db"), options).await?)),
            Store::Postgres(database) => Ok(Arc::new(PostgresLog::connect(&database.url, options).await?)),
        }
    }

    /// The same log, to be restored and trimmed.
    pub async fn keep(&self) -> Arc<dyn Kept> {
        let mut options = LogOptions::new(self.clock.clone());
        options.partition_positions = 1_000;
        match &self.store {
            Store::Memory(log) => log.clone(),
            Store::Sqlite(dir) => {
                Arc::new(SqliteLog::open(dir.path().join("log.db"), options).await.unwrap())
            }
            Store::Postgres(database) => {
                Arc::new(PostgresLog::connect(&database.url, options).await.unwrap())
            }
        }
    }

    /// The tree is the one that the log's events make, and so are its nodes.
    pub async fn check_tree(&self) {
        let log = self.keep().await;
        let (mut refolded, mut nodes) = (Frontier::default(), Vec::new());
        for event in read_all(&(log.clone() as Log), 5_000).await {
            refolded.push(&event.leaf, &mut nodes);
        }
        assert_eq!(log.frontier().await.unwrap(), refolded);
        for node in nodes {
            assert_eq!(log.nodes(node.level, node.index, 1).await.unwrap(), [node.hash], "{node:?}");
        }
    }

    /// The SQLite file, for cases that reach behind the log.
    pub fn file(&self) -> Option<std::path::PathBuf> {
        match &self.store {
            Store::Sqlite(dir) => Some(dir.path().join("log.db")),
            _ => None,
        }
    }

    /// The URL of the database, for the same.
    pub fn url(&self) -> Option<&str> {
        match &self.store {
            Store::Postgres(database) => Some(&database.url),
            _ => None,
        }
    }
}

/// Runs a case on an empty log of each kind.
pub async fn on_each(case: impl AsyncFn(&Bed)) {
    case(&Bed::memory()).await;
    on_databases(case).await;
}

/// For what only a database can do.
pub async fn on_databases(case: impl AsyncFn(&Bed)) {
    case(&Bed::new(|_| Store::Sqlite(TempDir::new().unwrap()))).await;
    if let Some(database) = database().await {
        case(&Bed::new(|_| Store::Postgres(Box::new(database)))).await;
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub fn stream(id: &str) -> StreamId {
    StreamId::new(&tenant("acme"), "thing", id).unwrap()
}

pub fn event(payload: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "thing.done".into(),
        schema: 1,
        occurred_at: None,
        payload: payload.to_owned(),
    }
}

pub fn metadata() -> Metadata {
    let command_id = Uuid::now_v7();
    Metadata {
        actor: "key:test".into(),
        command_id,
        correlation_id: command_id.to_string().into(),
        causation_id: None,
    }
}

/// `count` events for one stream.
pub fn write(id: &str, expected: ExpectedVersion, count: usize) -> StreamWrite {
    let events = (0..count).map(|n| event(&format!(r#"{{"n":{n}}}"#))).collect();
    StreamWrite { stream: stream(id), expected, events }
}

pub fn append(writes: Vec<StreamWrite>) -> Append {
    Append { writes, metadata: metadata(), idempotency: None }
}

pub fn one(id: &str, expected: ExpectedVersion) -> Append {
    append(vec![write(id, expected, 1)])
}

pub fn with_key(append: Append, key: &str, hash: u8) -> Append {
    let idempotency = Idempotency {
        tenant: tenant("acme"),
        key: key.to_owned(),
        request_hash: [hash; 32],
        reply: format!(r#"{{"hash":{hash}}}"#),
    };
    Append { idempotency: Some(idempotency), ..append }
}

/// Appends one command.
pub async fn put(log: &Log, append: Append) -> Result<Receipt, AppendError> {
    let mut outcomes = log.append(vec![append]).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// The whole log, in pages of `limit`.
pub async fn read_all(log: &Log, limit: usize) -> Vec<RecordedEvent> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read(after, limit, &ReadFilter::default()).await.unwrap();
        assert!(page.events.len() <= limit);
        if page.events.is_empty() {
            assert_eq!(page.through, after);
            return all;
        }
        after = page.through;
        all.extend(page.events);
    }
}

/// Positions 1…N, versions 1… in each stream, times that never go back, and
/// leaves that recompute.
pub fn check_log(events: &[RecordedEvent]) {
    let mut versions = std::collections::HashMap::new();
    let mut last = None;
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position, index as u64 + 1, "positions are dense");
        let version = versions.entry(&event.stream).or_insert(0);
        *version += 1;
        assert_eq!(event.version, *version, "versions of {} are dense", event.stream);
        assert!(last <= Some(event.recorded_at), "recorded_at never decreases");
        last = Some(event.recorded_at);
        assert_eq!(event.leaf, event.compute_leaf(), "leaf of {}", event.position);
    }
}
