//! Sealed history: what the log held, kept in files of which none ever
//! changes. Archive and log together are the whole history; what has been
//! sealed may have been trimmed from the log.

use async_trait::async_trait;

use super::log::{Page, ReadFilter};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The store does not answer, or not now.
    #[error("the archive is unavailable: {0}")]
    Unavailable(String),
    /// The store has no room.
    #[error("the archive's store is full: {0}")]
    Full(String),
    /// What is stored is not what was sealed.
    #[error("{object} of the archive is damaged: {reason}")]
    Damaged { object: String, reason: String },
    #[error("{object} of the archive is missing")]
    Missing { object: String },
    /// The archive holds another log, or another continuation of this one.
    #[error("the archive belongs to another log: {0}")]
    Foreign(String),
    /// Another archiver was faster; nothing was changed.
    #[error("another archiver is at work")]
    Overtaken,
    #[error("the log cannot be archived: {0}")]
    Log(String),
}

#[async_trait]
pub trait Archive: Send + Sync {
    /// Every event up to here is sealed. 0: nothing.
    async fn through(&self) -> Result<u64, ArchiveError>;

    /// As `EventLog::read`, over what is sealed.
    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, ArchiveError>;
}
