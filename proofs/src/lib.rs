//! What is published about the log's tree, in the formats of C2SP: tiles and
//! their paths, checkpoints as signed notes, proofs of inclusion and of
//! consistency, proof files, and what is said to witnesses. No I/O, no clock.
//!
//! **What is ours and what is not.** The mathematics of proofs over tiles is
//! the crate `tlog_tiles`, notes are `signed_note`, signatures `ed25519-dalek`.
//! Everything that comes from outside passes a stricter reader of ours first:
//! sizes are bounded before anything counts with them, keys of small order are
//! refused, and every text must be the one way to write what it says.

mod checkpoint;
mod cosignature;
mod file;
mod key;
mod note;
mod path;
mod prove;
mod text;
mod tiles;
pub mod witness;

#[cfg(test)]
mod mangled;
#[cfg(test)]
mod testing;

pub use checkpoint::{Checkpoint, Cosigned, Opened, Trust};
pub use cosignature::cosign;
pub use file::{MAX_PROOF_BYTES, ProofFile, Verified};
pub use key::{BadKey, PublicKey, SigningKey};
pub use note::{MAX_NOTE_BYTES, NoteError, add_lines};
pub use path::{BadPath, TilePath};
pub use prove::{
    Consistency, Inclusion, MAX_PATH, ProofError, check_consistency, check_inclusion, consistency, inclusion,
    needed_for_consistency, needed_for_inclusion, prove_consistency, prove_inclusion,
};
pub use tiles::{LogTiles, TileError, TileSet, Tiles, encode_entries, parse_entries};
