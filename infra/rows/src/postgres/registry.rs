//! Generations and leases.

use std::time::Duration;

use domain::ports::rows::{Generation, GenerationId, Lease, ModelId, RowsError, Source, TableSpec};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr};

use super::{Fault, no_nul, views};
use crate::sql::{self, Known};
use crate::{check, names};

const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
/// Serialises the making of generations.
const LOCK: i64 = 0x6461_7962_726f_7773;

/// Description and SQL, in order.
const MIGRATIONS: &[(&str, &str)] =
    &[("registry", include_str!("../../migrations/postgres/0001_registry.sql"))];

/// The log keeps a list of migrations of its own in the same database.
pub async fn migrate(pool: &PgPool) -> Result<(), Fault> {
    let migration = |(i, (name, sql)): (usize, &(&'static str, &'static str))| {
        Migration::new(i as i64 + 1, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().enumerate().map(migration).collect());
    migrator.dangerous_set_table_name("projection_migrations");
    migrator.run(pool).await.map_err(|e| RowsError::Unavailable(e.to_string()).into())
}

pub async fn open(
    pool: &PgPool,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
) -> Result<Generation, Fault> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    let live = Source::live(projection);
    if let Err(Fault::Rows(RowsError::UnknownProjection(_))) = find(&mut tx, &live).await {
        let id = GenerationId { projection: projection.into(), number: 1 };
        sqlx::query(sql::NEW_GENERATION)
            .bind(projection)
            .bind(id.number as i32)
            .bind(sql::to_json(model)?)
            .bind(sql::to_json(&sql::metas(tables))?)
            .execute(&mut *tx)
            .await?;
        create_tables(&mut tx, &id, tables).await?;
    }
    let known = find(&mut tx, &live).await?;
    views::refresh(&mut tx, &known, tables).await?;
    tx.commit().await?;
    let found = generations(pool).await?.into_iter().find(|g| g.id == known.id);
    found.ok_or_else(|| RowsError::UnknownProjection(projection.into()).into())
}

pub async fn generations(pool: &PgPool) -> Result<Vec<Generation>, Fault> {
    type Row = (String, i32, String, String, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(sql::GENERATIONS).fetch_all(pool).await?;
    let read = |(name, number, model, status, position, parked): Row| {
        Ok(sql::generation(&name, number.into(), &model, &status, (position, parked))?)
    };
    rows.into_iter().map(read).collect()
}

/// The generation that a source names.
pub async fn find(connection: &mut PgConnection, source: &Source) -> Result<Known, Fault> {
    let query = match source {
        Source::Live(name) => sqlx::query_as(sql::LIVE).bind(no_nul(name)),
        Source::Generation(id) => {
            sqlx::query_as(sql::GENERATION).bind(id.projection.to_string()).bind(id.number as i32)
        }
    };
    let found: Option<(i32, String, String, i64)> = query.fetch_optional(connection).await?;
    let unknown = || check::unknown(source);
    let (number, model, tables, position) = found.ok_or_else(unknown)?;
    Ok(Known::new(source.projection(), number.into(), &model, &tables, position)?)
}

pub async fn acquire(
    pool: &PgPool,
    generation: &GenerationId,
    owner: &str,
    ttl: Duration,
) -> Result<Lease, Fault> {
    let GenerationId { projection, number } = generation;
    let taken: Option<(i64, i64)> = sqlx::query_as(AssertSqlSafe(sql::acquire(NOW)))
        .bind(owner)
        .bind(ttl.as_millis() as i64)
        .bind(&**projection)
        .bind(*number as i32)
        .fetch_optional(pool)
        .await?;
    if let Some((epoch, position)) = taken {
        let (epoch, position) = (epoch as u64, position as u64);
        return Ok(Lease { generation: generation.clone(), owner: owner.into(), epoch, position });
    }
    let held: Option<(String, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(format!("SELECT h.*, {NOW} FROM ({}) h", sql::LEASE_HELD)))
            .bind(&**projection)
            .bind(*number as i32)
            .fetch_optional(pool)
            .await?;
    let (owner, until, now) = held.ok_or_else(|| RowsError::UnknownGeneration(generation.clone()))?;
    let remaining = Duration::from_millis((until - now).max(0) as u64);
    Err(RowsError::LeaseHeld { owner, remaining }.into())
}

pub async fn renew(pool: &PgPool, lease: &Lease, ttl: Duration) -> Result<(), Fault> {
    let renewed = sqlx::query(AssertSqlSafe(sql::renew(NOW)))
        .bind(ttl.as_millis() as i64)
        .bind(&*lease.generation.projection)
        .bind(lease.generation.number as i32)
        .bind(lease.epoch as i64)
        .execute(pool)
        .await?;
    if renewed.rows_affected() == 0 { Err(RowsError::LeaseLost.into()) } else { Ok(()) }
}

pub async fn release(pool: &PgPool, lease: &Lease) -> Result<(), Fault> {
    sqlx::query(sql::RELEASE)
        .bind(&*lease.generation.projection)
        .bind(lease.generation.number as i32)
        .bind(lease.epoch as i64)
        .execute(pool)
        .await?;
    Ok(())
}

/// Makes the tables of a generation, with their indexes.
async fn create_tables(
    connection: &mut PgConnection,
    generation: &GenerationId,
    tables: &[TableSpec],
) -> Result<(), Fault> {
    let text = r#"TEXT COLLATE "C""#;
    for table in tables {
        let name = names::table(generation, table.name);
        let group = if table.sorted { format!("grp {text} NOT NULL,") } else { String::new() };
        let mut ddl = format!(
            "CREATE TABLE \"{name}\" (tenant {text} NOT NULL, key {text} NOT NULL, {group} sort {text},
             doc JSONB NOT NULL, PRIMARY KEY (tenant, key)) WITH (fillfactor = 80);"
        );
        if table.sorted {
            ddl.push_str(&format!(
                "CREATE INDEX ON \"{name}\" (tenant, grp, sort DESC, key) WHERE sort IS NOT NULL;"
            ));
        }
        sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&mut *connection).await?;
    }
    Ok(())
}
