//! The history that is folded: the same events in SQLite, in an archive and in
//! PostgreSQL, and what the projector made of them. Loading takes a while, so
//! a folder may be named that keeps it for the next time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use domain::TenantId;
use domain::ports::log::EventLog;
use domain::ports::rows::{Generations, Source};
use infra_archive::manifest::Manifest;
use infra_archive::{ArchiveStore, Archiver, Settings, Until, restore};
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_rows::SqliteRows;
use infra_runtime::SystemClock;
use projections::tap_analytics::TapAnalytics;
use replays::checksum::Checksum;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::Arguments;
use crate::catch_up::{catch_up, facts};

pub struct Prepared {
    pub folder: PathBuf,
    /// Deleted at the end, unless a folder was named.
    temporary: Option<TempDir>,
    pub log: Arc<SqliteLog>,
    pub archive: ArchiveStore,
    pub manifest: Manifest,
    pub postgres: Option<Database>,
    /// Of the projector's rows.
    pub live: Checksum,
    /// Events that the projection reads.
    pub events: u64,
}

pub struct Database {
    pub url: String,
    pub log: Arc<PostgresLog>,
    server: String,
    name: String,
}

impl Prepared {
    pub async fn new(arguments: &Arguments) -> Result<Self> {
        let temporary = match &arguments.data_dir {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                None
            }
            None => Some(tempfile::tempdir()?),
        };
        let folder = arguments.data_dir.clone().or_else(|| Some(temporary.as_ref()?.path().into()));
        let folder = folder.context("no folder")?;
        let log = Arc::new(SqliteLog::open(folder.join("log.db"), options()).await?);
        let wanted = arguments.shows + arguments.bands + arguments.taps;
        match log.head().await?.position {
            0 => facts::write(&*log, arguments.bands, arguments.shows, arguments.taps).await?,
            head => ensure!(head == wanted, "{} holds another log", folder.display()),
        }
        let archive = ArchiveStore::folder(&folder.join("archive"))?;
        let archiver =
            Archiver::new(archive.clone(), log.clone(), Arc::new(SystemClock), Settings::default());
        while archiver.seal(true).await?.is_some() {}
        let manifest = archive.manifest().await?.context("nothing was sealed")?;
        ensure!(manifest.through == wanted, "not everything was sealed");
        let postgres = match &arguments.postgres {
            Some(server) => Some(Database::open(server, wanted, &archive, &manifest).await?),
            None => None,
        };
        let live = live(&log, &folder).await?;
        let events = arguments.shows + arguments.taps;
        Ok(Self { folder, temporary, log, archive, manifest, postgres, live, events })
    }

    pub async fn remove(self) -> Result<()> {
        self.log.close().await;
        let Some(database) = self.postgres else { return Ok(()) };
        database.log.close().await;
        if self.temporary.is_some() {
            let mut server = PgConnection::connect(&database.server).await?;
            let text = format!("DROP DATABASE {} WITH (FORCE)", database.name);
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut server).await?;
        }
        Ok(())
    }
}

impl Database {
    /// With the archive's events, so that both logs are the same.
    async fn open(server: &str, events: u64, archive: &ArchiveStore, manifest: &Manifest) -> Result<Self> {
        let name = format!("bench_rebuild_{events}");
        let mut connection = PgConnection::connect(server).await?;
        let there: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut connection)
            .await?;
        if there.is_none() {
            let text = format!("CREATE DATABASE {name}");
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await?;
        }
        let (front, _) = server.rsplit_once('/').context("the URL names no database")?;
        let url = format!("{front}/{name}");
        let log = Arc::new(PostgresLog::connect(&url, options()).await?);
        if log.head().await?.position < manifest.through {
            restore(archive, manifest, (&*log, &*log), Until::default(), |_| ()).await?;
            let mut database = PgConnection::connect(&url).await?;
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut database).await?;
        }
        Ok(Self { url, log, server: server.to_owned(), name })
    }
}

fn options() -> LogOptions {
    LogOptions::new(Arc::new(SystemClock))
}

/// The checksum of what the projector makes, event by event.
async fn live(log: &Arc<SqliteLog>, folder: &Path) -> Result<Checksum> {
    let rows = Arc::new(SqliteRows::open(&folder.join("live.db")).await?);
    catch_up(&(log.clone() as _), &(rows.clone() as _), Arc::new(TapAnalytics::default())).await?;
    let source = Source::live(projections::tap_analytics::NAME);
    let snapshot =
        domain::ports::rows::RowStore::read(&*rows, &source, &TenantId::new(facts::TENANT)?, &[]).await?;
    Ok(Checksum::of(&mut *rows.snapshot(&snapshot.generation).await?).await?)
}
