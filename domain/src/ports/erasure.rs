//! What erasing a subject takes beside the log and the keys.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::archive::ArchiveError;
use super::keys::{KeyError, KeyId};
use super::log::{AppendError, LogError};
use crate::decide::Rejection;
use crate::ids::TenantId;
use crate::personal::Subject;
use crate::subject::{Exported, Rebuilt};

/// Keys that were erased, as the archive remembers them: whoever puts back an
/// older copy of the keys destroys these again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedKeys {
    pub tenant: TenantId,
    pub subject: Subject,
    /// Of the `subject.erasing` that names them.
    pub position: u64,
    pub at: Timestamp,
    pub keys: Vec<KeyId>,
}

#[async_trait]
pub trait ErasedList: Send + Sync {
    /// Durable when it returns. May be repeated.
    async fn note(&self, erased: &ErasedKeys) -> Result<(), ArchiveError>;

    async fn all(&self) -> Result<Vec<ErasedKeys>, ArchiveError>;
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ErasureError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the rows were not built anew: {0}")]
    Rows(String),
    #[error("the journal was not emptied: {0}")]
    Journal(String),
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// By who takes the lines of an export.
    #[error("{0}")]
    Line(String),
    #[error("{0}")]
    Damaged(String),
}

/// The rows of all read models that show personal data, built anew.
#[async_trait]
pub trait Rebuild: Send + Sync {
    /// When it returns, what is live was begun after the call for this `asked`
    /// that came first, and no rows are left that were begun before. For the
    /// same `asked` it goes on where it was broken off.
    async fn rebuild(&self, asked: u64) -> Result<Vec<Rebuilt>, String>;
}

/// Journals of this process, in which taps lie as they were written.
#[async_trait]
pub trait Emptied: Send + Sync {
    /// When it returns, all that they held is in the log and gone from them.
    async fn emptied(&self) -> Result<(), String>;
}

/// Everything that is held about a subject.
#[async_trait]
pub trait Exports: Send + Sync {
    /// Gives one JSON object after the other to `line`, and says what it was.
    async fn export(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        actor: &str,
        line: &mut (dyn FnMut(Value) -> Result<(), String> + Send),
    ) -> Result<Exported, ErasureError>;
}
