//! The hub's journal on the local disk: checksummed frames in segment files,
//! one writer thread that syncs whatever has gathered in one go.
//!
//! - `append` puts the frame into the pending batch (`queue`), the writer
//!   thread (`writer`) takes the batch, writes, syncs and answers everyone in it.
//! - The `index` knows the segment files and how much of each is durable;
//!   reading (`reader`) and deleting go by it.
//! - `directory` is the lock, the id, the names and what happens on opening.

mod directory;
mod frame;
mod index;
mod journal;
mod queue;
mod reader;
mod storage;
mod throttle;
mod writer;

pub use journal::{DiskJournal, Options};
