//! `Rule`: which events of applications somebody wants to know of, and what is
//! unusual in a series of them. Stream kind `rule`.
//!
//! A rule takes effect at the position where it was recorded: the same log
//! gives the same matches. What a rule says is bounded here; whether its
//! expressions compile is found out before the command is decided.

mod anomaly;
mod check;
mod commands;
#[cfg(test)]
mod tests;

pub use anomaly::{Anomaly, Check, Direction, Missing, Season, Series};
pub use commands::{Command, Rule};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub const KIND: &str = "rule";
pub const DEFINED: &str = "rule.defined";
pub const CHANGED: &str = "rule.changed";
pub const ENABLED: &str = "rule.enabled";
pub const DISABLED: &str = "rule.disabled";
pub const ARCHIVED: &str = "rule.archived";

pub const MAX_CONDITIONS: usize = 32;
pub const MAX_NAME_BYTES: usize = 200;
/// Of a JSONPath, a pattern or a text to compare with.
pub const MAX_TEXT_BYTES: usize = 1_024;
/// Of an expression in CEL.
pub const MAX_CEL_BYTES: usize = 4_096;
/// Values that `in` compares with.
pub const MAX_LIST: usize = 256;
pub const MAX_ACTIONS: usize = 32;
/// Of a subject on the bus.
pub const MAX_SUBJECT_WORDS: usize = 8;

/// How a value found by a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    Eq,
    /// True where nothing is found too
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    /// A part of a text, or an element of a list
    Contains,
    StartsWith,
    EndsWith,
    /// A pattern somewhere in a text
    Regex,
    /// One of the values of a list
    In,
    /// Whether anything is found; the value `false` asks for nothing
    Exists,
}

/// One condition of the list form: true if any value that the path finds
/// compares as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// JSONPath (RFC 9535) over the event as JSON
    pub path: String,
    pub operator: Operator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What a match sets off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Actions {
    /// Ids of webhook endpoints
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<String>,
    /// Subjects on the bus, below `rules.<tenant>.`: words of letters, digits,
    /// `-` and `_`, joined by dots
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// What a rule may name as a subject on the bus: nothing that means anything
/// there but the dot between words.
pub fn is_subject(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    text.len() <= MAX_NAME_BYTES && text.split('.').count() <= MAX_SUBJECT_WORDS && text.split('.').all(word)
}

/// At most so many actions in so many seconds of event time; the matches are
/// recorded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    pub actions: u32,
    pub seconds: u32,
}

/// What a rule says. Without a filter it is asked of every event; all
/// conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub name: String,
    /// Only events of this application
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only events of this category
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only events of this type
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// A condition in CEL, beside the list
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// Watches a series of the events that match, in place of telling of each
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// Rules that match the same event act in this order, largest first
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub actions: Actions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "rule.defined")]
    Defined(Definition),
    /// All that the rule says from now on.
    #[serde(rename = "rule.changed")]
    Changed(Definition),
    #[serde(rename = "rule.enabled")]
    Enabled {},
    #[serde(rename = "rule.disabled")]
    Disabled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename = "rule.archived")]
    Archived {},
}
