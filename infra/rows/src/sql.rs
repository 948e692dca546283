//! SQL that SQLite and PostgreSQL share. Parameters are `$1`, `$2`, … and
//! first appear in that order, which is how SQLite numbers them.

use background::Steps;
use domain::TenantId;
use domain::ports::rows::*;
use serde::{Deserialize, Serialize};

/// Where the registry is asked for one generation.
pub const ONE: &str = "WHERE g.projection = $1 AND g.number = $2";

pub fn generations(now: &str, filter: &str) -> String {
    format!(
        "SELECT g.projection, g.number, g.model, g.status, g.position,
        (SELECT count(*) FROM projection_dead_letters d
          WHERE d.projection = g.projection AND d.number = g.number),
        CASE WHEN g.hold_until > {now} THEN g.hold_position END
        FROM projection_generations g {filter} ORDER BY g.projection, g.number"
    )
}

pub const LIVE: &str = "SELECT number, model, tables, status, position FROM projection_generations
    WHERE projection = $1 AND status = 'live'";

pub const GENERATION: &str = "SELECT number, model, tables, status, position FROM projection_generations
    WHERE projection = $1 AND number = $2";

pub const NEXT_NUMBER: &str = "INSERT INTO projection_heads (projection, last_number, decided_at)
    VALUES ($1, 1, 0)
    ON CONFLICT (projection) DO UPDATE SET last_number = projection_heads.last_number + 1
    RETURNING last_number";

pub const NEW_GENERATION: &str = "INSERT INTO projection_generations
    (projection, number, model, tables, status, position, epoch, owner, lease_until)
    VALUES ($1, $2, $3, $4, $5, 0, 0, '', 0)";

pub const SET_TABLES: &str = "UPDATE projection_generations SET tables = $1
    WHERE projection = $2 AND number = $3";

pub const READY: &str = "UPDATE projection_generations SET status = 'ready'
    WHERE projection = $1 AND number = $2 AND epoch = $3 AND status = 'building'";

pub const DECIDED_AT: &str = "SELECT decided_at FROM projection_heads WHERE projection = $1";

pub const SET_DECIDED_AT: &str = "UPDATE projection_heads SET decided_at = $1 WHERE projection = $2";

pub const RETIRE: &str = "UPDATE projection_generations SET status = 'retired'
    WHERE projection = $1 AND status = 'live'";

pub const GO_LIVE: &str = "UPDATE projection_generations SET status = 'live', hold_until = 0
    WHERE projection = $1 AND number = $2";

pub const FORGET: &str = "DELETE FROM projection_generations WHERE projection = $1 AND number = $2";

pub const FORGET_PARKED: &str = "DELETE FROM projection_dead_letters WHERE projection = $1 AND number = $2";

pub const LET_GO: &str = "UPDATE projection_generations SET hold_until = 0
    WHERE projection = $1 AND number = $2 AND status <> 'live' RETURNING position";

pub const LEASE_HELD: &str = "SELECT owner, lease_until FROM projection_generations
    WHERE projection = $1 AND number = $2";

pub const RELEASE: &str = "UPDATE projection_generations SET lease_until = 0
    WHERE projection = $1 AND number = $2 AND epoch = $3";

pub const EPOCH: &str = "SELECT epoch, position, hold_position FROM projection_generations
    WHERE projection = $1 AND number = $2";

pub const PARK: &str = "INSERT INTO projection_dead_letters
    (projection, number, position, tenant, partition_key, event_type, error, attempts, retry_requested)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
    ON CONFLICT (projection, number, position) DO UPDATE SET error = excluded.error,
    attempts = projection_dead_letters.attempts + excluded.attempts, retry_requested = 0";

pub const END_RETRY: &str = "UPDATE projection_dead_letters SET retry_requested = 0
    WHERE projection = $1 AND number = $2 AND partition_key = $3";

pub const UNPARK: &str = "DELETE FROM projection_dead_letters
    WHERE projection = $1 AND number = $2 AND position = $3";

