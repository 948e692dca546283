//! Statements and rows that writer and readers share.

use std::collections::HashMap;

use domain::ids::{StreamId, TenantId};
use domain::ports::log::{Receipt, StoredReply, Written};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::backend::StoreError;
use crate::decode::{Columns, timestamp};
use crate::plan::Mark;
use crate::tree::planted;

/// The lock that everybody who appends takes (`daybook!` in ASCII).
pub(super) const WRITERS_LOCK: i64 = 0x6461_7962_6f6f_6b21;

/// What every statement that reads whole events selects; [`columns`] goes by
/// this order.
pub(super) const COLUMNS: &str = "position, tenant, kind, stream, version, event_id, type, schema, \
     occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, payload, leaf";

pub(super) const HEAD: &str =
    "SELECT position, recorded_at, event_id FROM events ORDER BY position DESC LIMIT 1";

/// [`HEAD`] and the tree, of one snapshot; always one row.
pub(super) const MARK: &str = "
    SELECT position, recorded_at, event_id, size, frontier FROM log_tree LEFT JOIN LATERAL (
        SELECT position, recorded_at, event_id FROM events ORDER BY position DESC LIMIT 1) AS newest ON true";

/// One statement writes a batch. `base` is empty unless the log still ends in
/// the event that the batch was planned on and the guessed versions are right;
/// then nothing is inserted. Its snapshot may be older than the lock, which
/// does no harm: what was appended since has moved the tree, and moving it from
/// where the batch was planned finds no row then; and it has taken the next
/// position, which the primary key refuses. A part of the statement that writes
/// runs whatever the others find, so each begins with the row that was moved.
macro_rules! write_statement {
    ($first:literal, $tree:literal) => {
        concat!(
            "
    WITH writers AS MATERIALIZED (SELECT pg_advisory_xact_lock($1)),
    base AS MATERIALIZED (
        SELECT 1 FROM writers
        WHERE CASE WHEN $2 = 0 THEN NOT EXISTS (SELECT FROM events)
              ELSE EXISTS (SELECT FROM events WHERE position = $2 AND event_id = $3) END
        AND NOT EXISTS (
            SELECT FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[])
                AS guess (tenant, kind, stream, version)
            WHERE version <> coalesce((
                SELECT e.version FROM events e
                WHERE e.tenant = guess.tenant AND e.kind = guess.kind AND e.stream = guess.stream
                ORDER BY e.version DESC LIMIT 1), 0))
    ),
    ",
            $tree,
            "
    keys AS (
        INSERT INTO idempotency (tenant, key, request_hash, reply, first_position, events, recorded_at)
        SELECT k.tenant, k.key, k.request_hash, k.reply, k.first_position, k.events, $8
        FROM ",
            $first,
            ", unnest($9::text[], $10::text[], $11::bytea[], $12::text[], $13::bigint[], $14::bigint[])
            AS k (tenant, key, request_hash, reply, first_position, events)
    )
    INSERT INTO events (position, tenant, kind, stream, version, event_id, type, schema,
        occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, payload, leaf)
    SELECT $2 + e.n, e.tenant, e.kind, e.stream, e.version, e.event_id, e.type, e.schema,
        e.occurred_at, $8, e.actor, e.command_id, e.correlation_id, e.causation_id, e.payload, e.leaf
    FROM ",
            $first,
            ", unnest($15::text[], $16::text[], $17::text[], $18::bigint[], $19::uuid[], $20::text[],
        $21::int[], $22::bigint[], $23::text[], $24::uuid[], $25::text[], $26::uuid[], $27::text[],
        $28::bytea[]) WITH ORDINALITY
        AS e (tenant, kind, stream, version, event_id, type, schema, occurred_at, actor, command_id,
            correlation_id, causation_id, payload, leaf, n)"
        )
    };
}

pub(super) const WRITE: &str = write_statement!(
    "tree",
    "tree AS (
        UPDATE log_tree SET size = $29, frontier = $30 FROM base WHERE one AND size = $2 RETURNING 1
    ),
    nodes AS (
        INSERT INTO log_tree_nodes (level, number, hash)
        SELECT n.level, n.number, n.hash
        FROM tree, unnest($31::smallint[], $32::bigint[], $33::bytea[]) AS n (level, number, hash)
    ),"
);

#[cfg(feature = "bench")]
pub(super) const WRITE_WITHOUT_TREE: &str = write_statement!("base", "");

/// Versions of streams and replies of keys in one round trip.
pub(super) const LOOKUP: &str = "
    SELECT 0 AS what, s.n, newest.version, NULL::bytea, NULL::text, NULL::bigint, NULL::bigint
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s (tenant, kind, stream, n)
    CROSS JOIN LATERAL (
        SELECT e.version FROM events e
        WHERE e.tenant = s.tenant AND e.kind = s.kind AND e.stream = s.stream
        ORDER BY e.version DESC LIMIT 1) AS newest
    UNION ALL
    SELECT 1, k.n, i.recorded_at, i.request_hash, i.reply, i.first_position, i.events
    FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS k (tenant, key, n)
    CROSS JOIN LATERAL (
        SELECT * FROM idempotency WHERE tenant = k.tenant AND key = k.key LIMIT 1) AS i";

