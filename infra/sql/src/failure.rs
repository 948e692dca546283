//! What an error of the engine means for who asked.

use datafusion::error::DataFusionError;
use domain::ports::sql::SqlError;

use crate::Limits;
use crate::pin::Pin;

/// Before anything was read: the text is at fault.
pub fn of_planning(error: DataFusionError) -> SqlError {
    match error.find_root() {
        DataFusionError::Internal(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ExecutionJoin(_) => SqlError::Internal(error.strip_backtrace()),
        _ => SqlError::Invalid(plain(&error)),
    }
}

/// While events were read.
pub fn of_running(error: DataFusionError, pin: &Pin, limits: &Limits) -> SqlError {
    if let Some(fault) = pin.fault() {
        return SqlError::Unavailable(fault);
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::Memory { limit: limits.memory_bytes },
        // Of a value: a number too large, a text that is no number.
        DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => SqlError::Invalid(plain(&error)),
        _ => SqlError::Internal(error.strip_backtrace()),
    }
}

fn plain(error: &DataFusionError) -> String {
    error.find_root().strip_backtrace()
}
