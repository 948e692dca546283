//! A row store that fails at a call of the test's choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;
use infra_rows::MemoryRows;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Refuse,
    /// The call takes effect, and fails.
    LoseTheAnswer,
    /// The process ends before the call takes effect.
    DieBefore,
    /// The process ends after it took effect.
    DieAfter,
    /// The second commit stops until it is resumed, and so do renewals.
    PauseCommit,
}

pub struct Faulty {
    inner: Arc<MemoryRows>,
    calls: AtomicU64,
    commits: AtomicU64,
    /// Bytes of the documents of each commit.
    pub written: std::sync::Mutex<Vec<usize>>,
    at: u64,
    fault: Fault,
    died: Notify,
    resume: Notify,
    outcome: Mutex<Option<Result<(), RowsError>>>,
    resumed: Notify,
    /// Threads of a dead process end when this does.
    pub grave: CancellationToken,
}

impl Faulty {
    pub fn new(inner: Arc<MemoryRows>, at: u64, fault: Fault) -> Self {
        Self {
            inner,
            calls: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            written: std::sync::Mutex::default(),
            at,
            fault,
            died: Notify::new(),
            resume: Notify::new(),
            outcome: Mutex::new(None),
            resumed: Notify::new(),
            grave: CancellationToken::new(),
        }
    }

    pub fn never(inner: Arc<MemoryRows>) -> Self {
        Self::new(inner, u64::MAX, Fault::Refuse)
    }

    pub fn paused_at_second_commit(inner: Arc<MemoryRows>) -> Self {
        Self::new(inner, u64::MAX, Fault::PauseCommit)
    }

    /// Returns once the fault has been met (by dying or pausing).
    pub async fn died(&self) {
        self.died.notified().await;
    }

    pub fn resume(&self) {
        self.resume.notify_one();
    }

    /// What became of the paused commit.
    pub async fn resumed(&self) -> Result<(), RowsError> {
        self.resumed.notified().await;
        self.outcome.lock().await.take().unwrap()
    }

    async fn call<T>(&self, effect: impl Future<Output = Result<T, RowsError>>) -> Result<T, RowsError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) != self.at {
            return effect.await;
        }
        let broken = || RowsError::Unavailable("broken by the test".into());
        match self.fault {
            Fault::PauseCommit => effect.await,
            Fault::Refuse => Err(broken()),
            Fault::LoseTheAnswer => effect.await.and_then(|_| Err(broken())),
            Fault::DieBefore | Fault::DieAfter => {
                if self.fault == Fault::DieAfter {
                    let _ = effect.await;
                }
                self.died.notify_one();
                self.grave.cancelled().await;
                Err(broken())
            }
        }
    }

    fn pauses(&self) -> bool {
        self.fault == Fault::PauseCommit
    }
}

#[async_trait]
impl Generations for Faulty {
    async fn create(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        self.call(self.inner.create(projection, model, tables)).await
    }

    async fn finish(&self, lease: &Lease) -> Result<(), RowsError> {
        self.call(self.inner.finish(lease)).await
    }

    async fn promote(&self, target: &GenerationId, fence: u64, decided_at: u64) -> Result<bool, RowsError> {
        self.call(self.inner.promote(target, fence, decided_at)).await
    }

    async fn drop_generation(&self, generation: &GenerationId) -> Result<(), RowsError> {
        self.call(self.inner.drop_generation(generation)).await
    }

    async fn snapshot(&self, generation: &GenerationId) -> Result<Box<dyn RowsSnapshot>, RowsError> {
        self.call(self.inner.snapshot(generation)).await
    }

    async fn hold(
        &self,
        generation: &GenerationId,
        position: Option<u64>,
        ttl: Duration,
    ) -> Result<u64, RowsError> {
        self.call(self.inner.hold(generation, position, ttl)).await
    }
}

#[async_trait]
impl RowStore for Faulty {
    async fn open(&self, p: &str, model: &ModelId, tables: &[TableSpec]) -> Result<Generation, RowsError> {
        self.call(self.inner.open(p, model, tables)).await
    }

    async fn generations(&self) -> Result<Vec<Generation>, RowsError> {
        self.call(self.inner.generations()).await
    }

    async fn acquire(&self, id: &GenerationId, owner: &str, ttl: Duration) -> Result<Lease, RowsError> {
        self.call(self.inner.acquire(id, owner, ttl)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), RowsError> {
        if self.pauses() {
            return Err(RowsError::Unavailable("paused".into()));
        }
        self.inner.renew(lease, ttl).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), RowsError> {
        self.call(self.inner.release(lease)).await
    }

    async fn fetch_many(
        &self,
        id: &GenerationId,
        table: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Option<String>>, RowsError> {
        self.call(self.inner.fetch_many(id, table, keys)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), RowsError> {
        let puts = commit.changes.iter().flat_map(|c| &c.puts);
        self.written.lock().unwrap().push(puts.map(|put| put.doc.len()).sum());
        if self.pauses() && self.commits.fetch_add(1, Ordering::SeqCst) == 1 {
            self.died.notify_one();
            self.resume.notified().await;
            let outcome = self.inner.commit(commit).await;
            *self.outcome.lock().await = Some(outcome.clone());
            self.resumed.notify_one();
            return outcome;
        }
        self.call(self.inner.commit(commit)).await
    }

    async fn read(
        &self,
        source: &Source,
        tenant: &TenantId,
        queries: &[Query],
    ) -> Result<Snapshot, RowsError> {
        self.inner.read(source, tenant, queries).await
    }

    async fn dead_letters(
        &self,
        source: &Source,
        tenant: Option<&TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        self.inner.dead_letters(source, tenant, after, limit).await
    }

    async fn request_retry(
        &self,
        source: &Source,
        tenant: &TenantId,
        partition: Option<&str>,
    ) -> Result<u64, RowsError> {
        self.inner.request_retry(source, tenant, partition).await
    }

    async fn parked_partitions(&self, id: &GenerationId) -> Result<Vec<(String, bool)>, RowsError> {
        self.call(self.inner.parked_partitions(id)).await
    }

    async fn parked_sequence(
        &self,
        id: &GenerationId,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError> {
        self.call(self.inner.parked_sequence(id, partition, limit)).await
    }
}