const WRITTEN: &str = "SELECT position, tenant, kind, stream, version, event_id, type FROM events \
     WHERE position = ANY($1) ORDER BY position";

/// A row of [`HEAD`], or the beginning of one of [`MARK`].
pub(super) fn head(row: &PgRow) -> Result<Mark, sqlx::Error> {
    let Some(position) = row.try_get::<Option<i64>, _>(0)? else { return Ok(Mark::default()) };
    Ok(Mark {
        position: position.cast_unsigned(),
        recorded_at: timestamp(row.try_get(1)?).ok(),
        event_id: Some(row.try_get(2)?),
        ..Mark::default()
    })
}

/// A row of [`MARK`], of a simple query, too: its bytes cannot be borrowed.
pub(super) fn mark(row: &PgRow) -> Result<Mark, StoreError> {
    planted(head(row)?, row.try_get(3)?, &row.try_get::<Vec<u8>, _>(4)?)
}

/// Borrows [`COLUMNS`] from a row.
pub(super) fn columns(row: &PgRow) -> Result<Columns<'_>, sqlx::Error> {
    Ok(Columns {
        position: row.try_get(0)?,
        tenant: row.try_get(1)?,
        kind: row.try_get(2)?,
        stream: row.try_get(3)?,
        version: row.try_get(4)?,
        event_id: row.try_get(5)?,
        event_type: row.try_get(6)?,
        schema: row.try_get(7)?,
        occurred_at: row.try_get(8)?,
        recorded_at: row.try_get(9)?,
        actor: row.try_get(10)?,
        command_id: row.try_get(11)?,
        correlation_id: row.try_get(12)?,
        causation_id: row.try_get(13)?,
        payload: row.try_get(14)?,
        leaf: row.try_get(15)?,
    })
}

fn written(row: &PgRow) -> Result<Written, StoreError> {
    let tenant = TenantId::new(row.try_get(1)?).map_err(|e| StoreError::Failed(format!("the tenant {e}")))?;
    let (kind, id): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Written {
        stream: StreamId { tenant, kind: kind.into(), id: id.into() },
        event_id: row.try_get::<Uuid, _>(5)?,
        event_type: row.try_get::<&str, _>(6)?.into(),
        version: row.try_get::<i64, _>(4)?.cast_unsigned(),
        position: row.try_get::<i64, _>(0)?.cast_unsigned(),
    })
}

/// What [`LOOKUP`] found, by index of what was asked.
#[derive(Default)]
pub(super) struct Lookup {
    pub versions: Vec<(usize, u64)>,
    pub replies: Vec<(usize, StoredReply)>,
}

pub(super) async fn lookup(
    connection: &mut PgConnection,
    streams: &[&StreamId],
    keys: &[(&TenantId, &str)],
) -> Result<Lookup, StoreError> {
    let rows = sqlx::query(LOOKUP)
        .bind(column(streams, |s| s.tenant.as_str()))
        .bind(column(streams, |s| s.kind.as_ref()))
        .bind(column(streams, |s| s.id.as_ref()))
        .bind(column(keys, |(tenant, _)| tenant.as_str()))
        .bind(column(keys, |(_, key)| *key))
        .fetch_all(&mut *connection)
        .await?;
    let mut found = Lookup::default();
    let mut ranges = Vec::new();
    for row in &rows {
        let index = usize::try_from(row.try_get::<i64, _>(1)? - 1).unwrap_or(usize::MAX);
        let number: i64 = row.try_get(2)?;
        if row.try_get::<i32, _>(0)? == 0 {
            found.versions.push((index, number.cast_unsigned()));
            continue;
        }
        let (first, count): (i64, i64) = (row.try_get(5)?, row.try_get(6)?);
        ranges.push(first..first + count);
        let receipt = Receipt {
            events: Vec::new(),
            recorded_at: timestamp(number).map_err(StoreError::Failed)?,
            reply: Some(row.try_get(4)?),
            replayed: true,
        };
        found.replies.push((index, StoredReply { request_hash: row.try_get(3)?, receipt }));
    }
    let positions: Vec<i64> = ranges.iter().cloned().flatten().collect();
    if !positions.is_empty() {
        let rows = sqlx::query(WRITTEN).bind(positions).fetch_all(connection).await?;
        let mut events = HashMap::with_capacity(rows.len());
        for row in &rows {
            events.insert(row.try_get::<i64, _>(0)?, written(row)?);
        }
        for ((_, stored), range) in found.replies.iter_mut().zip(ranges) {
            stored.receipt.events = range.filter_map(|position| events.get(&position).cloned()).collect();
        }
    }
    Ok(found)
}

/// One field of each item, for an array parameter.
pub(super) fn column<'a, T, F>(items: &'a [T], field: impl Fn(&'a T) -> F) -> Vec<F> {
    items.iter().map(field).collect()
}
