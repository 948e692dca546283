//! How far a hub's local journal has been moved into the log: a stream of kind
//! `journal`, one per journal, whose newest event says which offset is next.
//! It is appended in the same append as the taps themselves, with an exact
//! expected version, so a batch goes in once however often it is tried.

use serde::{Deserialize, Serialize};

pub const DRAINED: &str = "journal.drained";
pub const KIND: &str = "journal";

/// Payload of `journal.drained`: journal entries `from..to` are in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    pub from: u64,
    pub to: u64,
}
