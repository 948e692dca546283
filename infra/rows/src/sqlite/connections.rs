//! A bounded set of connections, each used on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::rows::RowsError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};

/// What work on a connection fails with.
#[derive(Debug)]
pub enum Fault {
    Sql(rusqlite::Error),
    Rows(RowsError),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<RowsError> for Fault {
    fn from(e: RowsError) -> Self {
        Self::Rows(e)
    }
}

impl From<Fault> for RowsError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(e) => Self::Unavailable(e.to_string()),
            Fault::Rows(e) => e,
        }
    }
}

pub struct Connections {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Never closed.
    permits: Semaphore,
    /// One while a thread brings the write-ahead log into the file.
    checkpoints: Arc<Semaphore>,
    /// Of that thread.
    checkpointer: Mutex<Option<Connection>>,
    /// Pages of that log, the last time it was looked at.
    waiting: AtomicU32,
}

impl Connections {
    pub fn new(path: &Path, max: usize) -> Self {
        Self {
            path: path.into(),
            idle: Mutex::default(),
            permits: Semaphore::new(max),
            checkpoints: Arc::new(Semaphore::new(1)),
            checkpointer: Mutex::default(),
            waiting: AtomicU32::new(0),
        }
    }

    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let done =
            tokio::task::spawn_blocking(move || all.on_one(work)).await.map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    /// What is written is brought into the file by another thread, a little at
    /// a time: whoever syncs another file meanwhile waits for all that is under
    /// way.
    pub async fn with_much<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let all = self.clone();
        let done = self.with(move |connection| all.write_much(connection, work)).await;
        self.checkpoint_beside();
        done
    }

    /// The same on a thread that yields to others.
    pub async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let (give, result) = oneshot::channel();
        let run = move || {
            let _ = give.send(all.on_one(|connection| all.write_much(connection, work)));
        };
        background::spawn("rows", run).map_err(|e| unavailable(&e))?;
        let done = result.await.map_err(|e| unavailable(&e))?;
        drop(permit);
        self.checkpoint_beside();
        Ok(done?)
    }

    fn write_much<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        checkpoint_after(connection, NEVER)?;
        let done = work(connection);
        checkpoint_after(connection, MUCH)?;
        // Only while nobody writes does that log begin anew.
        if self.waiting.load(Ordering::Relaxed) >= MUCH {
            self.checkpoint(connection);
        }
        done
    }

    /// While others write, unless it is under way.
    fn checkpoint_beside(self: &Arc<Self>) {
        let Ok(permit) = Arc::clone(&self.checkpoints).try_acquire_owned() else { return };
        let all = self.clone();
        let run = move || {
            let mut kept = all.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.take().map_or_else(|| open(&all.path), Ok) {
                Ok(connection) => {
                    all.checkpoint(&connection);
                    *kept = Some(connection);
                }
                Err(error) => tracing::debug!(?error, "no connection to bring rows into their file"),
            }
            drop(kept);
            drop(permit);
        };
        if let Err(error) = background::spawn("checkpoint", run) {
            tracing::debug!(%error, "no thread to bring rows into their file");
        }
    }

    /// Until no other thread brings rows into the file; its connection is closed.
    pub async fn checkpointed(&self) {
        // Never closed.
        let permit = self.checkpoints.acquire().await;
        self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(permit);
    }

    /// Brings pages of the write-ahead log into the file, as far as no reader
    /// needs what stands there. What is committed is committed without it.
    fn checkpoint(&self, connection: &Connection) {
        let pages = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| r.get::<_, i64>(1));
        match pages.map(u32::try_from) {
            Ok(Ok(pages)) => self.waiting.store(pages, Ordering::Relaxed),
            // Somebody else is at it.
            Ok(Err(_)) => {}
            Err(error) => tracing::debug!(%error, "rows are not brought into their file yet"),
        }
    }

    fn on_one<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let done = work(&mut connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        done
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Bytes of a page of a new file; one that is there keeps its own. Documents of
/// histories take some 1,500: of 4,096 a quarter would stay empty.
const PAGE: u32 = 8_192;
/// Pages of the write-ahead log, some 64 MiB, or half of that in a file of
/// 4 KiB pages: each checkpoint syncs twice, and pages that are changed again
/// meanwhile go into the file once.
const MUCH: u32 = 8_000;
const NEVER: u32 = 0;
/// How long another process may be waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn open(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    checkpoint_after(&connection, MUCH)?;
    // Rows show data of people until they are dropped; then nothing of them stays.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn checkpoint_after(connection: &Connection, pages: u32) -> Result<(), Fault> {
    Ok(connection.pragma_update(None, "wal_autocheckpoint", pages)?)
}

fn unavailable(error: &dyn std::fmt::Display) -> RowsError {
    RowsError::Unavailable(error.to_string())
}

/// A transaction that holds the write lock from its beginning.
pub fn writable(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}
