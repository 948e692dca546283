//! Rows in PostgreSQL: JSONB documents, one table per generation and table,
//! and a view with typed columns over each live one.

mod copy;
mod generations;
mod parked;
mod registry;
mod rows;
mod snapshot;
mod views;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::check;

/// What work on the database fails with.
#[derive(Debug)]
pub enum Fault {
    Sql(sqlx::Error),
    Rows(RowsError),
}

impl From<sqlx::Error> for Fault {
    fn from(e: sqlx::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<RowsError> for Fault {
    fn from(e: RowsError) -> Self {
        Self::Rows(e)
    }
}

impl From<Fault> for RowsError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(e) => Self::Unavailable(e.to_string()),
            Fault::Rows(e) => e,
        }
    }
}

/// PostgreSQL takes no NUL in text, and nothing that is stored holds one: asked
/// for with it, there is nothing.
fn no_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A process that stands still in the middle of a commit holds its lease's row:
/// whoever takes over would wait for it.
const SESSION: [(&str, &str); 1] = [("idle_in_transaction_session_timeout", "10s")];

#[derive(Clone)]
pub struct PostgresRows {
    pool: PgPool,
    snapshots: Arc<Semaphore>,
}

impl PostgresRows {
    /// Connects and brings the registry's tables up to date.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, RowsError> {
        let options =
            PgPoolOptions::new().max_connections(max_connections).acquire_timeout(Duration::from_secs(10));
        let connect = PgConnectOptions::from_str(url).map_err(Fault::from)?.options(SESSION);
        let pool = options.connect_with(connect).await.map_err(Fault::from)?;
        registry::migrate(&pool).await?;
        Ok(Self { pool, snapshots: Arc::new(Semaphore::new(check::MAX_SNAPSHOTS)) })
    }
}

#[async_trait]
impl RowStore for PostgresRows {
    async fn open(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        Ok(registry::open(&self.pool, projection, model, tables).await?)
    }

    async fn generations(&self) -> Result<Vec<Generation>, RowsError> {
        Ok(registry::generations(&self.pool).await?)
    }

    async fn acquire(
        &self,
        generation: &GenerationId,
        owner: &str,
        ttl: Duration,
    ) -> Result<Lease, RowsError> {
        Ok(registry::acquire(&self.pool, generation, owner, ttl).await?)
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), RowsError> {
        Ok(registry::renew(&self.pool, lease, ttl).await?)
    }

    async fn release(&self, lease: &Lease) -> Result<(), RowsError> {
        Ok(registry::release(&self.pool, lease).await?)
    }

    async fn fetch_many(
        &self,
        generation: &GenerationId,
        table: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Option<String>>, RowsError> {
        check_name(table)?;
        Ok(rows::fetch(&self.pool, generation, table, keys).await?)
    }

    async fn commit(&self, commit: Commit) -> Result<(), RowsError> {
        check::commit(&commit)?;
        let tx = self.pool.begin().await.map_err(Fault::from)?;
        Ok(rows::commit(tx, &commit).await?)
    }

    /// On a thread of low priority: rows are many.
    async fn commit_built(&self, commit: Commit) -> Result<(), RowsError> {
        let commit = check::in_background(commit).await?;
        // Not on that thread: connecting may start threads, which are to be like
        // any other.
        let tx = self.pool.begin().await.map_err(Fault::from)?;
        let (wanted, unwanted) = oneshot::channel::<()>();
        let runtime = Handle::current();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    done = rows::commit(tx, &commit) => Ok(done?),
                    _ = unwanted => Err(RowsError::Unavailable("nobody waits for the commit".into())),
                }
            })
        };
        let done = background::alone("rows", background::Share::Tenth, run).await;
        drop(wanted);
        done.map_err(|e| RowsError::Unavailable(e.to_string()))?
    }

    async fn read(
        &self,
        source: &Source,
        tenant: &TenantId,
        queries: &[Query],
    ) -> Result<Snapshot, RowsError> {
        check::queries(queries)?;
        Ok(rows::read(&self.pool, source, tenant, queries).await?)
    }

    async fn dead_letters(
        &self,
        source: &Source,
        tenant: Option<&TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        Ok(parked::list(&self.pool, source, tenant, after, limit).await?)
    }

    async fn request_retry(
        &self,
        source: &Source,
        tenant: &TenantId,
        partition: Option<&str>,
    ) -> Result<u64, RowsError> {
        Ok(parked::request_retry(&self.pool, source, tenant, partition).await?)
    }

    async fn parked_partitions(&self, generation: &GenerationId) -> Result<Vec<(String, bool)>, RowsError> {
        Ok(parked::partitions(&self.pool, generation).await?)
    }

    async fn parked_sequence(
        &self,
        generation: &GenerationId,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        Ok(parked::sequence(&self.pool, generation, partition, limit).await?)
    }
}
