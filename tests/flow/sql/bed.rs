//! A log with facts of two tenants, archives of it, and queries.

use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use domain::envelope::{Metadata, NewEvent, RecordedEvent};
use domain::ports::clock::Clock;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::ports::sql::{Sql, SqlError, SqlFormat, SqlQuery};
use domain::{StreamId, TenantId};
use infra_archive::{ArchiveStore, Archiver, Settings};
use infra_log::MemoryLog;
use infra_sql::{Limits, Sources, SqlEngine};
use jiff::ToSpan;
use serde_json::{Value, json};
use uuid::Uuid;

pub const TENANTS: [&str; 2] = ["acme", "other"];

pub struct Bed {
    pub clock: Arc<FixedClock>,
    pub log: Arc<dyn EventLog>,
}

fn fact(n: u64) -> (&'static str, &'static str, Value) {
    let tap = json!({"band_id": format!("b{}", n % 7), "mode": "live", "source": "hub", "url": "https://a.example/"});
    match n % 4 {
        0 => {
            ("band", "band.registered", json!({"event_id": format!("show-{}", n % 3), "tags": ["vip", "é"]}))
        }
        3 => ("taps", "band.previewed", tap),
        _ => ("taps", "band.tapped", tap),
    }
}

impl Bed {
    pub fn memory() -> Self {
        let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
        Self { log: Arc::new(MemoryLog::new(clock.clone())), clock }
    }

    pub fn on(log: Arc<dyn EventLog>, clock: Arc<FixedClock>) -> Self {
        Self { clock, log }
    }

    /// Facts of both tenants; every ten a second later.
    pub async fn grow(&self, count: u64) {
        let head = self.log.head().await.unwrap().position;
        for tens in (head + 1..=head + count).collect::<Vec<_>>().chunks(10) {
            self.clock.set(self.clock.now() + 1.second());
            let appends = tens.iter().map(|n| append(*n)).collect();
            for outcome in self.log.append(appends).await {
                outcome.unwrap();
            }
        }
    }

    /// An archive of everything that there is now.
    pub async fn sealed(&self) -> ArchiveStore {
        let store = ArchiveStore::memory();
        self.seal(&store).await;
        store
    }

    pub async fn seal(&self, store: &ArchiveStore) {
        let archiver =
            Archiver::new(store.clone(), self.log.clone(), self.clock.clone(), Settings::default());
        archiver.seal(true).await.unwrap();
    }

    pub async fn events(&self) -> Vec<RecordedEvent> {
        self.log.read(0, usize::MAX, &ReadFilter::default()).await.unwrap().events
    }

    pub fn sources(&self, archive: Option<&ArchiveStore>) -> Sources {
        Sources { log: Some(self.log.clone()), archive: archive.cloned() }
    }
}

fn append(n: u64) -> Append {
    let (kind, event_type, payload) = fact(n);
    let tenant = TenantId::new(TENANTS[usize::from(n.is_multiple_of(3))]).unwrap();
    let event = NewEvent {
        event_id: Uuid::from_u128(n.into()),
        event_type: event_type.into(),
        schema: 1,
        occurred_at: n.is_multiple_of(2).then(|| "2026-07-01T11:00:00Z".parse().unwrap()),
        payload: payload.to_string(),
    };
    let metadata = Metadata {
        actor: "test".into(),
        command_id: Uuid::from_u128(n.into()),
        correlation_id: format!("c{n}").into(),
        causation_id: None,
    };
    let stream = StreamId::new(&tenant, kind, &format!("s{}", n % 11)).unwrap();
    let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }];
    Append { writes, metadata, idempotency: None }
}

pub fn engine(sources: Sources) -> SqlEngine {
    SqlEngine::new(sources, Limits::default()).unwrap()
}

pub fn query(text: &str) -> SqlQuery {
    SqlQuery { text: text.to_owned(), tenant: None, at: None, limit: None, format: SqlFormat::Json }
}

pub fn of(tenant: &str, text: &str) -> SqlQuery {
    SqlQuery { tenant: Some(TenantId::new(tenant).unwrap()), ..query(text) }
}

pub async fn ask(engine: &SqlEngine, query: SqlQuery) -> Result<Value, SqlError> {
    Ok(serde_json::from_slice(&engine.run(query).await?.body).unwrap())
}

/// The rows of an answer.
pub async fn rows(engine: &SqlEngine, query: SqlQuery) -> Value {
    let text = query.text.clone();
    ask(engine, query).await.unwrap_or_else(|error| panic!("{text}: {error}"))["rows"].take()
}
