//! The hub's local journal: where a tap is made durable before it is answered,
//! whether or not the log can be reached.
//!
//! Offsets grow and are never handed out twice, also not after a failed write;
//! so they may have gaps, and a reader goes on at [`Batch::next`].

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::ids::TenantId;
use crate::tap;

/// Largest payload of an entry.
pub const MAX_ENTRY_BYTES: usize = 256 << 10;

/// Which fact an entry becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapKind {
    Tapped,
    Previewed,
}

impl TapKind {
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Tapped => tap::TAPPED,
            Self::Previewed => tap::PREVIEWED,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub tenant: TenantId,
    pub kind: TapKind,
    pub occurred_at: Timestamp,
    /// JSON text of a [`tap::Tap`].
    pub payload: String,
}

/// Entries with their offsets, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub entries: Vec<(u64, JournalEntry)>,
    /// Every offset below this one has been considered.
    pub next: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Every entry below this offset is on disk.
    pub durable: u64,
    /// Every entry below this offset is in the log, as far as was reported.
    pub drained: u64,
    pub bytes: u64,
    pub segments: usize,
}

impl JournalStats {
    /// Entries on disk that still have to go to the log; gaps count too.
    pub fn waiting(&self) -> u64 {
        self.durable.saturating_sub(self.drained)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The configured size is reached; draining makes room.
    #[error("the journal has reached its {max} bytes")]
    Full { max: u64 },
    #[error("the disk of the journal is full")]
    DiskFull,
    /// More is waiting for the disk than may wait.
    #[error("the journal's queue is full")]
    QueueFull,
    #[error("the journal is closed")]
    Closed,
    #[error("the journal cannot be used: {0}")]
    Io(String),
    #[error("{0}")]
    Invalid(String),
}

impl JournalError {
    /// A stable word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "journal_full",
            Self::DiskFull => "disk_full",
            Self::QueueFull => "queue_full",
            Self::Closed => "closed",
            Self::Io(_) => "io",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// Resolves to the entry's offset once it is on disk.
pub type Durable = Pin<Box<dyn Future<Output = Result<u64, JournalError>> + Send>>;

#[async_trait]
pub trait TapJournal: Send + Sync {
    /// Random, made with the journal and kept as long as it.
    fn id(&self) -> &str;

    /// Queues the entry at once; dropping the future does not take it back.
    fn append(&self, entry: &JournalEntry) -> Durable;

    /// Durable entries from offset `from`, at most `limit` of them.
    async fn read(&self, from: u64, limit: usize) -> Result<Batch, JournalError>;

    /// Everything below `to` is in the log and may be deleted here. From now
    /// on no offset below `to` is handed out.
    async fn mark_drained(&self, to: u64) -> Result<(), JournalError>;

    /// Waits until an entry at offset `from` or later is durable.
    async fn grown(&self, from: u64) -> Result<(), JournalError>;

    /// Begins a new file, so that what is drained can go now.
    async fn turn(&self) -> Result<(), JournalError>;

    fn stats(&self) -> JournalStats;
}