pub const DEAD_LETTERS: &str = "SELECT position, tenant, partition_key, event_type, error, attempts,
    retry_requested FROM projection_dead_letters
    WHERE projection = $1 AND number = $2 AND position > $3 ORDER BY position LIMIT $4";

pub const DEAD_LETTERS_OF_TENANT: &str =
    "SELECT position, tenant, partition_key, event_type, error, attempts,
    retry_requested FROM projection_dead_letters
    WHERE projection = $1 AND number = $2 AND position > $3 AND tenant = $4 ORDER BY position LIMIT $5";

pub const REQUEST_RETRY: &str = "UPDATE projection_dead_letters SET retry_requested = 1
    WHERE projection = $1 AND number = $2 AND tenant = $3";

pub const REQUEST_RETRY_OF_PARTITION: &str = "UPDATE projection_dead_letters SET retry_requested = 1
    WHERE projection = $1 AND number = $2 AND tenant = $3 AND partition_key = $4";

pub const PARKED_PARTITIONS: &str = "SELECT partition_key, max(retry_requested)
    FROM projection_dead_letters WHERE projection = $1 AND number = $2
    GROUP BY partition_key ORDER BY partition_key";

pub const PARKED_SEQUENCE: &str = "SELECT position, tenant, partition_key, event_type, error, attempts,
    retry_requested FROM projection_dead_letters
    WHERE projection = $1 AND number = $2 AND partition_key = $3 ORDER BY position LIMIT $4";

/// Takes the lease if it is free, expired or the owner's already. `now` is the
/// database's clock in milliseconds.
pub fn acquire(now: &str) -> String {
    format!(
        "UPDATE projection_generations SET owner = $1, epoch = epoch + 1, lease_until = {now} + $2
        WHERE projection = $3 AND number = $4 AND (lease_until <= {now} OR owner = $1)
        RETURNING epoch, position"
    )
}

pub fn renew(now: &str) -> String {
    format!(
        "UPDATE projection_generations SET lease_until = {now} + $1
        WHERE projection = $2 AND number = $3 AND epoch = $4"
    )
}

/// Touches the row only for the owner of the epoch, from the right checkpoint
/// and not past a hold; holding the row keeps another epoch from beginning
/// meanwhile.
pub fn move_checkpoint(now: &str) -> String {
    format!(
        "UPDATE projection_generations SET position = $1
        WHERE projection = $2 AND number = $3 AND epoch = $4 AND position = $5
        AND (hold_until <= {now} OR hold_position >= $1 OR position = $1)"
    )
}

/// Why it was not moved: what the registry says now.
pub fn not_moved(found: Option<(i64, i64, i64)>, commit: &Commit) -> RowsError {
    match found {
        None => RowsError::UnknownGeneration(commit.lease.generation.clone()),
        Some((epoch, ..)) if epoch as u64 != commit.lease.epoch => RowsError::LeaseLost,
        Some((_, position, _)) if position as u64 != commit.from => {
            RowsError::CheckpointMoved { actual: position as u64 }
        }
        Some((_, _, hold)) => RowsError::Held { position: hold as u64 },
    }
}

pub fn hold(now: &str) -> String {
    format!(
        "UPDATE projection_generations SET hold_until = {now} + $1,
        hold_position = CASE WHEN position > $2 THEN position ELSE $2 END
        WHERE projection = $3 AND number = $4 AND status <> 'live' RETURNING position"
    )
}

/// What is kept of a [`TableSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeta {
    pub name: String,
    pub sorted: bool,
    /// Of the SQL view. Not known of generations that early versions made and
    /// no code with their model has opened since.
    #[serde(default)]
    pub columns: Option<Vec<ColumnMeta>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMeta {
    pub name: String,
    pub path: String,
    pub kind: ColumnKind,
}

pub fn metas(tables: &[TableSpec]) -> Vec<TableMeta> {
    let column = |c: &Column| ColumnMeta { name: c.name.into(), path: c.path.into(), kind: c.kind };
    let table = |t: &TableSpec| TableMeta {
        name: t.name.into(),
        sorted: t.sorted,
        columns: Some(t.columns.iter().map(column).collect()),
    };
    tables.iter().map(table).collect()
}

