//! Proofs made from tiles, and checked.
//!
//! A proof that is made has been checked against the root before it is given
//! out. That is what holds: `TileHashReader` compares tiles with the root too,
//! but not all of them where tiles of the right edge hold several peaks.

use std::cell::RefCell;

use domain::tree::{EMPTY_ROOT, Hash, MAX_SIZE, TILE_HEIGHT, TILE_WIDTH, leaf_hash};
use tlog_tiles::{Error, HashReader, Tile, TileHashReader, TileReader, stored_hash_index};

use crate::path::TilePath;
use crate::tiles::{TileError, TileSet, Tiles};

/// Hashes in the longest proof.
pub const MAX_PATH: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("a tree of size {size} cannot be asked for {asked}")]
    Range { size: u64, asked: u64 },
    #[error("the proof does not hold")]
    Wrong,
    #[error("the tiles are not of the tree with this root")]
    Foreign,
    #[error(transparent)]
    Tile(#[from] TileError),
    #[error("this is no proof file: {0}")]
    Malformed(&'static str),
    #[error("the proof is of another event")]
    OtherEvent,
    #[error("the proof holds no event, and none was given")]
    NoEvent,
    #[error(transparent)]
    Note(#[from] crate::note::NoteError),
}

/// A leaf of a tree and the hashes beside its way to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    pub leaf: Hash,
    pub path: Vec<Hash>,
}

/// The root of an older tree and what leads from it to a newer one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    pub old_root: Hash,
    pub path: Vec<Hash>,
}

/// The tiles that [`prove_inclusion`] looks at.
pub fn needed_for_inclusion(size: u64, index: u64) -> Result<Vec<TilePath>, ProofError> {
    bounded(size, index, index < size)?;
    Ok(needed(size, |reader| {
        let _ = reader.read_hashes(&[stored_hash_index(0, index)]);
        let _ = tlog_tiles::prove_record(size, index, reader);
    }))
}

/// The tiles that [`prove_consistency`] looks at.
pub fn needed_for_consistency(old: u64, new: u64) -> Result<Vec<TilePath>, ProofError> {
    bounded(new, old, old <= new)?;
    if old == 0 {
        return Ok(Vec::new());
    }
    Ok(needed(new, |reader| {
        let _ = tlog_tiles::tree_hash(old, reader);
        let _ = tlog_tiles::prove_tree(new, old, reader);
    }))
}

pub fn prove_inclusion(tiles: &TileSet, size: u64, root: &Hash, index: u64) -> Result<Inclusion, ProofError> {
    bounded(size, index, index < size)?;
    let source = Source::over(tiles);
    let reader = TileHashReader::new(size, tlog_tiles::Hash(*root), &source);
    let read = || {
        let leaf = reader.read_hashes(&[stored_hash_index(0, index)])?;
        Ok((leaf, tlog_tiles::prove_record(size, index, &reader)?))
    };
    let (leaf, path) = read().map_err(|error| source.explain(&error))?;
    let leaf = leaf.first().ok_or(ProofError::Foreign)?.0;
    let proof = Inclusion { leaf, path: path.into_iter().map(|h| h.0).collect() };
    check(size, root, index, &proof.leaf, &proof.path).map_err(|_| ProofError::Foreign)?;
    Ok(proof)
}

pub fn prove_consistency(
    tiles: &TileSet,
    old: u64,
    new: u64,
    new_root: &Hash,
) -> Result<Consistency, ProofError> {
    bounded(new, old, old <= new)?;
    if old == 0 {
        return Ok(Consistency { old_root: EMPTY_ROOT, path: Vec::new() });
    }
    let source = Source::over(tiles);
    let reader = TileHashReader::new(new, tlog_tiles::Hash(*new_root), &source);
    let read = || Ok((tlog_tiles::tree_hash(old, &reader)?, tlog_tiles::prove_tree(new, old, &reader)?));
    let (old_root, path) = read().map_err(|error| source.explain(&error))?;
    let proof = Consistency { old_root: old_root.0, path: path.into_iter().map(|h| h.0).collect() };
    let checked = check_consistency(old, new, &proof.old_root, new_root, &proof.path);
    checked.map_err(|_| ProofError::Foreign)?;
    Ok(proof)
}

/// Fetches what is needed and proves.
pub async fn inclusion(
    tiles: &dyn Tiles,
    size: u64,
    root: &Hash,
    index: u64,
) -> Result<Inclusion, ProofError> {
    let set = TileSet::fetch(tiles, needed_for_inclusion(size, index)?).await?;
    prove_inclusion(&set, size, root, index)
}

/// Fetches what is needed and proves.
pub async fn consistency(
    tiles: &dyn Tiles,
    old: u64,
    new: u64,
    new_root: &Hash,
) -> Result<Consistency, ProofError> {
    let set = TileSet::fetch(tiles, needed_for_consistency(old, new)?).await?;
    prove_consistency(&set, old, new, new_root)
}

