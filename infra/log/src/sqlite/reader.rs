//! The connections that read, each used by one blocking task at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{Head, LogError, ReadFilter, Receipt, StoredReply};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params};
use tokio::sync::Semaphore;

use super::{COLUMNS, columns, connect};
use crate::decode::{Decoder, big, timestamp};
use crate::log::{Found, PAGE_BYTES, Reads};
use crate::plan::Mark;
use crate::written;

/// SQLite takes the tables of a CROSS JOIN in this order, and may not start
/// from the streams of a tenant.
const BY_POSITION: &str = "events CROSS JOIN streams ON number = stream_number";
pub(super) const EVENTS_OF_STREAM: &str = "streams CROSS JOIN events ON stream_number = number \
     WHERE tenant = ? AND kind = ? AND id = ?";

pub struct SqliteReader {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteReader {
    pub(super) fn new(path: PathBuf, readers: u32) -> Self {
        let pool = Arc::new(Pool { path, idle: Mutex::default() });
        Self { pool, permits: Arc::new(Semaphore::new(readers.max(1) as usize)) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.pool.path.clone()
    }

    /// Runs `work` on a connection; one that failed is not used again.
    pub(super) async fn with<T, F>(&self, work: F) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, LogError> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await;
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = || pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let free = idle().pop();
            let connection = match free {
                Some(connection) => connection,
                None => connect(&pool.path, false).map_err(LogError::from)?,
            };
            let result = work(&connection)?;
            idle().push(connection);
            Ok(result)
        });
        task.await.unwrap_or_else(|e| Err(LogError::Unavailable(e.to_string())))
    }
}

#[async_trait]
impl Reads for SqliteReader {
    async fn events(
        &self,
        after: u64,
        upto: u64,
        limit: usize,
        filter: &ReadFilter,
    ) -> Result<Found, LogError> {
        let (sql, parameters) = select(after, upto, limit, filter);
        self.with(move |connection| read_events(connection, &sql, parameters, limit)).await
    }

    async fn stream(&self, stream: &StreamId, from_version: u64, limit: usize) -> Result<Found, LogError> {
        let sql =
            format!("SELECT {COLUMNS} FROM {EVENTS_OF_STREAM} AND version >= ? ORDER BY version LIMIT ?");
        let mut parameters = names(stream);
        parameters.extend([Value::from(big(from_version)), Value::from(big(limit as u64))]);
        self.with(move |connection| read_events(connection, &sql, parameters, usize::MAX)).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        let sql = format!("SELECT {COLUMNS} FROM {EVENTS_OF_STREAM} ORDER BY version DESC LIMIT 1");
        let parameters = names(stream);
        self.with(move |connection| Ok(read_events(connection, &sql, parameters, 1)?.events.pop())).await
    }

    async fn reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.with(move |connection| read_reply(connection, &tenant, &key)).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.with(|connection| Ok(read_head(connection).map_err(unavailable)?.head())).await
    }
}

fn names(stream: &StreamId) -> Vec<Value> {
    [stream.tenant.as_str(), &stream.kind, &stream.id].map(|name| Value::from(name.to_owned())).into()
}

fn select(after: u64, upto: u64, limit: usize, filter: &ReadFilter) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM {BY_POSITION} WHERE position > ? AND position <= ?");
    let mut parameters = vec![Value::from(big(after)), Value::from(big(upto))];
    if let Some(tenant) = &filter.tenant {
        sql.push_str(" AND tenant = ?");
        parameters.push(Value::from(tenant.as_str().to_owned()));
    }
    if let Some(kind) = &filter.kind {
        sql.push_str(" AND kind = ?");
        parameters.push(Value::from(kind.as_ref().to_owned()));
    }
    if !filter.event_types.is_empty() {
        let marks = vec!["?"; filter.event_types.len()].join(", ");
        sql.push_str(&format!(" AND type IN ({marks})"));
        parameters.extend(filter.event_types.iter().map(|t| Value::from(t.as_ref().to_owned())));
    }
    sql.push_str(" ORDER BY position LIMIT ?");
    parameters.push(Value::from(big(limit as u64)));
    (sql, parameters)
}

/// Complete if neither the limit nor the size of a page ended it.
fn read_events(
    connection: &Connection,
    sql: &str,
    parameters: Vec<Value>,
    limit: usize,
) -> Result<Found, LogError> {
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(unavailable)?;
    let (mut found, mut decoder, mut bytes) = (Found::default(), Decoder::default(), 0);
    while let Some(row) = rows.next().map_err(unavailable)? {
        let event = decoder.event(columns(row).map_err(|e| damaged(row, &e))?)?;
        bytes += event.payload.len();
        found.events.push(event);
        if bytes >= PAGE_BYTES {
            return Ok(found);
        }
    }
    found.complete = found.events.len() < limit;
    Ok(found)
}

/// The newest event, without the tree.
pub(super) fn read_head(connection: &Connection) -> rusqlite::Result<Mark> {
    let mut statement = connection.prepare_cached(
        "SELECT position, recorded_at, event_id FROM events ORDER BY position DESC LIMIT 1",
    )?;
    let newest = statement.query_row([], |row| {
        Ok(Mark {
            position: row.get::<_, i64>(0)?.cast_unsigned(),
            recorded_at: timestamp(row.get(1)?).ok(),
            event_id: Some(uuid::Uuid::from_bytes(row.get(2)?)),
            ..Mark::default()
        })
    });
    Ok(newest.optional()?.unwrap_or_default())
}

/// The reply under a key, with the events that its append recorded.
pub(super) fn read_reply(
    connection: &Connection,
    tenant: &TenantId,
    key: &str,
) -> Result<Option<StoredReply>, LogError> {
    let found = query_key(connection, [tenant.as_str(), key]).map_err(unavailable)?;
    let Some((request_hash, reply, first, count, recorded_at)) = found else { return Ok(None) };
    let sql =
        format!("SELECT {COLUMNS} FROM {BY_POSITION} WHERE position >= ? AND position < ? ORDER BY position");
    let range = vec![Value::from(first), Value::from(first + count)];
    let events = read_events(connection, &sql, range, usize::MAX)?.events;
    let receipt = Receipt {
        events: events.iter().map(written).collect(),
        recorded_at: timestamp(recorded_at)
            .map_err(|reason| LogError::Damaged { position: first.cast_unsigned(), reason })?,
        reply: Some(reply),
        replayed: true,
    };
    Ok(Some(StoredReply { request_hash, receipt }))
}

type KeyColumns = ([u8; 32], String, i64, i64, i64);

fn query_key(connection: &Connection, key: impl Params) -> rusqlite::Result<Option<KeyColumns>> {
    let mut statement = connection.prepare_cached(
        "SELECT request_hash, reply, first_position, events, recorded_at FROM idempotency \
         WHERE tenant = ? AND key = ?",
    )?;
    statement
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()
}

pub(super) fn unavailable(error: rusqlite::Error) -> LogError {
    LogError::Unavailable(format!("SQLite: {error}"))
}

fn damaged(row: &rusqlite::Row<'_>, error: &rusqlite::Error) -> LogError {
    let position: i64 = row.get(0).unwrap_or_default();
    LogError::Damaged { position: position.cast_unsigned(), reason: error.to_string() }
}
