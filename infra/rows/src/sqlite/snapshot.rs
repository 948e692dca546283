//! A generation as of one instant: a read transaction on a connection of its
//! own.

use std::path::PathBuf;

use async_trait::async_trait;
use domain::TenantId;
use domain::ports::rows::*;
use rusqlite::{Connection, params};
use tokio::sync::OwnedSemaphorePermit;

use super::connections::{self, Fault};
use super::registry;
use crate::{check, names, sql};

pub struct SqliteSnapshot {
    generation: Generation,
    tables: Vec<String>,
    /// In a transaction. `None` while a blocking thread reads.
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl SqliteSnapshot {
    pub async fn open(
        path: PathBuf,
        id: GenerationId,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, RowsError> {
        let (connection, generation, tables) = blocking(move || {
            let connection = connections::open(&path)?;
            connection.execute_batch("PRAGMA query_only = 1; BEGIN")?;
            let known = registry::find(&connection, &Source::Generation(id.clone()))?;
            let generation = registry::describe(&connection, &id)?;
            let tables = known.tables.into_iter().map(|t| t.name).collect();
            Ok((connection, generation, tables))
        })
        .await?;
        Ok(Self { generation, tables, connection: Some(connection), _permit: permit })
    }
}

#[async_trait]
impl RowsSnapshot for SqliteSnapshot {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn tables(&self) -> &[String] {
        &self.tables
    }

    async fn scan(
        &mut self,
        table: &str,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<ScannedRow>, RowsError> {
        check::scan(limit)?;
        if !self.tables.iter().any(|t| t == table) {
            return Err(RowsError::UnknownTable(table.into()));
        }
        let broken = || RowsError::Unavailable("an earlier scan of the snapshot did not end".into());
        let connection = self.connection.take().ok_or_else(broken)?;
        let (name, after) = (names::table(&self.generation.id, table), after.cloned());
        let (connection, rows) = blocking(move || {
            let rows = scan(&connection, &name, after.as_ref(), limit)?;
            Ok((connection, rows))
        })
        .await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

fn scan(
    connection: &Connection,
    table: &str,
    after: Option<&RowKey>,
    limit: usize,
) -> Result<Vec<ScannedRow>, Fault> {
    let (tenant, key) = after.map_or(("", ""), |row| (row.tenant.as_str(), &*row.key));
    let mut statement = connection.prepare_cached(&sql::scan("doc", table))?;
    let mut rows = statement.query(params![tenant, key, limit as i64])?;
    let mut out = Vec::new();
    let mut last: Option<TenantId> = None;
    while let Some(r) = rows.next()? {
        let tenant = sql::tenant(&mut last, r.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
        let key: String = r.get(1)?;
        out.push(ScannedRow { row: RowKey { tenant, key: key.into() }, sort: r.get(2)?, doc: r.get(3)? });
    }
    Ok(out)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, RowsError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|e| RowsError::Unavailable(e.to_string()))??)
}
