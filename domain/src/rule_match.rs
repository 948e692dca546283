//! What the rules found: an event of a signal and the rule that it matches is
//! a fact in a stream of its own, so that it is recorded once however often the
//! signal is looked at.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{InvalidId, StreamId, TenantId};

pub const MATCHED: &str = "rule.matched";
/// How far the signals were looked at: where who matches them goes on.
pub const ADVANCED: &str = "reactions.advanced";
/// That time has gone on, for the series of a tenant that are silent.
pub const TICKED: &str = "reactions.ticked";
/// Stream kind of matches: one stream for each.
pub const KIND: &str = "rule_match";
/// Stream kind of [`Advanced`] and [`Ticked`].
pub const CURSOR_KIND: &str = "reactions";
/// Of a tenant's ticks.
pub const TICKS_ID: &str = "ticks";

/// Payload of `rule.matched`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleMatch {
    pub rule: String,
    /// What the rule said then: 1 as it was defined, one more for each change.
    pub rule_version: u32,
    /// Position of the signal.
    pub signal: u64,
    pub signal_event_id: Uuid,
    pub app: String,
    #[serde(rename = "type")]
    pub signal_type: String,
    /// False where the rule's throttle held its actions back.
    pub acts: bool,
    /// Where on the bus it is told of, below the tenant's own; none unless it
    /// acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// Payload of `reactions.advanced`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advanced {
    pub to: u64,
}

/// Payload of `reactions.ticked`. What counts is when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// Shortest interval that a rule in force asks for.
    pub every_seconds: u32,
}

/// Where the match of this rule and this signal stands.
pub fn stream(tenant: &TenantId, rule: &str, signal: u64) -> Result<StreamId, InvalidId> {
    // A rule's id may be as long as a stream's.
    let rule = hex::encode(&Sha256::digest(rule.as_bytes())[..16]);
    StreamId::new(tenant, KIND, &format!("{signal}.{rule}"))
}
