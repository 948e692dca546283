//! Reading and writing rows.

use domain::TenantId;
use domain::ports::rows::*;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use super::registry::NOW;
use super::{Fault, copy, no_nul, parked, registry};
use crate::names;
use crate::sql::{self, Arg, Known, Statement, TableMeta};

/// Rows in one statement; more gain nothing.
const CHUNK: usize = 5_000;
const CHUNK_BYTES: usize = 8 << 20;

pub async fn fetch(
    pool: &PgPool,
    generation: &GenerationId,
    table: &str,
    keys: &[RowKey],
) -> Result<Vec<Option<String>>, Fault> {
    let name = names::table(generation, table);
    let text = format!(
        "SELECT w.place, r.doc::text FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(tenant, key, place)
         JOIN \"{name}\" r ON r.tenant = w.tenant AND r.key = w.key"
    );
    let mut docs = vec![None; keys.len()];
    for (chunk, keys) in keys.chunks(CHUNK).enumerate() {
        let tenants: Vec<&str> = keys.iter().map(|k| k.tenant.as_str()).collect();
        let names: Vec<&str> = keys.iter().map(|k| &*k.key).collect();
        let found: Vec<(i64, String)> =
            sqlx::query_as(AssertSqlSafe(text.clone())).bind(tenants).bind(names).fetch_all(pool).await?;
        for (place, doc) in found {
            docs[chunk * CHUNK + place as usize - 1] = Some(doc);
        }
    }
    Ok(docs)
}

/// All queries are parts of one statement, and a statement has one snapshot.
/// The registry's row is part of it too. A generation that stops being live
/// between finding and reading it is found again.
pub async fn read(
    pool: &PgPool,
    source: &Source,
    tenant: &TenantId,
    queries: &[Query],
) -> Result<Snapshot, Fault> {
    let mut connection = pool.acquire().await?;
    let mut missing = None;
    loop {
        let known = registry::find(&mut connection, source).await?;
        let number = known.id.number;
        if queries.is_empty() {
            let Known { id, model, position, .. } = known;
            return Ok(Snapshot { generation: id, model, position, results: Vec::new() });
        }
        let statement = union(&known, source, tenant, queries)?;
        match all(&mut connection, known, statement, queries).await {
            Ok(Some(snapshot)) => return Ok(snapshot),
            Ok(None) => {}
            Err(Fault::Sql(sqlx::Error::Database(e)))
                if e.code().as_deref() == Some("42P01") && missing != Some(number) =>
            {
                // Its tables are gone: it has been pruned, and the registry
                // names another one, or none, from now on.
                missing = Some(number);
            }
            Err(error) => return Err(error),
        }
    }
}

fn union(
    known: &Known,
    source: &Source,
    tenant: &TenantId,
    queries: &[Query],
) -> Result<Statement, RowsError> {
    let mut statement = Statement::new(
        "SELECT -1 AS query, NULL::text AS key, NULL::text AS sort, position::text AS doc
         FROM projection_generations",
    );
    statement.text(" WHERE projection = ", &known.id.projection);
    statement.bind(" AND number::bigint = ", Arg::Integer(known.id.number.into()));
    if let Source::Live(_) = source {
        statement.push(" AND status = 'live'");
    }
    for (i, query) in queries.iter().enumerate() {
        let name = names::table(&known.id, &query.table);
        let meta = known.table(&query.table)?;
        statement.push(&format!(" UNION ALL SELECT {i}, q.* FROM ("));
        sql::select(&mut statement, "key, sort, doc::text", &name, tenant.as_str(), meta, &query.select)?;
        statement.push(") q");
    }
    Ok(statement)
}

type Found = (i32, Option<String>, Option<String>, String);

/// `None` if the generation was live when it was looked up and is not now.
async fn all(
    connection: &mut PgConnection,
    known: Known,
    statement: Statement,
    queries: &[Query],
) -> Result<Option<Snapshot>, Fault> {
    let mut query: QueryAs<'_, Postgres, Found, PgArguments> = sqlx::query_as(AssertSqlSafe(statement.sql));
    for arg in statement.args {
        query = match arg {
            Arg::Text(text) => query.bind(no_nul(&text)),
            Arg::Integer(i) => query.bind(i),
        };
    }
    let mut position = None;
    let mut results = vec![Vec::new(); queries.len()];
    for (part, key, sort, doc) in query.fetch_all(connection).await? {
        match (usize::try_from(part), key) {
            (Ok(part), Some(key)) => results[part].push(StoredRow { key, sort, doc }),
            _ => position = doc.parse().ok(),
        }
    }
    let Some(position) = position else { return Ok(None) };
    for (rows, query) in results.iter_mut().zip(queries) {
        order(rows, &query.select);
    }
    Ok(Some(Snapshot { generation: known.id, model: known.model, position, results }))
}

