//! Brings an SQLite write-ahead log into its file on a thread that yields to
//! others. SQLite itself does it within the commit that makes the log long
//! enough, and for 64 MiB everybody who writes waits some 150 ms.
//!
//! The log begins anew when all of it is in the file as a transaction begins,
//! so its last pages are brought there, and the file is synced, between two
//! transactions by whoever writes (<https://sqlite.org/wal.html#ckpt>).

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, Row};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Pages that a writer brings into the file itself.
const REST: u32 = 512;
/// So many times as long as it should be, and nobody has made it shorter by the
/// next commit, a writer brings all of it.
const TOO_LONG: u32 = 4;

thread_local! {
    /// Pages of the log after the thread's last commit; 0 when that was seen.
    static COMMITTED: Cell<u32> = const { Cell::new(0) };
}

/// SQLite no longer does it on this connection; see [`Checkpoints::committed`].
/// The pragma `wal_autocheckpoint` would undo this.
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
    too_long: AtomicBool,
    /// There are pages for the thread whose turn it is.
    wanted: AtomicBool,
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
            too_long: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            turn: Arc::new(Semaphore::new(1)),
            connection: Mutex::default(),
        }
    }

    /// Works with a watched connection and looks after what it commits, on this
    /// thread.
    pub fn around<T>(
        self: &Arc<Self>,
        connection: &mut Connection,
        unstored: u32,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> T {
        COMMITTED.set(0);
        let done = work(connection);
        self.committed(connection, unstored);
        done
    }

    /// To be called on the thread that has worked with a watched connection,
    /// outside of a transaction. If it has committed, no more than about
    /// `unstored` pages are left out of the file for long.
    pub fn committed(self: &Arc<Self>, connection: &Connection, unstored: u32) {
        let pages = COMMITTED.take();
        if pages == 0 || pages < unstored.min(self.long) {
            return;
        }
        let long = pages >= self.long;
        let too_long = self.too_long.swap(pages / TOO_LONG >= self.long, Ordering::Relaxed);
        let waiting = waiting(connection).unwrap_or(pages);
        if long && (waiting <= REST || too_long) {
            store(connection);
        } else if long || waiting >= unstored {
            self.store_beside();
        }
    }

    /// Waits until no thread brings pages into the file, and closes its
    /// connection. Nor does one while this is held.
    pub async fn done(self: &Arc<Self>) -> Option<SemaphorePermit<'_>> {
        loop {
            let permit = self.turn.acquire().await.ok()?;
            if !self.wanted.load(Ordering::SeqCst) {
                self.kept().take();
                return Some(permit);
            }
            drop(permit);
            self.store_beside();
        }
    }

    fn store_beside(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
        // Whoever has it looks once more before it goes.
        let Ok(mut permit) = Arc::clone(&self.turn).try_acquire_owned() else { return };
        let all = self.clone();
        let run = move || {
            loop {
                while all.wanted.swap(false, Ordering::SeqCst) {
                    all.store();
                }
                drop(permit);
                if !all.wanted.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(again) = Arc::clone(&all.turn).try_acquire_owned() else { return };
                permit = again;
            }
        };
        if let Err(error) = background::spawn("checkpoint", background::Share::Tenth, run) {
            self.wanted.store(false, Ordering::SeqCst);
            tracing::debug!(%error, "no thread to bring pages into the file");
        }
    }

    fn store(&self) {
        let mut kept = self.kept();
        match kept.take().map_or_else(|| self.connect(), Ok) {
            Ok(connection) if store(&connection) => *kept = Some(connection),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "no connection to bring pages into the file"),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&self.path, flags)
    }
}

/// Pages of the log that are not in the file.
fn waiting(connection: &Connection) -> Option<u32> {
    let counts = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let (pages, stored) = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], counts).ok()?;
    u32::try_from(pages - stored).ok()
}

/// As far as no reader needs what stands there. What is committed is committed
/// without it, and perhaps somebody else is at it.
fn store(connection: &Connection) -> bool {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = &done {
        tracing::debug!(%error, "pages are not brought into the file yet");
    }
    done.is_ok()
}

#[cfg(test)]
mod tests;
