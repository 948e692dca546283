//! Where results of runs lie: objects that are named by the hash of what they
//! hold, and never changed.

use async_trait::async_trait;

use crate::TenantId;
use crate::valuation::cells::TaskCells;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// The store does not answer, or not now, or has no room.
    #[error("the results are unavailable: {0}")]
    Unavailable(String),
    /// What is there is not what its name says.
    #[error("the result {object} is damaged: {reason}")]
    Damaged { object: String, reason: String },
    #[error("the result {object} is missing")]
    Missing { object: String },
    #[error("the cells can't be written: {0}")]
    Unwritable(String),
}

/// An object's name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub sha256: String,
    pub bytes: u64,
}

/// Values of a column, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    Count(Vec<u64>),
}

/// An answer as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What stands in the file beside the rows.
    pub facts: Vec<(String, String)>,
    /// All of one length.
    pub columns: Vec<(String, Values)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Arrow's IPC stream.
    Arrow,
    Parquet,
}

#[async_trait]
pub trait Results: Send + Sync {
    /// Durable when it returns. The same cells are one object.
    async fn put(&self, tenant: &TenantId, cells: TaskCells) -> Result<Stored, ResultError>;

    /// The columns of these measures, checked against the name.
    async fn get(
        &self,
        tenant: &TenantId,
        sha256: &str,
        measures: &[String],
    ) -> Result<TaskCells, ResultError>;

    /// The bytes of a table, which are kept nowhere. Takes a while.
    fn table(&self, table: Table, format: TableFormat) -> Result<Vec<u8>, ResultError>;
}
