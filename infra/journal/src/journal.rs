use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use domain::ports::journal::{
    Batch, Durable, JournalEntry, JournalError, JournalStats, MAX_ENTRY_BYTES, TapJournal,
};
use tokio::sync::watch;

use crate::directory;
use crate::index::Index;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::storage::{Disk, Storage};
use crate::writer::Writer;

/// Limits of a journal, all in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The journal refuses entries beyond this.
    pub max_bytes: u64,
    /// A segment that has reached this is closed. At most a quarter of
    /// `max_bytes`, so that a full journal gets room by draining.
    pub segment_bytes: u64,
    /// Frames that may wait for the disk.
    pub queue_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 10 << 30, segment_bytes: 64 << 20, queue_bytes: 16 << 20 }
    }
}

/// A journal in a directory of its own. Dropping it writes what is queued.
pub struct DiskJournal {
    id: String,
    queue: Arc<Queue>,
    index: Arc<Index>,
    reader: Arc<Reader>,
    durable: watch::Receiver<u64>,
    max_bytes: u64,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

impl DiskJournal {
    /// Opens or makes the journal in `path`. Fails if another process has it.
    pub fn open(path: &Path, options: Options) -> io::Result<Self> {
        Self::open_on(path, options, Box::new(Disk))
    }

    fn open_on(path: &Path, options: Options, storage: Box<dyn Storage>) -> io::Result<Self> {
        let opened = directory::open(path)?;
        let index = Arc::new(opened.index);
        let queue = Arc::new(Queue::new(opened.next, options.queue_bytes));
        let (sender, durable) = watch::channel(opened.next);
        let writer = Writer {
            storage,
            queue: queue.clone(),
            index: index.clone(),
            segment_bytes: options.segment_bytes.min(options.max_bytes / 4),
            durable: sender,
        };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?;
        Ok(Self {
            id: opened.id,
            reader: Arc::new(Reader::new(index.clone())),
            queue,
            index,
            durable,
            max_bytes: options.max_bytes,
            thread: Some(thread),
            _lock: opened.lock,
        })
    }

    fn enqueue(&self, entry: &JournalEntry) -> Result<crate::queue::Written, JournalError> {
        if entry.payload.len() > MAX_ENTRY_BYTES {
            return Err(JournalError::Invalid(format!("an entry holds at most {MAX_ENTRY_BYTES} bytes")));
        }
        if self.index.bytes() >= self.max_bytes {
            return Err(JournalError::Full { max: self.max_bytes });
        }
        self.queue.push(entry)
    }
}

impl Drop for DiskJournal {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl TapJournal for DiskJournal {
    fn id(&self) -> &str {
        &self.id
    }

    fn append(&self, entry: &JournalEntry) -> Durable {
        match self.enqueue(entry) {
            Ok(written) => Box::pin(written),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn read(&self, from: u64, limit: usize) -> Result<Batch, JournalError> {
        let reader = self.reader.clone();
        blocking(move || reader.read(from, limit)).await
    }

    async fn mark_drained(&self, to: u64) -> Result<(), JournalError> {
        self.queue.skip_to(to);
        let index = self.index.clone();
        blocking(move || index.drain(to)).await?;
        metrics::gauge!("daybook_journal_bytes").set(self.index.bytes() as f64);
        Ok(())
    }

    async fn grown(&self, from: u64) -> Result<(), JournalError> {
        let mut durable = self.durable.clone();
        durable.wait_for(|next| *next > from).await.map(|_| ()).map_err(|_| JournalError::Closed)
    }

    async fn turn(&self) -> Result<(), JournalError> {
        let begun = self.queue.ask_turn().await;
        begun.map_err(|_| JournalError::Io("no new segment could be begun".into()))?;
        let index = self.index.clone();
        blocking(move || index.drain(index.view().drained)).await
    }

    fn stats(&self) -> JournalStats {
        let view = self.index.view();
        JournalStats {
            durable: view.durable,
            drained: view.drained,
            bytes: self.index.bytes(),
            segments: view.segments.len(),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, JournalError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| JournalError::Io(e.to_string())),
        Err(_) => Err(JournalError::Closed),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
