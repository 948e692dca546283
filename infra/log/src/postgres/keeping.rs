//! Restoring and trimming, in PostgreSQL.

use async_trait::async_trait;
use domain::ports::log::{LogError, RestoreError};
use domain::registry::TRIMMABLE;
use domain::{RecordedEvent, StreamId};
use sqlx::{PgConnection, Row};

use super::reader::PostgresReader;
use super::sql::{MARK, WRITERS_LOCK, column, mark};
use super::tree::insert_tree;
use super::unavailable;
use crate::backend::StoreError;
use crate::decode::big;
use crate::keeping::{Keeps, check_kept};
use crate::plan::Mark;
use crate::tree::grow;

const INSERT: &str = "
    INSERT INTO events (position, tenant, kind, stream, version, event_id, type, schema,
        occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, payload, leaf)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::uuid[],
        $7::text[], $8::int[], $9::bigint[], $10::bigint[], $11::text[], $12::uuid[], $13::text[],
        $14::uuid[], $15::text[], $16::bytea[])";

/// In rows of a tile's width at most, as they are read.
const KEEP_LEAVES: &str = "
    WITH kept AS (
        INSERT INTO log_tree_trimmed
        SELECT min(position), string_agg(leaf, ''::bytea ORDER BY position) FROM events
        WHERE position > $1 AND position <= $2 GROUP BY (position - $1 - 1) / 256
        RETURNING octet_length(leaves) / 32 AS number
    ) SELECT coalesce(sum(number), 0)::bigint FROM kept";

/// Up to where they are kept.
const KEPT_LEAVES: &str = "
    SELECT first + octet_length(leaves) / 32 - 1 FROM log_tree_trimmed ORDER BY first DESC LIMIT 1";

/// The newest event of a stream stays.
const DROP: &str = "
    DELETE FROM events e WHERE e.position > $1 AND e.position <= $2 AND e.type = ANY($3)
    AND EXISTS (SELECT FROM events n WHERE n.tenant = e.tenant AND n.kind = e.kind
        AND n.stream = e.stream AND n.version > e.version)";

const FORGET_REPLIES: &str = "
    DELETE FROM idempotency AS kept WHERE tenant = $1 AND EXISTS (
        SELECT FROM events e WHERE e.tenant = $1 AND e.kind = $2 AND e.stream = $3
            AND e.position >= kept.first_position AND e.position < kept.first_position + kept.events)";

fn failed(error: sqlx::Error) -> RestoreError {
    RestoreError::Unavailable(format!("PostgreSQL: {error}"))
}

#[async_trait]
impl Keeps for PostgresReader {
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(WRITERS_LOCK)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let row = sqlx::query(MARK).fetch_one(&mut *transaction).await.map_err(failed)?;
        let unfit = |error: StoreError| RestoreError::Unavailable(error.reason());
        let Mark { position: head, mut frontier, .. } = mark(&row).map_err(unfit)?;
        if head + 1 != first.position {
            return Err(RestoreError::NotNext { head, first: first.position });
        }
        let needed = last.position + self.partition_positions / 2;
        sqlx::query("SELECT events_make_room($1, $2)")
            .bind(big(needed))
            .bind(big(self.partition_positions))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        insert(&mut transaction, events).await.map_err(failed)?;
        let nodes = grow(&mut frontier, events);
        insert_tree(&mut transaction, &frontier, &nodes).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn mark_trimmed(&self, upto: u64) -> Result<(), LogError> {
        let mark = "UPDATE log_trim SET upto = greatest(upto, $1)";
        sqlx::query(mark).bind(big(upto)).execute(&self.pool).await.map_err(unavailable)?;
        Ok(())
    }

    async fn drop_facts(&self, after: u64, upto: u64) -> Result<u64, LogError> {
        let mut transaction = self.pool.begin().await.map_err(unavailable)?;
        keep_leaves(&mut transaction, after, upto).await?;
        let drop = sqlx::query(DROP).bind(big(after)).bind(big(upto)).bind(TRIMMABLE);
        let dropped = drop.execute(&mut *transaction).await.map_err(unavailable)?.rows_affected();
        transaction.commit().await.map_err(unavailable)?;
        Ok(dropped)
    }

    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError> {
        let forget = sqlx::query(FORGET_REPLIES);
        let forget = forget.bind(stream.tenant.as_str()).bind(&*stream.kind).bind(&*stream.id);
        Ok(forget.execute(&self.pool).await.map_err(unavailable)?.rows_affected())
    }

    async fn trimmed(&self) -> Result<u64, LogError> {
        let row =
            sqlx::query("SELECT upto FROM log_trim").fetch_one(&self.pool).await.map_err(unavailable)?;
        Ok(row.try_get::<i64, _>(0).map_err(unavailable)?.cast_unsigned())
    }
}

/// Those of `after + 1..=upto` that are not kept yet.
async fn keep_leaves(connection: &mut PgConnection, after: u64, upto: u64) -> Result<(), LogError> {
    let kept = sqlx::query_scalar::<_, i64>(KEPT_LEAVES).fetch_optional(&mut *connection).await;
    let after = after.max(kept.map_err(unavailable)?.unwrap_or(0).cast_unsigned());
    if after >= upto {
        return Ok(());
    }
    let keep = sqlx::query_scalar::<_, i64>(KEEP_LEAVES).bind(big(after)).bind(big(upto));
    let count = keep.fetch_one(connection).await.map_err(unavailable)?;
    check_kept(count.cast_unsigned(), after, upto)
}

async fn insert(connection: &mut PgConnection, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(column(events, |e| big(e.position)))
        .bind(column(events, |e| e.stream.tenant.as_str()))
        .bind(column(events, |e| e.stream.kind.as_ref()))
        .bind(column(events, |e| e.stream.id.as_ref()))
        .bind(column(events, |e| big(e.version)))
        .bind(column(events, |e| e.event_id))
        .bind(column(events, |e| e.event_type.as_ref()))
        .bind(column(events, |e| i32::from(e.schema)))
        .bind(column(events, |e| e.occurred_at.map(|at| at.as_microsecond())))
        .bind(column(events, |e| e.recorded_at.as_microsecond()))
        .bind(column(events, |e| e.metadata.actor.as_ref()))
        .bind(column(events, |e| e.metadata.command_id))
        .bind(column(events, |e| e.metadata.correlation_id.as_ref()))
        .bind(column(events, |e| e.metadata.causation_id))
        .bind(column(events, |e| e.payload.as_str()))
        .bind(column(events, |e| e.leaf.as_slice()))
        .execute(connection)
        .await?;
    Ok(())
}
