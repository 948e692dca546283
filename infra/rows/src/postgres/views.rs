//! One SQL view per live table, with typed columns for Grafana, Metabase or
//! psql. Its name stays the same whichever generation is live.

use domain::ports::rows::{ColumnKind, TableSpec};
use sqlx::{AssertSqlSafe, PgConnection};

use super::Fault;
use crate::names;
use crate::sql::Known;

/// Makes the views what the specs say. A view that says so already is left
/// alone, so that opening disturbs no reader.
pub async fn refresh(
    connection: &mut PgConnection,
    known: &Known,
    tables: &[TableSpec],
) -> Result<(), Fault> {
    for table in tables {
        let view = names::view(&known.id.projection, table.name);
        let select = definition(&names::table(&known.id, table.name), table);
        let current: Option<String> = sqlx::query_scalar(
            "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c
             WHERE c.relname = $1 AND c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace",
        )
        .bind(&view)
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
        if current.as_ref() == Some(&select) {
            continue;
        }
        let comment = select.replace('\'', "''");
        let ddl = format!(
            "DROP VIEW IF EXISTS \"{view}\"; CREATE VIEW \"{view}\" AS {select};
             COMMENT ON VIEW \"{view}\" IS '{comment}';"
        );
        sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&mut *connection).await?;
    }
    Ok(())
}

fn definition(table: &str, spec: &TableSpec) -> String {
    let mut select = "SELECT tenant, key".to_owned();
    for column in spec.columns {
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
    format!("{select} FROM \"{table}\"")
}
