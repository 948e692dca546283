//! Read-model rows in memory, in SQLite and in PostgreSQL: three
//! implementations of [`domain::ports::rows::RowStore`] held to one
//! conformance suite.

mod check;
mod memory;

pub use memory::MemoryRows;
