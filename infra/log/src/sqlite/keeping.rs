//! Restoring and trimming, in SQLite.

use async_trait::async_trait;
use domain::ports::log::{LogError, RestoreError};
use domain::registry::TRIMMABLE;
use domain::tree::TILE_WIDTH;
use domain::{RecordedEvent, StreamId};
use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::connect;
use super::reader::{SqliteReader, unavailable};
use super::tree::{hashes, insert_tree, read_mark};
use super::writer::insert_events;
use crate::backend::StoreError;
use crate::decode::big;
use crate::keeping::{Keeps, check_kept};
use crate::plan::Mark;
use crate::tree::grow;

impl SqliteReader {
    /// Runs `work` on a connection of its own that may write.
    pub(super) async fn writing<T, E, F>(&self, work: F) -> Result<Result<T, E>, String>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let path = self.path();
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = connect(&path, true).map_err(StoreError::reason)?;
            Ok(work(&mut connection))
        });
        task.await.map_err(|e| e.to_string())?
    }
}

const FORGET_REPLIES: &str = "
    DELETE FROM idempotency AS kept WHERE tenant = ?1 AND EXISTS (
        SELECT 1 FROM events WHERE position >= kept.first_position
            AND position < kept.first_position + kept.events
            AND stream_number = (SELECT number FROM streams WHERE tenant = ?1 AND kind = ?2 AND id = ?3))";

fn failed(error: rusqlite::Error) -> RestoreError {
    RestoreError::Unavailable(format!("SQLite: {error}"))
}

fn restore(connection: &mut Connection, events: &[RecordedEvent]) -> Result<(), RestoreError> {
    let Some(first) = events.first() else { return Ok(()) };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let unfit = |error: StoreError| RestoreError::Unavailable(error.reason());
    let Mark { position: head, mut frontier, .. } = read_mark(&transaction).map_err(unfit)?;
    if head + 1 != first.position {
        return Err(RestoreError::NotNext { head, first: first.position });
    }
    insert_events(&transaction, &mut LruCache::new(events.len()), events).map_err(failed)?;
    let nodes = grow(&mut frontier, events);
    insert_tree(&transaction, &frontier, &nodes).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The leaves of `after + 1..=upto` that are not kept yet, in rows of a tile's
/// width at most, as they are read.
fn keep_leaves(connection: &Connection, after: u64, upto: u64) -> Result<(), LogError> {
    let newest = "SELECT first + length(leaves) / 32 - 1 FROM tree_trimmed ORDER BY first DESC LIMIT 1";
    let kept =
        connection.query_row(newest, [], |row| row.get::<_, i64>(0)).optional().map_err(unavailable)?;
    let after = after.max(kept.unwrap_or(0).cast_unsigned());
    if after >= upto {
        return Ok(());
    }
    let leaves = "SELECT leaf FROM events WHERE position > ? AND position <= ? ORDER BY position";
    let leaves = hashes(connection, leaves, [big(after), big(upto)])?;
    check_kept(leaves.len() as u64, after, upto)?;
    let mut insert =
        connection.prepare_cached("INSERT INTO tree_trimmed VALUES (?, ?)").map_err(unavailable)?;
    for (row, leaves) in (0..).zip(leaves.chunks(TILE_WIDTH as usize)) {
        let first = after + 1 + row * TILE_WIDTH;
        insert.execute(rusqlite::params![big(first), leaves.concat()]).map_err(unavailable)?;
    }
    Ok(())
}

/// The newest event of a stream stays.
fn drop_facts(connection: &mut Connection, after: u64, upto: u64) -> Result<u64, LogError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    keep_leaves(&transaction, after, upto)?;
    let types = vec!["?"; TRIMMABLE.len()].join(", ");
    let statement = format!(
        "DELETE FROM events WHERE position > ? AND position <= ? AND type IN ({types}) AND EXISTS \
         (SELECT * FROM events AS newer WHERE newer.stream_number = events.stream_number \
          AND newer.version > events.version)"
    );
    let mut parameters: Vec<rusqlite::types::Value> = vec![big(after).into(), big(upto).into()];
    parameters.extend(TRIMMABLE.iter().map(|t| rusqlite::types::Value::from((*t).to_owned())));
    let dropped = transaction.execute(&statement, rusqlite::params_from_iter(parameters));
    let dropped = dropped.map_err(unavailable)? as u64;
    transaction.commit().map_err(unavailable)?;
    Ok(dropped)
}

#[async_trait]
impl Keeps for SqliteReader {
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError> {
        let events = events.to_vec();
        let done = self.writing(move |connection| restore(connection, &events)).await;
        done.unwrap_or_else(|reason| Err(RestoreError::Unavailable(reason)))
    }

    async fn mark_trimmed(&self, upto: u64) -> Result<(), LogError> {
        let done = self.writing(move |connection| {
            connection.execute("UPDATE trim SET upto = max(upto, ?)", [big(upto)]).map_err(unavailable)?;
            Ok(())
        });
        done.await.unwrap_or_else(|reason| Err(LogError::Unavailable(reason)))
    }

    async fn drop_facts(&self, after: u64, upto: u64) -> Result<u64, LogError> {
        let done = self.writing(move |connection| drop_facts(connection, after, upto)).await;
        done.unwrap_or_else(|reason| Err(LogError::Unavailable(reason)))
    }

    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError> {
        let stream = stream.clone();
        let done = self.writing(move |connection| {
            let of = rusqlite::params![stream.tenant.as_str(), &*stream.kind, &*stream.id];
            Ok(connection.execute(FORGET_REPLIES, of).map_err(unavailable)? as u64)
        });
        done.await.unwrap_or_else(|reason| Err(LogError::Unavailable(reason)))
    }

    async fn trimmed(&self) -> Result<u64, LogError> {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare_cached("SELECT upto FROM trim").map_err(unavailable)?;
            let upto: i64 = statement.query_row([], |row| row.get(0)).map_err(unavailable)?;
            Ok(upto.cast_unsigned())
        };
        self.with(read).await
    }
}
