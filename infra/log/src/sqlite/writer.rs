//! The connection that writes.

use std::path::PathBuf;
use std::sync::Arc;

use domain::envelope::RecordedEvent;
use domain::ids::StreamId;
use domain::ports::log::StoredReply;
use hashlink::LruCache;
use infra_wal::Checkpoints;
use rusqlite::{Connection, OptionalExtension, params};

use super::reader::{EVENTS_OF_STREAM, read_head, read_reply};
use super::tree::{insert_tree, read_mark};
use super::{AT_ONCE, LONG, connect};
use crate::backend::{Backend, Guesses, KEYS_AT_ONCE, StoreError, Want, WriteError};
use crate::decode::big;
use crate::plan::{Known, Mark, Plan};

pub(super) struct SqliteWriter {
    path: PathBuf,
    connection: Option<Connection>,
    checkpoints: Arc<Checkpoints>,
    /// Numbers of streams, which never change once they are committed.
    numbers: LruCache<StreamId, i64>,
    grows_tree: bool,
}

impl SqliteWriter {
    pub fn new(path: PathBuf, cached_streams: usize, grows_tree: bool) -> Self {
        let checkpoints = Arc::new(Checkpoints::new(&path, LONG));
        Self { path, connection: None, checkpoints, numbers: LruCache::new(cached_streams), grows_tree }
    }

    /// The newest event, with the tree if that grows.
    fn mark(&mut self) -> Result<Mark, StoreError> {
        let grows_tree = self.grows_tree;
        let connection = self.connection()?;
        if grows_tree { read_mark(connection) } else { Ok(read_head(connection)?) }
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path, true)?;
                infra_wal::watch(&connection);
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// After every transaction.
    fn committed(&self) {
        if let Some(connection) = &self.connection {
            self.checkpoints.committed(connection, AT_ONCE);
        }
    }
}

/// Nothing is at work on the file any more.
impl Drop for SqliteWriter {
    fn drop(&mut self) {
        futures::executor::block_on(self.checkpoints.done());
    }
}

impl Backend for SqliteWriter {
    const LOCK_IS_FREE: bool = true;

    fn head(&mut self) -> Result<Mark, StoreError> {
        let grows_tree = self.grows_tree;
        // Event and tree of one snapshot.
        let snapshot = self.connection()?.unchecked_transaction()?;
        if grows_tree { read_mark(&snapshot) } else { Ok(read_head(&snapshot)?) }
    }

    fn lock(&mut self) -> Result<Mark, StoreError> {
        let connection = self.connection()?;
        if connection.is_autocommit() {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        self.mark()
    }

    fn unlock(&mut self) -> Result<(), StoreError> {
        self.connection()?.prepare_cached("ROLLBACK")?.execute([])?;
        Ok(())
    }

    fn lookup<'a>(&mut self, want: &Want<'a>, known: &mut Known<'a>) -> Result<(), StoreError> {
        let connection = self.connection()?;
        let mut newest = connection.prepare_cached(&format!(
            "SELECT version FROM {EVENTS_OF_STREAM} ORDER BY version DESC LIMIT 1"
        ))?;
        for stream in &want.streams {
            let version: Option<i64> = newest
                .query_row([stream.tenant.as_str(), &stream.kind, &stream.id], |row| row.get(0))
                .optional()?;
            known.versions.insert(stream, version.map_or(0, i64::cast_unsigned));
        }
        for (tenant, key) in &want.keys {
            let reply: Option<StoredReply> =
                read_reply(connection, tenant, key).map_err(|e| StoreError::Failed(e.to_string()))?;
            if let Some(reply) = reply {
                known.replies.insert((*tenant, *key), reply);
            }
        }
        Ok(())
    }

    fn leaf_at(&mut self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        let connection = self.connection()?;
        let mut statement = connection.prepare_cached("SELECT leaf FROM events WHERE position = ?")?;
        Ok(statement.query_row([big(position)], |row| row.get(0)).optional()?)
    }

