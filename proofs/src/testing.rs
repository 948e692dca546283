//! A tree for tests, with the tiles of each of its sizes.

use domain::tree::{Frontier, Hash, Node, TILE_WIDTH, leaf_hash};

use crate::{TilePath, TileSet, encode_entries};

pub(crate) fn entry(index: u64) -> Hash {
    leaf_hash(&[index.to_be_bytes(); 4].concat().try_into().unwrap())
}

pub(crate) struct Tree {
    roots: Vec<Hash>,
    nodes: Vec<Node>,
}

impl Tree {
    pub fn of(size: u64) -> Self {
        let (mut frontier, mut nodes) = (Frontier::default(), Vec::new());
        let mut roots = vec![frontier.root()];
        for index in 0..size {
            frontier.push(&entry(index), &mut nodes);
            roots.push(frontier.root());
        }
        Self { roots, nodes }
    }

    pub fn root(&self, size: u64) -> Hash {
        self.roots[size as usize]
    }

    pub fn tiles(&self, size: u64) -> TileSet {
        let mut set = TileSet::default();
        for path in TilePath::of_tree(0, size) {
            let first = path.index() * TILE_WIDTH;
            let range = first..first + u64::from(path.width());
            let bytes = match path.level() {
                None => encode_entries(&range.map(entry).collect::<Vec<_>>()),
                Some(0) => range.map(|i| leaf_hash(&entry(i))).collect::<Vec<_>>().concat().into(),
                Some(level) => {
                    let of_level: Vec<Hash> =
                        self.nodes.iter().filter(|n| n.level == level).map(|n| n.hash).collect();
                    of_level[range.start as usize..range.end as usize].concat().into()
                }
            };
            set.insert(path, bytes).unwrap();
        }
        set
    }
}
