//! A bounded set of connections, each used on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::rows::RowsError;
use infra_wal::Checkpoints;
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
    checkpoints: Arc<Checkpoints>,
}

impl Connections {
    pub fn new(path: &Path, max: usize) -> Self {
        Self {
            path: path.into(),
            idle: Mutex::default(),
            permits: Semaphore::new(max),
            checkpoints: Arc::new(Checkpoints::new(path, LONG)),
        }
    }

    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let done = tokio::task::spawn_blocking(move || all.on_one(AT_ONCE, work))
            .await
            .map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    /// The same on a thread that yields to others, for much that is written: it
    /// comes into the file a little at a time, because whoever syncs another
    /// file meanwhile waits for all that is under way.
    pub async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let (give, result) = oneshot::channel();
        let run = move || {
            let _ = give.send(all.on_one(A_LITTLE, work));
        };
        background::spawn("rows", run).map_err(|e| unavailable(&e))?;
        let done = result.await.map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    /// Until no other thread brings rows into the file.
    pub async fn checkpointed(&self) {
        self.checkpoints.done().await;
    }

    /// Works on a connection, and leaves no more pages out of the file.
    fn on_one<T>(
        &self,
        unstored: u32,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let done = work(&mut connection);
        self.checkpoints.committed(&connection, unstored);
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
/// 4 KiB pages.
const LONG: u32 = 8_000;
/// Of these, those that are brought into the file at once: each time syncs
/// twice, pages that are changed again meanwhile are written once, and whoever
/// syncs meanwhile waits.
const AT_ONCE: u32 = 1_024;
/// The same while much is written.
const A_LITTLE: u32 = 1;
/// How long another process may be waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn open(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    infra_wal::watch(&connection);
    // Rows show data of people until they are dropped; then nothing of them stays.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn unavailable(error: &dyn std::fmt::Display) -> RowsError {
    RowsError::Unavailable(error.to_string())
}

/// A transaction that holds the write lock from its beginning.
pub fn writable(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}
