//! The stores of the configured database.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use domain::ports::clock::Clock;
use domain::ports::log::{EventLog, LogKeeping};
use domain::ports::rows::{Generations, RowStore};
use domain::ports::tree::TreeLog;
use infra_log::{LogOptions, PostgresLog, SqliteLog, Waker};
use infra_rows::{PostgresRows, SqliteRows};
use infra_runtime::config::DatabaseUrl;
use infra_runtime::{Config, SystemClock};

/// How long a server that starts waits for its database.
const DATABASE_PATIENCE: Duration = Duration::from_secs(120);
/// Connections for rows: some projectors and readers at once.
const ROW_CONNECTIONS: u32 = 12;

/// The log, and what it takes to close it.
pub struct OpenLog {
    pub log: Arc<dyn EventLog>,
    /// The same log, for those who keep it.
    pub keeping: Arc<dyn LogKeeping>,
    /// Its tree, for those who sign it, serve it and prove from it.
    pub tree: Arc<dyn TreeLog>,
    pub kind: &'static str,
    closing: Closing,
}

enum Closing {
    Sqlite(Arc<SqliteLog>),
    Postgres(Arc<PostgresLog>),
}

impl OpenLog {
    /// For who hears of new events from other processes. A SQLite log has none.
    pub fn waker(&self) -> Option<Waker> {
        match &self.closing {
            Closing::Sqlite(_) => None,
            Closing::Postgres(log) => Some(log.waker()),
        }
    }

    /// Commits what is queued and closes the connections.
    pub async fn close(self) {
        match self.closing {
            Closing::Sqlite(log) => log.close().await,
            Closing::Postgres(log) => log.close().await,
        }
    }
}

pub async fn open_log(config: &Config, clock: Arc<dyn Clock>) -> Result<OpenLog> {
    let options = LogOptions::new(clock);
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            make_parent(path)?;
            let log = SqliteLog::open(path, options).await;
            let log = Arc::new(log.with_context(|| format!("opening the log {}", path.display()))?);
            let closing = Closing::Sqlite(log.clone());
            Ok(OpenLog { log: log.clone(), keeping: log.clone(), tree: log, kind: "sqlite", closing })
        }
        DatabaseUrl::Postgres(url) => {
            let log = PostgresLog::connect(url.reveal(), options).await;
            let log = Arc::new(log.context("opening the log in PostgreSQL")?);
            let closing = Closing::Postgres(log.clone());
            Ok(OpenLog { log: log.clone(), keeping: log.clone(), tree: log, kind: "postgres", closing })
        }
        DatabaseUrl::InDataDir => bail!("the database has no address"),
    }
}

/// A log for a while, in a folder that its owner deletes.
pub async fn scratch_log(folder: &Path) -> Result<OpenLog> {
    let options = LogOptions::new(Arc::new(SystemClock));
    let log = SqliteLog::open(folder.join("scratch.db"), options).await.context("opening a scratch log")?;
    let log = Arc::new(log);
    let closing = Closing::Sqlite(log.clone());
    Ok(OpenLog { log: log.clone(), keeping: log.clone(), tree: log, kind: "sqlite", closing })
}

/// A server may be started before its PostgreSQL: it asks again for a while.
pub async fn await_log(config: &Config, clock: Arc<dyn Clock>) -> Result<OpenLog> {
    let remote = matches!(config.database.url, DatabaseUrl::Postgres(_));
    let deadline = Instant::now() + DATABASE_PATIENCE;
    loop {
        match open_log(config, clock.clone()).await {
            Err(error) if remote && Instant::now() < deadline => {
                tracing::warn!(error = format!("{error:#}"), "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            opened => return opened,
        }
    }
}

/// The rows, and what is done with generations of them.
#[derive(Clone)]
pub struct OpenRows {
    pub rows: Arc<dyn RowStore>,
    pub generations: Arc<dyn Generations>,
}

impl OpenRows {
    fn of<T: RowStore + Generations + 'static>(store: T) -> Self {
        let store = Arc::new(store);
        Self { rows: store.clone(), generations: store }
    }
}

/// Rows have a file of their own beside the log's, since SQLite has one writer
/// for a file.
pub async fn open_rows(config: &Config) -> Result<OpenRows> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            let path = path.with_extension("rows.db");
            make_parent(&path)?;
            let rows = SqliteRows::open(&path).await;
            Ok(OpenRows::of(rows.with_context(|| format!("opening the rows {}", path.display()))?))
        }
        DatabaseUrl::Postgres(url) => {
            let rows = PostgresRows::connect(url.reveal(), ROW_CONNECTIONS).await;
            Ok(OpenRows::of(rows.context("opening the rows in PostgreSQL")?))
        }
        DatabaseUrl::InDataDir => bail!("the database has no address"),
    }
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))
        }
        None => Ok(()),
    }
}
