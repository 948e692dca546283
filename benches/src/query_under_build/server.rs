//! A server with all roles over a history of taps.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use daybook::wiring::{Running, archiver, open_archive, open_log, start};
use domain::Secret;
use domain::ports::log::EventLog;
use infra_runtime::config::DatabaseUrl;
use infra_runtime::{Config, SystemClock};
use projections::tap_analytics::NAME;
use replays::By;
use tempfile::TempDir;

use super::Arguments;
use crate::catch_up::facts;
use crate::catch_up::store::Database;

pub const SHOWS: u64 = 20;
const LOOK: Duration = Duration::from_millis(50);

pub enum Store {
    Sqlite,
    Postgres(String),
}

impl Store {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

pub struct Server {
    running: Running,
    pub client: reqwest::Client,
    database: Option<Database>,
    _folder: TempDir,
}

impl Server {
    pub const KEY: &str = "bench-key";

    /// Its live rows reflect all of the history.
    pub async fn start(store: &Store, archived: bool, arguments: &Arguments) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres(server) => Some(Database::create(server).await?),
        };
        let mut config = Config::defaults()?;
        config.data_dir = folder.path().into();
        config.database.url = match &database {
            None => DatabaseUrl::Sqlite(folder.path().join("daybook.db")),
            Some(database) => DatabaseUrl::try_from(database.url.clone()).map_err(anyhow::Error::msg)?,
        };
        // PostgreSQL may have several processes, which need one key.
        config.privacy.kek = Secret::new("5".repeat(64));
        config.hub.journal_dir = folder.path().join("journal");
        config.archive.url = folder.path().join("archive").display().to_string();
        config.archive.seal_seconds = 86_400;
        config.http.listen = "127.0.0.1:0".parse()?;
        config.auth.api_keys = Secret::new(format!("{}:{}:admin", Self::KEY, facts::TENANT));
        for rate in [&mut config.limits.rate_per_second, &mut config.limits.rate_burst] {
            *rate = 1_000_000;
        }
        load(&config, archived, arguments).await?;
        let running = start(&config).await?;
        let server = Self { running, client: reqwest::Client::new(), database, _folder: folder };
        server.caught_up().await?;
        Ok(server)
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        self.running.log()
    }

    pub fn summary_url(&self) -> String {
        let show = facts::event_id(0);
        format!("http://{}/v1/analytics/events/{show}/summary", self.running.address)
    }

    async fn caught_up(&self) -> Result<()> {
        let head = self.log().head().await?.position;
        loop {
            let generations = self.running.replays.of(NAME).await?;
            if generations.iter().all(|g| g.position >= head) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Begins to build a generation and says which.
    pub async fn begin(&self) -> Result<u32> {
        let decided = self.running.replays.build(NAME, None, None, &By::actor("bench")).await?;
        decided.generation.context("no generation")
    }

    pub async fn built(&self, generation: u32) -> Result<()> {
        loop {
            let status = self.running.replays.status(NAME).await?;
            let found = status.generations.into_iter().find(|g| g.generation == generation);
            let found = found.context("the generation is gone")?;
            ensure!(found.error.is_none(), "the build failed: {:?}", found.error);
            if found.built.is_some() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn prune(&self, generation: u32) -> Result<()> {
        let replays = &self.running.replays;
        replays.prune(NAME, Some(generation), &By::actor("bench")).await?;
        while replays.of(NAME).await?.iter().any(|g| g.id.number == generation) {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub async fn stop(self) -> Result<()> {
        self.running.stop().await;
        match self.database {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }
}

async fn load(config: &Config, archived: bool, arguments: &Arguments) -> Result<()> {
    let clock = Arc::new(SystemClock);
    let log = open_log(config, clock.clone()).await?;
    facts::write(&*log.log, arguments.bands, SHOWS, arguments.taps).await?;
    if archived {
        let archiver = archiver(config, open_archive(config)?, &log, clock, (log.tree.clone(), None));
        while archiver.seal(true).await?.is_some() {}
    }
    log.close().await;
    Ok(())
}
