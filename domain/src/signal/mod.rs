//! `Signal`: a fact that arrives from outside through the event gateway. It
//! needs no decision. Its identity is exact: (tenant, app, source, id) names the
//! stream that it stands in, alone, so the log refuses the second of its kind.

pub mod app_event;
mod check;
pub mod cloud_event;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use check::is_json;

use crate::ids::{InvalidId, StreamId, TenantId};

pub const RECEIVED: &str = "signal.received";
pub const REJECTED: &str = "signal.rejected";
/// Stream kind of signals: one stream for each, its id [`stream_id`].
pub const KIND: &str = "signal";
/// Stream kind of what was rejected: one stream for each app, `-unknown-` for
/// what names none.
pub const REJECTS_KIND: &str = "signal_rejects";
pub const UNKNOWN_APP: &str = "-unknown-";
/// The app of what Daybook says of itself; nobody else sends in its name.
pub const OWN_APP: &str = "daybook";

/// Longest signal taken, in bytes as it was sent.
pub const MAX_BYTES: usize = 256 << 10;
/// Of what was rejected, how many bytes are kept.
pub const MAX_KEPT_BYTES: usize = 64 << 10;

/// Payload of `signal.received`. Event time is the envelope's `occurred_at`,
/// received time its `recorded_at`; neither is ever corrected by the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    pub app: String,
    /// URI-reference of whoever says it.
    pub source: String,
    /// Unique within app and source.
    pub id: String,
    /// What happened, `com.example.order.placed` or `screen_view`.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// `user`, `screen`, `interaction`, `commerce`, `system` or `custom` of an
    /// app's typed event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The event time as its source wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// When the source sent it, by its own clock: with the received time this
    /// tells how far that clock is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The source's own correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// What the source tells of the device, of an app's typed event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<RawValue>>,
    /// Extension attributes of a CloudEvent: strings, booleans, whole numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// JSON as it was sent; a text that is no JSON is a string here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Data that is neither JSON nor text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    pub format: Format,
    /// Where it does not fit its schema, which only flags that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
}

/// What of a signal does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The schema's version.
    pub schema: u32,
    /// JSON pointer into the signal.
    pub pointer: String,
    pub reason: String,
}

/// How it was written when it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// CloudEvents 1.0.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// CloudEvents 0.3, whose attributes have other names.
    #[serde(rename = "cloudevents@0.3")]
    CloudEvents03,
    /// The typed JSON events of apps.
    #[serde(rename = "app")]
    App,
    #[serde(rename = "github")]
    Github,
    #[serde(rename = "segment")]
    Segment,
    /// A point of a plain series of numbers.
    #[serde(rename = "series")]
    Series,
}

/// What keeps something from being a signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub struct Fault {
    /// JSON pointer into the event, or `header ce-…`; empty for it as a whole.
    pub pointer: String,
    pub reason: String,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

/// Payload of `signal.rejected`: what came in and why it is no signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub reason: String,
    pub pointer: String,
    pub content_type: String,
    /// Its length as it came in.
    pub size: u64,
    /// Of all of it, hex.
    pub sha256: String,
    /// The first [`MAX_KEPT_BYTES`] of it, in base64.
    pub bytes_base64: String,
}

impl Signal {
    /// The event time, to the microsecond. `None` without one.
    pub fn occurred_at(&self) -> Option<Timestamp> {
        let at = self.time.as_deref()?.parse().ok()?;
        Some(crate::time::to_micros(at))
    }

    /// Itself, if its parts are what a signal's may be.
    pub fn checked(self) -> Result<Self, Fault> {
        check::signal(&self).map(|()| self)
    }

    pub fn stream(&self, tenant: &TenantId) -> Result<StreamId, InvalidId> {
        StreamId::new(tenant, KIND, &stream_id(&self.app, &self.source, &self.id))
    }
}

/// SHA-256 over the identity, each part behind its length: no two identities
/// share their bytes.
pub fn stream_id(app: &str, source: &str, id: &str) -> String {
    let mut hash = Sha256::new();
    for part in [app, source, id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests;
