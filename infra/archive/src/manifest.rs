//! What the archive holds: the one document that says so. A listing never does.

use domain::ports::archive::ArchiveError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{hash, names};

pub const FORMAT: &str = "daybook-archive/1";

/// Each manifest is an object of its own with a number one greater than the
/// one before, and names that one's hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: String,
    pub number: u64,
    /// SHA-256 of the manifest before, as it lies in the store; hex.
    pub previous: Option<String>,
    /// Which log this is: the leaf of its first event; hex.
    pub log: String,
    /// Every event up to here is in a segment.
    pub through: u64,
    /// The leaf of the event at `through`: what the log must continue from.
    pub through_leaf: String,
    pub through_recorded_at: Timestamp,
    /// The newest signed note of a tree that ends at `through` or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    pub written_at: Timestamp,
    /// By type, then by position.
    pub segments: Vec<Segment>,
    /// Merged into others; deleted once nobody can be reading them any more.
    pub retired: Vec<Retired>,
}

/// All events of one type at the positions first to last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub path: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub first: u64,
    pub last: u64,
    pub events: u64,
    pub bytes: u64,
    /// Of the whole file; hex.
    pub sha256: String,
    /// Parquet's footer with its length and magic, at the end of the file.
    pub footer_bytes: u64,
    pub footer_sha256: String,
    /// The type's schema that the typed columns follow; 0 if the type was not
    /// known, and there are none.
    pub schema: u16,
    pub recorded_from: Timestamp,
    pub recorded_to: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    pub path: String,
    pub at: Timestamp,
}

/// How a manifest lies in the store: with the hash of its own text, so that
/// damage shows.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    sha256: String,
}

impl Manifest {
    /// The text that lies in the store.
    pub fn to_text(&self) -> Result<String, ArchiveError> {
        let manifest = serde_json::to_string(self)
            .map_err(|e| ArchiveError::Unavailable(format!("the manifest cannot be written: {e}")))?;
        let sha256 = hex::encode(hash(manifest.as_bytes()));
        Ok(format!("{{\"manifest\":{manifest},\n\"sha256\":\"{sha256}\"}}\n"))
    }

    pub fn parse(number: u64, text: &[u8]) -> Result<Self, ArchiveError> {
        let object = names::manifest(number);
        let damaged = |reason: String| ArchiveError::Damaged { object: object.clone(), reason };
        let sealed: Sealed = serde_json::from_slice(text).map_err(|e| damaged(e.to_string()))?;
        let raw = sealed.manifest.get();
        if hex::encode(hash(raw.as_bytes())) != sealed.sha256 {
            return Err(damaged("its text is not what was written".to_owned()));
        }
        #[derive(Deserialize)]
        struct Version {
            format: String,
        }
        let version: Version = serde_json::from_str(raw).map_err(|e| damaged(e.to_string()))?;
        if version.format != FORMAT {
            return Err(damaged(format!("format {:?} is not known to this build", version.format)));
        }
        let manifest: Self = serde_json::from_str(raw).map_err(|e| damaged(e.to_string()))?;
        if manifest.number != number {
            return Err(damaged(format!("it is number {}", manifest.number)));
        }
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// Positions are dense, so the segments must hold exactly as many events as
    /// there are positions up to `through`.
    pub fn check(&self) -> Result<(), String> {
        let mut events = 0_u64;
        for (i, segment) in self.segments.iter().enumerate() {
            let Segment { path, event_type, first, last, .. } = segment;
            let name = names::segment(event_type, *first, *last);
            let named = *path == name || *path == names::beside(&name, &segment.sha256);
            if !named || first > last || *last > self.through {
                return Err(format!("{path} covers positions that its name does not say"));
            }
            if segment.events == 0 || segment.events > last - first + 1 {
                return Err(format!("{path} cannot hold {} events", segment.events));
            }
            if let Some(before) = self.segments[..i].last()
                && (&before.event_type, before.last) >= (event_type, *first)
            {
                return Err(format!("{} and {path} overlap", before.path));
            }
            events += segment.events;
        }
        match events == self.through {
            true => Ok(()),
            false => Err(format!("{events} events are sealed for {} positions", self.through)),
        }
    }

    /// Segments of these types (none: of all), by type and position.
    pub fn of_types(&self, types: &[impl AsRef<str>]) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(move |s| types.is_empty() || types.iter().any(|t| t.as_ref() == s.event_type))
    }

    /// Every event type that has a segment.
    pub fn types(&self) -> Vec<String> {
        let mut types: Vec<String> = self.segments.iter().map(|s| s.event_type.clone()).collect();
        types.dedup();
        types
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }
}
