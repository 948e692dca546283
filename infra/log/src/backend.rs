//! What the writer thread needs of a database: little, and synchronous,
//! because the thread is its own.

use domain::ids::{StreamId, TenantId};
use domain::ports::log::LogError;

use crate::plan::{Known, Mark, Plan};

#[derive(Debug, Clone)]
pub(crate) enum StoreError {
    /// The database could not be asked, or said no.
    Failed(String),
    /// It answered, and somebody has changed the log behind its back.
    Damaged { position: u64, reason: String },
}

impl StoreError {
    pub fn reason(self) -> String {
        match self {
            Self::Failed(reason) | Self::Damaged { reason, .. } => reason,
        }
    }
}

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Failed(reason) => Self::Unavailable(reason),
            StoreError::Damaged { position, reason } => Self::Damaged { position, reason },
        }
    }
}

#[derive(Debug)]
pub(crate) enum WriteError {
    /// The log moved on, or a guess was wrong. Nothing was written.
    Lost,
    Failed {
        reason: String,
        /// Whether it may have been written all the same.
        unknown: bool,
    },
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Failed { reason: error.reason(), unknown: false }
    }
}

/// What has to be looked up before a batch can be planned.
#[derive(Debug, Default)]
pub(crate) struct Want<'a> {
    pub streams: Vec<&'a StreamId>,
    pub keys: Vec<(&'a TenantId, &'a str)>,
}

impl Want<'_> {
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.keys.is_empty()
    }
}

/// Versions that a batch was planned with and that were not looked up: what
/// its callers expect. The write checks them.
pub(crate) type Guesses<'a> = Vec<(&'a StreamId, u64)>;

/// More would hold up the appends that wait.
pub(crate) const KEYS_AT_ONCE: u64 = 10_000;

pub(crate) trait Backend {
    /// True if every batch may as well be planned under the lock.
    const LOCK_IS_FREE: bool;

    /// The newest event, as anybody sees it.
    fn head(&mut self) -> Result<Mark, StoreError>;

    /// Begins a transaction beside which nobody can append, in this process or
    /// another, and reads the newest event in it.
    fn lock(&mut self) -> Result<Mark, StoreError>;

    /// Ends a transaction that has written nothing.
    fn unlock(&mut self) -> Result<(), StoreError>;

    /// Adds the versions of streams and the replies of keys that exist.
    fn lookup<'a>(&mut self, want: &Want<'a>, known: &mut Known<'a>) -> Result<(), StoreError>;

    /// The leaf recorded at a position.
    fn leaf_at(&mut self, position: u64) -> Result<Option<[u8; 32]>, StoreError>;

    /// Writes events and keys if the log still ends in `plan.base` and every
    /// guess is right, all or nothing, and makes them durable. Ends the
    /// transaction if there is one.
    fn write(&mut self, plan: &Plan<'_>, guesses: &Guesses<'_>) -> Result<(), WriteError>;

    /// Forgets idempotency keys stored before this instant (microseconds), at
    /// most [`KEYS_AT_ONCE`] of them.
    fn forget_keys(&mut self, before: i64) -> Result<u64, StoreError>;

    /// Drops connection and transaction; the next call connects anew.
    fn disconnect(&mut self);
}
