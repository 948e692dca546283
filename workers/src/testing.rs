//! What several tests need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply,
};
use domain::{RecordedEvent, StreamId, TenantId};
use infra_log::MemoryLog;

/// Counts the events that are read of it.
pub struct Counted {
    pub log: Arc<MemoryLog>,
    pub read: AtomicUsize,
}

impl Counted {
    pub fn new(log: Arc<MemoryLog>) -> Self {
        Self { log, read: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl EventLog for Counted {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        self.log.append(batch).await
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        let page = self.log.read(after, limit, filter).await?;
        self.read.fetch_add(page.events.len(), Ordering::Relaxed);
        Ok(page)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.read_stream(stream, from, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        self.log.last(stream).await
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        self.log.stored_reply(tenant, key).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.log.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.log.changed(after).await
    }
}
