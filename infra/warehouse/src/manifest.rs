//! Which files count: the one document that says so. A listing never does.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::WarehouseError;
use crate::names::Hour;
use crate::{hash, names};

pub const FORMAT: &str = "daybook-warehouse/1";

/// Each manifest is an object of its own with a number one greater than the
/// one before, and names that one's hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: String,
    pub number: u64,
    /// SHA-256 of the manifest before, as it lies in the store; hex.
    pub previous: Option<String>,
    /// Every signal up to here is in a file, and a signal stands here.
    pub through: u64,
    /// That signal's leaf: what the log must hold.
    pub through_leaf: String,
    pub written_at: Timestamp,
    /// By tenant, app and hour, then by position.
    pub files: Vec<File>,
    /// Merged into others; deleted once nobody can be reading them any more.
    pub retired: Vec<Retired>,
}

/// Signals of one tenant, app and hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub path: String,
    pub tenant: String,
    pub app: String,
    #[serde(flatten)]
    pub hour: Hour,
    /// Positions of its first and its last signal.
    pub first: u64,
    pub last: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Of the whole file; hex.
    pub sha256: String,
}

impl File {
    pub fn partition(&self) -> (&str, &str, &Hour) {
        (&self.tenant, &self.app, &self.hour)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    pub path: String,
    pub at: Timestamp,
}

/// With the hash of its own text, so that damage shows.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    sha256: String,
}

impl Manifest {
    /// The one after, with the same content. Its time never goes back, whatever
    /// the clock does.
    pub fn successor(before: Option<&Self>, now: Timestamp) -> Result<Self, WarehouseError> {
        Ok(match before {
            Some(before) => Self {
                number: before.number + 1,
                previous: Some(hash(before.to_text()?.as_bytes())),
                written_at: before.written_at.max(now),
                ..before.clone()
            },
            None => Self {
                format: FORMAT.to_owned(),
                number: 1,
                previous: None,
                through: 0,
                through_leaf: String::new(),
                written_at: now,
                files: Vec::new(),
                retired: Vec::new(),
            },
        })
    }

    pub fn sort(&mut self) {
        self.files.sort_by(|a, b| (a.partition(), a.first).cmp(&(b.partition(), b.first)));
    }

    pub fn to_text(&self) -> Result<String, WarehouseError> {
        let manifest = serde_json::to_string(self).map_err(|e| WarehouseError::Unwritable(e.to_string()))?;
        let sha256 = hash(manifest.as_bytes());
        Ok(format!("{{\"manifest\":{manifest},\n\"sha256\":\"{sha256}\"}}\n"))
    }

    pub fn parse(number: u64, text: &[u8]) -> Result<Self, WarehouseError> {
        let object = names::manifest(number);
        let damaged = |reason: String| WarehouseError::Damaged { object: object.clone(), reason };
        let sealed: Sealed = serde_json::from_slice(text).map_err(|e| damaged(e.to_string()))?;
        let raw = sealed.manifest.get();
        if hash(raw.as_bytes()) != sealed.sha256 {
            return Err(damaged("its text is not what was written".to_owned()));
        }
        let manifest: Self = serde_json::from_str(raw).map_err(|e| damaged(e.to_string()))?;
        if manifest.format != FORMAT || manifest.number != number {
            return Err(damaged(format!("it is {:?}, number {}", manifest.format, manifest.number)));
        }
        Ok(manifest)
    }

    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    pub fn tenants(&self) -> Vec<&str> {
        let mut tenants: Vec<&str> = self.files.iter().map(|f| &*f.tenant).collect();
        tenants.dedup();
        tenants
    }
}
