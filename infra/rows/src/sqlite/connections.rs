//! A bounded set of connections, each used on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::rows::RowsError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

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
    permits: Semaphore,
}

impl Connections {
    pub fn new(path: &Path, max: usize) -> Self {
        Self { path: path.into(), idle: Mutex::default(), permits: Semaphore::new(max) }
    }

    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RowsError> {
        let unavailable = |e: &dyn std::fmt::Display| RowsError::Unavailable(e.to_string());
        let all = self.clone();
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.map_err(|e| unavailable(&e))?;
        let run = move || {
            let mut connection = match all.take() {
                Some(connection) => connection,
                None => open(&all.path)?,
            };
            let done = work(&mut connection);
            all.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            done
        };
        let done = tokio::task::spawn_blocking(run).await.map_err(|e| unavailable(&e))?;
        drop(permit);
        Ok(done?)
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// How long another process may be waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn open(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    // 64 MiB. Each checkpoint syncs twice, and pages changed again meanwhile
    // go into the file once.
    connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    // Rows show data of people until they are dropped; then nothing of them stays.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// A transaction that holds the write lock from its beginning.
pub fn writable(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}
