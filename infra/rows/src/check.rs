//! What every store refuses before it writes or reads.

use std::collections::HashSet;
use std::time::Duration;

use background::Steps;
use domain::ports::rows::*;

/// Each is a connection to the store.
pub const MAX_SNAPSHOTS: usize = 8;

pub fn open(projection: &str, tables: &[TableSpec]) -> Result<(), RowsError> {
    check_name(projection)?;
    let mut names = HashSet::new();
    for table in tables {
        check_name(table.name)?;
        if !names.insert(table.name) {
            return invalid(format!("table {} is declared twice", table.name));
        }
        for column in table.columns {
            check_name(column.name)?;
            column.path.split('.').try_for_each(check_member)?;
        }
    }
    Ok(())
}

/// A member of a path stands in SQL text between quotes.
fn check_member(member: &str) -> Result<(), RowsError> {
    if !member.is_empty() && member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    invalid(format!("{member:?} is no member name for a column"))
}

/// Of a build, which has many rows: before anything is held that others wait
/// for.
pub async fn in_background(built: Commit) -> Result<Commit, RowsError> {
    let checked = background::run(move || commit(&built).map(|()| built)).await;
    checked.map_err(|e| RowsError::Unavailable(e.to_string()))?
}

pub fn commit(commit: &Commit) -> Result<(), RowsError> {
    if commit.to < commit.from {
        return invalid(format!("a checkpoint does not go back from {} to {}", commit.from, commit.to));
    }
    let mut tables = HashSet::new();
    for changes in &commit.changes {
        if !tables.insert(&changes.table) {
            return invalid(format!("table {} stands twice in a commit", changes.table));
        }
        keys(changes)?;
    }
    Ok(())
}

fn keys(changes: &TableChanges) -> Result<(), RowsError> {
    let mut seen = HashSet::with_capacity(changes.puts.len() + changes.deletes.len());
    let mut steps = Steps::of_nanos(300);
    for row in changes.puts.iter().map(|p| &p.row).chain(&changes.deletes) {
        steps.step();
        key(row)?;
        if !seen.insert(row) {
            return invalid(format!("row {} of {} stands twice in a commit", row.key, changes.table));
        }
    }
    Ok(())
}

fn key(row: &RowKey) -> Result<(), RowsError> {
    if row.key.is_empty() || row.key.len() > MAX_KEY_BYTES {
        return invalid(format!("a key has 1 to {MAX_KEY_BYTES} bytes"));
    }
    Ok(())
}

pub fn queries(queries: &[Query]) -> Result<(), RowsError> {
    for query in queries {
        let limit = match &query.select {
            Select::Key(_) => 1,
            Select::Range(range) => range.limit,
            Select::Top { limit, .. } => *limit,
        };
        scan(limit)?;
    }
    Ok(())
}

pub fn scan(limit: usize) -> Result<(), RowsError> {
    if limit > MAX_ROWS {
        return invalid(format!("at most {MAX_ROWS} rows can be read at once"));
    }
    Ok(())
}

pub fn hold(position: Option<u64>, ttl: Duration) -> Result<(), RowsError> {
    if position.is_some() && ttl > MAX_HOLD {
        return invalid(format!("a hold lasts at most {}s", MAX_HOLD.as_secs()));
    }
    Ok(())
}

/// Whether a generation may become live.
pub fn promote(
    target: &GenerationId,
    status: GenerationStatus,
    position: u64,
    fence: u64,
) -> Result<(), RowsError> {
    if status == GenerationStatus::Building {
        return Err(RowsError::NotBuilt(target.clone()));
    }
    if position < fence {
        return Err(RowsError::Behind { position, fence });
    }
    Ok(())
}

/// The error for a source that is not there.
pub fn unknown(source: &Source) -> RowsError {
    match source {
        Source::Live(name) => RowsError::UnknownProjection(name.to_string()),
        Source::Generation(id) => RowsError::UnknownGeneration(id.clone()),
    }
}

fn invalid<T>(reason: String) -> Result<T, RowsError> {
    Err(RowsError::Invalid(reason))
}
