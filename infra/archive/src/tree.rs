//! The log's tree beside its segments: below `tlog/` lie the newest checkpoint
//! that is covered and every tile it needs, as C2SP's tlog-tiles lays them out.
//! Any web server that shows this folder publishes the log.
//!
//! Tiles are put before the manifest that names the checkpoint, the checkpoint
//! after it. All of it can be made again from the segments; the manifest's copy
//! of the note is what counts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::ports::archive::ArchiveError;
use domain::ports::tree::TreeLog;
use domain::tree::{TILE_LEVELS, TILE_WIDTH, hashes_at};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutMode;
use proofs::{Checkpoint, LogTiles, TileError, TilePath, Tiles};

use crate::manifest::Manifest;
use crate::seal::{Archiver, from_log};
use crate::store::{ArchiveStore, failed};

/// Tiles that are put at once.
const AT_ONCE: usize = 8;
const CHECKPOINT: &str = "tlog/checkpoint";

/// Whose checkpoints are archived.
pub struct Signed {
    pub tree: Arc<dyn TreeLog>,
    pub origin: String,
}

fn name(path: &TilePath) -> String {
    format!("tlog/{path}")
}

/// How much of the tree was archived with this manifest.
fn size(manifest: Option<&Manifest>) -> u64 {
    let note = manifest.and_then(|m| m.checkpoint.as_deref());
    note.and_then(|note| Checkpoint::peek(note.as_bytes()).ok()).map_or(0, |c| c.size)
}

/// The tiles at the right edge of a tree.
fn partial(size: u64) -> Vec<TilePath> {
    let mut paths = Vec::new();
    for level in 0..TILE_LEVELS {
        let hashes = hashes_at(size, level);
        let width = (hashes % TILE_WIDTH) as u16;
        if width > 0 {
            let index = hashes / TILE_WIDTH;
            paths.push(TilePath::hashes(level, index).partial(width));
            paths.extend((level == 0).then(|| TilePath::entries(index).partial(width)));
        }
    }
    paths
}

impl Archiver {
    /// Puts the tiles of the newest checkpoint of what ends at `through`;
    /// answers its note.
    pub(crate) async fn put_tiles(
        &self,
        before: Option<&Manifest>,
        through: u64,
    ) -> Result<Option<String>, ArchiveError> {
        let before_note = || before.and_then(|m| m.checkpoint.clone());
        let Some(signed) = &self.signed else { return Ok(before_note()) };
        let newest = signed.tree.checkpoint(&signed.origin, Some(through)).await.map_err(from_log)?;
        let Some(newest) = newest.filter(|newest| newest.size >= size(before)) else {
            return Ok(before_note());
        };
        let tiles = LogTiles::new(signed.tree.clone());
        let put = |path: TilePath| {
            let tiles = &tiles;
            async move {
                let bytes = tiles.tile(path).await.map_err(unreadable)?;
                self.store.put_tile(&name(&path), bytes).await
            }
        };
        let paths = stream::iter(TilePath::of_tree(size(before), newest.size)).map(put);
        paths.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(Some(newest.note))
    }

    /// Once the manifest counts: shows its checkpoint, and drops the partial
    /// tiles that only the one before needed.
    pub(crate) async fn publish(
        &self,
        before: Option<&Manifest>,
        now: &Manifest,
    ) -> Result<(), ArchiveError> {
        let Some(note) = now.checkpoint.as_ref().filter(|_| size(Some(now)) > size(before)) else {
            return Ok(());
        };
        self.store.put_checkpoint(Bytes::from(note.clone())).await?;
        let needed = partial(size(Some(now)));
        for old in partial(size(before)).iter().filter(|path| !needed.contains(path)) {
            self.store.delete(&name(old)).await?;
        }
        Ok(())
    }
}

fn unreadable(error: TileError) -> ArchiveError {
    match error {
        TileError::Unavailable(reason) => ArchiveError::Unavailable(format!("the log: {reason}")),
        error => ArchiveError::Log(error.to_string()),
    }
}

impl ArchiveStore {
    /// A tile never changes: what is there is the same, or was torn by a crash,
    /// or is not ours.
    async fn put_tile(&self, path: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        match self.put(path, bytes.clone(), PutMode::Create).await {
            Ok(()) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(error) => return Err(failed(path, error)),
        }
        let there = self.get(path).await?;
        if there == bytes {
            return self.make_durable(path).await;
        }
        if there.len() != bytes.len() {
            return self.put(path, bytes, PutMode::Overwrite).await.map_err(|e| failed(path, e));
        }
        let reason = "it is a tile of another tree".to_owned();
        Err(ArchiveError::Damaged { object: path.to_owned(), reason })
    }

    async fn put_checkpoint(&self, note: Bytes) -> Result<(), ArchiveError> {
        self.put(CHECKPOINT, note, PutMode::Overwrite).await.map_err(|e| failed(CHECKPOINT, e))
    }

    /// The note that lies beside the tiles. A step that was interrupted leaves
    /// an older one than the manifest's, or none.
    pub async fn shown_checkpoint(&self) -> Result<Option<Bytes>, ArchiveError> {
        match self.get(CHECKPOINT).await {
            Ok(note) => Ok(Some(note)),
            Err(ArchiveError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// As they lie there.
#[async_trait]
impl Tiles for ArchiveStore {
    async fn tile(&self, path: TilePath) -> Result<Bytes, TileError> {
        self.get(&name(&path)).await.map_err(|error| match error {
            ArchiveError::Missing { .. } => TileError::Missing(path),
            error => TileError::Unavailable(error.to_string()),
        })
    }
}
