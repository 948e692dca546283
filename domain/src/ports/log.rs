//! The append-only log.
//!
//! The one rule this port exists for: **positions are dense and in commit
//! order**. A reader that has seen position p has seen every position below
//! it, always; so a checkpoint is one integer and nobody ever looks for gaps.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::envelope::{Metadata, NewEvent, RecordedEvent};
use crate::ids::{StreamId, TenantId};

/// Limits that every implementation enforces on what it is given.
pub const MAX_EVENTS_PER_APPEND: usize = 10_000;
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
pub const MAX_APPEND_BYTES: usize = 16 << 20;

/// What a stream's version must be for an append to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    Any,
    NoStream,
    Exists,
    Exact(u64),
}

impl ExpectedVersion {
    /// Whether a stream at this version (0: no stream) is as expected.
    pub fn holds(self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => version == 0,
            Self::Exists => version > 0,
            Self::Exact(expected) => version == expected,
        }
    }
}

/// One stream's part of an append. Without events the stream is only checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamWrite {
    pub stream: StreamId,
    pub expected: ExpectedVersion,
    pub events: Vec<NewEvent>,
}

/// A client's `Idempotency-Key`, stored in the transaction of the events.
#[derive(Debug, Clone, PartialEq)]
pub struct Idempotency {
    pub tenant: TenantId,
    pub key: String,
    /// SHA-256 of what was asked (method, path, body).
    pub request_hash: [u8; 32],
    /// What the reply says beside the receipt (JSON text), given back with it.
    pub reply: String,
}

/// One command's events: all of them are recorded, next to each other and in
/// this order, or none. A stream may appear once only.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    pub writes: Vec<StreamWrite>,
    pub metadata: Metadata,
    pub idempotency: Option<Idempotency>,
}

/// Where an event was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub stream: StreamId,
    pub event_id: Uuid,
    pub event_type: Arc<str>,
    pub version: u64,
    pub position: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// In the order of the append. Empty if it only checked streams.
    pub events: Vec<Written>,
    pub recorded_at: Timestamp,
    /// The stored reply text of the first append with this idempotency key.
    pub reply: Option<String>,
    /// True if nothing was appended now because the key had been seen.
    pub replayed: bool,
}

impl Receipt {
    /// The position of the last event; 0 if there is none.
    pub fn position(&self) -> u64 {
        self.events.last().map_or(0, |e| e.position)
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AppendError {
    /// Nothing of this append was recorded. `newer` names up to 16 events past
    /// the expected version, oldest first.
    #[error("{stream} is at version {actual}")]
    Conflict { stream: StreamId, expected: ExpectedVersion, actual: u64, newer: Vec<Written> },
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the append queue is full")]
    QueueFull,
    #[error("{0}")]
    Invalid(String),
    /// The store failed. `unknown` is false if nothing was recorded for sure,
    /// true if that could not be found out.
    #[error("the log is unavailable: {reason}")]
    Unavailable { reason: String, unknown: bool },
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LogError {
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// What is stored does not read back as an event.
    #[error("position {position} is damaged: {reason}")]
    Damaged { position: u64, reason: String },
    /// What was asked for is not complete in the log any more.
    #[error("facts up to position {upto} were trimmed from the log; the archive has them")]
    Trimmed { upto: u64 },
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// Nothing was written: the events do not follow what the log has.
    #[error("the log ends at position {head}, so position {first} cannot come next")]
    NotNext { head: u64, first: u64 },
    #[error("position {position} cannot be restored: {reason}")]
    Invalid { position: u64, reason: String },
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Position of the newest event; 0 in an empty log.
    pub position: u64,
    pub recorded_at: Option<Timestamp>,
}

/// Which events a reader wants. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadFilter {
    pub tenant: Option<TenantId>,
    pub kind: Option<Arc<str>>,
    pub event_types: Vec<Arc<str>>,
}

impl ReadFilter {
    pub fn types<'a>(types: impl IntoIterator<Item = &'a str>) -> Self {
        Self { event_types: types.into_iter().map(Arc::from).collect(), ..Self::default() }
    }

    pub fn matches(&self, event: &RecordedEvent) -> bool {
        self.tenant.as_ref().is_none_or(|t| *t == event.stream.tenant)
            && self.kind.as_ref().is_none_or(|k| *k == event.stream.kind)
            && (self.event_types.is_empty() || self.event_types.contains(&event.event_type))
    }
}

/// Matching events, oldest first, and how far the log was looked through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub events: Vec<RecordedEvent>,
    /// Every position up to here has been considered; read on after it. Equal
    /// to the position asked for when there is nothing newer.
    pub through: u64,
}

/// The reply kept under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReply {
    pub request_hash: [u8; 32],
    pub receipt: Receipt,
}

#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends each command for itself: one outcome per element, in order; one
    /// conflict fails only its own. Returns when the outcomes are durable.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>>;

    /// Events past `after` in position order, at most `limit` of them.
    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError>;

    /// Events of one stream from `from_version` (1…), oldest first: `limit` of
    /// them, or fewer if the stream ends there.
    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError>;

    /// The newest event of a stream.
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError>;

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError>;

    async fn head(&self) -> Result<Head, LogError>;

    /// Waits until the head is past `after` and returns its position. The
    /// caller bounds the wait. Appends by other processes are noticed too,
    /// within a fraction of a second.
    async fn changed(&self, after: u64) -> Result<u64, LogError>;
}

/// What operators do to a log as a whole.
///
/// **What a trim leaves.** Only facts that no decision loads are dropped
/// ([`registry::TRIMMABLE`](crate::registry::TRIMMABLE)), and of each stream the
/// newest event stays. So versions, expected versions, `last` and stored replies
/// are what they were. A read that would have to return a dropped fact is
/// [`LogError::Trimmed`]; one that asks for other types goes on as before.
#[async_trait]
pub trait LogKeeping: Send + Sync {
    /// Writes events as they were recorded: positions, versions, times, ids and
    /// leaves stay. They must begin one past the head, which is 0 in an empty
    /// log. All or none; durable when it returns.
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError>;

    /// Drops facts up to a position, which the caller knows to be kept
    /// elsewhere. Returns how many. May be repeated.
    async fn trim(&self, upto: u64) -> Result<u64, LogError>;

    /// Forgets the replies kept under idempotency keys whose events stand in this
    /// stream: who repeats such a request asks anew. Returns how many.
    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError>;

    /// Facts up to here may be gone. 0: none is.
    async fn trimmed(&self) -> Result<u64, LogError>;
}

/// Whether a reader with this filter wants facts that may be trimmed.
pub fn wants_trimmable(filter: &ReadFilter) -> bool {
    filter.event_types.is_empty() || filter.event_types.iter().any(|t| crate::registry::is_trimmable(t))
}

/// Events that can be restored after `head`: dense, and each with its leaf.
pub fn check_restorable(head: u64, events: &[RecordedEvent]) -> Result<(), RestoreError> {
    for (event, position) in events.iter().zip(head + 1..) {
        if event.position != position {
            return Err(RestoreError::NotNext { head: position - 1, first: event.position });
        }
        if event.compute_leaf() != event.leaf {
            return Err(RestoreError::Invalid { position, reason: "it does not match its leaf".to_owned() });
        }
    }
    Ok(())
}
