//! The pool that reads.

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{Head, LogError, ReadFilter, StoredReply};
use futures::{Stream, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgPool, Row};

use super::sql::{self, HEAD, columns, mark};
use super::unavailable;
use crate::backend::StoreError;
use crate::decode::{COLUMNS, Decoder, big};
use crate::log::{Found, PAGE_BYTES, Reads};

pub struct PostgresReader {
    pool: PgPool,
}

impl PostgresReader {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool }
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
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(big(after))
            .bind(big(upto))
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.kind.as_deref())
            .bind((!types.is_empty()).then_some(types))
            .bind(big(limit as u64))
            .fetch(&self.pool);
        let mut found = collect(rows).await?;
        found.complete &= found.events.len() < limit;
        Ok(found)
    }

    async fn stream(&self, stream: &StreamId, from_version: u64, limit: usize) -> Result<Found, LogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE tenant = $1 AND kind = $2 AND stream = $3 AND version >= $4 \
             ORDER BY version LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(stream.tenant.as_str())
            .bind(stream.kind.as_ref())
            .bind(stream.id.as_ref())
            .bind(big(from_version))
            .bind(big(limit as u64))
            .fetch(&self.pool);
        collect(rows).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE tenant = $1 AND kind = $2 AND stream = $3 \
             ORDER BY version DESC LIMIT 1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(stream.tenant.as_str())
            .bind(stream.kind.as_ref())
            .bind(stream.id.as_ref())
            .fetch(&self.pool);
        Ok(collect(rows).await?.events.pop())
    }

    async fn reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        let found = sql::lookup(&mut connection, &[], &[(tenant, key)]).await;
        let StoreError(reason) = match found {
            Ok(mut found) => return Ok(found.replies.pop().map(|(_, reply)| reply)),
            Err(error) => error,
        };
        Err(LogError::Unavailable(reason))
    }

    async fn head(&self) -> Result<Head, LogError> {
        let newest = sqlx::query(HEAD).fetch_optional(&self.pool).await.map_err(unavailable)?;
        let newest = newest.as_ref().map(mark).transpose().map_err(unavailable)?;
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