/// A generation as its readers and writer need it.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: GenerationId,
    pub model: ModelId,
    pub tables: Vec<TableMeta>,
    pub status: GenerationStatus,
    pub position: u64,
}

impl Known {
    pub fn new(
        projection: &str,
        number: i64,
        (model, tables, status): (&str, &str, &str),
        position: i64,
    ) -> Result<Self, RowsError> {
        let id = GenerationId { projection: projection.into(), number: number as u32 };
        let (model, tables, status) = (json(model)?, json(tables)?, self::status(status)?);
        Ok(Self { id, model, tables, status, position: position as u64 })
    }

    pub fn table(&self, name: &str) -> Result<&TableMeta, RowsError> {
        self.tables.iter().find(|t| t.name == name).ok_or_else(|| RowsError::UnknownTable(name.into()))
    }

    /// The tables with the columns that `specs` say, if they have others.
    pub fn respecified(&self, model: &ModelId, specs: &[TableSpec]) -> Option<Vec<TableMeta>> {
        if (&self.model.name, self.model.version) != (&model.name, model.version) {
            return None;
        }
        let mut tables = self.tables.clone();
        for meta in metas(specs) {
            if let Some(table) = tables.iter_mut().find(|t| t.name == meta.name) {
                table.columns = meta.columns;
            }
        }
        (tables != self.tables).then_some(tables)
    }
}

pub fn generation(
    projection: &str,
    number: i64,
    (model, status): (&str, &str),
    (position, dead_letters, held): (i64, i64, Option<i64>),
) -> Result<Generation, RowsError> {
    Ok(Generation {
        id: GenerationId { projection: projection.into(), number: number as u32 },
        model: json(model)?,
        status: self::status(status)?,
        position: position as u64,
        dead_letters: dead_letters as u64,
        held: held.map(|position| position as u64),
    })
}

fn status(word: &str) -> Result<GenerationStatus, RowsError> {
    json(&format!("\"{word}\""))
}

pub fn status_word(status: GenerationStatus) -> &'static str {
    match status {
        GenerationStatus::Building => "building",
        GenerationStatus::Ready => "ready",
        GenerationStatus::Live => "live",
        GenerationStatus::Retired => "retired",
    }
}

/// The greatest row of a table, which tells whether rows can be there already.
pub fn last_row(table: &str) -> String {
    format!("SELECT tenant, key FROM \"{table}\" ORDER BY tenant DESC, key DESC LIMIT 1")
}

/// Whether the rows come in key order, each once, all past the last that is
/// stored. Then none of them is there yet.
pub fn all_new(puts: &[RowPut], last: Option<(String, String)>) -> bool {
    let Some(first) = puts.first() else { return true };
    let first = (first.row.tenant.as_str(), &*first.row.key);
    let past = last.is_none_or(|(tenant, key)| (tenant.as_str(), key.as_str()) < first);
    let mut steps = Steps::of_nanos(50);
    past && puts.windows(2).all(|pair| {
        steps.step();
        pair[0].row < pair[1].row
    })
}

/// Positions as the databases have them; one past all of theirs is their last.
pub fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

pub fn to_json(value: &impl Serialize) -> Result<String, RowsError> {
    serde_json::to_string(value).map_err(|e| RowsError::Invalid(e.to_string()))
}

fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, RowsError> {
    serde_json::from_str(text)
        .map_err(|e| RowsError::Invalid(format!("the registry does not read back: {e}")))
}

pub fn scan(doc: &str, table: &str) -> String {
    format!(
        "SELECT tenant, key, sort, {doc} FROM \"{table}\" WHERE (tenant, key) > ($1, $2)
        ORDER BY tenant, key LIMIT $3"
    )
}

