//! Questions in SQL about recorded facts: read only, as of one position.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::TenantId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlFormat {
    Json,
    Csv,
    /// Arrow's IPC stream.
    Arrow,
    /// A table for people.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlQuery {
    pub text: String,
    /// Whose events there are. `None`: everybody's, for operators at the
    /// machine itself.
    pub tenant: Option<TenantId>,
    /// The position that is the end of the log for this query; the head unless
    /// said.
    pub at: Option<u64>,
    /// Rows of the answer, at most.
    pub limit: Option<usize>,
    pub format: SqlFormat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlAnswer {
    /// The position that the query ran at.
    pub at: u64,
    pub rows: usize,
    /// There was more than the limits let through.
    pub truncated: bool,
    pub body: Vec<u8>,
}

/// What a client may read is in the text of every error but the last two,
/// whose reasons are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Not a statement that is allowed here.
    #[error("{0}")]
    NotAllowed(String),
    /// Not a query that can be answered.
    #[error("{0}")]
    Invalid(String),
    #[error("a query has at most {limit} bytes")]
    TooLong { limit: usize },
    #[error("the answer has at most {limit} rows; ask for 1 to {limit}")]
    TooManyRows { limit: usize },
    #[error("the log ends at position {head}")]
    NotThere { head: u64 },
    #[error("the query was stopped after {} s", .0.as_secs_f64())]
    Time(Duration),
    #[error("the query needs more than {limit} bytes of memory")]
    Memory { limit: usize },
    #[error("{limit} queries run already")]
    Busy { limit: usize },
    #[error("the events cannot be read: {0}")]
    Unavailable(String),
    #[error("the query failed: {0}")]
    Internal(String),
}

#[async_trait]
pub trait Sql: Send + Sync {
    async fn run(&self, query: SqlQuery) -> Result<SqlAnswer, SqlError>;
}
