//! Small files that must not be lost: whole or not at all, and durable on
//! return.

use std::fs::{File, Permissions};
use std::io::{Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts a file in the place of what was there, if that was another.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    written(path, 0o644, bytes)?.persist(path).map_err(|error| error.error)?;
    settle(folder(path))
}

/// A new file that only its owner can read. What stands there already stays:
/// the error is `AlreadyExists`.
pub fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    written(path, 0o600, bytes)?.persist_noclobber(path).map_err(|error| error.error)?;
    settle(folder(path))
}

/// In the same folder, under a name of its own: another process may be at it.
fn written(path: &Path, mode: u32, bytes: &[u8]) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let mut file = builder.permissions(Permissions::from_mode(mode)).tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes the names in a folder durable.
fn settle(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.b");
        for bytes in [&b"a longer text"[..], b"short", b"short", b""] {
            replace(&file, bytes).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
        }
        // What cannot be replaced is left as it is, with nothing beside it.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        replace(&taken, b"text").unwrap_err();
        assert_eq!(names(folder.path()), ["a.b", "taken"]);
    }

    #[test]
    fn of_all_who_create_a_file_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let create = |n: u8| create(&file, &[n; 9]).map(|()| n);
        let outcomes: Vec<Result<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || create(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        let made: Vec<u8> = made.into_iter().flatten().collect();
        assert_eq!((made.len(), std::fs::read(&file).unwrap()), (1, vec![made[0]; 9]));
        assert!(refused.into_iter().all(|r| r.unwrap_err().kind() == ErrorKind::AlreadyExists));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["key"]);
    }
}
