//! Restoring and trimming, over a database.

use async_trait::async_trait;
use domain::ports::log::{LogError, LogKeeping, RestoreError, check_restorable};
use domain::{RecordedEvent, StreamId};

use crate::log::{DatabaseLog, Reads};

/// Positions that a trim looks through in one transaction.
pub(crate) const TRIM_WINDOW: u64 = 20_000;

/// What a database offers to those who keep it. Restoring is like appending by
/// another process: whoever appends finds the head moved.
#[async_trait]
pub trait Keeps: Send + Sync + 'static {
    /// Writes events if the log ends right before the first of them. They have
    /// been checked.
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError>;
    /// Notes that facts up to here may be gone.
    async fn mark_trimmed(&self, upto: u64) -> Result<(), LogError>;
    /// Drops facts at the positions `after + 1..=upto`, which are marked. The
    /// leaves of all of them are kept for the tree.
    async fn drop_facts(&self, after: u64, upto: u64) -> Result<u64, LogError>;
    async fn trimmed(&self) -> Result<u64, LogError>;
    /// See `LogKeeping::forget_replies`.
    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError>;
}

#[async_trait]
impl<R: Reads> LogKeeping for DatabaseLog<R> {
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError> {
        let Some(first) = events.first() else { return Ok(()) };
        check_restorable(first.position.saturating_sub(1), events)?;
        self.reads.restore(events).await
    }

    async fn trim(&self, upto: u64) -> Result<u64, LogError> {
        // The head's own event always stays: appends are planned on it.
        let upto = upto.min(self.reads.head().await?.position.saturating_sub(1));
        self.reads.mark_trimmed(upto).await?;
        let (mut after, mut dropped) = (0, 0);
        while after < upto {
            let next = upto.min(after + TRIM_WINDOW);
            dropped += self.reads.drop_facts(after, next).await?;
            after = next;
        }
        Ok(dropped)
    }

    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError> {
        self.reads.forget_replies(stream).await
    }

    async fn trimmed(&self) -> Result<u64, LogError> {
        self.reads.trimmed().await
    }
}

/// Nothing is trimmed where something is missing already.
pub(crate) fn check_kept(leaves: u64, after: u64, upto: u64) -> Result<(), LogError> {
    if leaves == upto - after {
        return Ok(());
    }
    let reason = format!("of the events up to {upto} there are {leaves}; nothing was trimmed");
    Err(LogError::Damaged { position: after + 1, reason })
}

/// Versions of a stream are dense: a gap is what was trimmed.
pub(crate) fn stream_is_whole(events: &[RecordedEvent], from_version: u64) -> bool {
    events.iter().zip(from_version.max(1)..).all(|(event, version)| event.version == version)
}
