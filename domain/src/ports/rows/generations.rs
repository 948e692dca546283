//! Generations beside each other: made, built, promoted, compared, dropped.
//!
//! One pointer of a projection says which generation is live. It moves in one
//! transaction, so a read is answered by the old or by the new one as a whole.

use std::time::Duration;

use async_trait::async_trait;

use super::{Generation, GenerationId, Lease, ModelId, RowKey, RowsError, TableSpec};

/// The longest that a hold lasts unless it is renewed.
pub const MAX_HOLD: Duration = Duration::from_secs(600);

#[async_trait]
pub trait Generations: Send + Sync {
    /// A generation beside the others: building, at position 0, its tables
    /// without secondary indexes. Its number is one past the greatest ever
    /// given to the projection.
    async fn create(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError>;

    /// Makes the secondary indexes and turns building into ready. Does nothing
    /// to a generation that is not building.
    async fn finish(&self, lease: &Lease) -> Result<(), RowsError>;

    /// Makes `target` live and retires the one that was. SQL views follow in
    /// the same transaction, and a hold ends.
    ///
    /// `decided_at` orders decisions: false, and nothing changes, if a later
    /// one has been applied. Applying the same one again is true. Refused while
    /// the target is building or its checkpoint is before `fence`.
    async fn promote(&self, target: &GenerationId, fence: u64, decided_at: u64) -> Result<bool, RowsError>;

    /// Drops tables, dead letters, lease and registry entry of a generation
    /// that is not live. Does nothing if there is none.
    async fn drop_generation(&self, generation: &GenerationId) -> Result<(), RowsError>;

    /// Overwrites what dropped rows left behind in the store's own files. False
    /// if somebody reads, and it has to be asked for again.
    async fn scrub(&self) -> Result<bool, RowsError> {
        Ok(true)
    }

    /// All rows as of one instant. How many may be open at once is limited.
    async fn snapshot(&self, generation: &GenerationId) -> Result<Box<dyn RowsSnapshot>, RowsError>;

    /// Keeps commits from moving the checkpoint past `position`, or past where
    /// it is if that is later, until it is let go (`None`) or `ttl` (at most
    /// [`MAX_HOLD`]) has passed. Returns the checkpoint: it is the position of
    /// the hold if that has been reached. Refused for the live generation.
    async fn hold(
        &self,
        generation: &GenerationId,
        position: Option<u64>,
        ttl: Duration,
    ) -> Result<u64, RowsError>;
}

/// A row as a scan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedRow {
    pub row: RowKey,
    pub sort: Option<String>,
    /// JSON text.
    pub doc: String,
}

/// A generation as it was when the snapshot was opened.
#[async_trait]
pub trait RowsSnapshot: Send {
    fn generation(&self) -> &Generation;

    /// Names of its tables, in order of declaration.
    fn tables(&self) -> &[String];

    /// Rows in order of (tenant, key), bytewise, past `after`.
    async fn scan(
        &mut self,
        table: &str,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<ScannedRow>, RowsError>;

    fn position(&self) -> u64 {
        self.generation().position
    }

    fn model(&self) -> &ModelId {
        &self.generation().model
    }
}
