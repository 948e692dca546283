//! Rows in an SQLite file of their own: the log's writer and the projector's
//! would otherwise wait for each other.
//!
//! WAL with `synchronous=NORMAL`: a power cut can take back the last commits,
//! but rows and checkpoint go back together, and what is missing is folded
//! again from the log.

mod connections;
mod generations;
mod parked;
mod registry;
mod rows;
mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;
use tokio::sync::Semaphore;

use crate::check;
use connections::{Connections, writable};

const READERS: usize = 4;

#[derive(Clone)]
pub struct SqliteRows {
    path: PathBuf,
    writer: Arc<Connections>,
    readers: Arc<Connections>,
    snapshots: Arc<Semaphore>,
}

impl SqliteRows {
    /// Opens the file, makes it if there is none, and brings its tables up to
    /// date.
    pub async fn open(path: &Path) -> Result<Self, RowsError> {
        let writer = Arc::new(Connections::new(path, 1));
        writer.with(registry::migrate).await?;
        let readers = Arc::new(Connections::new(path, READERS));
        let snapshots = Arc::new(Semaphore::new(check::MAX_SNAPSHOTS));
        Ok(Self { path: path.into(), writer, readers, snapshots })
    }
}

#[async_trait]
impl RowStore for SqliteRows {
    async fn open(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        let (projection, model, tables) = (projection.to_owned(), model.clone(), tables.to_vec());
        self.writer.with(move |c| registry::open(c, &projection, &model, &tables)).await
    }

    async fn generations(&self) -> Result<Vec<Generation>, RowsError> {
        self.readers.with(|c| registry::generations(c)).await
    }

    async fn acquire(
        &self,
        generation: &GenerationId,
        owner: &str,
        ttl: Duration,
    ) -> Result<Lease, RowsError> {
        let (generation, owner) = (generation.clone(), owner.to_owned());
        self.writer.with(move |c| registry::acquire(c, generation, &owner, ttl)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), RowsError> {
        let lease = lease.clone();
        self.writer.with(move |c| registry::renew(c, &lease, ttl)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), RowsError> {
        let lease = lease.clone();
        self.writer.with(move |c| registry::release(c, &lease)).await
    }

    async fn fetch_many(
        &self,
        generation: &GenerationId,
        table: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Option<String>>, RowsError> {
        check_name(table)?;
        let (generation, table, keys) = (generation.clone(), table.to_owned(), keys.to_vec());
        self.readers.with(move |c| rows::fetch(c, &generation, &table, &keys)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), RowsError> {
        check::commit(&commit)?;
        self.writer.with(move |c| rows::commit(c, &commit)).await
    }

    async fn commit_built(&self, commit: Commit) -> Result<(), RowsError> {
        let commit = check::in_background(commit).await?;
        self.writer.in_background(move |c| rows::commit(c, &commit)).await
    }

    async fn read(
        &self,
        source: &Source,
        tenant: &TenantId,
        queries: &[Query],
    ) -> Result<Snapshot, RowsError> {
        check::queries(queries)?;
        let (source, tenant, queries) = (source.clone(), tenant.clone(), queries.to_vec());
        self.readers.with(move |c| rows::read(c, &source, &tenant, &queries)).await
    }

    async fn dead_letters(
        &self,
        source: &Source,
        tenant: Option<&TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        let (source, tenant) = (source.clone(), tenant.cloned());
        self.readers.with(move |c| parked::list(c, &source, tenant.as_ref(), after, limit)).await
    }

    async fn request_retry(
        &self,
        source: &Source,
        tenant: &TenantId,
        partition: Option<&str>,
    ) -> Result<u64, RowsError> {
        let (source, tenant, partition) = (source.clone(), tenant.clone(), partition.map(str::to_owned));
        self.writer
            .with(move |c| {
                let tx = writable(c)?;
                let marked = parked::request_retry(&tx, &source, &tenant, partition.as_deref())?;
                tx.commit()?;
                Ok(marked)
            })
            .await
    }

    async fn parked_partitions(&self, generation: &GenerationId) -> Result<Vec<(String, bool)>, RowsError> {
        let generation = generation.clone();
        self.readers.with(move |c| parked::partitions(c, &generation)).await
    }

    async fn parked_sequence(
        &self,
        generation: &GenerationId,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        let (generation, partition) = (generation.clone(), partition.to_owned());
        self.readers.with(move |c| parked::sequence(c, &generation, &partition, limit)).await
    }
}
