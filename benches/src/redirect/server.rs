//! Our server as `serve` runs it, as far as redirects need it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use domain::TenantId;
use domain::live_event::{EventDetails, LiveEvent};
use domain::ports::clock::Clock;
use domain::ports::journal::{Batch, Durable, JournalEntry, JournalError, JournalStats, TapJournal};
use domain::ports::log::EventLog;
use domain::target_url::{TargetUrl, UrlPolicy};
use infra_journal::{DiskJournal, Options};
use infra_log::{LogOptions, MemoryLog, PostgresLog, SqliteLog};
use infra_runtime::{RandomIds, SystemClock};
use projections::hub::HubBand;
use read_api::hub::server::{ServerConfig, serve};
use read_api::hub::{Ack, Hub, HubConfig, HubTable, Parts, Seed, Visitors};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::{Drainer, DrainerConfig};

pub enum Store {
    /// Taps are thrown away.
    Nothing,
    /// Taps stay in the journal.
    Journal,
    Sqlite,
    Postgres(String),
}

pub struct Case {
    pub name: &'static str,
    pub ack: Ack,
    pub store: Store,
}

impl Case {
    pub fn all(postgres: Option<&str>) -> Vec<Self> {
        let case = |name, ack, store| Self { name, ack, store };
        let mut cases = vec![
            case("not recorded", Ack::None, Store::Nothing),
            case("journal without log", Ack::Journal, Store::Journal),
            case("journal on SQLite", Ack::Journal, Store::Sqlite),
            case("log on SQLite", Ack::Log, Store::Sqlite),
            case("none on SQLite", Ack::None, Store::Sqlite),
        ];
        if let Some(url) = postgres {
            cases.push(case("journal on PostgreSQL", Ack::Journal, Store::Postgres(url.into())));
            cases.push(case("log on PostgreSQL", Ack::Log, Store::Postgres(url.into())));
        }
        cases
    }
}

pub struct Server {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
    drainer: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Server {
    pub async fn start(case: &Case, bands: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(SystemClock);
        let ids = Arc::new(RandomIds);
        let journal: Arc<dyn TapJournal> = match case.store {
            Store::Nothing => Arc::new(Void),
            _ => Arc::new(DiskJournal::open(&folder.path().join("journal"), Options::default())?),
        };
        let options = LogOptions::new(clock.clone());
        let log: Arc<dyn EventLog> = match &case.store {
            Store::Nothing | Store::Journal => Arc::new(MemoryLog::new(clock.clone())),
            Store::Sqlite => Arc::new(SqliteLog::open(folder.path().join("daybook.db"), options).await?),
            Store::Postgres(url) => Arc::new(PostgresLog::connect(url, options).await?),
        };
        let tenant = TenantId::new("default")?;
        let parts = Parts {
            table: Arc::new(HubTable::new(seed(&tenant, bands)?)),
            journal: journal.clone(),
            log: log.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            visitors: Visitors::in_memory(clock.now()),
        };
        let hub = Hub::new(HubConfig { ack: case.ack, ..HubConfig::new(tenant) }, parts);
        let stop = CancellationToken::new();
        let drained = matches!(case.store, Store::Sqlite | Store::Postgres(_));
        let drainer = drained.then(|| {
            let config = DrainerConfig { stop_within: Duration::from_secs(60), ..DrainerConfig::default() };
            let drainer = Drainer::new(journal, log, clock, ids, config);
            tokio::spawn(drainer.run(stop.clone()))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let serving =
            serve(listener, Some(Arc::new(hub)), axum::Router::new(), ServerConfig::default(), stop.clone());
        Ok(Self { address: address.to_string(), stop, task: tokio::spawn(serving), drainer, _folder: folder })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?;
        if let Some(drainer) = self.drainer {
            drainer.await?;
        }
        Ok(())
    }
}

fn seed(tenant: &TenantId, bands: usize) -> Result<Seed> {
    let url = TargetUrl::parse("https://show.example/live", &UrlPolicy::default());
    let url = url.map_err(anyhow::Error::msg)?;
    let details = EventDetails {
        name: "Show".into(),
        venue: String::new(),
        place: String::new(),
        time_zone: "Europe/Berlin".into(),
        starts_at: "2026-01-01T00:00:00Z".parse()?,
        ends_at: "2036-01-01T00:00:00Z".parse()?,
        pre_url: None,
        live_url: Some(url),
        post_url: None,
        fallback_url: None,
    };
    let event = LiveEvent { details: Some(details), ..LiveEvent::default() };
    let band = HubBand { event_id: Some("show".into()), retired: false };
    Ok(Seed {
        position: 0,
        bands: (0..bands).map(|n| (tenant.clone(), format!("band-{n}"), band.clone())).collect(),
        events: vec![(tenant.clone(), "show".into(), event)],
        tenants: Vec::new(),
    })
}

/// A journal that keeps nothing.
struct Void;

#[async_trait]
impl TapJournal for Void {
    fn id(&self) -> &str {
        "void"
    }

    fn append(&self, _: &JournalEntry) -> Durable {
        Box::pin(std::future::ready(Ok(0)))
    }

    async fn read(&self, from: u64, _: usize) -> Result<Batch, JournalError> {
        Ok(Batch { entries: Vec::new(), next: from })
    }

    async fn mark_drained(&self, _: u64) -> Result<(), JournalError> {
        Ok(())
    }

    async fn grown(&self, _: u64) -> Result<(), JournalError> {
        std::future::pending().await
    }

    async fn turn(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn stats(&self) -> JournalStats {
        JournalStats::default()
    }
}
