//! A database with one log and any number of empty row stores.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_rows::{PostgresRows, SqliteRows};
use infra_runtime::SystemClock;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

const CONNECTIONS: u32 = 12;

pub enum Store {
    Sqlite(TempDir),
    Postgres {
        server: String,
        /// Databases that were made.
        databases: Mutex<Vec<Database>>,
    },
}

/// An empty database on a server.
pub struct Database {
    pub url: String,
    server: String,
    name: String,
}

impl Database {
    pub async fn create(server: &str) -> Result<Self> {
        let name = format!("bench_{}", Uuid::now_v7().simple());
        statement(server, format!("CREATE DATABASE {name}")).await?;
        let (front, _) = server.rsplit_once('/').context("the URL names no database")?;
        Ok(Self { url: format!("{front}/{name}"), server: server.to_owned(), name })
    }

    pub async fn remove(self) -> Result<()> {
        statement(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

impl Store {
    pub fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite(tempfile::tempdir()?))
    }

    pub fn postgres(server: &str) -> Self {
        Self::Postgres { server: server.to_owned(), databases: Mutex::default() }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    pub async fn log(&self) -> Result<Arc<dyn EventLog>> {
        let options = LogOptions::new(Arc::new(SystemClock));
        Ok(match self {
            Self::Sqlite(folder) => Arc::new(SqliteLog::open(folder.path().join("log.db"), options).await?),
            Self::Postgres { .. } => Arc::new(PostgresLog::connect(&self.database().await?, options).await?),
        })
    }

    pub async fn rows(&self) -> Result<Arc<dyn RowStore>> {
        Ok(match self {
            Self::Sqlite(folder) => {
                let file = format!("rows-{}.db", Uuid::now_v7());
                Arc::new(SqliteRows::open(&folder.path().join(file)).await?)
            }
            Self::Postgres { .. } => {
                Arc::new(PostgresRows::connect(&self.database().await?, CONNECTIONS).await?)
            }
        })
    }

    async fn database(&self) -> Result<String> {
        let Self::Postgres { server, databases } = self else { anyhow::bail!("no server") };
        let database = Database::create(server).await?;
        let url = database.url.clone();
        databases.lock().unwrap_or_else(PoisonError::into_inner).push(database);
        Ok(url)
    }

    pub async fn remove(self) -> Result<()> {
        if let Self::Postgres { databases, .. } = self {
            for database in databases.into_inner().unwrap_or_else(PoisonError::into_inner) {
                database.remove().await?;
            }
        }
        Ok(())
    }
}

async fn statement(server: &str, text: String) -> Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await?;
    Ok(())
}
