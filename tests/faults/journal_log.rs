//! A log that fails as it is told, before or after the commit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daybook_tests::clock::FixedClock;
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply,
};
use domain::{RecordedEvent, StreamId, TenantId};
use infra_log::MemoryLog;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing is recorded, and the caller knows.
    Refused,
    QueueFull,
    /// Nothing is recorded, and the caller does not know.
    LostBefore,
    /// All is recorded, and the caller does not know.
    LostAfter,
    /// The log cannot be asked.
    Unreadable,
}

pub struct FailingLog {
    pub inner: MemoryLog,
    /// One for each call, then none.
    faults: Mutex<VecDeque<Fault>>,
}

impl FailingLog {
    pub fn new(clock: Arc<FixedClock>) -> Self {
        Self { inner: MemoryLog::new(clock), faults: Mutex::default() }
    }

    pub fn schedule(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.faults.lock().unwrap() = faults.into_iter().collect();
    }

    fn fault(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }

    fn readable(&self) -> Result<(), LogError> {
        match self.fault() {
            Fault::Unreadable | Fault::Refused => Err(LogError::Unavailable("told to".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventLog for FailingLog {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        let fault = self.fault();
        let failed = |error: AppendError| batch.iter().map(|_| Err(error.clone())).collect();
        let unavailable = |unknown| AppendError::Unavailable { reason: "told to".into(), unknown };
        match fault {
            Fault::None => self.inner.append(batch).await,
            Fault::QueueFull => failed(AppendError::QueueFull),
            Fault::Refused | Fault::Unreadable => failed(unavailable(false)),
            Fault::LostBefore => failed(unavailable(true)),
            Fault::LostAfter => {
                let failures = failed(unavailable(true));
                self.inner.append(batch).await;
                failures
            }
        }
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        self.inner.read(after, limit, filter).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.inner.read_stream(stream, from_version, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        self.readable()?;
        self.inner.last(stream).await
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        self.inner.stored_reply(tenant, key).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.inner.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.inner.changed(after).await
    }
}
