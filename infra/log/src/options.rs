//! What can be set on a log, with defaults that suit one server process.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::clock::Clock;

#[derive(Clone)]
pub struct LogOptions {
    pub clock: Arc<dyn Clock>,
    /// Appends that may wait; one more is answered with `QueueFull`.
    pub queue_appends: usize,
    /// Bytes of payload and names that may wait.
    pub queue_bytes: usize,
    /// Appends that are committed together at most.
    pub batch_appends: usize,
    /// Bytes after which a batch takes no further append.
    pub batch_bytes: usize,
    /// Streams whose newest version is remembered between batches.
    pub cached_streams: usize,
    /// Newest events kept in memory for readers at the tip.
    pub tail_events: usize,
    pub tail_bytes: usize,
    /// How long an append is tried again while the database can't be reached.
    pub patience: Duration,
    /// How long an idempotency key is remembered.
    pub keep_keys: Duration,
    /// Connections for reading.
    pub readers: u32,
    /// How often the head is looked up while somebody waits for it to move.
    pub poll: Duration,
    /// Positions in one partition of the Postgres table. Only partitions that
    /// don't exist yet are affected by a change.
    pub partition_positions: u64,
    /// Off only to measure what the tree costs.
    #[cfg(feature = "bench")]
    pub tree: bool,
}

impl LogOptions {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            queue_appends: 30_000,
            queue_bytes: 64 << 20,
            batch_appends: 1_000,
            batch_bytes: 8 << 20,
            cached_streams: 100_000,
            tail_events: 20_000,
            tail_bytes: 32 << 20,
            patience: Duration::from_secs(5),
            keep_keys: Duration::from_secs(7 * 24 * 3600),
            readers: 4,
            poll: Duration::from_millis(100),
            partition_positions: 10_000_000,
            #[cfg(feature = "bench")]
            tree: true,
        }
    }

    #[cfg(feature = "bench")]
    pub(crate) fn grows_tree(&self) -> bool {
        self.tree
    }

    #[cfg(not(feature = "bench"))]
    pub(crate) fn grows_tree(&self) -> bool {
        true
    }
}
