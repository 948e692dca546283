//! Dead letters.

use domain::TenantId;
use domain::ports::rows::{Commit, DeadLetter, GenerationId, ParkedEvent, RowsError, Source};
use rusqlite::{Connection, Row, Transaction, params};

use super::connections::Fault;
use super::registry;
use crate::sql;

pub fn store(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Fault> {
    let GenerationId { projection, number } = &commit.lease.generation;
    for letter in &commit.parked {
        let (position, attempts) = (letter.position as i64, i64::from(letter.error.is_some()));
        let DeadLetter { tenant, partition, event_type, error, .. } = letter;
        if error.is_some() {
            tx.prepare_cached(sql::END_RETRY)?.execute(params![projection, number, partition])?;
        }
        tx.prepare_cached(sql::PARK)?.execute(params![
            projection,
            number,
            position,
            tenant.as_str(),
            partition,
            event_type,
            error,
            attempts
        ])?;
    }
    let mut unpark = tx.prepare_cached(sql::UNPARK)?;
    for position in &commit.unparked {
        unpark.execute(params![projection, number, *position as i64])?;
    }
    Ok(())
}

pub fn list(
    connection: &mut Connection,
    source: &Source,
    tenant: Option<&TenantId>,
    after: u64,
    limit: usize,
) -> Result<Vec<ParkedEvent>, Fault> {
    let tx = connection.transaction()?;
    let GenerationId { projection, number } = registry::find(&tx, source)?.id;
    let (after, limit) = (after as i64, limit as i64);
    let read: Vec<Raw> = match tenant {
        None => tx
            .prepare_cached(sql::DEAD_LETTERS)?
            .query_map(params![projection, number, after, limit], raw)?
            .collect::<Result<_, _>>()?,
        Some(tenant) => tx
            .prepare_cached(sql::DEAD_LETTERS_OF_TENANT)?
            .query_map(params![projection, number, after, tenant.as_str(), limit], raw)?
            .collect::<Result<_, _>>()?,
    };
    read.into_iter().map(event).collect()
}

pub fn request_retry(
    tx: &Transaction<'_>,
    source: &Source,
    tenant: &TenantId,
    partition: Option<&str>,
) -> Result<u64, Fault> {
    let GenerationId { projection, number } = registry::find(tx, source)?.id;
    let marked = match partition {
        None => tx.execute(sql::REQUEST_RETRY, params![projection, number, tenant.as_str()])?,
        Some(partition) => tx.execute(
            sql::REQUEST_RETRY_OF_PARTITION,
            params![projection, number, tenant.as_str(), partition],
        )?,
    };
    Ok(marked as u64)
}

pub fn partitions(connection: &Connection, id: &GenerationId) -> Result<Vec<(String, bool)>, Fault> {
    let mut statement = connection.prepare_cached(sql::PARKED_PARTITIONS)?;
    let found = statement.query_map(params![id.projection, id.number], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub fn sequence(
    connection: &Connection,
    id: &GenerationId,
    partition: &str,
    limit: usize,
) -> Result<Vec<ParkedEvent>, Fault> {
    let mut statement = connection.prepare_cached(sql::PARKED_SEQUENCE)?;
    let found = statement.query_map(params![id.projection, id.number, partition, limit as i64], raw)?;
    found.map(|r| event(r?)).collect()
}

type Raw = (i64, String, String, String, Option<String>, i64, bool);

fn raw(r: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?))
}

fn event(
    (position, tenant, partition, event_type, error, attempts, retry_requested): Raw,
) -> Result<ParkedEvent, Fault> {
    let tenant = TenantId::new(&tenant).map_err(|e| RowsError::Invalid(e.to_string()))?;
    let letter = DeadLetter { tenant, partition, position: position as u64, event_type, error };
    Ok(ParkedEvent { letter, attempts: attempts as u32, retry_requested })
}
