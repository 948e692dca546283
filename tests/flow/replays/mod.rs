//! Generations beside each other, on every store.

mod kills;
mod memory;
mod poison;
mod refusals;
mod server;
mod story;

use std::sync::Arc;
use std::time::Duration;

use daybook_tests::clock::{CountingIds, FixedClock};
use daybook_tests::postgres::{self, Database};
use domain::envelope::Metadata;
use domain::ports::log::*;
use domain::ports::rows::*;
use domain::tap::{Mode, TAPPED, Tap};
use domain::{NewEvent, RecordedEvent, StreamId, TenantId};
use infra_log::{LogOptions, MemoryLog, PostgresLog, SqliteLog};
use infra_rows::{MemoryRows, PostgresRows, SqliteRows};
use jiff::{SignedDuration, Timestamp};
use projections::board::Board;
use projections::testing::fold;
use projections::{instantiate, tap_analytics};
use replays::checksum::Checksum;
use replays::status::{GenerationStatusBody, ReplayStatus};
use replays::{By, Engine, Runner};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const NAME: &str = tap_analytics::NAME;
const POLL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
    "WhatsApp/2.23.20.0",
    "curl/8.5.0",
];

struct Bed {
    engine: Engine,
    by: By,
    what: &'static str,
    _folder: Option<tempfile::TempDir>,
    _database: Option<Database>,
}

async fn beds() -> Vec<Bed> {
    let mut beds = vec![memory(), sqlite().await];
    if let Some(database) = postgres::database().await {
        let log = PostgresLog::connect(&database.url, LogOptions::new(clock())).await.unwrap();
        let rows = PostgresRows::connect(&database.url, 8).await.unwrap();
        beds.push(Bed { _database: Some(database), ..bed("postgres", Arc::new(log), Arc::new(rows)) });
    }
    beds
}

fn memory() -> Bed {
    bed("memory", Arc::new(MemoryLog::new(clock())), Arc::new(MemoryRows::new()))
}

async fn sqlite() -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db"), LogOptions::new(clock())).await.unwrap();
    let rows = SqliteRows::open(&folder.path().join("rows.db")).await.unwrap();
    Bed { _folder: Some(folder), ..bed("sqlite", Arc::new(log), Arc::new(rows)) }
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at("2026-05-01T00:00:00Z"))
}

fn bed<R: RowStore + Generations + 'static>(what: &'static str, log: Arc<dyn EventLog>, rows: Arc<R>) -> Bed {
    let engine = Engine {
        log,
        rows: rows.clone(),
        generations: rows,
        sealed: None,
        clock: clock(),
        ids: Arc::new(CountingIds::default()),
        board: Arc::new(Board::default()),
        wake: Arc::new(Notify::new()),
        memory: 64 << 20,
    };
    Bed { engine, by: By::actor("test"), what, _folder: None, _database: None }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Tap number `i`: some bands, visitors and programs, minutes apart and not in
/// order.
fn tap(i: u64) -> (Tap, Timestamp) {
    let start: Timestamp = "2026-07-01T19:00:00Z".parse().unwrap();
    let tap = Tap {
        band_id: format!("b{}", i * 7 % 23),
        event_id: Some(format!("show-{}", i % 3)),
        window_id: None,
        mode: Mode::Live,
        url: None,
        user_agent: Some(AGENTS[(i * 5 % 11 % 4) as usize].into()),
        referrer: None,
        language: Some("en".into()),
        country: Some("US".into()),
        visitor: Some(format!("v{}", i % 17).into()),
        source: "test".into(),
    };
    (tap, start + SignedDuration::from_mins((i * 37 % 600) as i64))
}

fn event(tap: &Tap, at: Timestamp) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: TAPPED.into(),
        schema: 1,
        occurred_at: Some(at),
        payload: serde_json::to_string(tap).unwrap(),
    }
}

struct Keeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl Bed {
    async fn open(&self, model: &ModelId) {
        let projection = instantiate(NAME, model).unwrap();
        self.engine.rows.open(NAME, &projection.model(), projection.tables()).await.unwrap();
    }

