//! The warehouse: signals as Parquet files in folders by tenant, app and hour,
//! for engines that know nothing of Daybook.
//!
//! **What is promised.** Every signal of the log stands in exactly one of the
//! files that the newest manifest names. A batch is cut once: its plan is
//! written before its files, so whoever goes on after a crash, with whatever
//! settings, makes the same files with the same bytes. Engines don't read the
//! manifest but each tenant's list of files (`files/current.parquet`), and the
//! statements of [`ddl`] leave out what is not on it.

mod cells;
mod columns;
mod compact;
pub mod ddl;
mod encode;
mod error;
mod list;
mod manifest;
mod names;
mod plan;
mod store;
mod task;
mod write;

pub use encode::Codec;
pub use error::WarehouseError;
pub use manifest::{File, Manifest};
pub use names::Hour;
pub use store::WarehouseStore;
pub use write::{Flushed, Settings, Warehouse};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests;

use sha2::{Digest, Sha256};

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
