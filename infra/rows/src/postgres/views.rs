//! One SQL view per live table, with typed columns for Grafana, Metabase or
//! psql. Its name stays the same whichever generation is live.

use domain::ports::rows::{ColumnKind, GenerationId};
use sqlx::{AssertSqlSafe, PgConnection};

use super::Fault;
use crate::names;
use crate::sql::{ColumnMeta, Known, TableMeta};

/// Points the views at these tables. A view that says so already is left
/// alone, so that opening disturbs no reader.
pub async fn refresh(
    connection: &mut PgConnection,
    id: &GenerationId,
    tables: &[TableMeta],
) -> Result<(), Fault> {
    for table in tables {
        let view = names::view(&id.projection, &table.name);
        let select = definition(&names::table(id, &table.name), table.columns.as_deref());
        let current: Option<String> = sqlx::query_scalar(
            "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c
             WHERE c.relname = $1 AND c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace",
        )
        .bind(&view)
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
        if current.as_ref() != Some(&select) {
            replace(connection, &view, &select).await?;
        }
    }
    Ok(())
}

/// Drops views of tables that the next live generation does not have. Others
/// would read rows that are no longer live.
pub async fn remove(connection: &mut PgConnection, previous: &Known, next: &Known) -> Result<(), Fault> {
    for table in previous.tables.iter().filter(|t| next.table(&t.name).is_err()) {
        let view = names::view(&previous.id.projection, &table.name);
        let ddl = format!("DROP VIEW IF EXISTS \"{view}\"");
        sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// In place if the columns stay, so that grants and views of our users over it
/// stay too; otherwise anew.
async fn replace(connection: &mut PgConnection, view: &str, select: &str) -> Result<(), Fault> {
    let comment = format!("COMMENT ON VIEW \"{view}\" IS '{}';", select.replace('\'', "''"));
    let in_place = format!("SAVEPOINT view; CREATE OR REPLACE VIEW \"{view}\" AS {select}; {comment}");
    match sqlx::raw_sql(AssertSqlSafe(in_place)).execute(&mut *connection).await {
        Ok(_) => return Ok(()),
        // The columns differ.
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P16") => {}
        Err(error) => return Err(error.into()),
    }
    let anew = format!(
        "ROLLBACK TO SAVEPOINT view; DROP VIEW \"{view}\"; CREATE VIEW \"{view}\" AS {select}; {comment}"
    );
    sqlx::raw_sql(AssertSqlSafe(anew)).execute(connection).await?;
    Ok(())
}

fn definition(table: &str, columns: Option<&[ColumnMeta]>) -> String {
    let mut select = "SELECT tenant, key".to_owned();
    for column in columns.unwrap_or_default() {
        let path = column.path.replace('.', ",");
        let value = match column.kind {
            ColumnKind::Text => format!("doc #>> '{{{path}}}'"),
            ColumnKind::Integer => format!("(doc #>> '{{{path}}}')::bigint"),
            ColumnKind::Real => format!("(doc #>> '{{{path}}}')::double precision"),
            ColumnKind::Boolean => format!("(doc #>> '{{{path}}}')::boolean"),
            ColumnKind::Time => format!("(doc #>> '{{{path}}}')::timestamptz"),
            ColumnKind::Json => format!("doc #> '{{{path}}}'"),
        };
        select.push_str(&format!(", {value} AS \"{}\"", column.name));
    }
    if columns.is_none() {
        select.push_str(", doc");
    }
    format!("{select} FROM \"{table}\"")
}
