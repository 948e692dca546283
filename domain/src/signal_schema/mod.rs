//! `SignalSchema`: what an app's signals of one type look like (JSON Schema),
//! and what becomes of those that don't. Stream kind `signal_schema`, one stream
//! for each app and type.
//!
//! What a schema may use is bounded where it is compiled, before the command is
//! decided; here it is only as long as it may be.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;
use crate::signal;

pub const KIND: &str = "signal_schema";
pub const DEFINED: &str = "signal_schema.defined";
pub const CHANGED: &str = "signal_schema.changed";
pub const RETIRED: &str = "signal_schema.retired";

/// Of a schema as JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
const MAX_REASON_BYTES: usize = 1_000;

/// What becomes of a signal whose data does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMismatch {
    /// It goes to the dead letters
    Reject,
    /// It is recorded, and says what does not fit
    Flag,
}

/// What a schema says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub on_mismatch: OnMismatch,
    /// JSON Schema (2020-12, 2019-09 or draft 7) of the signal's data
    pub schema: Value,
}

/// Payload of `signal_schema.defined` and `signal_schema.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub app: String,
    #[serde(rename = "type")]
    pub signal_type: String,
    pub on_mismatch: OnMismatch,
    pub schema: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// In force from its position on; after it was retired, again.
    #[serde(rename = "signal_schema.defined")]
    Defined(Said),
    /// All that it says from now on.
    #[serde(rename = "signal_schema.changed")]
    Changed(Said),
    #[serde(rename = "signal_schema.retired")]
    Retired {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Define(Said),
    Change(Said),
    /// Signals are taken as they come again.
    Retire {
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignalSchema {
    /// What it says; absent before it was defined.
    pub said: Option<Said>,
    pub retired: bool,
    /// Counts what it has said, from 1: signals that don't fit name it.
    pub version: u32,
}

/// The id of the stream of an app's schema for a type.
pub fn id(app: &str, signal_type: &str) -> String {
    signal::stream_id(app, KIND, signal_type)
}

impl Said {
    fn check(&self) -> Result<(), Rejection> {
        for (field, value) in [("/app", &self.app), ("/type", &self.signal_type)] {
            check_id(value).map_err(|e| Rejection::field(field, e))?;
        }
        let bytes = self.schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            let reason = format!("must have at most {MAX_SCHEMA_BYTES} bytes");
            return Err(Rejection::field("/schema", reason));
        }
        Ok(())
    }
}

impl SignalSchema {
    /// What holds now.
    pub fn in_force(&self) -> Option<&Said> {
        self.said.as_ref().filter(|_| !self.retired)
    }
}

impl Decide for SignalSchema {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        let event = match command {
            Command::Define(said) => {
                said.check()?;
                match self.in_force() {
                    Some(current) if *current == said => return Ok(Decision::nothing()),
                    Some(_) => {
                        return Err(Rejection::State("there is a schema of this type already".into()));
                    }
                    None => Event::Defined(said),
                }
            }
            Command::Change(said) => {
                said.check()?;
                match (self.in_force(), &self.said) {
                    (Some(current), _) if *current == said => return Ok(Decision::nothing()),
                    (Some(_), _) => Event::Changed(said),
                    (None, Some(_)) => return Err(Rejection::State("the schema is retired".into())),
                    (None, None) => return Err(Rejection::NotFound),
                }
            }
            Command::Retire { reason } => {
                if self.said.is_none() {
                    return Err(Rejection::NotFound);
                }
                if self.retired {
                    return Ok(Decision::nothing());
                }
                if reason.as_ref().is_some_and(|r| r.len() > MAX_REASON_BYTES) {
                    let reason = format!("must have at most {MAX_REASON_BYTES} bytes");
                    return Err(Rejection::field("/reason", reason));
                }
                Event::Retired { reason }
            }
        };
        Ok(Decision::events(vec![event]))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Defined(said) | Event::Changed(said) => {
                *self = Self { said: Some(said), retired: false, version: self.version + 1 };
            }
            Event::Retired { .. } => self.retired = true,
        }
    }
}
