//! Tiles in memory, and where they come from.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use domain::ports::log::LogError;
use domain::ports::tree::{TreeLog, tile_hashes};
use domain::tree::{Hash, TILE_WIDTH};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::path::TilePath;

/// Tiles that are fetched at once.
const AT_ONCE: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    #[error("{0} is missing")]
    Missing(TilePath),
    #[error("{path} is damaged: {reason}")]
    Damaged { path: TilePath, reason: String },
    #[error("tiles cannot be read: {0}")]
    Unavailable(String),
}

/// Somewhere that tiles are read from. What it gives is not trusted.
#[async_trait]
pub trait Tiles: Send + Sync {
    async fn tile(&self, path: TilePath) -> Result<Bytes, TileError>;
}

/// Tiles at hand, each of the right length.
#[derive(Debug, Clone, Default)]
pub struct TileSet(HashMap<TilePath, Bytes>);

impl TileSet {
    pub fn insert(&mut self, path: TilePath, bytes: Bytes) -> Result<(), TileError> {
        if bytes.len() != path.bytes() {
            let reason = format!("it is {} bytes long, not {}", bytes.len(), path.bytes());
            return Err(TileError::Damaged { path, reason });
        }
        self.0.insert(path, bytes);
        Ok(())
    }

    /// A tile, or as much of the full one as was asked for.
    pub fn get(&self, path: TilePath) -> Option<Bytes> {
        let full = || self.0.get(&path.full()).map(|full| full.slice(..path.bytes()));
        self.0.get(&path).cloned().or_else(full)
    }

    pub async fn fetch(tiles: &dyn Tiles, paths: Vec<TilePath>) -> Result<Self, TileError> {
        let fetch = |path| async move { Ok::<_, TileError>((path, tiles.tile(path).await?)) };
        let mut fetched = stream::iter(paths).map(fetch).buffer_unordered(AT_ONCE);
        let mut set = Self::default();
        while let Some((path, bytes)) = fetched.try_next().await? {
            set.insert(path, bytes)?;
        }
        Ok(set)
    }
}

/// The bytes of a bundle: before each entry its length.
pub fn encode_entries(entries: &[Hash]) -> Bytes {
    entries.iter().flat_map(|entry| [0, 32].into_iter().chain(*entry)).collect()
}

/// The entries of a bundle of this log, whose entries are all 32 bytes long.
pub fn parse_entries(bundle: &[u8]) -> Result<Vec<Hash>, &'static str> {
    let (entries, rest) = bundle.as_chunks::<34>();
    if !rest.is_empty() || entries.is_empty() || entries.len() as u64 > TILE_WIDTH {
        return Err("it holds no whole entries, or too many");
    }
    let entry = |e: &[u8; 34]| match e {
        [0, 32, entry @ ..] => <Hash>::try_from(&entry[..]).ok(),
        _ => None,
    };
    entries.iter().map(entry).collect::<Option<_>>().ok_or("an entry is not 32 bytes long")
}

/// Tiles made from what the log keeps. A tile past the end is missing.
pub struct LogTiles {
    log: Arc<dyn TreeLog>,
    /// The largest size that the tree was seen to have.
    seen: AtomicU64,
}

impl LogTiles {
    pub fn new(log: Arc<dyn TreeLog>) -> Self {
        Self { log, seen: AtomicU64::new(0) }
    }

    async fn has(&self, path: TilePath) -> Result<bool, LogError> {
        if path.is_within(self.seen.load(Relaxed)) {
            return Ok(true);
        }
        let size = self.log.frontier().await?.size();
        self.seen.fetch_max(size, Relaxed);
        Ok(path.is_within(size))
    }
}

#[async_trait]
impl Tiles for LogTiles {
    async fn tile(&self, path: TilePath) -> Result<Bytes, TileError> {
        let failed = |error| match error {
            LogError::Damaged { .. } | LogError::Trimmed { .. } => {
                TileError::Damaged { path, reason: error.to_string() }
            }
            LogError::Unavailable(reason) => TileError::Unavailable(reason),
        };
        if !self.has(path).await.map_err(failed)? {
            return Err(TileError::Missing(path));
        }
        let width = usize::from(path.width());
        match path.level() {
            None => {
                let entries = self.log.entries(path.index() * TILE_WIDTH, width).await.map_err(failed)?;
                Ok(encode_entries(&entries))
            }
            Some(level) => {
                let hashes = tile_hashes(&*self.log, level, path.index(), width).await.map_err(failed)?;
                Ok(Bytes::from(hashes.concat()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tile_has_its_length_and_serves_its_beginnings() {
        let mut set = TileSet::default();
        let path = TilePath::hashes(0, 3);
        for wrong in [0, 32 * 255, 32 * 256 + 1] {
            assert!(set.insert(path, vec![0; wrong].into()).is_err());
        }
        set.insert(path, Bytes::from(vec![9; 32 * 256])).unwrap();
        assert_eq!(set.get(path.partial(2)), Some(Bytes::from(vec![9; 64])));
        assert_eq!(set.get(TilePath::hashes(1, 3)), None);
        assert_eq!(set.get(TilePath::entries(3)), None);
    }

    #[test]
    fn bundles_read_back() {
        let entries = [[1; 32], [2; 32]];
        let bundle = encode_entries(&entries);
        assert_eq!(bundle.len(), TilePath::entries(0).partial(2).bytes());
        assert_eq!(parse_entries(&bundle), Ok(entries.to_vec()));
        assert!(parse_entries(&bundle[1..]).is_err());
        assert!(parse_entries(&[]).is_err());
        let mut longer = bundle.to_vec();
        longer[1] = 33;
        assert!(parse_entries(&longer).is_err());
        assert!(parse_entries(&encode_entries(&[[0; 32]; 257])).is_err());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(bundle: Vec<u8>) {
            if let Ok(entries) = parse_entries(&bundle) {
                prop_assert_eq!(encode_entries(&entries), bundle);
            }
        }
    }
}
