//! The store of read-model rows.
//!
//! The one rule this port exists for: **rows and checkpoint move together**.
//! A commit changes rows and moves the checkpoint in one transaction, and only
//! for the owner of the newest lease epoch; a read says which position its
//! rows reflect, taken from the same snapshot. So an event's effect is in the
//! rows exactly once, whatever dies when.
//!
//! A row is a JSON document under (projection, generation, table, tenant, key).
//! Keys are ids joined with `/` and are ordered bytewise. No read goes without
//! a tenant.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::TenantId;

mod generations;

pub use generations::{Generations, MAX_HOLD, RowsSnapshot, ScannedRow};

pub const MAX_KEY_BYTES: usize = 1024;
/// Longest projection or table name: both, a generation and a prefix must fit
/// in PostgreSQL's 63 bytes.
pub const MAX_NAME_BYTES: usize = 22;
/// Most rows that one query of a read may ask for.
pub const MAX_ROWS: usize = 100_000;

/// Which interpretation the rows hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelId {
    pub name: String,
    pub version: u32,
    #[serde(default)]
    pub parameters: serde_json::Value,
}

impl ModelId {
    pub fn new(name: &str, version: u32) -> Self {
        Self { name: name.into(), version, parameters: serde_json::Value::Null }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// One table of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSpec {
    pub name: &'static str,
    /// Whether rows have a sort key, for scans by it.
    pub sorted: bool,
    /// Columns of the SQL view, beside tenant and key.
    pub columns: &'static [Column],
}

/// A typed column of a table's SQL view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// Members of the document from the outside in, joined with `.`.
    pub path: &'static str,
    pub kind: ColumnKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Text,
    Integer,
    Real,
    Boolean,
    /// An RFC 3339 text in the document.
    Time,
    /// The member as JSON.
    Json,
}

/// One building of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GenerationId {
    pub projection: Arc<str>,
    pub number: u32,
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.projection, self.number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationStatus {
    Building,
    Ready,
    Live,
    Retired,
}

/// What the registry says of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub id: GenerationId,
    pub model: ModelId,
    pub status: GenerationStatus,
    /// Every event up to here is in the rows or among the dead letters.
    pub position: u64,
    pub dead_letters: u64,
    /// No commit moves the checkpoint past this for now.
    pub held: Option<u64>,
}

/// The dispatcher's row in the registry of generations: a lease without tables.
pub const DISPATCHER: &str = "dispatcher";

/// The dispatcher's rows: what is open, for its next start. No read model.
pub const DISPATCHER_OPEN: &str = "dispatcher_open";

/// Whether this is a worker's own and no read model.
pub fn is_worker(projection: &str) -> bool {
    [crate::ports::bus::RELAY, DISPATCHER, DISPATCHER_OPEN].contains(&projection)
}

/// The right to write a generation, until another epoch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub generation: GenerationId,
    pub owner: Arc<str>,
    pub epoch: u64,
    /// The checkpoint when the epoch began.
    pub position: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    pub tenant: TenantId,
    pub key: Arc<str>,
}

/// A row to be stored; replaces what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPut {
    pub row: RowKey,
    pub sort: Option<String>,
    /// JSON text.
    pub doc: String,
}

/// What changes in one table. No key stands twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableChanges {
    pub table: Arc<str>,
    pub puts: Vec<RowPut>,
    pub deletes: Vec<RowKey>,
}

/// An event that waits: it failed, or one of its partition failed before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub tenant: TenantId,
    pub partition: String,
    pub position: u64,
    pub event_type: String,
    /// Why it failed; `None` for one that waits behind another.
    pub error: Option<String>,
}

/// One batch's effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub lease: Lease,
    /// What the checkpoint must be now, and what it becomes.
    pub from: u64,
    pub to: u64,
    pub changes: Vec<TableChanges>,
    /// Stored, or replaced where the position is the same. One with an error
    /// ends the retry that was asked for its partition.
    pub parked: Vec<DeadLetter>,
    /// Positions that wait no longer.
    pub unparked: Vec<u64>,
}

/// Whose rows are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The live generation of the projection.
    Live(Arc<str>),
    Generation(GenerationId),
}

impl Source {
    pub fn live(projection: &str) -> Self {
        Self::Live(projection.into())
    }

    pub fn projection(&self) -> &str {
        match self {
            Self::Live(name) => name,
            Self::Generation(id) => &id.projection,
        }
    }
}

/// One question of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub table: Arc<str>,
    pub select: Select,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    Key(Arc<str>),
    /// Rows whose key is in the range, in key order.
    Range(KeyRange),
    /// Rows of a group with a sort key, greatest first, then by key. A row's
    /// group is its key up to the last `/`, empty if there is none.
    Top {
        group: Arc<str>,
        after: Option<SortAfter>,
        limit: usize,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The key starts with this. Empty: any.
    pub prefix: String,
    /// Smallest key, included.
    pub from: Option<String>,
    /// Greatest key, not included.
    pub until: Option<String>,
    /// Go on after this key: past it in the order of the scan.
    pub after: Option<String>,
    pub descending: bool,
    pub limit: usize,
}

/// The last row seen of a scan by sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortAfter {
    pub sort: String,
    pub key: String,
}

impl Query {
    pub fn get(table: &str, key: &str) -> Self {
        Self { table: table.into(), select: Select::Key(key.into()) }
    }

    pub fn prefix(table: &str, prefix: &str, limit: usize) -> Self {
        let range = KeyRange { prefix: prefix.into(), limit, ..KeyRange::default() };
        Self { table: table.into(), select: Select::Range(range) }
    }