/// Whether an entry (an event's `leaf`) stands at an index of a tree.
pub fn check_inclusion(
    size: u64,
    root: &Hash,
    index: u64,
    entry: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    check(size, root, index, &leaf_hash(entry), path)
}

fn check(size: u64, root: &Hash, index: u64, leaf: &Hash, path: &[Hash]) -> Result<(), ProofError> {
    bounded(size, index, index < size)?;
    let (leaf, root) = (tlog_tiles::Hash(*leaf), tlog_tiles::Hash(*root));
    tlog_tiles::check_record(&theirs(path)?, size, root, index, leaf).map_err(|_| ProofError::Wrong)
}

/// Whether a newer tree begins with an older one.
pub fn check_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    bounded(new, old, old <= new)?;
    let path = theirs(path)?;
    if old == 0 {
        // Every tree begins with the empty one, and only that has its root.
        let empty = *old_root == EMPTY_ROOT && (new > 0 || *new_root == EMPTY_ROOT);
        return if empty && path.is_empty() { Ok(()) } else { Err(ProofError::Wrong) };
    }
    let (old_root, new_root) = (tlog_tiles::Hash(*old_root), tlog_tiles::Hash(*new_root));
    tlog_tiles::check_tree(&path, new, new_root, old, old_root).map_err(|_| ProofError::Wrong)
}

fn bounded(size: u64, asked: u64, fits: bool) -> Result<(), ProofError> {
    if fits && size <= MAX_SIZE { Ok(()) } else { Err(ProofError::Range { size, asked }) }
}

/// Longer paths are not even looked at.
fn theirs(path: &[Hash]) -> Result<Vec<tlog_tiles::Hash>, ProofError> {
    if path.len() > MAX_PATH {
        return Err(ProofError::Wrong);
    }
    Ok(path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect())
}

/// Tiles for the mathematics; notes what it asked for.
struct Source<'t> {
    tiles: Option<&'t TileSet>,
    asked: RefCell<Vec<TilePath>>,
}

impl<'t> Source<'t> {
    fn over(tiles: &'t TileSet) -> Self {
        Self { tiles: Some(tiles), asked: RefCell::default() }
    }

    fn explain(&self, _: &Error) -> ProofError {
        let missing =
            |tiles: &&TileSet| self.asked.borrow().iter().copied().find(|p| tiles.get(*p).is_none());
        match self.tiles.as_ref().and_then(missing) {
            Some(path) => TileError::Missing(path).into(),
            None => ProofError::Foreign,
        }
    }
}

