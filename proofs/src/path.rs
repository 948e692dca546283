//! Paths of tiles and entry bundles: `tile/<level>/<index>[.p/<width>]`.

use std::fmt;

use domain::tree::{TILE_LEVELS, TILE_WIDTH, hashes_at};

/// Longer paths name nothing.
const MAX_BYTES: usize = 64;
/// The levels that the format knows; no tree reaches the upper ones.
const LEVELS: u8 = 64;
const MAX_INDEX: u64 = 1 << 40;
const FULL: u16 = TILE_WIDTH as u16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum What {
    Entries,
    Hashes(u8),
}

/// Where a tile stands. It may be partial: the first `width` of its hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    what: What,
    index: u64,
    width: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no path of a tile")]
pub struct BadPath;

impl TilePath {
    /// A full tile of a tile level.
    pub fn hashes(level: u8, index: u64) -> Self {
        Self { what: What::Hashes(level), index, width: FULL }
    }

    /// The full bundle with the entries of a tile of level 0.
    pub fn entries(index: u64) -> Self {
        Self { what: What::Entries, index, width: FULL }
    }

    /// Its first hashes, 1 to 256 of them.
    #[must_use]
    pub fn partial(self, width: u16) -> Self {
        Self { width: width.clamp(1, FULL), ..self }
    }

    #[must_use]
    pub fn full(self) -> Self {
        Self { width: FULL, ..self }
    }

    /// The tile level; `None` for a bundle of entries.
    pub fn level(&self) -> Option<u8> {
        match self.what {
            What::Entries => None,
            What::Hashes(level) => Some(level),
        }
    }

    pub fn index(&self) -> u64 {
        self.index
    }

    pub fn width(&self) -> u16 {
        self.width
    }

    pub fn is_full(&self) -> bool {
        self.width == FULL
    }

    /// How long its bytes are; an entry has its length before it.
    pub fn bytes(&self) -> usize {
        let each = if self.what == What::Entries { 34 } else { 32 };
        usize::from(self.width) * each
    }

    /// Whether a tree of this size has it.
    pub fn is_within(&self, size: u64) -> bool {
        let end = self.index.saturating_mul(TILE_WIDTH).saturating_add(u64::from(self.width));
        end <= hashes_at(size, self.level().unwrap_or(0))
    }

    /// The tiles and bundles that a tree of size `new` has and one of size
    /// `old` has not, full or partial as they are at `new`.
    pub fn of_tree(old: u64, new: u64) -> Vec<Self> {
        let mut paths = Vec::new();
        let kinds = std::iter::once(What::Entries).chain((0..TILE_LEVELS).map(What::Hashes));
        for what in kinds {
            let level = Self { what, index: 0, width: FULL }.level().unwrap_or(0);
            let (from, to) = (hashes_at(old, level), hashes_at(new, level));
            if from < to {
                let full = from / TILE_WIDTH..to / TILE_WIDTH;
                paths.extend(full.map(|index| Self { what, index, width: FULL }));
                let rest = (to % TILE_WIDTH) as u16;
                if rest > 0 {
                    paths.push(Self { what, index: to / TILE_WIDTH, width: rest });
                }
            }
        }
        paths
    }

    /// Reads a path as it stands behind a log's prefix.
    pub fn parse(path: &str) -> Result<Self, BadPath> {
        let parsed = if path.len() <= MAX_BYTES { read(path) } else { None };
        // Each path has one spelling: whatever was let through above, the
        // names of tiles are those that are printed.
        parsed.filter(|tile| tile.to_string() == path).ok_or(BadPath)
    }
}

fn read(path: &str) -> Option<TilePath> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let what = match level {
        "entries" => What::Entries,
        level => What::Hashes(number(level).filter(|l| *l < u64::from(LEVELS))? as u8),
    };
    let (rest, width) = match rest.split_once(".p/") {
        Some((rest, width)) => (rest, number(width).filter(|w| (1..TILE_WIDTH).contains(w))? as u16),
        None => (rest, FULL),
    };
    let mut index = 0_u64;
    for element in rest.split('/') {
        let digits = element.strip_prefix('x').unwrap_or(element);
        index = index.checked_mul(1_000)?.checked_add(number(digits)?)?;
    }
    (index < MAX_INDEX).then_some(TilePath { what, index, width })
}

fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/")?;
        match self.what {
            What::Entries => f.write_str("entries/")?,
            What::Hashes(level) => write!(f, "{level}/")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        while rest >= 1_000 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        groups.push(rest);
        while let Some(group) = groups.pop() {
            match groups.is_empty() {
                true => write!(f, "{group:03}")?,
                false => write!(f, "x{group:03}/")?,
            }
        }
        match self.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", self.width),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_spelled_as_specified() {
        let spelled = [
            (TilePath::hashes(0, 5), "tile/0/005"),
            (TilePath::hashes(0, 1_000), "tile/0/x001/000"),
            (TilePath::hashes(1, 1_234_067), "tile/1/x001/x234/067"),
            (TilePath::hashes(63, 0).partial(1), "tile/63/000.p/1"),
            (TilePath::entries(273).partial(112), "tile/entries/273.p/112"),
        ];
        for (path, text) in spelled {
            assert_eq!(path.to_string(), text);
            assert_eq!(TilePath::parse(text), Ok(path));
        }
    }

    #[test]
    fn nothing_else_is_a_path() {
        let bad = [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile//000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/255/000",
            "tile/256/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/-01",
            "tile/0/+01",
            "tile/0/x000/005",
            "tile/0/x001",
            "tile/0/001/000",
            "tile/0/xx01/000",
            "tile/0/x01/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/257",
            "tile/0/000.p/01",
            "tile/0/000.p/-1",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/1/2",
            "tile/0/000.p/1.p/1",
            "tile/0/../0/000",
            "tile/0/..",
            "tile/../0/000",
            "tile/0/000/../000",
            "tile/0/%30%30%30",
            "tile/0/000\0",
            "tile/0/000 ",
            "tile/0/٠٠٠",
            "tile/data/000",
            "tile/8/0/000",
            "tile/entries/x/000",
            "TILE/0/000",
            "tile/0/000?x=1",
            "tile/0/x018/x446/x744/x073/x709/x551/615",
            "tile/0/x999/x999/x999/x999/999",
        ];
        for path in bad {
            assert_eq!(TilePath::parse(path), Err(BadPath), "{path}");
        }
        let huge = format!("tile/0/{}000", "x999/".repeat(1_000));
        assert_eq!(TilePath::parse(&huge), Err(BadPath));
    }

    #[test]
    fn a_tree_of_seventy_thousand_has_the_tiles_that_the_specification_names() {
        let paths = TilePath::of_tree(0, 70_000);
        let full = |level| paths.iter().filter(|p| p.level() == level && p.is_full()).count();
        let partial = |level| {
            let widths = paths.iter().filter(|p| p.level() == level && !p.is_full()).map(TilePath::width);
            widths.collect::<Vec<_>>()
        };
        assert_eq!((full(Some(0)), partial(Some(0))), (273, vec![112]));
        assert_eq!((full(Some(1)), partial(Some(1))), (1, vec![17]));
        assert_eq!((full(Some(2)), partial(Some(2))), (0, vec![1]));
        assert_eq!((full(None), partial(None)), (273, vec![112]));
        assert!(paths.iter().all(|p| p.is_within(70_000)));
        assert_eq!(TilePath::of_tree(0, 256).len(), 3);
        assert_eq!(TilePath::of_tree(70_000, 70_000), []);
        assert!(!TilePath::hashes(1, 1).partial(18).is_within(70_000));
        assert!(!TilePath::hashes(63, (1 << 40) - 1).is_within(u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_read_is_printed_the_same(path in "(tile/)?[0-9x/.p]{0,40}") {
            if let Ok(tile) = TilePath::parse(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }

        #[test]
        fn what_is_printed_is_read(level in 0..64_u8, index in 0..MAX_INDEX, width in 1..=256_u16, entries: bool) {
            let path = if entries { TilePath::entries(index) } else { TilePath::hashes(level, index) };
            let path = path.partial(width);
            prop_assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn anything_is_read_without_harm(path in ".{0,80}") {
            let _ = TilePath::parse(&path);
        }

        /// Growing in steps needs what growing at once needs, and what was
        /// partial in between.
        #[test]
        fn steps_leave_nothing_out(sizes in prop::collection::vec(0..200_000_u64, 1..5)) {
            let mut sizes = sizes;
            sizes.sort_unstable();
            let last = sizes[sizes.len() - 1];
            let mut stepped = Vec::new();
            let mut from = 0;
            for size in sizes {
                stepped.extend(TilePath::of_tree(from, size));
                from = size;
            }
            for path in TilePath::of_tree(0, last) {
                prop_assert!(stepped.contains(&path));
            }
        }
    }
}
