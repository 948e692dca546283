//! Reading and writing rows.

use background::Steps;
use domain::TenantId;
use domain::ports::rows::*;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params, params_from_iter};

use super::connections::{Fault, writable};
use super::registry::NOW;
use super::{parked, registry};
use crate::names;
use crate::sql::{self, Arg, Known, Statement, TableMeta};

impl ToSql for Arg {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Integer(i) => i.to_sql(),
        }
    }
}

pub fn fetch(
    connection: &Connection,
    generation: &GenerationId,
    table: &str,
    keys: &[RowKey],
) -> Result<Vec<Option<String>>, Fault> {
    let name = names::table(generation, table);
    let text = format!("SELECT doc FROM \"{name}\" WHERE tenant = $1 AND key = $2");
    let mut statement = connection.prepare_cached(&text)?;
    let mut one = |row: &RowKey| {
        statement.query_row([row.tenant.as_str(), &*row.key], |r| r.get(0)).optional().map_err(Fault::from)
    };
    keys.iter().map(&mut one).collect()
}

pub fn read(
    connection: &mut Connection,
    source: &Source,
    tenant: &TenantId,
    queries: &[Query],
) -> Result<Snapshot, Fault> {
    // The first statement fixes the snapshot for all of them.
    let tx = connection.transaction()?;
    let known = registry::find(&tx, source)?;
    let mut results = Vec::with_capacity(queries.len());
    for query in queries {
        let meta = known.table(&query.table)?;
        let name = names::table(&known.id, &query.table);
        let mut statement = Statement::new("");
        sql::select(&mut statement, "key, sort, doc", &name, tenant.as_str(), meta, &query.select)?;
        let mut prepared = tx.prepare_cached(&statement.sql)?;
        let stored = prepared.query_map(params_from_iter(&statement.args), |r| {
            Ok(StoredRow { key: r.get(0)?, sort: r.get(1)?, doc: r.get(2)? })
        })?;
        results.push(stored.collect::<Result<_, _>>()?);
    }
    Ok(Snapshot { generation: known.id, model: known.model, position: known.position, results })
}

pub fn commit(connection: &mut Connection, commit: &Commit) -> Result<(), Fault> {
    let tx = writable(connection)?;
    move_checkpoint(&tx, commit)?;
    if !commit.changes.is_empty() {
        let known = registry::find(&tx, &Source::Generation(commit.lease.generation.clone()))?;
        for changes in &commit.changes {
            write(&tx, &known, known.table(&changes.table)?, changes)?;
        }
    }
    parked::store(&tx, commit)?;
    Ok(tx.commit()?)
}

fn move_checkpoint(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Fault> {
    let GenerationId { projection, number } = &commit.lease.generation;
    let (epoch, from, to) = (commit.lease.epoch as i64, commit.from as i64, commit.to as i64);
    let args = params![to, projection, number, epoch, from];
    if tx.prepare_cached(&sql::move_checkpoint(NOW))?.execute(args)? == 1 {
        return Ok(());
    }
    let read = |r: &Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?));
    let found = tx.query_row(sql::EPOCH, params![projection, number], read).optional()?;
    Err(sql::not_moved(found, commit).into())
}

fn write(tx: &Transaction<'_>, known: &Known, meta: &TableMeta, changes: &TableChanges) -> Result<(), Fault> {
    let name = names::table(&known.id, &meta.name);
    put(tx, known, meta, &changes.puts)?;
    let mut delete = tx.prepare_cached(&format!("DELETE FROM \"{name}\" WHERE tenant = $1 AND key = $2"))?;
    let mut steps = Steps::of_nanos(4_000);
    for row in &changes.deletes {
        steps.step();
        delete.execute([row.tenant.as_str(), &*row.key])?;
    }
    Ok(())
}

fn put(tx: &Transaction<'_>, known: &Known, meta: &TableMeta, puts: &[RowPut]) -> Result<(), Fault> {
    let name = names::table(&known.id, &meta.name);
    let (group, value) = if meta.sorted { (", grp", ", $5") } else { ("", "") };
    let replace = if all_new(tx, known, &name, puts)? {
        ""
    } else {
        "ON CONFLICT (tenant, key) DO UPDATE SET sort = excluded.sort, doc = excluded.doc"
    };
    let mut put = tx.prepare_cached(&format!(
        "INSERT INTO \"{name}\" (tenant, key, sort, doc{group}) VALUES ($1, $2, $3, $4{value}) {replace}"
    ))?;
    let mut steps = Steps::of_nanos(4_000);
    for p in puts {
        steps.step();
        let tenant = p.row.tenant.as_str();
        if meta.sorted {
            put.execute(params![tenant, p.row.key, p.sort, p.doc, group_of(&p.row.key)])?;
        } else {
            put.execute(params![tenant, p.row.key, p.sort, p.doc])?;
        }
    }
    Ok(())
}

fn all_new(tx: &Transaction<'_>, known: &Known, name: &str, puts: &[RowPut]) -> Result<bool, Fault> {
    if known.status != GenerationStatus::Building {
        return Ok(false);
    }
    let last = tx.prepare_cached(&sql::last_row(name))?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)));
    Ok(sql::all_new(puts, last.optional()?))
}
