//! Generations of read models: built beside the live one, compared, promoted,
//! rolled back, pruned and verified.
//!
//! What operators decide are facts ([`domain::replay`]); the row store follows
//! them: at once in the process that decides, and by the [`runner`] of every
//! process with a projector.

pub mod build;
mod canonical;
pub mod checksum;
pub mod compare;
pub mod comparing;
pub mod decisions;
pub mod engine;
mod error;
pub mod facts;
pub mod history;
pub mod models;
pub mod report;
pub mod routes;
pub mod runner;
pub mod status;
mod verify;

pub use decisions::{By, Decided, RequestKey};
pub use engine::Engine;
pub use error::ReplayError;
pub use runner::Runner;
