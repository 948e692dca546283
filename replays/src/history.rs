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

/// Sealed events looked through at a time for those of one stream.
const PAGE: usize = 5_000;

fn unavailable(error: ArchiveError) -> LogError {
    LogError::Unavailable(error.to_string())
}

/// The archive knows no streams: all events of the stream's kind are looked
/// through.
async fn sealed_stream(
    archive: &dyn Archive,
    stream: &StreamId,
    from_version: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, LogError> {
    let (tenant, kind) = (Some(stream.tenant.clone()), Some(stream.kind.clone()));
    let filter = ReadFilter { tenant, kind, ..ReadFilter::default() };
    let (mut found, mut after) = (Vec::new(), 0);
    while found.len() < limit {
        let page = archive.read(after, PAGE, &filter).await.map_err(unavailable)?;
        let wanted = |e: &RecordedEvent| e.stream == *stream && e.version >= from_version;
        found.extend(page.events.into_iter().filter(wanted));
        if page.through <= after {
            break;
        }
        after = page.through;
    }
    found.truncate(limit);
    Ok(found)
}

impl History {
    /// What is sealed first, then the log has the rest.
    async fn stream_with_sealed(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let mut found = sealed_stream(&*self.archive, stream, from_version, limit).await?;
        let room = limit - found.len();
        if room > 0 {
            let next = found.last().map_or(from_version, |e| e.version + 1);
            found.extend(self.log.read_stream(stream, next, room).await?);
        }
        Ok(found)
    }
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
        match self.log.read_stream(stream, from_version, limit).await {
            Err(LogError::Trimmed { .. }) => self.stream_with_sealed(stream, from_version, limit).await,
            read => read,
        }
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

/// What is sealed, as a log that takes nothing: for folding where the log is
/// gone, or is not to be trusted.
pub struct Sealed(pub Arc<dyn Archive>);

#[async_trait]
impl EventLog for Sealed {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        let refused = |_| {
            let reason = "the archive takes no events".to_owned();
            Err(AppendError::Unavailable { reason, unknown: false })
        };
        batch.into_iter().map(refused).collect()
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        self.0.read(after, limit, filter).await.map_err(unavailable)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        sealed_stream(&*self.0, stream, from_version, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        Ok(sealed_stream(&*self.0, stream, 1, usize::MAX).await?.pop())
    }

    async fn stored_reply(&self, _: &TenantId, _: &str) -> Result<Option<StoredReply>, LogError> {
        Ok(None)
    }

    async fn head(&self) -> Result<Head, LogError> {
        let position = self.0.through().await.map_err(unavailable)?;
        let Some(after) = position.checked_sub(1) else { return Ok(Head::default()) };
        let newest = self.read(after, 1, &ReadFilter::default()).await?.events.pop();
        Ok(Head { position, recorded_at: newest.map(|e| e.recorded_at) })
    }

    /// The same for ever: the caller bounds the wait.
    async fn changed(&self, _: u64) -> Result<u64, LogError> {
        std::future::pending().await
    }
}
