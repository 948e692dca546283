//! `Delivery`: one event on its way to one endpoint, from when it was due to
//! when it was delivered or given up. Stream kind `delivery`, its id made of
//! the endpoint and the event, so that there is one however often it is
//! looked at. Whoever records an attempt expects the version that it began
//! with, so of two dispatchers one is refused.

mod decision;
mod schedule;
#[cfg(test)]
mod tests;

pub use decision::{Attempt, Command, Delivery, Outcome, State};
pub use schedule::{Schedule, retry_after};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

pub const KIND: &str = "delivery";
pub const SCHEDULED: &str = "delivery.scheduled";
pub const ATTEMPTED: &str = "delivery.attempted";
pub const DELIVERED: &str = "delivery.delivered";
pub const DEAD: &str = "delivery.dead";
pub const REQUESTED_AGAIN: &str = "delivery.requested_again";

pub const EVENT_TYPES: &[&str] = &[SCHEDULED, ATTEMPTED, DELIVERED, DEAD, REQUESTED_AGAIN];

/// How far the log was looked through for what is to be delivered.
pub const ADVANCED: &str = "dispatcher.advanced";
/// Nothing that was due before this position is sent any more.
pub const LIVE_FROM: &str = "dispatcher.live_from";
/// Stream kind of the last two.
pub const CURSOR_KIND: &str = "dispatcher";
pub const CURSOR_ID: &str = "webhooks";

/// Of an answer's body, how much is kept.
pub const MAX_EXCERPT_BYTES: usize = 1_024;
const MAX_DETAIL_BYTES: usize = 256;

/// Payload of `dispatcher.advanced` and `dispatcher.live_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub position: u64,
}

/// The delivery's id, which is what `webhook-id` says on every attempt.
pub fn id(endpoint: &str, cause: Uuid) -> String {
    let mut hash = Sha256::new();
    hash.update(endpoint.as_bytes());
    hash.update([0]);
    hash.update(cause.as_bytes());
    format!("msg_{}", hex::encode(&hash.finalize()[..16]))
}

/// What kept an attempt from getting an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The host's name has no address.
    Resolve,
    /// Its addresses are not to be sent to.
    Refused,
    Connect,
    Tls,
    Timeout,
    /// The connection broke, or what came is no HTTP.
    Broken,
    /// The endpoint or the event cannot be put into a request.
    Unsendable,
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// The last attempt of the schedule failed.
    Exhausted,
    /// The endpoint answered 410.
    Gone,
    EndpointDisabled,
    EndpointDeleted,
    /// The secrets of the endpoint were erased.
    SecretsErased,
    /// It was due before the log was restored.
    Restored,
}

/// What is to be delivered to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    pub endpoint: String,
    /// Position of the event that is told of.
    pub cause: u64,
    pub cause_id: Uuid,
    pub cause_type: String,
    /// Position of the signal that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<u32>,
    /// Deliveries of one key go one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub due_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    pub endpoint: String,
    pub cause: u64,
    /// From 1 on, over all that was asked for.
    pub attempt: u32,
    pub at: Timestamp,
    pub latency_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "delivery.scheduled")]
    Scheduled(Scheduled),
    #[serde(rename = "delivery.attempted")]
    Attempted(Attempted),
    #[serde(rename = "delivery.delivered")]
    Delivered { endpoint: String, cause: u64, attempts: u32 },
    #[serde(rename = "delivery.dead")]
    Dead { endpoint: String, cause: u64, attempts: u32, reason: Death },
    /// The schedule begins anew.
    #[serde(rename = "delivery.requested_again")]
    RequestedAgain { endpoint: String, cause: u64, due_at: Timestamp },
}

/// A text of an answer that can be kept: without control characters, cut
/// between characters.
pub fn excerpt(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > most {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}
