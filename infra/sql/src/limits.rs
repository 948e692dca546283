//! What a query may take.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of a query's text.
    pub text_bytes: usize,
    pub time: Duration,
    /// What sorting, grouping and joining may hold, for each query.
    pub memory_bytes: usize,
    /// Of an answer, unless told.
    pub rows: usize,
    pub max_rows: usize,
    /// Of an answer's body.
    pub answer_bytes: usize,
    /// Queries at once.
    pub queries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 16 << 10,
            time: Duration::from_secs(30),
            memory_bytes: 256 << 20,
            rows: 10_000,
            max_rows: 100_000,
            answer_bytes: 64 << 20,
            queries: 2,
        }
    }
}

/// Nesting of expressions and queries that is parsed.
pub const PARSE_DEPTH: usize = 50;
/// What a query works on at once.
pub const THREADS: usize = 2;
/// Plans nest as deeply as the text allows.
pub const STACK_BYTES: usize = 16 << 20;
