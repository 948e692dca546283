//! Generations beside each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::rows::*;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};

use super::registry::{self, NOW};
use super::snapshot::PostgresSnapshot;
use super::{Fault, PostgresRows, views};
use crate::sql::{self, Known};
use crate::{check, names};

/// How long a change of the registry waits for readers. Who reads next waits
/// behind it meanwhile.
const PATIENCE: &str = "SET LOCAL lock_timeout = '3s'";

#[async_trait]
impl Generations for PostgresRows {
    async fn create(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        let mut tx = self.alone().await?;
        let id = registry::make(&mut tx, projection, model, tables, GenerationStatus::Building).await?;
        let generation = registry::describe(&mut tx, &id).await?;
        tx.commit().await.map_err(Fault::from)?;
        Ok(generation)
    }

    async fn finish(&self, lease: &Lease) -> Result<(), RowsError> {
        Ok(self.finish_generation(lease).await?)
    }

    async fn promote(&self, target: &GenerationId, fence: u64, decided_at: u64) -> Result<bool, RowsError> {
        let mut tx = self.alone().await?;
        let done = promote(&mut tx, target, fence, decided_at).await;
        if done.as_ref().is_ok_and(|applied| *applied) {
            tx.commit().await.map_err(Fault::from)?;
        }
        done.map_err(|fault| in_use(fault, &format!("a SQL view of {}", target.projection)))
    }

    async fn drop_generation(&self, generation: &GenerationId) -> Result<(), RowsError> {
        let mut tx = self.alone().await?;
        let done = drop_generation(&mut tx, generation).await;
        if done.is_ok() {
            tx.commit().await.map_err(Fault::from)?;
        }
        done.map_err(|fault| in_use(fault, &generation.to_string()))
    }

    async fn snapshot(&self, generation: &GenerationId) -> Result<Box<dyn RowsSnapshot>, RowsError> {
        let permit = Arc::clone(&self.snapshots).try_acquire_owned();
        let permit = permit.map_err(|_| RowsError::InUse("every snapshot there may be".into()))?;
        Ok(Box::new(PostgresSnapshot::open(&self.pool, generation, permit).await?))
    }

    async fn hold(
        &self,
        generation: &GenerationId,
        position: Option<u64>,
        ttl: Duration,
    ) -> Result<u64, RowsError> {
        check::hold(position, ttl)?;
        Ok(self.hold_at(generation, position, ttl).await?)
    }
}

impl PostgresRows {
    /// A transaction that nobody else changes generations beside.
    async fn alone(&self) -> Result<Transaction<'static, Postgres>, RowsError> {
        let mut tx = self.pool.begin().await.map_err(Fault::from)?;
        let locked = async {
            sqlx::query(PATIENCE).execute(&mut *tx).await?;
            registry::lock(&mut tx).await
        };
        locked.await.map_err(|fault| in_use(fault, "the registry of generations"))?;
        Ok(tx)
    }

    /// The registry's row is locked only at the end: renewing the lease must
    /// not wait for an index.
    async fn finish_generation(&self, lease: &Lease) -> Result<(), Fault> {
        let GenerationId { projection, number } = &lease.generation;
        let mut connection = self.pool.acquire().await?;
        let known = owned(&mut connection, lease).await?;
        if known.status != GenerationStatus::Building {
            return Ok(());
        }
        drop(connection);
        for table in &known.tables {
            let mut tx = self.pool.begin().await?;
            let name = names::table(&known.id, &table.name);
            // Two makers of one index would clash.
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
                .bind(&name)
                .execute(&mut *tx)
                .await?;
            sqlx::query("SET LOCAL maintenance_work_mem = '128MB'").execute(&mut *tx).await?;
            if table.sorted {
                let index = registry::index(&known.id, &table.name);
                sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *tx).await?;
            }
            sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE \"{name}\""))).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        let ready = sqlx::query(sql::READY)
            .bind(&**projection)
            .bind(*number as i32)
            .bind(lease.epoch as i64)
            .execute(&self.pool)
            .await?;
        if ready.rows_affected() == 0 {
            // Finished meanwhile, or lost.
            owned(&mut *self.pool.acquire().await?, lease).await?;
        }
        Ok(())
    }

    async fn hold_at(&self, id: &GenerationId, position: Option<u64>, ttl: Duration) -> Result<u64, Fault> {
        let moved: Option<(i64,)> = match position {
            None => {
                let query = sqlx::query_as(sql::LET_GO).bind(&*id.projection).bind(id.number as i32);
                query.fetch_optional(&self.pool).await?
            }
            Some(position) => {
                sqlx::query_as(AssertSqlSafe(sql::hold(NOW)))
                    .bind(ttl.as_millis() as i64)
                    .bind(sql::signed(position))
                    .bind(&*id.projection)
                    .bind(id.number as i32)
                    .fetch_optional(&self.pool)
                    .await?
            }
        };
        match moved {
            Some((position,)) => Ok(position as u64),
            None => {
                let mut connection = self.pool.acquire().await?;
                registry::find(&mut connection, &Source::Generation(id.clone())).await?;
                Err(RowsError::Live(id.clone()).into())
            }
        }
    }
}

