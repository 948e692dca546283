//! Read-model rows in memory, in SQLite and in PostgreSQL: three
//! implementations of [`domain::ports::rows::RowStore`] held to one
//! conformance suite.

mod check;
mod memory;
mod names;
mod postgres;
mod sql;
mod sqlite;

pub use memory::MemoryRows;
pub use postgres::PostgresRows;
pub use sqlite::SqliteRows;
