//! A bounded set of connections, each used on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::rows::RowsError;
use infra_wal::Checkpoints;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, SemaphorePermit};

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
        self.leaving(AT_ONCE, work).await
    }

    /// For work that writes much: it comes into the file a little at a time,
    /// because whoever syncs another file meanwhile waits for all that is under
    /// way.
    pub async fn with_much<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        self.leaving(A_LITTLE, work).await
    }

    async fn leaving<T: Send + 'static>(
        self: &Arc<Self>,
        unstored: u32,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let done = tokio::task::spawn_blocking(move || all.on_one(unstored, work))
            .await
            .map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    /// The same on a thread that yields to others, in pieces: whoever else
    /// writes waits for each.
    pub async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let all = self.clone();
        let run = move || all.on_one(A_LITTLE, work);
        let done = background::alone("rows", background::Share::Tenth, run);
        let done = done.await.map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    /// Waits until no other thread brings rows into the file. Nor does one while
    /// this is held.
    pub async fn checkpointed(&self) -> Option<SemaphorePermit<'_>> {
        self.checkpoints.done().await
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
        let done = self.checkpoints.around(&mut connection, unstored, work);
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
/// Pages after which the write-ahead log is to begin anew, some 64 MiB, or half
/// of that in a file of 4 KiB pages.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_comes_into_the_file_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let connections = Arc::new(Connections::new(&path, 1));
        let make = |c: &mut Connection| Ok(c.execute_batch("CREATE TABLE rows (text)")?);
        connections.with(make).await.unwrap();
        let bytes = || std::fs::metadata(&path).unwrap().len();
        let insert = |c: &mut Connection| {
            Ok(c.execute("INSERT INTO rows VALUES (?)", ["x".repeat(AT_ONCE as usize * PAGE as usize)])?)
        };
        connections.with(insert).await.unwrap();
        drop(connections.checkpointed().await);
        let one = u64::from(AT_ONCE * PAGE);
        assert!(bytes() > one, "{}", bytes());
        connections.with_much(insert).await.unwrap();
        drop(connections.checkpointed().await);
        assert!(bytes() > 2 * one);
        connections.in_background(insert).await.unwrap();
        drop(connections.checkpointed().await);
        assert!(bytes() > 3 * one);
    }
}