    fn write(&mut self, plan: &Plan<'_>, _: &Guesses<'_>) -> Result<(), WriteError> {
        let Self { connection: Some(connection), numbers, grows_tree, .. } = self else {
            return Err(StoreError::Failed("SQLite: no transaction is open".to_owned()).into());
        };
        insert(connection, numbers, plan).map_err(StoreError::from)?;
        if *grows_tree {
            insert_tree(connection, &plan.frontier, &plan.nodes).map_err(StoreError::from)?;
        }
        let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        match committed {
            Ok(_) => {
                self.committed();
                Ok(())
            }
            Err(error) => Err(WriteError::Failed { reason: StoreError::from(error).reason(), unknown: true }),
        }
    }

    fn forget_keys(&mut self, before: i64) -> Result<u64, StoreError> {
        let statement = "DELETE FROM idempotency WHERE (tenant, key) IN \
             (SELECT tenant, key FROM idempotency WHERE recorded_at < ? LIMIT ?)";
        let connection = self.connection()?;
        let forgotten = connection.execute(statement, [before, big(KEYS_AT_ONCE)])? as u64;
        self.committed();
        Ok(forgotten)
    }

    fn disconnect(&mut self) {
        // Closing a connection rolls back what it has not committed.
        self.connection = None;
        // Numbers given since the last commit are free again.
        self.numbers.clear();
    }
}

fn insert(
    connection: &Connection,
    numbers: &mut LruCache<StreamId, i64>,
    plan: &Plan<'_>,
) -> rusqlite::Result<()> {
    insert_events(connection, numbers, &plan.events)?;
    if plan.keys.is_empty() {
        return Ok(());
    }
    let mut keys = connection.prepare_cached(
        "INSERT INTO idempotency (tenant, key, request_hash, reply, first_position, events, recorded_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    for row in &plan.keys {
        keys.execute(params![
            row.idempotency.tenant.as_str(),
            row.idempotency.key,
            row.idempotency.request_hash,
            row.idempotency.reply,
            big(row.first_position),
            big(row.events as u64),
            plan.recorded_at.as_microsecond(),
        ])?;
    }
    Ok(())
}

pub(super) fn insert_events(
    connection: &Connection,
    numbers: &mut LruCache<StreamId, i64>,
    all: &[RecordedEvent],
) -> rusqlite::Result<()> {
    let mut events = connection.prepare_cached(
        "INSERT INTO events (position, stream_number, version, event_id, type, schema, occurred_at, recorded_at, \
         actor, command_id, correlation_id, causation_id, payload, leaf) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for event in all {
        let metadata = &event.metadata;
        events.execute(params![
            big(event.position),
            stream_number(connection, numbers, event)?,
            big(event.version),
            event.event_id.as_bytes(),
            event.event_type,
            event.schema,
            event.occurred_at.map(|at| at.as_microsecond()),
            event.recorded_at.as_microsecond(),
            metadata.actor,
            metadata.command_id.as_bytes(),
            metadata.correlation_id,
            metadata.causation_id.as_ref().map(|id| id.as_bytes()),
            event.payload,
            event.leaf,
        ])?;
    }
    Ok(())
}

/// A stream begins, and gets its number, with its first event.
fn stream_number(
    connection: &Connection,
    numbers: &mut LruCache<StreamId, i64>,
    event: &RecordedEvent,
) -> rusqlite::Result<i64> {
    if let Some(number) = numbers.get(&event.stream) {
        return Ok(*number);
    }
    let StreamId { tenant, kind, id } = &event.stream;
    let name = params![tenant.as_str(), kind, id];
    let number = if event.version == 1 {
        connection.prepare_cached("INSERT INTO streams (tenant, kind, id) VALUES (?, ?, ?)")?.insert(name)?
    } else {
        let by_name = "SELECT number FROM streams WHERE tenant = ? AND kind = ? AND id = ?";
        connection.prepare_cached(by_name)?.query_row(name, |row| row.get(0))?
    };
    numbers.insert(event.stream.clone(), number);
    Ok(number)
}
