//! Statements that show a tenant's signals to an engine.
//!
//! Engines list folders, and a folder also has files that were merged away and
//! are kept for their readers. So each statement joins what it lists with the
//! tenant's list of files that count, by partition and name.

use crate::columns::{COLUMNS, Kind, PARTITIONS};
use crate::{list, names};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Duckdb,
    Trino,
    Spark,
}

/// `root` is where the warehouse lies: an absolute path or a URL.
pub fn statements(engine: Engine, root: &str, tenant: &str) -> String {
    let root = root.trim_end_matches('/');
    let events = format!("{root}/{}", names::events(tenant));
    let list = format!("{root}/{}", names::list(tenant));
    match engine {
        Engine::Duckdb => duckdb(&events, &list),
        Engine::Trino => trino(&located(&events), &located(folder(&list))),
        Engine::Spark => spark(&located(&events), &located(folder(&list))),
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// A path as these engines want it.
fn located(path: &str) -> String {
    match path.contains("://") {
        true => path.to_owned(),
        false => format!("file://{path}"),
    }
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The same for Spark, which reads backslashes.
fn escaped(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

fn columns(text: &str, integer: &str, instant: &str) -> String {
    let kind = |kind| match kind {
        Kind::Text | Kind::Json => text,
        Kind::Integer => integer,
        Kind::Boolean => "boolean",
        Kind::Instant => instant,
    };
    COLUMNS.iter().map(|c| format!("  {} {},\n", c.name, kind(c.kind))).collect()
}

fn parts(kind: &str) -> String {
    PARTITIONS.map(|name| format!("  {name} {kind}")).join(",\n")
}

fn list_columns(text: &str, integer: &str) -> String {
    let texts = list::TEXTS.iter().map(|name| format!("  {name} {text}"));
    texts
        .chain(list::NUMBERS.iter().map(|name| format!("  {name} {integer}")))
        .collect::<Vec<_>>()
        .join(",\n")
}

fn same_partition(equal: &str) -> String {
    PARTITIONS.map(|name| format!("f.{name} {equal} e.{name}")).join(" AND ")
}

fn duckdb(events: &str, list: &str) -> String {
    let selected = selected();
    let types = PARTITIONS.map(|name| format!("'{name}': VARCHAR")).join(", ");
    format!(
        "CREATE OR REPLACE VIEW signals AS\n\
         SELECT {selected}\n\
         FROM read_parquet({events}, hive_partitioning = true, hive_types = {{{types}}}, \
         union_by_name = true, filename = true) e\n\
         SEMI JOIN read_parquet({list}) f\n  \
         ON {same} AND f.file = parse_filename(e.filename);\n",
        events = quoted(&format!("{events}/**/*.parquet")),
        list = quoted(list),
        same = same_partition("="),
    )
}

fn trino(events: &str, list: &str) -> String {
    let selected = selected();
    format!(
        "-- With the Hive connector as catalog hive, hive.timestamp-precision = MICROSECONDS. Call sync_partition_metadata again whenever there are new hours.\n\
         CREATE SCHEMA IF NOT EXISTS hive.daybook;\n\
         CREATE TABLE IF NOT EXISTS hive.daybook.signals_all (\n{columns}{parts}\n) WITH (\n  \
         external_location = {events},\n  format = 'PARQUET',\n  \
         partitioned_by = ARRAY['app_id', 'year', 'month', 'day', 'hour']\n);\n\
         CALL hive.system.sync_partition_metadata('daybook', 'signals_all', 'FULL');\n\
         CREATE TABLE IF NOT EXISTS hive.daybook.signals_files (\n{list_columns}\n) WITH (\n  \
         external_location = {list},\n  format = 'PARQUET'\n);\n\
         CREATE OR REPLACE VIEW hive.daybook.signals AS\n\
         SELECT {selected}\nFROM hive.daybook.signals_all e\n\
         WHERE EXISTS (\n  SELECT 1 FROM hive.daybook.signals_files f\n  \
         WHERE {same} AND f.file = regexp_extract(e.\"$path\", '[^/]+$')\n);\n",
        columns = columns("varchar", "bigint", "timestamp(6)"),
        parts = parts("varchar"),
        events = quoted(events),
        list = quoted(list),
        list_columns = list_columns("varchar", "bigint"),
        same = same_partition("="),
    )
}

fn selected() -> String {
    let names = PARTITIONS.into_iter().chain(COLUMNS.iter().map(|c| c.name));
    names.map(|name| format!("e.{name}")).collect::<Vec<_>>().join(", ")
}

fn spark(events: &str, list: &str) -> String {
    let selected = selected();
    format!(
        "-- MSCK REPAIR TABLE again whenever there are new hours, REFRESH TABLE in a session that goes on.\n\
         CREATE DATABASE IF NOT EXISTS daybook;\n\
         CREATE TABLE IF NOT EXISTS daybook.signals_all (\n{columns}{parts}\n)\n\
         USING PARQUET\nPARTITIONED BY ({partitions})\nLOCATION {events};\n\
         MSCK REPAIR TABLE daybook.signals_all;\n\
         CREATE TABLE IF NOT EXISTS daybook.signals_files (\n{list_columns}\n)\n\
         USING PARQUET\nLOCATION {list};\n\
         CREATE OR REPLACE VIEW daybook.signals AS\n\
         SELECT {selected}\n\
         FROM (SELECT *, _metadata.file_name AS file_name FROM daybook.signals_all) e\n\
         LEFT SEMI JOIN daybook.signals_files f\n  ON {same} AND f.file = e.file_name;\n",
        columns = columns("string", "bigint", "timestamp"),
        parts = parts("string"),
        partitions = PARTITIONS.join(", "),
        events = escaped(events),
        list = escaped(list),
        list_columns = list_columns("string", "bigint"),
        same = same_partition("<=>"),
    )
}
