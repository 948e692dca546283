//! Brings an SQLite write-ahead log into its file on a thread that yields to
//! others. SQLite itself does it within the commit that makes the log long
//! enough, and for 64 MiB everybody who writes waits some 150 ms.
//!
//! The log begins anew when all of it is in the file as a transaction begins,
//! so its last pages are brought there between two transactions, by whoever
//! writes (<https://sqlite.org/wal.html#ckpt>).

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

/// Pages that a writer brings into the file itself.
const REST: u32 = 512;
/// So many times as long as it should be, a writer brings all of it.
const TOO_LONG: u32 = 4;

thread_local! {
    /// Pages of the log after the thread's last commit; 0 when that was seen.
    static COMMITTED: Cell<u32> = const { Cell::new(0) };
}

/// The file no longer brings itself up to date on this connection; see
/// [`Checkpoints::committed`].
pub fn watch(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        COMMITTED.set(u32::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

pub struct Checkpoints {
    path: PathBuf,
    /// Pages after which the log is to begin anew.
    long: u32,
    /// Pages of the log that are in the file, as far as this process knows.
    stored: AtomicU32,
    /// One while a thread is at it. Never closed.
    turn: Arc<Semaphore>,
    /// Of that thread.
    connection: Mutex<Option<Connection>>,
}

impl Checkpoints {
    pub fn new(path: &Path, long: u32) -> Self {
        Self {
            path: path.into(),
            long,
            stored: AtomicU32::new(0),
            turn: Arc::new(Semaphore::new(1)),
            connection: Mutex::default(),
        }
    }

    /// To be called on the thread that has worked with a watched connection,
    /// outside of a transaction. If it has committed, no more than about
    /// `unstored` pages are left out of the file.
    pub fn committed(self: &Arc<Self>, connection: &Connection, unstored: u32) {
        let pages = COMMITTED.take();
        if pages == 0 {
            return;
        }
        if pages < self.stored.load(Ordering::Relaxed) {
            // It has begun anew.
            self.stored.store(0, Ordering::Relaxed);
        }
        let waiting = pages - self.stored.load(Ordering::Relaxed).min(pages);
        let long = pages >= self.long;
        if long && (waiting <= REST || pages / TOO_LONG >= self.long) {
            self.store(connection);
        } else if long || waiting >= unstored {
            self.store_beside();
        }
    }

    /// Until no thread brings pages into the file; its connection is closed.
    pub async fn done(&self) {
        let permit = self.turn.acquire().await;
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(permit);
    }

    fn store_beside(self: &Arc<Self>) {
        let Ok(permit) = Arc::clone(&self.turn).try_acquire_owned() else { return };
        let all = self.clone();
        let run = move || {
            let mut kept = all.connection.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.take().map_or_else(|| all.connect(), Ok) {
                Ok(connection) => {
                    all.store(&connection);
                    *kept = Some(connection);
                }
                Err(error) => tracing::debug!(%error, "no connection to bring pages into the file"),
            }
            drop(kept);
            drop(permit);
        };
        if let Err(error) = background::spawn("checkpoint", run) {
            tracing::debug!(%error, "no thread to bring pages into the file");
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&self.path, flags)
    }

    /// As far as no reader needs what stands there. What is committed is
    /// committed without it.
    fn store(&self, connection: &Connection) {
        let pages = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| r.get::<_, i64>(2));
        match pages.map(u32::try_from) {
            Ok(Ok(pages)) => self.stored.store(pages, Ordering::Relaxed),
            // Somebody else is at it.
            Ok(Err(_)) => {}
            Err(error) => tracing::debug!(%error, "pages are not brought into the file yet"),
        }
    }
}

#[cfg(test)]
mod tests;
