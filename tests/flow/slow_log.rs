//! The log in memory answers without ever waiting, so that commands "at once"
//! would run one after the other. This one lets the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply,
};
use domain::{StreamId, TenantId};
use infra_log::MemoryLog;

pub struct SlowLog {
    pub inner: Arc<MemoryLog>,
    /// From the next append on nothing answers; that one is recorded.
    pub breaks: AtomicBool,
    broken: AtomicBool,
}

impl SlowLog {
    pub fn new(inner: Arc<MemoryLog>) -> Self {
        Self { inner, breaks: AtomicBool::new(false), broken: AtomicBool::new(false) }
    }

    pub fn mend(&self) {
        self.breaks.store(false, SeqCst);
        self.broken.store(false, SeqCst);
    }

    async fn answers(&self) -> Result<&MemoryLog, LogError> {
        tokio::task::yield_now().await;
        if self.broken.load(SeqCst) {
            return Err(LogError::Unavailable("it broke".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl EventLog for SlowLog {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        tokio::task::yield_now().await;
        let outcomes = self.inner.append(batch).await;
        if !self.breaks.load(SeqCst) {
            return outcomes;
        }
        self.broken.store(true, SeqCst);
        let lost = AppendError::Unavailable { reason: "it broke".into(), unknown: true };
        outcomes.iter().map(|_| Err(lost.clone())).collect()
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        self.answers().await?.read(after, limit, filter).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.answers().await?.read_stream(stream, from_version, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        self.answers().await?.last(stream).await
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        self.answers().await?.stored_reply(tenant, key).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.answers().await?.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.answers().await?.changed(after).await
    }
}
