//! The file in which a signer remembers what it signed last: the signed note.

use std::fs::File;
use std::path::Path;

use proofs::{Checkpoint, MAX_NOTE_BYTES};

use super::SignError;
use crate::file;

pub(super) fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> SignError {
    SignError::Record { file: path.display().to_string(), reason: reason.to_string() }
}

/// Keeps other processes with the same file away until it is dropped.
pub(super) async fn hold(path: &Path) -> Result<File, SignError> {
    let lock = path.with_extension("lock");
    let held = tokio::task::spawn_blocking(move || {
        if let Some(folder) = lock.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(lock)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    held.await.map_err(std::io::Error::other).flatten().map_err(|error| unusable(path, &error))
}

/// `None` before the first signature. A file that cannot be read is no reason
/// to begin anew.
pub(super) async fn read(path: &Path) -> Result<Option<Checkpoint>, SignError> {
    let note = match tokio::fs::read(path).await {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    if note.len() > MAX_NOTE_BYTES {
        return Err(unusable(path, &"it is too long"));
    }
    Checkpoint::peek(&note).map(Some).map_err(|error| unusable(path, &error))
}

/// Whole or not at all, and durable on return.
pub(super) async fn write(path: &Path, note: &str) -> Result<(), SignError> {
    let (to, note) = (path.to_owned(), note.to_owned());
    let written = tokio::task::spawn_blocking(move || file::replace(&to, note.as_bytes())).await;
    let outcome = written.map_err(std::io::Error::other).flatten();
    outcome.map_err(|error| unusable(path, &error))
}
