//! What stands in the journal's directory:
//!
//! - `lock`, held exclusively while the journal is open,
//! - `journal.id`, made once,
//! - `<first offset, 20 digits>.taps`, the segments,
//! - `quarantine/`, copies of what was found damaged; nothing reads them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::frame;
use crate::index::{Index, Segment};
use crate::storage::sync_directory;

const EXTENSION: &str = "taps";

/// An opened directory: the lock is held until this is dropped.
pub struct Opened {
    pub lock: File,
    pub id: String,
    pub index: Index,
    /// The next offset to hand out.
    pub next: u64,
}

pub fn open(path: &Path) -> io::Result<Opened> {
    fs::create_dir_all(path)?;
    let lock = lock(path)?;
    let id = journal_id(path)?;
    let mut segments = list(path)?;
    let mut next = 0;
    if let Some(last) = segments.last_mut() {
        next = mend_tail(path, last)?;
    }
    Ok(Opened { lock, id, index: Index::new(path.to_owned(), segments, next), next })
}

pub fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.{EXTENSION}"))
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let reason = format!("the journal {} is in use by another process", path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, reason))
        }
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn journal_id(directory: &Path) -> io::Result<String> {
    let path = directory.join("journal.id");
    match fs::read_to_string(&path) {
        Ok(text) if domain::ids::check_id(text.trim()).is_ok() => return Ok(text.trim().to_owned()),
        Ok(_) => {
            let reason = format!("{} does not hold a journal id", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Err(_) => {}
    }
    let id = Uuid::new_v4().simple().to_string();
    let unfinished = directory.join("journal.id.new");
    let mut file = File::create(&unfinished)?;
    file.write_all(format!("{id}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    sync_directory(directory)?;
    Ok(id)
}

/// The segments in order of their first offset.
fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for item in fs::read_dir(directory)? {
        let item = item?;
        let name = item.file_name();
        let first = name.to_str().and_then(|n| n.strip_suffix(".taps")).and_then(|n| n.parse().ok());
        if let Some(first) = first {
            segments.push(Segment { first, length: item.metadata()?.len() });
        }
    }
    segments.sort_unstable_by_key(|s| s.first);
    Ok(segments)
}

/// Cuts what a crash left half-written off the newest segment; answers the
/// next offset. What is cut is kept in quarantine, since a damaged last entry
/// cannot be told from a half-written one.
fn mend_tail(directory: &Path, last: &mut Segment) -> io::Result<u64> {
    let path = segment_path(directory, last.first);
    let bytes = fs::read(&path)?;
    let scan = frame::scan(&bytes, last.first);
    if scan.end == bytes.len() {
        return Ok(scan.next);
    }
    let cut = without_reserve(&bytes[scan.end..]);
    if !cut.is_empty() {
        tracing::warn!(segment = %path.display(), at = scan.end, bytes = cut.len(),
            "journal: the newest segment ends in an unfinished entry; cut off and kept in quarantine");
        let name = format!("{:020}.tail-{}-{}", last.first, scan.end, cut.len());
        if let Err(error) = quarantine(directory, &name, cut) {
            tracing::warn!(%error, "journal: the unfinished entry could not be kept");
        }
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(scan.end as u64)?;
    file.sync_all()?;
    last.length = scan.end as u64;
    // The cut may have held entries that were acknowledged by a disk that
    // lies; their offsets must not come up again.
    Ok(scan.next + (cut.len() / frame::MIN_FRAME) as u64)
}

/// Without the zeros at the end, which are space reserved and never used.
pub fn without_reserve(bytes: &[u8]) -> &[u8] {
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    &bytes[..used]
}

/// Keeps a copy of damaged bytes, once for each name.
pub fn quarantine(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = directory.join("quarantine");
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    if path.exists() {
        return Ok(());
    }
    File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    })
}
