//! Generations and leases.

use std::time::Duration;

use domain::ports::rows::*;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr};

use super::{Fault, no_nul, views};
use crate::sql::{self, Known};
use crate::{check, names};

pub const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
/// Serialises the making of generations.
const LOCK: i64 = 0x6461_7962_726f_7773;

/// Description and SQL, in order.
const MIGRATIONS: &[(&str, &str)] = &[
    ("registry", include_str!("../../migrations/postgres/0001_registry.sql")),
    ("generations", include_str!("../../migrations/postgres/0002_generations.sql")),
];

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
    lock(&mut tx).await?;
    let live = Source::live(projection);
    let mut known = match find(&mut tx, &live).await {
        Err(Fault::Rows(RowsError::UnknownProjection(_))) => {
            make(&mut tx, projection, model, tables, GenerationStatus::Live).await?;
            find(&mut tx, &live).await?
        }
        known => known?,
    };
    if let Some(metas) = known.respecified(model, tables) {
        sqlx::query(sql::SET_TABLES)
            .bind(sql::to_json(&metas)?)
            .bind(projection)
            .bind(known.id.number as i32)
            .execute(&mut *tx)
            .await?;
        known.tables = metas;
    }
    views::refresh(&mut tx, &known.id, &known.tables).await?;
    let generation = describe(&mut tx, &known.id).await?;
    tx.commit().await?;
    Ok(generation)
}

/// Until the transaction ends, nobody else makes, promotes or drops.
pub async fn lock(tx: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(tx).await?;
    Ok(())
}

/// A new generation with the next number. One that is being built gets its
/// secondary indexes when it is finished.
pub async fn make(
    tx: &mut PgConnection,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
    status: GenerationStatus,
) -> Result<GenerationId, Fault> {
    let number: i32 = sqlx::query_scalar(sql::NEXT_NUMBER).bind(projection).fetch_one(&mut *tx).await?;
    let id = GenerationId { projection: projection.into(), number: number as u32 };
    sqlx::query(sql::NEW_GENERATION)
        .bind(projection)
        .bind(number)
        .bind(sql::to_json(model)?)
        .bind(sql::to_json(&sql::metas(tables))?)
        .bind(sql::status_word(status))
        .execute(&mut *tx)
        .await?;
    for table in tables {
        let mut ddl = create_table(&id, table);
        if table.sorted && status != GenerationStatus::Building {
            ddl.push_str(&index(&id, table.name));
        }
        sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&mut *tx).await?;
    }
    Ok(id)
}

type Described = (String, i32, String, String, i64, i64, Option<i64>);

fn generation((name, number, model, status, position, parked, held): Described) -> Result<Generation, Fault> {
    Ok(sql::generation(&name, number.into(), (&model, &status), (position, parked, held))?)
}

pub async fn generations(pool: &PgPool) -> Result<Vec<Generation>, Fault> {
    let rows: Vec<Described> =
        sqlx::query_as(AssertSqlSafe(sql::generations(NOW, ""))).fetch_all(pool).await?;
    rows.into_iter().map(generation).collect()
}

pub async fn describe(connection: &mut PgConnection, id: &GenerationId) -> Result<Generation, Fault> {
    let found: Option<Described> = sqlx::query_as(AssertSqlSafe(sql::generations(NOW, sql::ONE)))
        .bind(&*id.projection)
        .bind(id.number as i32)
        .fetch_optional(connection)
        .await?;
    generation(found.ok_or_else(|| RowsError::UnknownGeneration(id.clone()))?)
}

/// The generation that a source names.
pub async fn find(connection: &mut PgConnection, source: &Source) -> Result<Known, Fault> {
    let query = match source {
        Source::Live(name) => sqlx::query_as(sql::LIVE).bind(no_nul(name)),
        Source::Generation(id) => {
            sqlx::query_as(sql::GENERATION).bind(id.projection.to_string()).bind(id.number as i32)
        }
    };
    let found: Option<(i32, String, String, String, i64)> = query.fetch_optional(connection).await?;
    let unknown = || check::unknown(source);
    let (number, model, tables, status, position) = found.ok_or_else(unknown)?;
    Ok(Known::new(source.projection(), number.into(), (&model, &tables, &status), position)?)
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

fn create_table(generation: &GenerationId, table: &TableSpec) -> String {
    let text = r#"TEXT COLLATE "C""#;
    let name = names::table(generation, table.name);
    let group = if table.sorted { format!("grp {text} NOT NULL,") } else { String::new() };
    format!(
        "CREATE TABLE \"{name}\" (tenant {text} NOT NULL, key {text} NOT NULL, {group} sort {text},
         doc JSONB NOT NULL, PRIMARY KEY (tenant, key)) WITH (fillfactor = 80);"
    )
}

/// Makes the index by sort key if there is none.
pub fn index(generation: &GenerationId, table: &str) -> String {
    format!(
        "CREATE INDEX IF NOT EXISTS \"{}\" ON \"{}\" (tenant, grp, sort DESC, key)
         WHERE sort IS NOT NULL;",
        names::index(generation, table),
        names::table(generation, table)
    )
}