/// What the registry says, if the lease is the newest.
async fn owned(connection: &mut PgConnection, lease: &Lease) -> Result<Known, Fault> {
    let GenerationId { projection, number } = &lease.generation;
    let known = registry::find(connection, &Source::Generation(lease.generation.clone())).await?;
    let (epoch, ..): (i64, i64, i64) =
        sqlx::query_as(sql::EPOCH).bind(&**projection).bind(*number as i32).fetch_one(connection).await?;
    if epoch as u64 == lease.epoch { Ok(known) } else { Err(RowsError::LeaseLost.into()) }
}

/// Views come before rows of the registry: while it waits for a reader of a
/// view, projectors commit.
async fn promote(
    tx: &mut PgConnection,
    target: &GenerationId,
    fence: u64,
    decided_at: u64,
) -> Result<bool, Fault> {
    let projection = &*target.projection;
    let decided: Option<i64> =
        sqlx::query_scalar(sql::DECIDED_AT).bind(projection).fetch_optional(&mut *tx).await?;
    if decided.is_some_and(|applied| decided_at < applied as u64) {
        return Ok(false);
    }
    let known = registry::find(tx, &Source::Generation(target.clone())).await?;
    check::promote(target, known.status, known.position, fence)?;
    match registry::find(tx, &Source::live(projection)).await {
        Ok(previous) => views::remove(tx, &previous, &known).await?,
        Err(Fault::Rows(RowsError::UnknownProjection(_))) => {}
        Err(fault) => return Err(fault),
    }
    views::refresh(tx, &known.id, &known.tables).await?;
    sqlx::query(sql::RETIRE).bind(projection).execute(&mut *tx).await?;
    sqlx::query(sql::GO_LIVE).bind(projection).bind(target.number as i32).execute(&mut *tx).await?;
    sqlx::query(sql::SET_DECIDED_AT).bind(sql::signed(decided_at)).bind(projection).execute(&mut *tx).await?;
    Ok(true)
}

async fn drop_generation(tx: &mut PgConnection, id: &GenerationId) -> Result<(), Fault> {
    let known = match registry::find(tx, &Source::Generation(id.clone())).await {
        Err(Fault::Rows(RowsError::UnknownGeneration(_))) => return Ok(()),
        known => known?,
    };
    if known.status == GenerationStatus::Live {
        return Err(RowsError::Live(id.clone()).into());
    }
    for statement in [sql::FORGET, sql::FORGET_PARKED] {
        sqlx::query(statement).bind(&*id.projection).bind(id.number as i32).execute(&mut *tx).await?;
    }
    let names: Vec<String> =
        known.tables.iter().map(|t| format!("\"{}\"", names::table(id, &t.name))).collect();
    if !names.is_empty() {
        let statement = format!("DROP TABLE {}", names.join(", "));
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    Ok(())
}

/// A lock that was not to be had in time, or something of our users that would
/// have to be dropped too.
fn in_use(fault: Fault, what: &str) -> RowsError {
    match fault {
        Fault::Sql(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("55P03" | "2BP01")) => {
            RowsError::InUse(what.into())
        }
        fault => fault.into(),
    }
}