    pub fn range(table: &str, range: KeyRange) -> Self {
        Self { table: table.into(), select: Select::Range(range) }
    }

    pub fn top(table: &str, group: &str, after: Option<SortAfter>, limit: usize) -> Self {
        Self { table: table.into(), select: Select::Top { group: group.into(), after, limit } }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    pub key: String,
    pub sort: Option<String>,
    /// JSON text.
    pub doc: String,
}

/// Answers to the queries of one read, all from the same instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub generation: GenerationId,
    pub model: ModelId,
    /// The rows reflect exactly the events up to here.
    pub position: u64,
    /// One for each query, in its order.
    pub results: Vec<Vec<StoredRow>>,
}

/// Dead letters, as a reader sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    pub letter: DeadLetter,
    pub attempts: u32,
    pub retry_requested: bool,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowsError {
    #[error("the row store is unavailable: {0}")]
    Unavailable(String),
    #[error("there is no projection {0}")]
    UnknownProjection(String),
    #[error("there is no table {0}")]
    UnknownTable(String),
    #[error("{0}")]
    Invalid(String),
    /// Somebody else writes the generation.
    #[error("{owner} holds the lease for up to {}s", remaining.as_secs())]
    LeaseHeld { owner: String, remaining: Duration },
    /// Another epoch has begun; nothing was written.
    #[error("the lease was lost")]
    LeaseLost,
    /// The checkpoint is not where the commit starts; nothing was written.
    #[error("the checkpoint is at {actual}")]
    CheckpointMoved { actual: u64 },
    #[error("there is no generation {0}")]
    UnknownGeneration(GenerationId),
    /// A comparison wants the checkpoint to stay; nothing was written.
    #[error("the generation is held at {position}")]
    Held { position: u64 },
    #[error("{0} is live")]
    Live(GenerationId),
    #[error("{0} is not built yet")]
    NotBuilt(GenerationId),
    #[error("the generation is at {position}, before {fence}")]
    Behind { position: u64, fence: u64 },
    /// Somebody reads it and did not end in time; nothing was changed.
    #[error("{0} is in use")]
    InUse(String),
}

#[async_trait]
pub trait RowStore: Generations {
    /// The live generation. If there is none, one with these tables is made
    /// and is live. One that exists keeps its model; the caller compares.
    async fn open(
        &self,
        projection: &str,
        model: &ModelId,
        tables: &[TableSpec],
    ) -> Result<Generation, RowsError>;

    /// All generations of all projections, by name and number.
    async fn generations(&self) -> Result<Vec<Generation>, RowsError>;

    /// Takes the lease if it is free or has expired; a new epoch begins.
    async fn acquire(
        &self,
        generation: &GenerationId,
        owner: &str,
        ttl: Duration,
    ) -> Result<Lease, RowsError>;

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), RowsError>;

    /// Lets the next owner in at once. Does nothing if the lease was lost.
    async fn release(&self, lease: &Lease) -> Result<(), RowsError>;

    /// Documents of these keys, in their order, for folding.
    async fn fetch_many(
        &self,
        generation: &GenerationId,
        table: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Option<String>>, RowsError>;

    async fn commit(&self, commit: Commit) -> Result<(), RowsError>;

    /// The same of a build, which nobody waits for: it may take longer, so that
    /// others need not.
    async fn commit_built(&self, commit: Commit) -> Result<(), RowsError> {
        self.commit(commit).await
    }

    /// Answers all queries from one snapshot. Without queries it only tells
    /// the position.
    async fn read(
        &self,
        source: &Source,
        tenant: &TenantId,
        queries: &[Query],
    ) -> Result<Snapshot, RowsError>;

    /// Dead letters past a position, oldest first; of all tenants if `None`.
    async fn dead_letters(
        &self,
        source: &Source,
        tenant: Option<&TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError>;

    /// Marks a partition's sequence (all of the tenant if `None`) to be tried
    /// again by the owner of the lease. Returns how many events that are.
    async fn request_retry(
        &self,
        source: &Source,
        tenant: &TenantId,
        partition: Option<&str>,
    ) -> Result<u64, RowsError>;

    /// Partitions that hold dead letters, and whether a retry is asked for.
    async fn parked_partitions(&self, generation: &GenerationId) -> Result<Vec<(String, bool)>, RowsError>;

    /// One partition's dead letters in order.
    async fn parked_sequence(
        &self,
        generation: &GenerationId,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, RowsError>;
}

/// Names become parts of SQL identifiers: lower-case letters, digits and `_`,
/// starting with a letter.
pub fn check_name(name: &str) -> Result<(), RowsError> {
    let ok = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if ok {
        Ok(())
    } else {
        Err(RowsError::Invalid(format!("{name:?} is no name for a projection or table")))
    }
}

/// The group of a key: what stands before its last `/`.
pub fn group_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The smallest text that is greater than every text with this prefix.
/// `None` if there is no bound.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            c => char::from_u32(c as u32 + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_a_prefix_is_past_every_text_with_it() {
        assert_eq!(after_prefix("show-1/"), Some("show-10".into()));
        assert_eq!(after_prefix("a\u{10ffff}"), Some("b".into()));
        assert_eq!(after_prefix("\u{d7ff}"), Some("\u{e000}".into()));
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn a_group_is_the_key_without_its_last_part() {
        assert_eq!(group_of("show-1/band-7"), "show-1");
        assert_eq!(group_of("show-1"), "");
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("tap_analytics").is_ok());
        for bad in ["", "Taps", "7taps", "a-b", "a\"b", &"x".repeat(23)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
