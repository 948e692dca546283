//! The few things the writer does to a file, apart so that tests can let them
//! fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub trait AppendFile: Send {
    /// Appends. The file may end in zeros beyond what was appended.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Ends the file here, durably.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

pub trait Storage: Send {
    /// Opens a file for appending, made if it is not there; the name is
    /// durable on return.
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
}

pub struct Disk;

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
        Ok(Box::new(DiskFile { file, length, reserved: length }))
    }
}

pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Space is reserved in steps of this much.
const STEP: usize = 1 << 20;
static ZEROS: [u8; STEP] = [0; STEP];

/// Zeros are written ahead of the data, so that most syncs have no metadata to
/// write: a sync takes two thirds of the time. Cutting the file back gives up
/// what is reserved.
struct DiskFile {
    file: File,
    length: u64,
    reserved: u64,
}

impl DiskFile {
    fn reserve(&mut self, needed: u64) -> io::Result<()> {
        while self.reserved < needed {
            self.file.write_all_at(&ZEROS, self.reserved)?;
            self.reserved += STEP as u64;
        }
        Ok(())
    }
}

impl AppendFile for DiskFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len() as u64;
        if self.reserve(end).is_err() {
            // There may be room for the data alone.
            self.file.set_len(self.length)?;
            self.reserved = end;
        }
        self.file.write_all_at(bytes, self.length)?;
        self.length = end;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        (self.length, self.reserved) = (length, length);
        self.file.sync_all()
    }
}