/// A UNION promises no order, although it keeps that of its parts.
fn order(rows: &mut [StoredRow], select: &Select) {
    match select {
        Select::Range(range) if range.descending => rows.sort_by(|a, b| b.key.cmp(&a.key)),
        Select::Key(_) | Select::Range(_) => rows.sort_by(|a, b| a.key.cmp(&b.key)),
        Select::Top { .. } => rows.sort_by(|a, b| b.sort.cmp(&a.sort).then_with(|| a.key.cmp(&b.key))),
    }
}

pub async fn commit(mut tx: Transaction<'static, Postgres>, commit: &Commit) -> Result<(), Fault> {
    move_checkpoint(&mut tx, commit).await?;
    if !commit.changes.is_empty() {
        let source = Source::Generation(commit.lease.generation.clone());
        let known = registry::find(&mut tx, &source).await?;
        for changes in &commit.changes {
            write(&mut tx, &known, known.table(&changes.table)?, changes).await?;
        }
    }
    parked::store(&mut tx, commit).await?;
    Ok(tx.commit().await?)
}

async fn move_checkpoint(tx: &mut PgConnection, commit: &Commit) -> Result<(), Fault> {
    let GenerationId { projection, number } = &commit.lease.generation;
    let moved = sqlx::query(AssertSqlSafe(sql::move_checkpoint(NOW)))
        .bind(commit.to as i64)
        .bind(&**projection)
        .bind(*number as i32)
        .bind(commit.lease.epoch as i64)
        .bind(commit.from as i64)
        .execute(&mut *tx)
        .await?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    let found: Option<(i64, i64, i64)> =
        sqlx::query_as(sql::EPOCH).bind(&**projection).bind(*number as i32).fetch_optional(tx).await?;
    Err(sql::not_moved(found, commit).into())
}

async fn write(
    tx: &mut PgConnection,
    known: &Known,
    meta: &TableMeta,
    changes: &TableChanges,
) -> Result<(), Fault> {
    let name = names::table(&known.id, &meta.name);
    if !changes.puts.is_empty() && all_new(tx, known, &name, &changes.puts).await? {
        copy::rows(tx, &name, meta, &changes.puts).await?;
    } else {
        let mut rest = &changes.puts[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(chunk_len(rest));
            put(tx, &name, meta, chunk).await?;
            rest = after;
        }
    }
    for chunk in changes.deletes.chunks(CHUNK) {
        let text = format!(
            "DELETE FROM \"{name}\" r USING unnest($1::text[], $2::text[]) w(tenant, key)
             WHERE r.tenant = w.tenant AND r.key = w.key"
        );
        sqlx::query(AssertSqlSafe(text))
            .bind(chunk.iter().map(|k| k.tenant.as_str()).collect::<Vec<_>>())
            .bind(chunk.iter().map(|k| &*k.key).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// How many of the first rows go into one statement; at least one.
fn chunk_len(puts: &[RowPut]) -> usize {
    let mut bytes = 0;
    let fits = |p: &&RowPut| {
        bytes += p.doc.len();
        bytes <= CHUNK_BYTES
    };
    puts.iter().take(CHUNK).take_while(fits).count().max(1)
}

async fn all_new(tx: &mut PgConnection, known: &Known, name: &str, puts: &[RowPut]) -> Result<bool, Fault> {
    if known.status != GenerationStatus::Building {
        return Ok(false);
    }
    let last = sqlx::query_as(AssertSqlSafe(sql::last_row(name))).fetch_optional(tx).await?;
    Ok(sql::all_new(puts, last))
}

async fn put(tx: &mut PgConnection, name: &str, meta: &TableMeta, puts: &[RowPut]) -> Result<(), Fault> {
    let (column, value) = if meta.sorted { (", grp", ", w.grp") } else { ("", "") };
    let text = format!(
        "INSERT INTO \"{name}\" (tenant, key, sort, doc{column})
         SELECT w.tenant, w.key, w.sort, w.doc::jsonb{value}
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) w(tenant, key, sort, doc, grp)
         ON CONFLICT (tenant, key) DO UPDATE SET sort = excluded.sort, doc = excluded.doc"
    );
    sqlx::query(AssertSqlSafe(text))
        .bind(puts.iter().map(|p| p.row.tenant.as_str()).collect::<Vec<_>>())
        .bind(puts.iter().map(|p| &*p.row.key).collect::<Vec<_>>())
        .bind(puts.iter().map(|p| p.sort.as_deref()).collect::<Vec<_>>())
        .bind(puts.iter().map(|p| p.doc.as_str()).collect::<Vec<_>>())
        .bind(puts.iter().map(|p| group_of(&p.row.key)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}
