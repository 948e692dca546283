//! The writer thread: takes the pending batch, writes it, syncs, answers. After
//! any failure the file ends where it ended before and the next batch is tried
//! as if nothing had happened, so a disk that has room again heals by itself.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::journal::JournalError;
use tokio::sync::watch;

use crate::directory::segment_path;
use crate::index::Index;
use crate::queue::{Batch, Queue};
use crate::storage::{AppendFile, Storage};
use crate::throttle::Throttle;

/// A spare buffer that grew larger than this is not kept.
const KEEP_BUFFER: usize = 4 << 20;

pub struct Writer {
    pub storage: Box<dyn Storage>,
    pub queue: Arc<Queue>,
    pub index: Arc<Index>,
    pub segment_bytes: u64,
    /// Tells readers how far the journal is durable.
    pub durable: watch::Sender<u64>,
}

struct OpenSegment {
    file: Box<dyn AppendFile>,
    length: u64,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub fn run(self) {
        let mut open = None;
        let mut spare = Vec::new();
        let complain = Throttle::new(Duration::from_secs(10));
        let batches = metrics::histogram!("daybook_journal_batch_entries");
        let syncs = metrics::histogram!("daybook_journal_sync_seconds");
        let appended = metrics::counter!("daybook_journal_appended_total");
        let bytes = metrics::gauge!("daybook_journal_bytes");
        while let Some((batch, next)) = self.queue.take(spare) {
            let started = Instant::now();
            if batch.entries == 0 {
                self.turns(&mut open, next);
                spare = batch.frames;
                continue;
            }
            match self.write(&mut open, &batch, next) {
                Ok(()) => {
                    batch.outcome.settle(Ok(()));
                    self.durable.send_modify(|durable| *durable = next.max(*durable));
                    syncs.record(started.elapsed());
                    batches.record(batch.entries as f64);
                    appended.increment(batch.entries as u64);
                    bytes.set(self.index.bytes() as f64);
                }
                Err(error) => {
                    let error = refusal(&error);
                    metrics::counter!("daybook_journal_failed_total", "reason" => error.reason())
                        .increment(batch.entries as u64);
                    if complain.ready() {
                        tracing::error!(%error, entries = batch.entries, alert = true,
                            "journal: taps could not be written");
                    }
                    batch.outcome.settle(Err(error));
                }
            }
            self.turns(&mut open, next);
            spare = if batch.frames.capacity() > KEEP_BUFFER { Vec::new() } else { batch.frames };
        }
        if let Some(segment) = open {
            close(segment);
        }
    }

    fn write(&self, open: &mut Option<OpenSegment>, batch: &Batch, next: u64) -> io::Result<()> {
        let mut segment = match open.take() {
            Some(segment) if segment.length < self.segment_bytes => segment,
            Some(full) => {
                close(full);
                self.begin(batch.first)?
            }
            None => self.resume(batch.first)?,
        };
        let written = segment.file.write_all(&batch.frames).and_then(|()| segment.file.sync());
        if let Err(error) = written {
            // If it cannot be cut back either, the segment is left alone: the
            // reader stops at its durable length, and the next batch begins a
            // new one.
            if segment.file.truncate(segment.length).is_ok() {
                *open = Some(segment);
            } else {
                *open = self.begin(next).ok();
            }
            return Err(error);
        }
        segment.length += batch.frames.len() as u64;
        self.index.extend(segment.length, next);
        *open = Some(segment);
        Ok(())
    }

    /// Begins a new segment if somebody asked for one; who is not told knows
    /// that it failed.
    fn turns(&self, open: &mut Option<OpenSegment>, next: u64) {
        let asked = self.queue.turns();
        if asked.is_empty() {
            return;
        }
        if self.index.active().is_some_and(|active| active.length > 0) {
            if let Some(segment) = open.take() {
                close(segment);
            }
            match self.begin(next) {
                Ok(segment) => *open = Some(segment),
                Err(error) => return tracing::warn!(%error, "journal: no new segment was begun"),
            }
        }
        for told in asked {
            let _ = told.send(());
        }
    }

    /// Goes on with the newest segment if it has room.
    fn resume(&self, first: u64) -> io::Result<OpenSegment> {
        match self.index.active() {
            Some(active) if active.length < self.segment_bytes => {
                let mut file = self.storage.open(&segment_path(self.index.directory(), active.first))?;
                // A failed write may have left something behind the durable end.
                file.truncate(active.length)?;
                Ok(OpenSegment { file, length: active.length })
            }
            _ => self.begin(first),
        }
    }

    fn begin(&self, first: u64) -> io::Result<OpenSegment> {
        let file = self.storage.open(&segment_path(self.index.directory(), first))?;
        self.index.begin(first);
        Ok(OpenSegment { file, length: 0 })
    }
}

/// Cuts off what was reserved. Where that fails, opening and reading know
/// zeros for what they are.
fn close(mut segment: OpenSegment) {
    if let Err(error) = segment.file.truncate(segment.length) {
        tracing::warn!(%error, "journal: a segment keeps the space that was reserved for it");
    }
}

fn refusal(error: &io::Error) -> JournalError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            JournalError::DiskFull
        }
        _ => JournalError::Io(error.to_string()),
    }
}
