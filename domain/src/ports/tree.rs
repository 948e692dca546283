//! The log's Merkle tree, for those who sign it, serve it and prove from it.
//! The log moves it with every append; see [`crate::tree`] for what stands in
//! it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::log::LogError;
use crate::tree::{Frontier, Hash, TILE_LEVELS, TILE_WIDTH, hashes_at, leaf_hash, peaks};

/// A statement about the tree at a size, with the lines of all who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Whose statement it is. Statements of one origin never contradict each
    /// other.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    /// The signed note, whole.
    pub note: String,
    pub signed_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("a checkpoint of size {newest} was signed already, so none of size {size} can be")]
    Smaller { size: u64, newest: u64 },
    #[error("another tree of size {size} was signed already")]
    Contradicts { size: u64 },
    #[error("the checkpoint is no signed note")]
    Malformed,
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}

#[async_trait]
pub trait TreeLog: Send + Sync {
    /// The tree as anybody sees it: its size is the position of the newest event.
    async fn frontier(&self) -> Result<Frontier, LogError>;

    /// `count` entries from this index on; they must be in the tree. Those of
    /// trimmed facts stay.
    async fn entries(&self, first: u64, count: usize) -> Result<Vec<Hash>, LogError>;

    /// `count` hashes of a tile level (1…) from this index on; they must be in
    /// the tree.
    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError>;

    /// The newest checkpoint of an origin, or the newest up to a size.
    async fn checkpoint(
        &self,
        origin: &str,
        at_most: Option<u64>,
    ) -> Result<Option<SignedCheckpoint>, LogError>;

