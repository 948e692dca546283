//! What every log promises, tried on each of them: in memory, SQLite, Postgres.

mod bed;
mod idempotency;
mod keeping;
mod model;
mod order;
mod refusals;
mod tree;
mod versions;
