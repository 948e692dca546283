//! Read-only SQL over archive and log, by DataFusion.
//!
//! Every query runs on a [`pin::Pin`]: one manifest of the archive, the log
//! behind it, an end position and a tenant. All its scans see exactly that.
//!
//! **Nothing of another tenant reaches the query engine.** The tables
//! themselves leave out other tenants' rows, in streams that no optimizer looks
//! into; so no filter of the query's own is ever tried on a row that the client
//! may not see, whatever it would betray by failing.
//!
//! Queries run on threads of their own with large stacks. Requests to the log
//! and to the archive's store are made by the threads that serve requests,
//! whose connections they share.

mod archived;
mod bounded;
mod bounds;
mod checked;
mod depth;
mod encode;
mod engine;
mod failure;
mod json;
mod limits;
mod pin;
mod sealed;
mod session;
mod statement;
mod stop;
mod table;
mod tail;
mod weight;

pub use engine::{Sources, SqlEngine};
pub use limits::Limits;

/// Answers in Arrow's format are read with this.
pub use datafusion::arrow;
