//! A generation as of one instant: a transaction on a connection of its own,
//! so that a long comparison takes none from the pool.

use async_trait::async_trait;
use domain::ports::rows::*;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OwnedSemaphorePermit;

use super::{Fault, no_nul, registry};
use crate::{check, names, sql};

pub struct PostgresSnapshot {
    generation: Generation,
    tables: Vec<String>,
    /// In a transaction, which ends with it.
    connection: PgConnection,
    _permit: OwnedSemaphorePermit,
}

impl PostgresSnapshot {
    pub async fn open(
        pool: &PgPool,
        id: &GenerationId,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, RowsError> {
        let gone = |fault| match fault {
            Fault::Sql(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") => {
                RowsError::UnknownGeneration(id.clone())
            }
            fault => fault.into(),
        };
        let options = pool.connect_options();
        let mut connection = PgConnection::connect_with(&options).await.map_err(Fault::from)?;
        let (generation, tables) = begin(&mut connection, id).await.map_err(gone)?;
        Ok(Self { generation, tables, connection, _permit: permit })
    }
}

/// The lock keeps the tables from being dropped, of which the transaction's
/// snapshot is no protection.
async fn begin(connection: &mut PgConnection, id: &GenerationId) -> Result<(Generation, Vec<String>), Fault> {
    let begin = "SET idle_in_transaction_session_timeout = '10min'; SET statement_timeout = '2min';
                 BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let known = registry::find(connection, &Source::Generation(id.clone())).await?;
    let generation = registry::describe(connection, id).await?;
    let tables: Vec<String> = known.tables.into_iter().map(|t| t.name).collect();
    let names: Vec<String> = tables.iter().map(|t| format!("\"{}\"", names::table(id, t))).collect();
    if !names.is_empty() {
        let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(connection).await?;
    }
    Ok((generation, tables))
}

#[async_trait]
impl RowsSnapshot for PostgresSnapshot {
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
        let (tenant, key) = after.map_or(("", ""), |row| (row.tenant.as_str(), &*row.key));
        let name = names::table(&self.generation.id, table);
        let found: Vec<(String, String, Option<String>, String)> =
            sqlx::query_as(AssertSqlSafe(sql::scan("doc::text", &name)))
                .bind(tenant)
                .bind(no_nul(key))
                .bind(limit as i64)
                .fetch_all(&mut self.connection)
                .await
                .map_err(Fault::from)?;
        let mut last = None;
        let row = |(tenant, key, sort, doc): (String, String, Option<String>, String)| {
            let tenant = sql::tenant(&mut last, &tenant)?;
            Ok(ScannedRow { row: RowKey { tenant, key: key.into() }, sort, doc })
        };
        found.into_iter().map(row).collect()
    }
}
