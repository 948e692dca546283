//! Tiles that lie beside the events, compared with those that the events make.

use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use domain::tree::{Hash, Node, TILE_HEIGHT, TILE_LEVELS, TILE_WIDTH, hashes_at, leaf_hash};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use infra_archive::ArchiveStore;
use proofs::{Checkpoint, TileError, TilePath, Tiles, encode_entries};

use super::verify::Finding;

/// Tiles that are read at once: an object store takes its time for each.
const AT_ONCE: usize = 32;

/// The tiles of an archive as they lay there when its tree had this size, though
/// it goes on to be sealed: what was an unfinished tile begins a wider one then.
pub struct AsOf<'a> {
    pub store: &'a ArchiveStore,
    pub size: u64,
}

impl AsOf<'_> {
    /// The beginning of the tile that has taken this one's place.
    async fn beginning(&self, path: TilePath) -> Result<Bytes, TileError> {
        let unavailable = |e: domain::ports::archive::ArchiveError| TileError::Unavailable(e.to_string());
        let manifest = self.store.manifest().await.map_err(unavailable)?;
        let note = manifest.and_then(|manifest| manifest.checkpoint).unwrap_or_default();
        let size = Checkpoint::peek(note.as_bytes()).map_or(0, |checkpoint| checkpoint.size);
        if size <= self.size {
            return Err(TileError::Missing(path));
        }
        let level = path.level().unwrap_or(0);
        let width = (hashes_at(size, level) - path.index() * TILE_WIDTH).min(TILE_WIDTH);
        let tile = self.store.tile(path.partial(width as u16)).await?;
        let kept = tile.len() / width as usize * usize::from(path.width());
        Ok(tile.slice(..kept))
    }
}

#[async_trait]
impl Tiles for AsOf<'_> {
    async fn tile(&self, path: TilePath) -> Result<Bytes, TileError> {
        match self.store.tile(path).await {
            Err(TileError::Missing(_)) if u64::from(path.width()) < TILE_WIDTH => self.beginning(path).await,
            found => found,
        }
    }
}

pub struct TileCheck<'a> {
    tiles: &'a dyn Tiles,
    /// Of the tree whose tiles they are.
    size: u64,
    entries: Vec<Hash>,
    /// What the unfinished tile of each level holds so far.
    levels: [Vec<Hash>; TILE_LEVELS as usize],
    /// To be compared.
    due: Vec<(TilePath, Bytes)>,
}

impl<'a> TileCheck<'a> {
    pub fn new(tiles: &'a dyn Tiles, size: u64) -> Self {
        Self { tiles, size, entries: Vec::new(), levels: Default::default(), due: Vec::new() }
    }

    /// The entry that made the tree this large, and the roots of the tiles that
    /// it filled.
    pub fn take(&mut self, size: u64, entry: Hash, full: &[Node]) {
        if size > self.size {
            return;
        }
        self.entries.push(entry);
        let leaf = Node { level: 0, index: size - 1, hash: leaf_hash(&entry) };
        for node in std::iter::once(&leaf).chain(full) {
            if let Some(level) = self.levels.get_mut(usize::from(node.level)) {
                level.push(node.hash);
            }
        }
        for level in 0..TILE_LEVELS {
            let width = self.levels[usize::from(level)].len() as u64;
            if width == TILE_WIDTH || (width > 0 && size == self.size) {
                self.finish(level, (hashes_at(size, level) - 1) / TILE_WIDTH, width as u16);
            }
        }
    }

    fn finish(&mut self, level: u8, index: u64, width: u16) {
        if level == 0 {
            let entries = std::mem::take(&mut self.entries);
            self.due.push((TilePath::entries(index).partial(width), encode_entries(&entries)));
        }
        let hashes = std::mem::take(&mut self.levels[usize::from(level)]);
        self.due.push((TilePath::hashes(level, index).partial(width), Bytes::from(hashes.concat())));
    }

    /// With those that lie there, in the order of positions.
    pub async fn compare(&mut self) -> Result<Option<Finding>> {
        let tiles = self.tiles;
        let read = |(path, made): (TilePath, Bytes)| async move {
            match tiles.tile(path).await {
                Ok(there) if there == made => Ok(None),
                Ok(_) => Ok(Some(another(path))),
                Err(TileError::Unavailable(reason)) => bail!("tiles cannot be read: {reason}"),
                Err(error) => Ok(Some(Finding::Damaged { reason: error.to_string() })),
            }
        };
        let mut wrong = stream::iter(std::mem::take(&mut self.due)).map(read).buffered(AT_ONCE);
        while let Some(found) = wrong.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn another(path: TilePath) -> Finding {
    let shift = u32::from(path.level().unwrap_or(0)) * u32::from(TILE_HEIGHT);
    let first = path.index() * TILE_WIDTH;
    Finding::Tree { first: (first << shift) + 1, last: (first + u64::from(path.width())) << shift }
}
