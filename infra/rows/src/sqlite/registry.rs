//! Generations and leases.

use std::time::Duration;

use domain::ports::rows::*;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::connections::{Fault, writable};
use crate::sql::{self, Known};
use crate::{check, names};

pub const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// In order; `PRAGMA user_version` says how many have been applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_registry.sql"),
    include_str!("../../migrations/sqlite/0002_generations.sql"),
];

pub fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let tx = writable(connection)?;
    let applied = tx.query_row("PRAGMA user_version", [], |r| r.get::<_, u32>(0))? as usize;
    if applied > MIGRATIONS.len() {
        let reason = "the file of rows was written by a newer version";
        return Err(RowsError::Invalid(reason.into()).into());
    }
    for migration in &MIGRATIONS[applied..] {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    Ok(tx.commit()?)
}

pub fn open(
    connection: &mut Connection,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
) -> Result<Generation, Fault> {
    let tx = writable(connection)?;
    let live = Source::live(projection);
    let known = match find(&tx, &live) {
        Err(Fault::Rows(RowsError::UnknownProjection(_))) => {
            make(&tx, projection, model, tables, GenerationStatus::Live)?;
            find(&tx, &live)?
        }
        known => known?,
    };
    if let Some(metas) = known.respecified(model, tables) {
        tx.execute(sql::SET_TABLES, params![sql::to_json(&metas)?, projection, known.id.number])?;
    }
    let generation = describe(&tx, &known.id)?;
    tx.commit()?;
    Ok(generation)
}

/// A new generation with the next number. One that is being built gets its
/// secondary indexes when it is finished.
pub fn make(
    tx: &Transaction<'_>,
    projection: &str,
    model: &ModelId,
    tables: &[TableSpec],
    status: GenerationStatus,
) -> Result<GenerationId, Fault> {
    let number = tx.query_row(sql::NEXT_NUMBER, [projection], |r| r.get(0))?;
    let id = GenerationId { projection: projection.into(), number };
    let (model, metas) = (sql::to_json(model)?, sql::to_json(&sql::metas(tables))?);
    tx.execute(sql::NEW_GENERATION, params![projection, number, model, metas, sql::status_word(status)])?;
    for table in tables {
        create_table(tx, &id, table)?;
        if table.sorted && status != GenerationStatus::Building {
            tx.execute_batch(&index(&id, table.name))?;
        }
    }
    Ok(id)
}

pub fn generations(connection: &Connection) -> Result<Vec<Generation>, Fault> {
    let mut statement = connection.prepare_cached(&sql::generations(NOW, ""))?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        out.push(generation(r)?);
    }
    Ok(out)
}

pub fn describe(connection: &Connection, id: &GenerationId) -> Result<Generation, Fault> {
    let mut statement = connection.prepare_cached(&sql::generations(NOW, sql::ONE))?;
    let mut rows = statement.query(params![id.projection, id.number])?;
    match rows.next()? {
        Some(r) => generation(r),
        None => Err(RowsError::UnknownGeneration(id.clone()).into()),
    }
}

fn generation(r: &Row<'_>) -> Result<Generation, Fault> {
    let (name, model, status): (String, String, String) = (r.get(0)?, r.get(2)?, r.get(3)?);
    Ok(sql::generation(&name, r.get(1)?, (&model, &status), (r.get(4)?, r.get(5)?, r.get(6)?))?)
}

/// The generation that a source names.
pub fn find(connection: &Connection, source: &Source) -> Result<Known, Fault> {
    let read = |r: &Row<'_>| -> rusqlite::Result<(i64, [String; 3], i64)> {
        Ok((r.get(0)?, [r.get(1)?, r.get(2)?, r.get(3)?], r.get(4)?))
    };
    let found = match source {
        Source::Live(name) => connection.prepare_cached(sql::LIVE)?.query_row([name], read),
        Source::Generation(id) => {
            connection.prepare_cached(sql::GENERATION)?.query_row(params![id.projection, id.number], read)
        }
    };
    let unknown = || check::unknown(source);
    let (number, [model, tables, status], position) = found.optional()?.ok_or_else(unknown)?;
    Ok(Known::new(source.projection(), number, (&model, &tables, &status), position)?)
}

pub fn acquire(
    connection: &mut Connection,
    generation: GenerationId,
    owner: &str,
    ttl: Duration,
) -> Result<Lease, Fault> {
    let tx = writable(connection)?;
    let args = params![owner, ttl.as_millis() as i64, generation.projection, generation.number];
    let taken: Option<(i64, i64)> =
        tx.prepare_cached(&sql::acquire(NOW))?.query_row(args, |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
    let Some((epoch, position)) = taken else {
        let held = tx
            .query_row(sql::LEASE_HELD, params![generation.projection, generation.number], |r| {
                Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))
            })
            .optional()?;
        let unknown = || RowsError::UnknownGeneration(generation.clone());
        let (owner, until) = held.ok_or_else(unknown)?;
        let now: i64 = tx.query_row(&format!("SELECT {NOW}"), [], |r| r.get(0))?;
        let remaining = Duration::from_millis((until - now).max(0) as u64);
        return Err(RowsError::LeaseHeld { owner, remaining }.into());
    };
    tx.commit()?;
    Ok(Lease { generation, owner: owner.into(), epoch: epoch as u64, position: position as u64 })
}

pub fn renew(connection: &Connection, lease: &Lease, ttl: Duration) -> Result<(), Fault> {
    let GenerationId { projection, number } = &lease.generation;
    let args = params![ttl.as_millis() as i64, projection, number, lease.epoch as i64];
    match connection.prepare_cached(&sql::renew(NOW))?.execute(args)? {
        0 => Err(RowsError::LeaseLost.into()),
        _ => Ok(()),
    }
}

pub fn release(connection: &Connection, lease: &Lease) -> Result<(), Fault> {
    let GenerationId { projection, number } = &lease.generation;
    connection.prepare_cached(sql::RELEASE)?.execute(params![projection, number, lease.epoch as i64])?;
    Ok(())
}

fn create_table(tx: &Transaction<'_>, generation: &GenerationId, table: &TableSpec) -> Result<(), Fault> {
    let name = names::table(generation, table.name);
    let group = if table.sorted { "grp TEXT NOT NULL," } else { "" };
    Ok(tx.execute_batch(&format!(
        "CREATE TABLE \"{name}\" (tenant TEXT NOT NULL, key TEXT NOT NULL, {group} sort TEXT,
         doc TEXT NOT NULL, PRIMARY KEY (tenant, key));"
    ))?)
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
