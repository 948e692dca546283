use domain::ports::archive::ArchiveError;
use domain::ports::log::LogError;
use parquet::errors::ParquetError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarehouseError {
    /// The store or the log does not answer, or not now.
    #[error("the warehouse is unavailable: {0}")]
    Unavailable(String),
    #[error("the warehouse's store is full: {0}")]
    Full(String),
    #[error("{object} of the warehouse is damaged: {reason}")]
    Damaged { object: String, reason: String },
    #[error("{object} of the warehouse is missing")]
    Missing { object: String },
    #[error("the warehouse belongs to another log: {0}")]
    Foreign(String),
    /// Another process was faster; nothing was changed.
    #[error("another process writes this warehouse")]
    Overtaken,
    #[error("signals cannot be written: {0}")]
    Unwritable(String),
}

impl From<ArchiveError> for WarehouseError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Unavailable(reason) => Self::Unavailable(reason),
            ArchiveError::Full(reason) => Self::Full(reason),
            ArchiveError::Damaged { object, reason } => Self::Damaged { object, reason },
            ArchiveError::Missing { object } => Self::Missing { object },
            ArchiveError::Foreign(reason) => Self::Foreign(reason),
            ArchiveError::Overtaken => Self::Overtaken,
            ArchiveError::Log(reason) => Self::Unwritable(reason),
        }
    }
}

impl From<LogError> for WarehouseError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(reason) => Self::Unavailable(format!("the log: {reason}")),
            other => Self::Unwritable(other.to_string()),
        }
    }
}

pub fn unwritable(error: ParquetError) -> WarehouseError {
    WarehouseError::Unwritable(error.to_string())
}

/// A task that was to compute something has died.
pub fn died(error: tokio::task::JoinError) -> WarehouseError {
    WarehouseError::Unavailable(error.to_string())
}
