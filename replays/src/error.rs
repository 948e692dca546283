//! What can go wrong with a replay, for those who branch on it.

use domain::decide::Rejection;
use domain::ports::archive::ArchiveError;
use domain::ports::log::{AppendError, LogError};
use domain::ports::rows::{GenerationId, RowsError};
use projections::ModelError;
use projections::projector::Halt;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("there is no projection {0}")]
    UnknownProjection(String),
    #[error("there is no generation {0}")]
    UnknownGeneration(GenerationId),
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Somebody else decided at the same time; nothing of this was recorded.
    #[error("somebody else decided about {0} at the same time; look at the status and try again")]
    Overtaken(String),
    /// The rows did not get there in time; nothing was decided.
    #[error("{generation} is at {position}, not yet at {fence}")]
    Behind { generation: GenerationId, position: u64, fence: u64 },
    #[error(transparent)]
    Append(AppendError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("{0}")]
    Fold(String),
}

impl From<ModelError> for ReplayError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::UnknownProjection(name) => Self::UnknownProjection(name),
            other => Self::Model(other),
        }
    }
}

impl From<background::Broken> for ReplayError {
    fn from(broken: background::Broken) -> Self {
        Self::Fold(broken.to_string())
    }
}

impl From<Halt> for ReplayError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Rows(error) => Self::Rows(error),
            Halt::Log(error) => Self::Log(error),
            other => Self::Fold(other.to_string()),
        }
    }
}
