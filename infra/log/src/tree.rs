//! The tree over a database: what it keeps beside the events.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use domain::RecordedEvent;
use domain::ports::log::LogError;
use domain::ports::tree::{CheckpointError, SignedCheckpoint, TreeLog};
use domain::tree::{Frontier, Hash, MAX_SIZE, Node, TILE_HEIGHT};
use jiff::Timestamp;

use crate::backend::StoreError;
use crate::decode::timestamp;
use crate::log::{DatabaseLog, Reads};
use crate::plan::Mark;

/// What a database's reading side offers of the tree.
#[async_trait]
pub trait Trees: Send + Sync + 'static {
    async fn frontier(&self) -> Result<Frontier, LogError>;
    /// Those of the positions `first + 1..=first + count` that are there, with
    /// their leaves.
    async fn leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Hash)>, LogError>;
    /// What was kept of trimmed positions in that range: first position and
    /// leaves, at most 256, of which those at the ends may be of others.
    async fn trimmed_leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError>;
    /// Those of the nodes that are there.
    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError>;
    async fn checkpoints(&self, wanted: Wanted) -> Result<Vec<SignedCheckpoint>, LogError>;
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError>;
    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError>;
}

/// Checkpoints of an origin with these sizes, the largest or the smallest first.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub origin: String,
    pub sizes: RangeInclusive<u64>,
    pub largest_first: bool,
    pub limit: usize,
}

impl Wanted {
    pub fn newest(origin: &str) -> Self {
        Self { origin: origin.to_owned(), sizes: 0..=MAX_SIZE, largest_first: true, limit: 1 }
    }

    pub fn of_size(origin: &str, size: u64) -> Self {
        Self { sizes: size..=size, ..Self::newest(origin) }
    }
}

/// The newest event with the tree that ends in it. A log that was cut or added
/// to by others has a tree that ends elsewhere; nothing is appended to it.
pub(crate) fn planted(head: Mark, size: i64, frontier: &[u8]) -> Result<Mark, StoreError> {
    let size = size.cast_unsigned();
    if size != head.position {
        let reason = format!("the log ends at {}, its tree at {size}", head.position);
        return Err(StoreError::Damaged { position: size.min(head.position) + 1, reason });
    }
    let unfit = |reason| StoreError::Damaged { position: size, reason };
    Ok(Mark { frontier: Frontier::parse(size, frontier).map_err(unfit)?, ..head })
}

/// Adds events to a tree, and says which tiles they fill.
pub(crate) fn grow(frontier: &mut Frontier, events: &[RecordedEvent]) -> Vec<Node> {
    let mut nodes = Vec::new();
    events.iter().for_each(|event| frontier.push(&event.leaf, &mut nodes));
    nodes
}

/// A row of the checkpoints.
pub(crate) fn checkpoint(
    (origin, size, root, note, signed_at): (String, i64, [u8; 32], String, i64),
) -> Result<SignedCheckpoint, LogError> {
    let size = size.cast_unsigned();
    let signed_at: Timestamp =
        timestamp(signed_at).map_err(|reason| LogError::Damaged { position: size, reason })?;
    Ok(SignedCheckpoint { origin, size, root, note, signed_at })
}

#[async_trait]
impl<R: Reads> TreeLog for DatabaseLog<R> {
    async fn frontier(&self) -> Result<Frontier, LogError> {
        self.reads.frontier().await
    }

    async fn entries(&self, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let leaves = self.reads.leaves(first, count).await?;
        if leaves.len() == count {
            return Ok(leaves.into_iter().map(|(_, leaf)| leaf).collect());
        }
        // Asked afterwards: what a trim drops it has kept.
        let kept = self.reads.trimmed_leaves(first, count).await?;
        let kept = kept.iter().flat_map(|(from, leaves)| (*from..).zip(leaves.as_chunks::<32>().0.to_vec()));
        let mut all = vec![None; count];
        for (position, leaf) in kept.chain(leaves) {
            let place = position.checked_sub(first + 1).and_then(|place| all.get_mut(place as usize));
            if let Some(place) = place {
                *place = Some(leaf);
            }
        }
        let missing = |index: u64| LogError::Damaged {
            position: first + 1 + index,
            reason: "it is missing".to_owned(),
        };
        (0..).zip(all).map(|(index, leaf)| leaf.ok_or_else(|| missing(index))).collect()
    }

    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let nodes = self.reads.nodes(level, first, count).await?;
        if nodes.len() == count {
            return Ok(nodes);
        }
        let position = first.saturating_mul(1 << (u32::from(level.min(6)) * u32::from(TILE_HEIGHT))) + 1;
        let reason = format!("hashes {first}… of level {level} of the tree are missing");
        Err(LogError::Damaged { position, reason })
    }

    async fn checkpoint(
        &self,
        origin: &str,
        at_most: Option<u64>,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        let sizes = 0..=at_most.unwrap_or(MAX_SIZE);
        Ok(self.reads.checkpoints(Wanted { sizes, ..Wanted::newest(origin) }).await?.pop())
    }

    async fn checkpoints(
        &self,
        origin: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SignedCheckpoint>, LogError> {
        let sizes = after.saturating_add(1)..=MAX_SIZE;
        let wanted = Wanted { origin: origin.to_owned(), sizes, largest_first: false, limit };
        self.reads.checkpoints(wanted).await
    }

    async fn keep_checkpoint(
        &self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<SignedCheckpoint, CheckpointError> {
        self.reads.keep(checkpoint).await
    }

    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError> {
        self.reads.drop_checkpoints(origin, sizes).await
    }
}
