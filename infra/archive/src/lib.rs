//! The archive: sealed segments in object storage and the manifest that says
//! what they are.
//!
//! A segment is a Parquet file with all events of one type at a range of
//! positions ([`schema`] has its columns). The manifest ([`manifest`]) is
//! written last and names every segment with its hash; nothing that it does not
//! name counts. No file is ever changed.

mod decode;
mod encode;
mod erased;
mod export;
mod file;
mod history;
pub mod manifest;
mod merge;
mod names;
mod objects;
mod open;
mod restore;
mod rows;
mod scan;
pub mod schema;
mod seal;
mod stale;
mod store;
mod task;
mod tree;
mod trim;
mod verify;

pub use decode::Events;
pub use export::EventFile;
pub use file::SegmentFile;
pub use history::{EventScan, SealedHistory};
pub use objects::Listed;
pub use open::{OpenError, Patience, S3Settings};
pub use restore::{Comparison, Restored, Until, compare, restore};
pub use rows::Rows;
pub use scan::{Chunk, Chunks, Part, Scan, positions};
pub use seal::{Archiver, Sealed, Settings, check_continues};
pub use store::ArchiveStore;
pub use tree::Signed;
pub use trim::{Trimmed, trim};
pub use verify::{Verdict, each_event};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests;

/// Readers work on these.
pub use arrow_array;
pub use arrow_schema;

use sha2::{Digest, Sha256};

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
