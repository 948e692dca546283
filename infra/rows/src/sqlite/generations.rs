//! Generations beside each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::rows::*;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::SqliteRows;
use super::connections::{self, Fault, writable};
use super::registry::{self, NOW};
use super::snapshot::SqliteSnapshot;
use crate::sql::{self, Known};
use crate::{check, names};

/// How long readers may hold up the overwriting of what was dropped.
const SCRUB_PATIENCE: Duration = Duration::from_millis(200);

#[async_trait]
impl Generations for SqliteRows {
    async fn create(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError> {
        check::open(projection, tables)?;
        let (projection, model, tables) = (projection.to_owned(), model.clone(), tables.to_vec());
        self.writer.with(move |c| create(c, &projection, &model, &tables)).await
    }

    /// A transaction for each index, so that other writers get their turn.
    async fn finish(&self, lease: &Lease) -> Result<(), RowsError> {
        let of = lease.clone();
        let known = self.writer.with(move |c| owned(c, &of)).await?;
        if known.status != GenerationStatus::Building {
            return Ok(());
        }
        for table in known.tables.iter().filter(|t| t.sorted) {
            let (id, table) = (known.id.clone(), table.name.clone());
            let index = move |c: &mut Connection| Ok(c.execute_batch(&registry::index(&id, &table))?);
            self.writer.with_much(index).await?;
        }
        let of = lease.clone();
        self.writer.checkpointed().await;
        self.writer.with(move |c| ready(c, &of)).await
    }

    async fn promote(&self, target: &GenerationId, fence: u64, decided_at: u64) -> Result<bool, RowsError> {
        let target = target.clone();
        self.writer.with(move |c| promote(c, &target, fence, decided_at)).await
    }

    async fn drop_generation(&self, generation: &GenerationId) -> Result<(), RowsError> {
        let generation = generation.clone();
        self.writer.with_much(move |c| drop_generation(c, &generation)).await?;
        // What was overwritten is in the file.
        self.writer.checkpointed().await;
        Ok(())
    }

    async fn scrub(&self) -> Result<bool, RowsError> {
        let _turn = self.writer.checkpointed().await;
        self.writer.with(scrub).await
    }

    async fn snapshot(&self, generation: &GenerationId) -> Result<Box<dyn RowsSnapshot>, RowsError> {
        let permit = Arc::clone(&self.snapshots).try_acquire_owned();
        let permit = permit.map_err(|_| RowsError::InUse("every snapshot there may be".into()))?;
        Ok(Box::new(SqliteSnapshot::open(self.path.clone(), generation.clone(), permit).await?))
    }

    async fn hold(
        &self,
        generation: &GenerationId,
        position: Option<u64>,
        ttl: Duration,
    ) -> Result<u64, RowsError> {
        check::hold(position, ttl)?;
        let generation = generation.clone();
        self.writer.with(move |c| hold(c, &generation, position, ttl)).await
    }
}

fn create(
    connection: &mut Connection,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
) -> Result<Generation, Fault> {
    let tx = writable(connection)?;
    let id = registry::make(&tx, projection, model, tables, GenerationStatus::Building)?;
    let generation = registry::describe(&tx, &id)?;
    tx.commit()?;
    Ok(generation)
}

/// What the registry says, if the lease is the newest.
fn owned(connection: &Connection, lease: &Lease) -> Result<Known, Fault> {
    let GenerationId { projection, number } = &lease.generation;
    let known = registry::find(connection, &Source::Generation(lease.generation.clone()))?;
    let epoch: i64 = connection.query_row(sql::EPOCH, params![projection, number], |r| r.get(0))?;
    if epoch as u64 == lease.epoch { Ok(known) } else { Err(RowsError::LeaseLost.into()) }
}

fn ready(connection: &mut Connection, lease: &Lease) -> Result<(), Fault> {
    let GenerationId { projection, number } = &lease.generation;
    let tx = writable(connection)?;
    owned(&tx, lease)?;
    tx.execute(sql::READY, params![projection, number, lease.epoch as i64])?;
    Ok(tx.commit()?)
}

fn promote(
    connection: &mut Connection,
    target: &GenerationId,
    fence: u64,
    decided_at: u64,
) -> Result<bool, Fault> {
    let tx = writable(connection)?;
    let decided: Option<i64> =
        tx.query_row(sql::DECIDED_AT, [&target.projection], |r| r.get(0)).optional()?;
    if decided.is_some_and(|applied| decided_at < applied as u64) {
        return Ok(false);
    }
    let known = registry::find(&tx, &Source::Generation(target.clone()))?;
    check::promote(target, known.status, known.position, fence)?;
    tx.execute(sql::RETIRE, [&target.projection])?;
    tx.execute(sql::GO_LIVE, params![target.projection, target.number])?;
    tx.execute(sql::SET_DECIDED_AT, params![sql::signed(decided_at), target.projection])?;
    tx.commit()?;
    Ok(true)
}

fn drop_generation(connection: &mut Connection, id: &GenerationId) -> Result<(), Fault> {
    let tx = writable(connection)?;
    let known = match registry::find(&tx, &Source::Generation(id.clone())) {
        Err(Fault::Rows(RowsError::UnknownGeneration(_))) => return Ok(()),
        known => known?,
    };
    if known.status == GenerationStatus::Live {
        return Err(RowsError::Live(id.clone()).into());
    }
    for table in &known.tables {
        tx.execute_batch(&format!("DROP TABLE \"{}\"", names::table(id, &table.name)))?;
    }
    forget(&tx, id)?;
    Ok(tx.commit()?)
}

/// Dropped pages are overwritten in the write-ahead log; this brings them into
/// the file and empties that log.
fn scrub(connection: &mut Connection) -> Result<bool, Fault> {
    connection.busy_timeout(SCRUB_PATIENCE)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
    connection.busy_timeout(connections::PATIENCE)?;
    Ok(busy? == 0)
}

fn forget(tx: &Transaction<'_>, id: &GenerationId) -> Result<(), Fault> {
    for statement in [sql::FORGET_PARKED, sql::FORGET] {
        tx.execute(statement, params![id.projection, id.number])?;
    }
    Ok(())
}

fn hold(
    connection: &mut Connection,
    id: &GenerationId,
    position: Option<u64>,
    ttl: Duration,
) -> Result<u64, Fault> {
    let tx = writable(connection)?;
    let moved: Option<i64> = match position {
        None => tx.query_row(sql::LET_GO, params![id.projection, id.number], |r| r.get(0)).optional()?,
        Some(position) => {
            let args = params![ttl.as_millis() as i64, sql::signed(position), id.projection, id.number];
            tx.query_row(&sql::hold(NOW), args, |r| r.get(0)).optional()?
        }
    };
    let Some(moved) = moved else {
        registry::find(&tx, &Source::Generation(id.clone()))?;
        return Err(RowsError::Live(id.clone()).into());
    };
    tx.commit()?;
    Ok(moved as u64)
}
