//! The tree in SQLite.

use async_trait::async_trait;
use domain::ports::log::LogError;
use domain::ports::tree::{CheckpointError, SignedCheckpoint, next_checkpoint};
use domain::tree::{Frontier, Hash, Node, TILE_WIDTH};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::reader::{SqliteReader, read_head, unavailable};
use crate::backend::StoreError;
use crate::decode::big;
use crate::plan::Mark;
use crate::tree::{Trees, Wanted, checkpoint, planted};

/// The newest event and the tree, of one snapshot: the caller's transaction.
pub(super) fn read_mark(connection: &Connection) -> Result<Mark, StoreError> {
    let head = read_head(connection)?;
    let mut statement = connection.prepare_cached("SELECT size, frontier FROM tree")?;
    statement.query_row([], |row| Ok(planted(head, row.get(0)?, row.get_ref(1)?.as_blob()?)))?
}

pub(super) fn insert_tree(
    connection: &Connection,
    frontier: &Frontier,
    nodes: &[Node],
) -> rusqlite::Result<()> {
    let mut tree = connection.prepare_cached("UPDATE tree SET size = ?, frontier = ?")?;
    tree.execute(params![big(frontier.size()), frontier.to_bytes()])?;
    let mut rows =
        connection.prepare_cached("INSERT INTO tree_nodes (level, number, hash) VALUES (?, ?, ?)")?;
    for node in nodes {
        rows.execute(params![node.level, big(node.index), node.hash])?;
    }
    Ok(())
}

/// One column of hashes.
pub(super) fn hashes(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Hash>, LogError> {
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let rows = statement.query_map(parameters, |row| row.get(0)).map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// A position and what stands there.
fn numbered<T: FromSql>(
    connection: &Connection,
    sql: &str,
    range: [i64; 2],
) -> Result<Vec<(u64, T)>, LogError> {
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?));
    let rows = statement.query_map(range, read).map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

fn read_checkpoints(connection: &Connection, wanted: &Wanted) -> Result<Vec<SignedCheckpoint>, LogError> {
    let order = if wanted.largest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT origin, size, root, note, signed_at FROM checkpoints \
         WHERE origin = ? AND size BETWEEN ? AND ? ORDER BY size {order} LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let (from, to) = (big(*wanted.sizes.start()), big(*wanted.sizes.end()));
    let limit = big(wanted.limit as u64);
    let rows = statement.query_map(params![wanted.origin, from, to, limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    });
    let rows = rows.map_err(unavailable)?.collect::<rusqlite::Result<Vec<_>>>().map_err(unavailable)?;
    rows.into_iter().map(checkpoint).collect()
}

fn keep(connection: &mut Connection, new: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError> {
    let failed = |e: rusqlite::Error| CheckpointError::Unavailable(format!("SQLite: {e}"));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let read = |wanted: Wanted| {
        let read = read_checkpoints(&transaction, &wanted);
        read.map_err(|e| CheckpointError::Unavailable(e.to_string()))
    };
    let newest = read(Wanted::newest(&new.origin))?;
    let same = read(Wanted::of_size(&new.origin, new.size))?;
    let kept = next_checkpoint(newest.first(), same.first(), new)?;
    let row = params![kept.origin, big(kept.size), kept.root, kept.note, kept.signed_at.as_microsecond()];
    transaction.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)", row).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(kept)
}

fn drop_checkpoints(connection: &mut Connection, origin: &str, sizes: &[u64]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut dropped = 0;
    {
        let mut delete = transaction.prepare_cached(
            "DELETE FROM checkpoints WHERE origin = ?1 AND size = ?2 \
             AND size < (SELECT max(size) FROM checkpoints WHERE origin = ?1)",
        )?;
        for size in sizes {
            dropped += delete.execute(params![origin, big(*size)])? as u64;
        }
    }
    transaction.commit()?;
    Ok(dropped)
}

#[async_trait]
impl Trees for SqliteReader {
    async fn frontier(&self) -> Result<Frontier, LogError> {
        let read = |connection: &Connection| {
            let snapshot = connection.unchecked_transaction().map_err(unavailable)?;
            let mark = read_mark(&snapshot).map_err(LogError::from)?;
            Ok(mark.frontier)
        };
        self.with(read).await
    }

    async fn leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Hash)>, LogError> {
        let sql = "SELECT position, leaf FROM events WHERE position > ? AND position <= ? ORDER BY position";
        let range = [big(first), big(first.saturating_add(count as u64))];
        self.with(move |connection| numbered(connection, sql, range)).await
    }

    async fn trimmed_leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let sql = "SELECT first, leaves FROM tree_trimmed WHERE first > ? AND first <= ? ORDER BY first";
        let range = [big(first) - TILE_WIDTH.cast_signed(), big(first.saturating_add(count as u64))];
        self.with(move |connection| numbered(connection, sql, range)).await
    }

    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let sql =
            "SELECT hash FROM tree_nodes WHERE level = ? AND number >= ? AND number < ? ORDER BY number";
        let range = [i64::from(level), big(first), big(first.saturating_add(count as u64))];
        self.with(move |connection| hashes(connection, sql, range)).await
    }

    async fn checkpoints(&self, wanted: Wanted) -> Result<Vec<SignedCheckpoint>, LogError> {
        self.with(move |connection| read_checkpoints(connection, &wanted)).await
    }

    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError> {
        let checkpoint = checkpoint.clone();
        let kept = self.writing(move |connection| keep(connection, &checkpoint)).await;
        kept.unwrap_or_else(|reason| Err(CheckpointError::Unavailable(reason)))
    }

    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError> {
        let (origin, sizes) = (origin.to_owned(), sizes.to_vec());
        let dropped = self.writing(move |connection| drop_checkpoints(connection, &origin, &sizes)).await;
        dropped.map_err(LogError::Unavailable)?.map_err(unavailable)
    }
}
