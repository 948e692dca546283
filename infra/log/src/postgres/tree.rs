//! The tree in PostgreSQL.

use async_trait::async_trait;
use domain::ports::log::LogError;
use domain::ports::tree::{CheckpointError, SignedCheckpoint, next_checkpoint};
use domain::tree::{Frontier, Hash, Node, TILE_WIDTH};
use futures::TryFutureExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use tokio::time::timeout;

use super::reader::PostgresReader;
use super::sql::{MARK, column, mark};
use super::{ANSWER, unavailable};
use crate::decode::big;
use crate::tree::{Trees, Wanted, checkpoint};

/// The lock that everybody who keeps a checkpoint takes (`daybook"` in ASCII).
const CHECKPOINTS_LOCK: i64 = 0x6461_7962_6f6f_6b22;

const KEEP: &str = "
    INSERT INTO log_checkpoints (origin, size, root, note, signed_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (origin, size) DO UPDATE SET note = excluded.note";

const DROP: &str = "
    DELETE FROM log_checkpoints WHERE origin = $1 AND size = ANY($2)
    AND size < (SELECT max(size) FROM log_checkpoints WHERE origin = $1)";

/// In a transaction that holds the writers' lock.
pub(super) async fn insert_tree(
    connection: &mut PgConnection,
    frontier: &Frontier,
    nodes: &[Node],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE log_tree SET size = $1, frontier = $2")
        .bind(big(frontier.size()))
        .bind(frontier.to_bytes())
        .execute(&mut *connection)
        .await?;
    let rows = "INSERT INTO log_tree_nodes (level, number, hash) \
         SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])";
    sqlx::query(rows)
        .bind(column(nodes, |n| i16::from(n.level)))
        .bind(column(nodes, |n| big(n.index)))
        .bind(column(nodes, |n| n.hash.as_slice()))
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<SignedCheckpoint, LogError> {
    let columns = || -> Result<_, sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
    };
    checkpoint(columns().map_err(unavailable)?)
}

async fn read_checkpoints(
    connection: &mut PgConnection,
    wanted: &Wanted,
) -> Result<Vec<SignedCheckpoint>, LogError> {
    let order = if wanted.largest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT origin, size, root, note, signed_at FROM log_checkpoints \
         WHERE origin = $1 AND size BETWEEN $2 AND $3 ORDER BY size {order} LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&wanted.origin)
        .bind(big(*wanted.sizes.start()))
        .bind(big(*wanted.sizes.end()))
        .bind(big(wanted.limit as u64))
        .fetch_all(connection);
    rows.await.map_err(unavailable)?.iter().map(read).collect()
}

impl PostgresReader {
    async fn rows(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, LogError> {
        let mut lent = self.lend().await?;
        let answer = timeout(ANSWER, query.fetch_all(&mut *lent.connection).map_err(unavailable)).await;
        lent.answered(answer)
    }

    async fn hashes(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<Hash>, LogError> {
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row.try_get(0).map_err(unavailable)).collect()
    }

    /// Positions and what stands there.
    async fn numbered<T>(&self, sql: &'static str, range: [i64; 2]) -> Result<Vec<(u64, T)>, LogError>
    where
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        let rows = self.rows(sqlx::query(sql).bind(range[0]).bind(range[1])).await?;
        let read = |row: &PgRow| Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?));
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(unavailable)
    }

    async fn keep_in(&self, new: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError> {
        let failed = |e: sqlx::Error| CheckpointError::Unavailable(format!("PostgreSQL: {e}"));
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CHECKPOINTS_LOCK);
        lock.execute(&mut *transaction).await.map_err(failed)?;
        let unread = |e: LogError| CheckpointError::Unavailable(e.to_string());
        let newest = read_checkpoints(&mut transaction, &Wanted::newest(&new.origin)).await;
        let same = read_checkpoints(&mut transaction, &Wanted::of_size(&new.origin, new.size)).await;
        let (newest, same) = (newest.map_err(unread)?, same.map_err(unread)?);
        let kept = next_checkpoint(newest.first(), same.first(), new)?;
        sqlx::query(KEEP)
            .bind(&kept.origin)
            .bind(big(kept.size))
            .bind(kept.root.as_slice())
            .bind(&kept.note)
            .bind(kept.signed_at.as_microsecond())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(kept)
    }
}

#[async_trait]
impl Trees for PostgresReader {
    async fn frontier(&self) -> Result<Frontier, LogError> {
        let rows = self.rows(sqlx::query(MARK)).await?;
        let row = rows.first().ok_or_else(|| LogError::Unavailable("the log has no tree".to_owned()))?;
        let mark = mark(row).map_err(LogError::from)?;
        Ok(mark.frontier)
    }

    async fn leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Hash)>, LogError> {
        let sql =
            "SELECT position, leaf FROM events WHERE position > $1 AND position <= $2 ORDER BY position";
        self.numbered(sql, [big(first), big(first.saturating_add(count as u64))]).await
    }

    async fn trimmed_leaves(&self, first: u64, count: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let sql =
            "SELECT first, leaves FROM log_tree_trimmed WHERE first > $1 AND first <= $2 ORDER BY first";
        let range = [big(first) - TILE_WIDTH.cast_signed(), big(first.saturating_add(count as u64))];
        self.numbered(sql, range).await
    }

    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let sql = "SELECT hash FROM log_tree_nodes WHERE level = $1 AND number >= $2 AND number < $3 \
             ORDER BY number";
        let end = first.saturating_add(count as u64);
        self.hashes(sqlx::query(sql).bind(i16::from(level)).bind(big(first)).bind(big(end))).await
    }

    async fn checkpoints(&self, wanted: Wanted) -> Result<Vec<SignedCheckpoint>, LogError> {
        let mut lent = self.lend().await?;
        let answer = timeout(ANSWER, read_checkpoints(&mut lent.connection, &wanted)).await;
        lent.answered(answer)
    }

    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError> {
        let silent = || Err(CheckpointError::Unavailable("PostgreSQL does not answer".to_owned()));
        timeout(ANSWER, self.keep_in(checkpoint)).await.unwrap_or_else(|_| silent())
    }

    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError> {
        let sizes: Vec<i64> = sizes.iter().map(|size| big(*size)).collect();
        let delete = sqlx::query(DROP).bind(origin).bind(sizes);
        Ok(delete.execute(&self.pool).await.map_err(unavailable)?.rows_affected())
    }
}