impl TileReader for Source<'_> {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let width = |tile: &Tile| tile.width().min(TILE_WIDTH as u32) as u16;
        let path = |tile: &Tile| TilePath::hashes(tile.level(), tile.level_index()).partial(width(tile));
        let paths: Vec<TilePath> = tiles.iter().map(path).collect();
        self.asked.borrow_mut().extend(&paths);
        let read = |path: TilePath| self.tiles.and_then(|t| t.get(path)).map(Vec::from);
        paths.into_iter().map(read).collect::<Option<_>>().ok_or(Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn needed(size: u64, ask: impl FnOnce(&TileHashReader<'_>)) -> Vec<TilePath> {
    let nothing = Source { tiles: None, asked: RefCell::default() };
    ask(&TileHashReader::new(size, tlog_tiles::EMPTY_HASH, &nothing));
    let mut paths = nothing.asked.into_inner();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;
    use crate::testing::{Tree, entry};

    fn their_root(root: &Hash, size: u64) -> RootHash<Sha256> {
        RootHash::new((*root).into(), size)
    }

    #[test]
    fn entries_of_every_size_are_proved() {
        let tree = Tree::of(600);
        for size in 1..=600 {
            let (root, tiles) = (tree.root(size), tree.tiles(size));
            let theirs = their_root(&root, size);
            // All of them where it is cheap and around full tiles.
            let every = if size <= 72 || (size + 2) % 256 <= 4 { 1 } else { 41 };
            for index in (0..size).step_by(every).chain([size - 1]) {
                let proof = prove_inclusion(&tiles, size, &root, index).unwrap();
                check_inclusion(size, &root, index, &entry(index), &proof.path).unwrap();
                let path = InclusionProof::<Sha256>::from_bytes(proof.path.concat());
                theirs.verify_inclusion(&entry(index), index, &path).unwrap();
            }
            assert!(matches!(prove_inclusion(&tiles, size, &root, size), Err(ProofError::Range { .. })));
        }
    }

    #[test]
    fn trees_of_every_size_are_consistent() {
        let tree = Tree::of(300);
        for new in 0..=300 {
            let (root, tiles) = (tree.root(new), tree.tiles(new));
            let every = if new <= 72 || (new + 2) % 256 <= 4 { 1 } else { 23 };
            for old in (0..=new).step_by(every).chain([new]) {
                let proof = prove_consistency(&tiles, old, new, &root).unwrap();
                assert_eq!(proof.old_root, tree.root(old), "{old} {new}");
                check_consistency(old, new, &proof.old_root, &root, &proof.path).unwrap();
                if old > 0 && old < new {
                    let path = ConsistencyProof::<Sha256>::try_from_bytes(proof.path.concat()).unwrap();
                    let theirs = their_root(&root, new);
                    theirs.verify_consistency(&their_root(&proof.old_root, old), &path).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_tree_with_three_levels_of_tiles_is_proved_from_a_few_of_them() {
        let size = 70_000;
        let tree = Tree::of(size);
        let (root, all) = (tree.root(size), tree.tiles(size));
        for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, size - 1] {
            let needed = needed_for_inclusion(size, index).unwrap();
            assert!(needed.len() <= 5, "{needed:?}");
            let mut few = TileSet::default();
            for path in &needed {
                few.insert(*path, all.get(*path).unwrap()).unwrap();
            }
            let proof = prove_inclusion(&few, size, &root, index).unwrap();
            check_inclusion(size, &root, index, &entry(index), &proof.path).unwrap();
            let other = if index == 0 { 1_000 } else { 0 };
            check_inclusion(size, &root, other, &entry(other), &proof.path).unwrap_err();
        }
        let other = prove_inclusion(&TileSet::default(), size, &root, 5);
        assert!(matches!(other, Err(ProofError::Tile(TileError::Missing(_)))), "{other:?}");
        let consistent = prove_consistency(&all, 65_537, size, &root).unwrap();
        assert_eq!(consistent.old_root, tree.root(65_537));
    }

    #[test]
    fn tiles_of_another_tree_prove_nothing() {
        let tree = Tree::of(700);
        let tiles = tree.tiles(700);
        let foreign = prove_inclusion(&tiles, 700, &[9; 32], 3);
        assert_eq!(foreign, Err(ProofError::Foreign));
        assert_eq!(prove_consistency(&tiles, 3, 700, &[9; 32]), Err(ProofError::Foreign));
        let root = tree.root(700);
        for path in needed_for_inclusion(700, 3).unwrap() {
            let mut bytes = tiles.get(path).unwrap().to_vec();
            bytes[5] ^= 1;
            let mut changed = tiles.clone();
            changed.insert(path, bytes.into()).unwrap();
            assert_eq!(prove_inclusion(&changed, 700, &root, 3), Err(ProofError::Foreign), "{path}");
        }
    }

    #[test]
    fn the_empty_tree_has_one_root() {
        check_consistency(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]).unwrap();
        check_consistency(0, 9, &EMPTY_ROOT, &[1; 32], &[]).unwrap();
        for (new, old_root, new_root, path) in [
            (0, [1; 32], EMPTY_ROOT, vec![]),
            (0, EMPTY_ROOT, [1; 32], vec![]),
            (9, [1; 32], [1; 32], vec![]),
            (9, EMPTY_ROOT, [1; 32], vec![[1; 32]]),
        ] {
            assert_eq!(check_consistency(0, new, &old_root, &new_root, &path), Err(ProofError::Wrong));
        }
    }

    proptest! {
        /// Sizes of any magnitude, and paths longer than any.
        #[test]
        fn anything_is_checked_without_harm(
            size: u64, asked: u64, shift in 0..64_u32, root: Hash, leaf: Hash, length in 0..70_usize,
        ) {
            let path = vec![leaf; length];
            for (size, asked) in [(size, asked), (size >> shift, asked >> shift), (1 << shift, (1 << shift) - 1)] {
                prop_assert!(check_inclusion(size, &root, asked, &leaf, &path).is_err());
                let _ = check_consistency(asked, size, &root, &root, &path);
                let _ = needed_for_inclusion(size, asked);
                let _ = needed_for_consistency(asked, size);
                prop_assert!(prove_inclusion(&TileSet::default(), size, &root, asked).is_err());
            }
        }

        #[test]
        fn a_changed_proof_does_not_hold(size in 2..400_u64, index: u64, at: usize, bit in 0..8_u8) {
            let tree = Tree::of(size);
            let index = index % size;
            let root = tree.root(size);
            let mut path = prove_inclusion(&tree.tiles(size), size, &root, index).unwrap().path;
            let at = at % (path.len() * 32);
            path[at / 32][at % 32] ^= 1 << bit;
            prop_assert_eq!(check_inclusion(size, &root, index, &entry(index), &path), Err(ProofError::Wrong));
        }
    }
}