/// Rows of a tenant come one after the other and share its id.
pub fn tenant(last: &mut Option<TenantId>, text: &str) -> Result<TenantId, RowsError> {
    match last {
        Some(tenant) if tenant.as_str() == text => Ok(tenant.clone()),
        _ => {
            let tenant = TenantId::new(text).map_err(|e| RowsError::Invalid(e.to_string()))?;
            Ok(last.insert(tenant).clone())
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    Text(String),
    Integer(i64),
}

/// A statement in the making.
pub struct Statement {
    pub sql: String,
    pub args: Vec<Arg>,
}

impl Statement {
    pub fn new(sql: &str) -> Self {
        Self { sql: sql.into(), args: Vec::new() }
    }

    pub fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    pub fn bind(&mut self, sql: &str, arg: Arg) {
        self.args.push(arg);
        self.sql.push_str(&format!("{sql}${}", self.args.len()));
    }

    pub fn text(&mut self, sql: &str, text: &str) {
        self.bind(sql, Arg::Text(text.into()));
    }
}

/// Appends `SELECT <columns> FROM <table> …` for one query.
pub fn select(
    out: &mut Statement,
    columns: &str,
    table: &str,
    tenant: &str,
    meta: &TableMeta,
    select: &Select,
) -> Result<(), RowsError> {
    out.push(&format!("SELECT {columns} FROM \"{table}\""));
    out.text(" WHERE tenant = ", tenant);
    match select {
        Select::Key(key) => out.text(" AND key = ", key),
        Select::Range(range) => by_key(out, range),
        Select::Top { group, after, limit } => {
            if !meta.sorted {
                return Err(RowsError::Invalid(format!("table {} has no sort key", meta.name)));
            }
            by_sort(out, group, after.as_ref(), *limit);
        }
    }
    Ok(())
}

fn by_key(out: &mut Statement, range: &KeyRange) {
    let (lower, upper) = bounds(range);
    if let Some((key, included)) = lower {
        out.text(if included { " AND key >= " } else { " AND key > " }, &key);
    }
    if let Some(key) = upper {
        out.text(" AND key < ", &key);
    }
    out.push(if range.descending { " ORDER BY key DESC" } else { " ORDER BY key" });
    out.bind(" LIMIT ", Arg::Integer(range.limit as i64));
}

/// The tightest bounds: the lower one with whether it is included, the upper
/// one never is.
fn bounds(range: &KeyRange) -> (Option<(String, bool)>, Option<String>) {
    let prefix = (!range.prefix.is_empty()).then(|| range.prefix.clone());
    let mut lower = prefix.max(range.from.clone()).map(|key| (key, true));
    let mut upper = after_prefix(&range.prefix);
    let lowest = |a: Option<String>, b: Option<String>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    upper = lowest(upper, range.until.clone());
    if range.descending {
        upper = lowest(upper, range.after.clone());
    } else if let Some(after) = &range.after
        && lower.as_ref().is_none_or(|(key, _)| after >= key)
    {
        lower = Some((after.clone(), false));
    }
    (lower, upper)
}

fn by_sort(out: &mut Statement, group: &str, after: Option<&SortAfter>, limit: usize) {
    out.text(" AND grp = ", group);
    out.push(" AND sort IS NOT NULL");
    if let Some(after) = after {
        out.text(" AND sort <= ", &after.sort);
        out.text(" AND (sort < ", &after.sort);
        out.text(" OR key > ", &after.key);
        out.push(")");
    }
    out.push(" ORDER BY sort DESC, key");
    out.bind(" LIMIT ", Arg::Integer(limit as i64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_tightest() {
        let range = |from: Option<&str>, after: Option<&str>, descending| KeyRange {
            prefix: "b/".into(),
            from: from.map(Into::into),
            after: after.map(Into::into),
            descending,
            ..KeyRange::default()
        };
        let up = Some("b0".to_owned());
        assert_eq!(bounds(&range(None, None, false)), (Some(("b/".into(), true)), up.clone()));
        assert_eq!(bounds(&range(Some("b/3"), None, false)), (Some(("b/3".into(), true)), up.clone()));
        assert_eq!(
            bounds(&range(Some("b/3"), Some("b/7"), false)),
            (Some(("b/7".into(), false)), up.clone())
        );
        assert_eq!(bounds(&range(Some("b/3"), Some("a"), false)), (Some(("b/3".into(), true)), up));
        assert_eq!(bounds(&range(None, Some("b/5"), true)), (Some(("b/".into(), true)), Some("b/5".into())));
    }
}
