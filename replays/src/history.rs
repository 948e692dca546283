//! The whole history as one log: what was trimmed from the log is read from
//! the archive. Who follows the log's end never asks the archive, so one that
//! is away stops nobody but readers of what only it holds.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply,
};
use domain::{RecordedEvent, StreamId, TenantId};

pub struct History {
    pub archive: Arc<dyn Archive>,
    pub log: Arc<dyn EventLog>,
}

fn unavailable(error: ArchiveError) -> LogError {
    LogError::Unavailable(error.to_string())
}

#[async_trait]
impl EventLog for History {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        self.log.append(batch).await
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        match self.log.read(after, limit, filter).await {
            Err(LogError::Trimmed { upto }) => {
                let page = self.archive.read(after, limit, filter).await.map_err(unavailable)?;
                // An archive that does not reach as far as the log was trimmed.
                if page.through <= after { Err(LogError::Trimmed { upto }) } else { Ok(page) }
            }
            read => read,
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.read_stream(stream, from_version, limit).await
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
