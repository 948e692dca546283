//! Reads a log file line by line on a thread of its own, unpacked if it is
//! gzip, and hands on what the lines say in batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Format;
use super::click::Line;

/// A longer line is broken; no more of it is kept in memory.
pub const MAX_LINE_BYTES: usize = 64 << 10;
const BATCH_LINES: usize = 1_000;
/// Batches that wait for the log.
const WAITING: usize = 4;

pub struct ReadLine {
    pub line: Line,
    /// Of the line's bytes without their end.
    pub hash: [u8; 32],
}

pub struct Batch {
    pub lines: Vec<ReadLine>,
    /// Bytes of the file read so far, as they are on disk.
    pub bytes_read: u64,
}

/// Starts reading. An error is the last thing that arrives.
pub fn read(file: PathBuf, format: Format, stop: CancellationToken) -> mpsc::Receiver<io::Result<Batch>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut lines = Vec::new();
        let ended = each(&file, |bytes, bytes_read| {
            lines.push(ReadLine { line: format.read(bytes), hash: Sha256::digest(bytes).into() });
            if lines.len() < BATCH_LINES {
                return true;
            }
            let batch = Batch { lines: std::mem::take(&mut lines), bytes_read };
            sender.blocking_send(Ok(batch)).is_ok() && !stop.is_cancelled()
        });
        let last = ended.map(|bytes_read| Batch { lines: Vec::new(), bytes_read });
        // Nobody listens any more if this fails.
        let _ = match last {
            Ok(batch) => sender.blocking_send(Ok(Batch { lines, ..batch })),
            Err(error) => {
                let _ = sender.blocking_send(Ok(Batch { lines, bytes_read: 0 }));
                sender.blocking_send(Err(error))
            }
        };
    });
    receiver
}

/// The times of the first and the last click, if there is one.
pub fn bounds(file: &Path, format: Format) -> io::Result<Option<(Timestamp, Timestamp)>> {
    let mut bounds: Option<(Timestamp, Timestamp)> = None;
    each(file, |bytes, _| {
        if let Line::Click(click) = format.read(bytes) {
            bounds = Some(match bounds {
                None => (click.at, click.at),
                Some((first, last)) => (first.min(click.at), last.max(click.at)),
            });
        }
        true
    })?;
    Ok(bounds)
}

/// Calls `line` with each line (without its end) and the bytes of the file read
/// so far, until it answers false. A line over the limit arrives as one NUL,
/// which is broken in any format. Answers the bytes read.
fn each(file: &Path, line: impl FnMut(&[u8], u64) -> bool) -> io::Result<u64> {
    each_within(MAX_LINE_BYTES, file, line)
}

pub(super) fn each_within(
    max: usize,
    file: &Path,
    mut line: impl FnMut(&[u8], u64) -> bool,
) -> io::Result<u64> {
    let read = Arc::new(AtomicU64::new(0));
    let raw = BufReader::new(Counted { inner: File::open(file)?, read: read.clone() });
    let mut text = unpacked(raw)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let got = text.by_ref().take(max as u64 + 2).read_until(b'\n', &mut bytes)?;
        if got == 0 {
            break;
        }
        if bytes.pop_if(|b| *b == b'\n').is_some() {
            bytes.pop_if(|b| *b == b'\r');
        } else if bytes.len() > max {
            text.skip_until(b'\n')?;
        }
        if bytes.len() > max {
            bytes.clear();
            bytes.push(0);
        }
        if !line(&bytes, read.load(Ordering::Relaxed)) {
            break;
        }
    }
    Ok(read.load(Ordering::Relaxed))
}

/// Gzip is told by its first bytes, not by the file's name.
fn unpacked(mut raw: BufReader<Counted>) -> io::Result<Box<dyn BufRead>> {
    if raw.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(raw))))
    } else {
        Ok(Box::new(raw))
    }
}

struct Counted {
    inner: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines_of(name: &str, content: &[u8]) -> Vec<Vec<u8>> {
        let path = std::env::temp_dir().join(format!("daybook-lines-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let mut lines = Vec::new();
        let read = each(&path, |line, _| {
            lines.push(line.to_vec());
            true
        });
        assert_eq!(read.unwrap(), content.len() as u64);
        std::fs::remove_file(&path).unwrap();
        lines
    }

    #[test]
    fn lines_end_with_or_without_carriage_return() {
        assert_eq!(lines_of("ends", b"a\nb\r\n\nlast"), [&b"a"[..], b"b", b"", b"last"]);
        assert!(lines_of("empty", b"").is_empty());
    }

    #[test]
    fn gzip_is_unpacked_also_in_several_members() {
        let mut packed = Vec::new();
        for part in ["a\n", "b\n"] {
            let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            encoder.finish().unwrap();
        }
        assert_eq!(lines_of("packed", &packed), [b"a", b"b"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let limit = MAX_LINE_BYTES;
        let text = [vec![b'x'; limit], b"\n".to_vec(), vec![b'y'; limit + 1], b"\nnext\n".to_vec()].concat();
        assert_eq!(lines_of("limit", &text), [vec![b'x'; limit], vec![0], b"next".to_vec()]);
        let endless = [vec![b'z'; 10 * limit], b"\nnext".to_vec()].concat();
        assert_eq!(lines_of("endless", &endless), [vec![0], b"next".to_vec()]);
    }
}
