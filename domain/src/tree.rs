//! The Merkle tree over the log, as in RFC 6962: what it takes to go on from a
//! size, and to say the root there.
//!
//! **Entry, leaf hash and index.** An event's `leaf` (the SHA-256 of its
//! canonical bytes) is the *entry* of the tree; the hash at the bottom of the
//! tree is [`leaf_hash`] of it. The event at position p has index p − 1.
//!
//! **Levels.** A tile is 256 hashes wide, so a tile level has the height of
//! eight tree levels. A hash of tile level 0 is a leaf hash, one of level l + 1
//! is the root of a full tile of level l. Those of level 1 and above are
//! [`Node`]s: what [`Frontier::push`] hands out once, as it completes them.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// SHA-256 of nothing: the root of a tree without leaves.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// No tree grows larger; sums and shifts of sizes stay within 64 bits.
pub const MAX_SIZE: u64 = 1 << 48;
/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// Tree levels in a tile level.
pub const TILE_HEIGHT: u8 = 8;
/// Tile levels that a tree of [`MAX_SIZE`] has, and one.
pub const TILE_LEVELS: u8 = 7;

pub fn leaf_hash(entry: &Hash) -> Hash {
    let mut message = [0; 33];
    message[1..].copy_from_slice(entry);
    Sha256::digest(message).into()
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [1; 65];
    message[1..33].copy_from_slice(left);
    message[33..].copy_from_slice(right);
    Sha256::digest(message).into()
}

/// Hash `index` of tile level `level` (1…): the root of full tile `index` of
/// the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub level: u8,
    pub index: u64,
    pub hash: Hash,
}

/// How many hashes of a tile level a tree of this size has.
pub fn hashes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// The right edge of a tree: the roots of its complete subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One for each bit that is set in `size`, the largest subtree first.
    peaks: Vec<Hash>,
}

impl Frontier {
    pub fn new(size: u64, peaks: Vec<Hash>) -> Result<Self, String> {
        if size > MAX_SIZE {
            return Err(format!("a tree of size {size} is larger than any"));
        }
        if peaks.len() != size.count_ones() as usize {
            return Err(format!(
                "a tree of size {size} has {} peaks, not {}",
                size.count_ones(),
                peaks.len()
            ));
        }
        Ok(Self { size, peaks })
    }

    /// What [`Frontier::to_bytes`] made of a tree of this size.
    pub fn parse(size: u64, bytes: &[u8]) -> Result<Self, String> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no whole number of hashes", bytes.len()));
        }
        Self::new(size, peaks.to_vec())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn root(&self) -> Hash {
        let right_to_left = self.peaks.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }

    /// Adds an entry. Tiles that it fills add their roots to `full`.
    pub fn push(&mut self, entry: &Hash, full: &mut Vec<Node>) {
        let (mut hash, mut height) = (leaf_hash(entry), 0);
        // Each set bit at the bottom of the size is a subtree as high as this one.
        while (self.size >> height) & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = node_hash(&left, &hash);
            height += 1;
            if height % TILE_HEIGHT == 0 {
                full.push(Node { level: height / TILE_HEIGHT, index: self.size >> height, hash });
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }
}

