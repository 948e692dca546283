//! The file in which a signer remembers what it signed last: the signed note.
//! And one beside it that keeps it from signing.

use std::fs::File;
use std::path::{Path, PathBuf};

use proofs::{Checkpoint, MAX_NOTE_BYTES};

use super::{Sighting, SignError};
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

/// Where it stands what a witness has seen that the log does not continue.
pub(super) fn refusal(record: &Path) -> PathBuf {
    record.with_extension("refused")
}

/// Why nothing of this origin is signed, until somebody takes the file away.
pub(super) async fn refused(record: &Path, origin: &str) -> Result<Option<Sighting>, SignError> {
    let path = refusal(record);
    let text = match tokio::fs::read_to_string(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&path, &error)),
    };
    let lines: Vec<&str> = text.lines().collect();
    let [of, witness, seen, size] = lines[..] else {
        return Err(unusable(&path, &"it is of another kind"));
    };
    let number = |text: &str| text.parse().map_err(|_| unusable(&path, &"its sizes cannot be read"));
    let sighting = Sighting { witness: witness.to_owned(), seen: number(seen)?, size: number(size)? };
    Ok((of == origin).then_some(sighting))
}

pub(super) async fn refuse(record: &Path, origin: &str, sighting: &Sighting) -> Result<(), SignError> {
    let Sighting { witness, seen, size } = sighting;
    write(&refusal(record), &format!("{origin}\n{witness}\n{seen}\n{size}\n")).await
}

/// Whole or not at all, and durable on return.
pub(super) async fn write(path: &Path, text: &str) -> Result<(), SignError> {
    let (to, text) = (path.to_owned(), text.to_owned());
    let written = tokio::task::spawn_blocking(move || file::replace(&to, text.as_bytes())).await;
    let outcome = written.map_err(std::io::Error::other).flatten();
    outcome.map_err(|error| unusable(path, &error))
}
