//! The log in one SQLite file: WAL, `synchronous=FULL`, one connection that
//! writes and a few that read. Several processes may append to one file; each
//! batch is planned under `BEGIN IMMEDIATE`.

mod keeping;
mod reader;
mod schema;
mod tree;
mod writer;

use std::path::Path;
use std::time::Duration;

use domain::ports::log::LogError;
use rusqlite::{Connection, OpenFlags};

use crate::LogOptions;
use crate::backend::{Backend, StoreError};
use crate::decode::Columns;
use crate::log::DatabaseLog;
pub use reader::SqliteReader;
use writer::SqliteWriter;

pub type SqliteLog = DatabaseLog<SqliteReader>;

/// How long a batch waits for another process that writes to the file.
const BUSY: Duration = Duration::from_secs(5);

impl SqliteLog {
    /// Opens the file, which is created if need be; its folder must exist.
    pub async fn open(path: impl AsRef<Path>, options: LogOptions) -> Result<Self, LogError> {
        let path = path.as_ref().to_owned();
        let (readers, cached_streams) = (options.readers, options.cached_streams);
        let grows_tree = options.grows_tree();
        let opened = tokio::task::spawn_blocking(move || {
            let mut writer = SqliteWriter::new(path.clone(), cached_streams, grows_tree);
            let head = writer.head()?;
            Ok::<_, StoreError>((writer, SqliteReader::new(path, readers), head))
        });
        let (writer, reader, head) =
            opened.await.map_err(|e| LogError::Unavailable(e.to_string()))?.map_err(LogError::from)?;
        Self::start(reader, writer, head, options)
    }
}

/// Pages after which the write-ahead log is to begin anew, 64 MiB: those that
/// change often are brought into the file less often than with SQLite's 4 MiB.
const LONG: u32 = 16_384;
/// Of these, those that are brought at once, 8 MiB: whoever syncs meanwhile
/// waits for them.
const AT_ONCE: u32 = 2_048;

/// What every statement that reads whole events selects; [`columns`] goes by
/// this order.
const COLUMNS: &str = "position, tenant, kind, id, version, event_id, type, schema, occurred_at, recorded_at, \
     actor, command_id, correlation_id, causation_id, payload, leaf";

fn connect(path: &Path, write: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if write {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    if write {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Of those that write now and then; the writer's is watched afterwards.
        connection.pragma_update(None, "wal_autocheckpoint", LONG)?;
        // An event's stream is looked up or made beside it, always.
        connection.pragma_update(None, "foreign_keys", false)?;
        // Few pages: a commit that has split one looks through all of them.
        connection.pragma_update(None, "cache_size", -4_096)?;
        schema::prepare(&mut connection)?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -32_768)?;
    }
    Ok(connection)
}

/// Borrows [`COLUMNS`] from a row.
fn columns<'r>(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<Columns<'r>> {
    Ok(Columns {
        position: row.get(0)?,
        tenant: text(row, 1)?,
        kind: text(row, 2)?,
        stream: text(row, 3)?,
        version: row.get(4)?,
        event_id: uuid::Uuid::from_bytes(row.get(5)?),
        event_type: text(row, 6)?,
        schema: row.get(7)?,
        occurred_at: row.get(8)?,
        recorded_at: row.get(9)?,
        actor: text(row, 10)?,
        command_id: uuid::Uuid::from_bytes(row.get(11)?),
        correlation_id: text(row, 12)?,
        causation_id: row.get::<_, Option<[u8; 16]>>(13)?.map(uuid::Uuid::from_bytes),
        payload: text(row, 14)?.to_owned(),
        leaf: row.get_ref(15)?.as_blob()?,
    })
}

fn text<'r>(row: &'r rusqlite::Row<'_>, index: usize) -> rusqlite::Result<&'r str> {
    Ok(row.get_ref(index)?.as_str()?)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(format!("SQLite: {error}"))
    }
}