    async fn opened(self) -> Self {
        self.open(&ModelId::new("bots", 1)).await;
        self
    }

    fn keeper(&self) -> Keeper {
        let stop = CancellationToken::new();
        let owner = format!("test-{}", Uuid::now_v7());
        let runner = Runner::new(self.engine.clone(), &owner).with_build(|b| b.page = 64);
        Keeper { task: tokio::spawn(runner.run(stop.clone())), stop }
    }

    async fn append(&self, events: Vec<NewEvent>) -> u64 {
        let stream = StreamId::new(&tenant(), domain::tap::KIND, "hub").unwrap();
        let write = StreamWrite { stream, expected: ExpectedVersion::Any, events };
        let metadata = Metadata {
            actor: "test".into(),
            command_id: Uuid::now_v7(),
            correlation_id: "test".into(),
            causation_id: None,
        };
        let append = Append { writes: vec![write], metadata, idempotency: None };
        let outcome = self.engine.log.append(vec![append]).await.pop().unwrap();
        outcome.unwrap().position()
    }

    async fn taps(&self, numbers: std::ops::Range<u64>) -> u64 {
        self.append(numbers.map(tap).map(|(tap, at)| event(&tap, at)).collect()).await
    }

    /// Everything that the projection reads, up to a position.
    async fn history(&self, upto: u64) -> Vec<RecordedEvent> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.engine.log.read(after, 1_000, &ReadFilter::types([TAPPED])).await.unwrap();
            if page.through == after {
                events.retain(|e: &RecordedEvent| e.position <= upto);
                return events;
            }
            events.extend(page.events);
            after = page.through;
        }
    }

    /// What folding one event after the other comes to.
    async fn serial(&self, model: &ModelId, upto: u64) -> String {
        let projection = instantiate(NAME, model).unwrap();
        let events = self.history(upto).await;
        let rows = fold(&*projection, &events, 100).unwrap();
        let mut sum = Checksum::default();
        for ((table, row), (sort, doc)) in rows.all() {
            sum.add(&table, &ScannedRow { row, sort, doc }).unwrap();
        }
        sum.hex()
    }

    async fn checksum(&self, number: u32) -> String {
        let id = GenerationId { projection: NAME.into(), number };
        let mut snapshot = self.engine.generations.snapshot(&id).await.unwrap();
        Checksum::of(&mut *snapshot).await.unwrap().hex()
    }

    async fn status(&self) -> ReplayStatus {
        self.engine.status(NAME).await.unwrap()
    }

    async fn generation(&self, number: u32) -> GenerationStatusBody {
        let found = self.status().await.generations.into_iter().find(|g| g.generation == number);
        found.unwrap_or_else(|| panic!("no generation {number}"))
    }

    /// Waits for a generation to be as it should.
    async fn until(
        &self,
        number: u32,
        mut good: impl FnMut(&GenerationStatusBody) -> bool,
    ) -> GenerationStatusBody {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let generation = self.generation(number).await;
                if good(&generation) {
                    return generation;
                }
                tokio::time::sleep(POLL).await;
            }
        });
        match waited.await {
            Ok(generation) => generation,
            Err(_) => panic!("{}: {:?}", self.what, self.status().await),
        }
    }

    async fn build(&self, model: &ModelId) -> u32 {
        let decided = self.engine.build(NAME, Some(model.clone()), None, &self.by).await.unwrap();
        decided.generation.unwrap()
    }

    async fn built(&self, model: &ModelId) -> GenerationStatusBody {
        let number = self.build(model).await;
        self.until(number, |g| g.status == "ready").await
    }
}

/// People with iPhones are taken for programs, and pauses end visits sooner.
fn other_model() -> ModelId {
    let parameters = json!({
        "patterns": [{"contains": "iPhone", "class": "monitor"}],
        "count_previews": true,
        "session_gap_seconds": 600,
    });
    ModelId { parameters, ..ModelId::new("bots", 2) }
}
