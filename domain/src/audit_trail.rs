//! What is done with the history, as facts: who read it, asked about it, took a
//! copy of it, who was refused, and which keys sign it. Nothing is decided by
//! them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The history was read.
pub const READ: &str = "audit.read";
/// Something was asked for without the right to it.
pub const DENIED: &str = "audit.denied";
/// A question in SQL was asked.
pub const QUERIED: &str = "audit.queried";
/// Stream kind of these three; the id is that of the key, or [`NO_KEY`].
pub const ACCESS: &str = "access";
pub const NO_KEY: &str = "anonymous";

/// A key signs the log from now on.
pub const KEY_ADDED: &str = "log_key.added";
/// A key signs no more.
pub const KEY_RETIRED: &str = "log_key.retired";
/// Stream kind of these two, in the system's tenant; the id is the key's.
pub const LOG_KEY: &str = "log_key";

/// Payload of `log_key.added` and `log_key.retired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKey {
    pub name: String,
    /// The public key, as auditors get it.
    pub key: String,
}

/// Events were given out as a file.
pub const EXPORTED: &str = "audit.exported";
/// Stream kind of exports; the id is the export's.
pub const EXPORTS: &str = "audit_export";

/// Payload of `audit.read`: what a key read of one route within about a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Method and route.
    pub what: String,
    pub count: u64,
    /// Of the first and the last time.
    pub from: Timestamp,
    pub to: Timestamp,
    /// What was asked for, the first few that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Reads of whichever keys that were not counted, since there were too many
    /// at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Payload of `audit.denied`, likewise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    pub what: String,
    /// 401: no key, or none that is good. 403: not the key's to do.
    pub status: u16,
    pub count: u64,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Payload of `audit.queried`. It is recorded before the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queried {
    /// The beginning of its text.
    pub query: String,
    /// Of the whole text.
    pub sha256: String,
    /// The position that was the end of the log for it, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// Payload of `audit.exported`. Its proof ties the file to the log's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Of the file.
    pub sha256: String,
    pub bytes: u64,
    /// ndjson, csv or parquet.
    pub format: String,
    pub events: u64,
    /// The file has all that matched at positions past this one,
    pub after: u64,
    /// up to this one.
    pub upto: u64,
    /// Positions that the log had.
    pub size: u64,
    pub query: Query,
}

/// What an export was asked for. Times are in `after` and `upto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub tenant: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}
