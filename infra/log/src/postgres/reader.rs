//! The pool that reads.

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{Head, LogError, ReadFilter, StoredReply};
use futures::{Stream, TryFutureExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::sql::{self, COLUMNS, HEAD, columns, head};
use super::{ANSWER, unavailable};
use crate::decode::{Decoder, big};
use crate::log::{Found, PAGE_BYTES, Reads};

pub struct PostgresReader {
    pub(super) pool: PgPool,
    pub(super) partition_positions: u64,
}

impl PostgresReader {
    pub(super) fn new(pool: PgPool, partition_positions: u64) -> Self {
        Self { pool, partition_positions }
    }

    pub(super) async fn lend(&self) -> Result<Lent, LogError> {
        let connection = self.pool.acquire().await.map_err(unavailable)?;
        Ok(Lent { connection, answered: false })
    }
}

/// A connection that goes back to the pool only if it has answered. Where the
/// server's machine is gone nothing else would ever end the wait for it.
pub(super) struct Lent {
    pub(super) connection: PoolConnection<Postgres>,
    answered: bool,
}

impl Lent {
    pub(super) fn answered<T>(
        &mut self,
        answer: Result<Result<T, LogError>, Elapsed>,
    ) -> Result<T, LogError> {
        self.answered = answer.is_ok();
        answer.unwrap_or_else(|_| Err(LogError::Unavailable("PostgreSQL does not answer".to_owned())))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}

#[async_trait]
impl Reads for PostgresReader {
    async fn events(
        &self,
        after: u64,
        upto: u64,
        limit: usize,
        filter: &ReadFilter,
    ) -> Result<Found, LogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE position > $1 AND position <= $2 \
             AND ($3::text IS NULL OR tenant = $3) AND ($4::text IS NULL OR kind = $4) \
             AND ($5::text[] IS NULL OR type = ANY($5)) ORDER BY position LIMIT $6"
        );
        let types: Vec<&str> = filter.event_types.iter().map(AsRef::as_ref).collect();
        let mut lent = self.lend().await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(big(after))
            .bind(big(upto))
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.kind.as_deref())
            .bind((!types.is_empty()).then_some(types))
            .bind(big(limit as u64))
            .fetch(&mut *lent.connection);
        let answer = timeout(ANSWER, collect(rows)).await;
        let mut found = lent.answered(answer)?;
        found.complete &= found.events.len() < limit;
        Ok(found)
    }

    async fn stream(&self, stream: &StreamId, from_version: u64, limit: usize) -> Result<Found, LogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE tenant = $1 AND kind = $2 AND stream = $3 AND version >= $4 \
             ORDER BY version LIMIT $5"
        );
        let mut lent = self.lend().await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(stream.tenant.as_str())
            .bind(stream.kind.as_ref())
            .bind(stream.id.as_ref())
            .bind(big(from_version))
            .bind(big(limit as u64))
            .fetch(&mut *lent.connection);
        let answer = timeout(ANSWER, collect(rows)).await;
        lent.answered(answer)
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE tenant = $1 AND kind = $2 AND stream = $3 \
             ORDER BY version DESC LIMIT 1"
        );
        let mut lent = self.lend().await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(stream.tenant.as_str())
            .bind(stream.kind.as_ref())
            .bind(stream.id.as_ref())
            .fetch(&mut *lent.connection);
        let answer = timeout(ANSWER, collect(rows)).await;
        Ok(lent.answered(answer)?.events.pop())
    }

    async fn reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        let mut lent = self.lend().await?;
        let asked = [(tenant, key)];
        let found = sql::lookup(&mut lent.connection, &[], &asked);
        let found = found.map_err(LogError::from);
        let answer = timeout(ANSWER, found).await;
        Ok(lent.answered(answer)?.replies.pop().map(|(_, reply)| reply))
    }

    async fn head(&self) -> Result<Head, LogError> {
        let mut lent = self.lend().await?;
        let newest = sqlx::query(HEAD).fetch_optional(&mut *lent.connection).map_err(unavailable);
        let answer = timeout(ANSWER, newest).await;
        let newest = lent.answered(answer)?;
        let newest = newest.as_ref().map(head).transpose().map_err(unavailable)?;
        Ok(newest.unwrap_or_default().head())
    }
}

/// Complete unless the size of a page ended it.
async fn collect(rows: impl Stream<Item = Result<PgRow, sqlx::Error>>) -> Result<Found, LogError> {
    let mut rows = std::pin::pin!(rows);
    let (mut found, mut decoder, mut bytes) = (Found::default(), Decoder::default(), 0);
    while let Some(row) = rows.try_next().await.map_err(unavailable)? {
        let event = decoder.event(columns(&row).map_err(|e| damaged(&row, &e))?)?;
        bytes += event.payload.len();
        found.events.push(event);
        if bytes >= PAGE_BYTES {
            return Ok(found);
        }
    }
    found.complete = true;
    Ok(found)
}

fn damaged(row: &PgRow, error: &sqlx::Error) -> LogError {
    let position: i64 = row.try_get(0).unwrap_or_default();
    LogError::Damaged { position: position.cast_unsigned(), reason: error.to_string() }
}
