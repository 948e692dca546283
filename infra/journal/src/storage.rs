//! The few things the writer does to a file, apart so that tests can let them
//! fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

pub trait AppendFile: Send {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
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
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
        Ok(Box::new(DiskFile(file)))
    }
}

pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

struct DiskFile(File);

impl AppendFile for DiskFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }
}
