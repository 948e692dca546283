//! The envelope of a fact: what was decided ([`NewEvent`]) and what the log
//! made of it ([`RecordedEvent`]).

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::StreamId;

/// A fact that has been decided and not yet recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub event_id: Uuid,
    /// Stable name from the registry, `band.tapped`.
    pub event_type: Arc<str>,
    pub schema: u16,
    /// When the source says that it happened.
    pub occurred_at: Option<Timestamp>,
    /// JSON text; its bytes are kept exactly.
    pub payload: String,
}

/// Who caused an append, and in what context. Shared by all its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// `key:<id>`, `cli:<user>`, `worker:<name>` or `hub`. No control characters.
    pub actor: Arc<str>,
    pub command_id: Uuid,
    /// The client's `X-Correlation-ID`, or the command's id.
    pub correlation_id: Arc<str>,
    /// The event that this command reacts to, if any.
    pub causation_id: Option<Uuid>,
}

/// A fact as the log holds it. Nothing in it changes, ever.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// 1…, dense, in commit order over the whole log.
    pub position: u64,
    pub stream: StreamId,
    /// 1…, dense in its stream.
    pub version: u64,
    pub event_id: Uuid,
    pub event_type: Arc<str>,
    pub schema: u16,
    pub occurred_at: Option<Timestamp>,
    /// Assigned by the log; never decreases with the position.
    pub recorded_at: Timestamp,
    pub metadata: Metadata,
    pub payload: String,
    /// SHA-256 of [`RecordedEvent::canonical_bytes`]; the entry of the tree.
    pub leaf: [u8; 32],
}

impl RecordedEvent {
    /// The time that a reader of facts goes by: the source's, else the log's.
    pub fn at(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.recorded_at)
    }

    /// The bytes that `leaf` is the hash of, specified in
    /// `docs/canonical-bytes.md`: header lines in a fixed order, an empty line,
    /// the payload. Header values hold no line feed (ids and actors are
    /// checked on entry), so no two events share their bytes.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = String::with_capacity(self.payload.len() + 512);
        out.push_str("daybook-event/1");
        number(&mut out, "position", self.position);
        text(&mut out, "tenant", self.stream.tenant.as_str());
        text(&mut out, "kind", &self.stream.kind);
        text(&mut out, "stream", &self.stream.id);
        number(&mut out, "version", self.version);
        uuid(&mut out, "event", Some(self.event_id));
        text(&mut out, "type", &self.event_type);
        number(&mut out, "schema", self.schema);
        match self.occurred_at {
            Some(at) => number(&mut out, "occurred", at.as_microsecond()),
            None => text(&mut out, "occurred", "-"),
        }
        number(&mut out, "recorded", self.recorded_at.as_microsecond());
        text(&mut out, "actor", &self.metadata.actor);
        uuid(&mut out, "command", Some(self.metadata.command_id));
        text(&mut out, "correlation", &self.metadata.correlation_id);
        uuid(&mut out, "causation", self.metadata.causation_id);
        out.push_str("\n\n");
        out.push_str(&self.payload);
        out.into_bytes()
    }

    pub fn compute_leaf(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_bytes()).into()
    }
}

// Header lines, each with the line feed of the line before. Every event passes
// here, and text need not pass through a formatter.
fn text(out: &mut String, name: &str, value: &str) {
    out.push('\n');
    out.push_str(name);
    out.push(' ');
    out.push_str(value);
}

fn uuid(out: &mut String, name: &str, value: Option<Uuid>) {
    let mut buffer = Uuid::encode_buffer();
    match value {
        Some(id) => text(out, name, id.hyphenated().encode_lower(&mut buffer)),
        None => text(out, name, "-"),
    }
}

fn number(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{name} {value}");
}