/// The roots of the complete subtrees over neighbours of one level, the
/// largest first. Over the right edge's tile of each level, from the top down,
/// these are the peaks of the tree.
pub fn peaks(hashes: &[Hash]) -> Vec<Hash> {
    let (mut rest, mut peaks) = (hashes, Vec::new());
    while !rest.is_empty() {
        let (subtree, right) = rest.split_at(1 << rest.len().ilog2());
        let mut row = subtree.to_vec();
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        peaks.append(&mut row);
        rest = right;
    }
    peaks
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    fn entry(index: u64) -> Hash {
        Sha256::digest(index.to_be_bytes()).into()
    }

    /// The definition in RFC 6962, 2.1.
    fn slow_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [one] => *one,
            many => {
                let (left, right) = many.split_at(1 << (many.len() - 1).ilog2());
                node_hash(&slow_root(left), &slow_root(right))
            }
        }
    }

    fn grown(size: u64) -> (Frontier, Vec<Node>) {
        let (mut frontier, mut nodes) = (Frontier::default(), Vec::new());
        (0..size).for_each(|i| frontier.push(&entry(i), &mut nodes));
        (frontier, nodes)
    }

    fn theirs(size: u64) -> MemoryBackedTree<Sha256, Hash> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|i| tree.push(entry(i)));
        tree
    }

    #[test]
    fn roots_are_those_of_the_definition_and_of_another_implementation() {
        let (mut frontier, mut nodes, mut leaves) = (Frontier::default(), Vec::new(), Vec::new());
        let mut other = MemoryBackedTree::<Sha256, Hash>::new();
        for size in 0..=1_100_u64 {
            assert_eq!(frontier.size(), size);
            assert_eq!(frontier.root(), slow_root(&leaves), "size {size}");
            assert_eq!(frontier.root().as_slice(), other.root().as_bytes().as_slice(), "size {size}");
            assert_eq!(Frontier::parse(size, &frontier.to_bytes()), Ok(frontier.clone()));
            frontier.push(&entry(size), &mut nodes);
            leaves.push(leaf_hash(&entry(size)));
            other.push(entry(size));
        }
    }

    #[test]
    fn nodes_are_the_roots_of_full_tiles() {
        let size = 70_000;
        let (frontier, nodes) = grown(size);
        assert_eq!(frontier.root().as_slice(), theirs(size).root().as_bytes().as_slice());
        let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&entry(i))).collect();
        for level in 1..TILE_LEVELS {
            let of_level: Vec<&Node> = nodes.iter().filter(|n| n.level == level).collect();
            assert_eq!(of_level.len() as u64, hashes_at(size, level), "level {level}");
            for (index, node) in (0..).zip(of_level) {
                let width = 1 << (8 * usize::from(level));
                let below = &leaves[index * width..][..width];
                assert_eq!((node.index, node.hash), (index as u64, slow_root(below)));
            }
        }
        assert!(nodes.iter().any(|n| n.level == 2));
    }

    #[test]
    fn refuses_what_is_no_frontier() {
        assert!(Frontier::parse(3, &[0; 32]).is_err());
        assert!(Frontier::parse(1, &[0; 33]).is_err());
        assert!(Frontier::parse(0, &[0; 32]).is_err());
        assert!(Frontier::parse(1 << 63, &[0; 32]).is_err());
        assert!(Frontier::parse(MAX_SIZE, &[0; 32]).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Stored and parsed again between batches, as logs do.
        #[test]
        fn batches_grow_the_same_tree(batches in prop::collection::vec(0..9_000_u64, 1..10)) {
            let (mut frontier, mut nodes, mut size) = (Frontier::default(), Vec::new(), 0);
            for batch in batches {
                frontier = Frontier::parse(size, &frontier.to_bytes()).unwrap();
                (size..size + batch).for_each(|i| frontier.push(&entry(i), &mut nodes));
                size += batch;
            }
            let theirs = theirs(size).root();
            prop_assert_eq!(&frontier.root()[..], &theirs.as_bytes()[..]);
            prop_assert_eq!(&(frontier.clone(), nodes.clone()), &grown(size));

            // The peaks again, from the tile at the right edge of each level.
            let mut again = Vec::new();
            for level in (0..TILE_LEVELS).rev() {
                let hashes = hashes_at(size, level);
                let edge: Vec<Hash> = match level {
                    0 => (hashes & !255..hashes).map(|i| leaf_hash(&entry(i))).collect(),
                    _ => nodes.iter().filter(|n| n.level == level && n.index >= hashes & !255).map(|n| n.hash).collect(),
                };
                again.extend(peaks(&edge));
            }
            prop_assert_eq!(Frontier::new(size, again), Ok(frontier));
        }
    }
}