    /// Checkpoints of an origin that are larger than `after`, smallest first.
    async fn checkpoints(
        &self,
        origin: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SignedCheckpoint>, LogError>;

    /// Keeps a checkpoint and returns it as it is kept. One of a size that is
    /// kept adds its signature lines to that one; another tree of that size is
    /// refused, and so is any other that is smaller than the newest.
    async fn keep_checkpoint(
        &self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<SignedCheckpoint, CheckpointError>;

    /// Drops the checkpoints of these sizes, but never the newest. Returns how
    /// many.
    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError>;
}

/// The newest checkpoint of an origin, if it covers a position. The newest is
/// signed by the keys of today, which older ones need not be.
pub async fn covering(
    log: &dyn TreeLog,
    origin: &str,
    position: u64,
) -> Result<Option<SignedCheckpoint>, LogError> {
    Ok(log.checkpoint(origin, None).await?.filter(|newest| newest.size >= position))
}

/// `width` hashes of a tile, full or partial.
pub async fn tile_hashes(
    log: &dyn TreeLog,
    level: u8,
    index: u64,
    width: usize,
) -> Result<Vec<Hash>, LogError> {
    let first = index * TILE_WIDTH;
    match level {
        0 => Ok(log.entries(first, width).await?.iter().map(leaf_hash).collect()),
        _ => log.nodes(level, first, width).await,
    }
}

/// The tree as it was at a size, which it must have reached.
pub async fn frontier_at(log: &dyn TreeLog, size: u64) -> Result<Frontier, LogError> {
    let mut all = Vec::new();
    for level in (0..TILE_LEVELS).rev() {
        let hashes = hashes_at(size, level);
        let width = hashes % TILE_WIDTH;
        if width > 0 {
            let edge = tile_hashes(log, level, hashes / TILE_WIDTH, width as usize).await?;
            all.extend(peaks(&edge));
        }
    }
    Frontier::new(size, all).map_err(|reason| LogError::Damaged { position: size, reason })
}

/// A kept checkpoint with the signature lines of another of the same size and
/// tree, each key once: a witness that is asked twice signs two times, and a
/// note with both is no note.
pub fn merge_checkpoints(
    kept: &SignedCheckpoint,
    other: &SignedCheckpoint,
) -> Result<SignedCheckpoint, CheckpointError> {
    let (text, lines) = split(&kept.note)?;
    let (other_text, other_lines) = split(&other.note)?;
    if (kept.size, kept.root, text) != (other.size, other.root, other_text) {
        return Err(CheckpointError::Contradicts { size: other.size });
    }
    let mut note = kept.note.clone();
    for line in other_lines.split_inclusive('\n') {
        let same = |have: &str| have == line || key_of(have).is_some_and(|key| Some(key) == key_of(line));
        if !lines.split_inclusive('\n').any(same) {
            note.push_str(line);
        }
    }
    Ok(SignedCheckpoint { note, ..kept.clone() })
}

/// Whose line it is: a name, and the 32 bits of the key's id that the base64
/// behind it begins with, which are five letters and two bits of the sixth.
fn key_of(line: &str) -> Option<(&str, &str, u8)> {
    let (name, signature) = line.strip_prefix("— ")?.rsplit_once(' ')?;
    let bits = match signature.as_bytes().get(5)? {
        b'A'..=b'P' => 0,
        b'Q'..=b'Z' | b'a'..=b'f' => 1,
        b'g'..=b'v' => 2,
        b'w'..=b'z' | b'0'..=b'9' | b'+' | b'/' => 3,
        _ => return None,
    };
    Some((name, signature.get(..5)?, bits))
}

/// Text and signature lines of a note.
fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    let (text, lines) = note.rsplit_once("\n\n").ok_or(CheckpointError::Malformed)?;
    if lines.ends_with('\n') { Ok((text, lines)) } else { Err(CheckpointError::Malformed) }
}

/// What is kept once `new` comes to the newest, and to the one of its size: the
/// one rule that every log goes by.
pub fn next_checkpoint(
    newest: Option<&SignedCheckpoint>,
    same: Option<&SignedCheckpoint>,
    new: &SignedCheckpoint,
) -> Result<SignedCheckpoint, CheckpointError> {
    split(&new.note)?;
    match (same, newest) {
        (Some(kept), _) => merge_checkpoints(kept, new),
        (None, Some(newest)) if newest.size >= new.size => {
            Err(CheckpointError::Smaller { size: new.size, newest: newest.size })
        }
        _ => Ok(new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: u64, root: u8, lines: &str) -> SignedCheckpoint {
        let note = format!("log.example\n{size}\n{root}\n\n{lines}");
        let origin = "log.example".to_owned();
        SignedCheckpoint { origin, size, root: [root; 32], note, signed_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn signatures_of_one_statement_are_merged() {
        let (one, two) = (checkpoint(7, 1, "a\nb\n"), checkpoint(7, 1, "c\na\n"));
        let merged = next_checkpoint(Some(&one), Some(&one), &two).unwrap();
        assert_eq!(merged, checkpoint(7, 1, "a\nb\nc\n"));
        assert_eq!(next_checkpoint(Some(&merged), Some(&merged), &one).unwrap(), merged);
        let newest = checkpoint(9, 3, "a\n");
        assert_eq!(next_checkpoint(Some(&newest), Some(&merged), &one).unwrap(), merged);
        let other = next_checkpoint(Some(&newest), Some(&merged), &checkpoint(7, 2, "a\n"));
        assert_eq!(other, Err(CheckpointError::Contradicts { size: 7 }));
    }

    #[test]
    fn a_key_signs_a_statement_once() {
        // The same id in both, at two times; in the third its last bit differs.
        let (first, later, other) =
            ("— w.example AAAAAAAAAAAA\n", "— w.example AAAAAPBBBBBB\n", "— w.example AAAAAQAAAAAA\n");
        let kept = checkpoint(7, 1, first);
        let merge = |line: &str| merge_checkpoints(&kept, &checkpoint(7, 1, line)).unwrap();
        assert_eq!(merge(later), kept);
        assert_eq!(merge(other), checkpoint(7, 1, &format!("{first}{other}")));
        let namesake = "— v.example AAAAAAAAAAAA\n";
        assert_eq!(merge(namesake), checkpoint(7, 1, &format!("{first}{namesake}")));
        for (byte, bits) in (0..64_u8).map(|n| (n, n / 16)) {
            let letter = char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(byte)],
            );
            assert_eq!(key_of(&format!("— w AAAAA{letter}AA\n")), Some(("w", "AAAAA", bits)));
        }
        assert_eq!(key_of("— w AAAAA\n"), None);
    }

    #[test]
    fn statements_only_go_on() {
        let (old, new) = (checkpoint(7, 1, "a\n"), checkpoint(8, 2, "a\n"));
        assert_eq!(next_checkpoint(None, None, &old).unwrap(), old);
        assert_eq!(next_checkpoint(Some(&old), None, &new).unwrap(), new);
        let smaller = next_checkpoint(Some(&new), None, &old);
        assert_eq!(smaller, Err(CheckpointError::Smaller { size: 7, newest: 8 }));
        let other = next_checkpoint(Some(&new), Some(&new), &checkpoint(8, 3, "a\n"));
        assert_eq!(other, Err(CheckpointError::Contradicts { size: 8 }));
        for note in ["", "log.example", "log.example\n8\n2\n\na"] {
            let malformed = SignedCheckpoint { note: note.to_owned(), ..new.clone() };
            assert_eq!(next_checkpoint(None, None, &malformed), Err(CheckpointError::Malformed));
        }
    }
}
