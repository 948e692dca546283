//! Keys of personal data on PostgreSQL and on SQLite. Tables hold them wrapped
//! ([`table::Table`]); wrapping is the same for both ([`WrappedKeys`]).

mod kek;
mod postgres;
mod sqlite;
mod store;
mod table;

pub use kek::{KekError, Keks, LocalKek};
pub use postgres::PostgresTable;
pub use sqlite::SqliteTable;
pub use store::WrappedKeys;

/// Keys in PostgreSQL.
pub type PostgresKeys = WrappedKeys<PostgresTable>;
/// Keys in an SQLite file of their own.
pub type SqliteKeys = WrappedKeys<SqliteTable>;
