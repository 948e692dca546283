//! What people can say about a window. Who it was stands in the envelope.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::REVIEW_KIND;
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::time::to_micros;

pub const MAX_NOTE_BYTES: usize = 2_000;
/// Notes on one window.
pub const MAX_NOTES: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// Somebody takes care of it.
    #[serde(rename = "anomaly.acknowledged")]
    Acknowledged {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Windows of this series set nothing off before this event time.
    #[serde(rename = "anomaly.muted")]
    Muted {
        rule: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        until: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    #[serde(rename = "anomaly.unmuted")]
    Unmuted {
        rule: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    #[serde(rename = "anomaly.noted")]
    Noted { note: String },
}

/// `rule` and `key` are the window's.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Acknowledge { note: Option<String> },
    Mute { rule: String, key: Option<String>, until: Timestamp, note: Option<String> },
    Unmute { rule: String, key: Option<String> },
    Note { note: String },
}

/// What people have said about one window. Whether there is such a window is
/// found out before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub acknowledged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    pub notes: u32,
}

impl Decide for Review {
    const KIND: &'static str = REVIEW_KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        let event = match command {
            Command::Acknowledge { note } => {
                let note = self.remark(note)?;
                if self.acknowledged {
                    return Ok(Decision::nothing());
                }
                Event::Acknowledged { note }
            }
            Command::Mute { rule, key, until, note } => {
                let (until, note) = (to_micros(until), self.remark(note)?);
                if self.muted_until == Some(until) {
                    return Ok(Decision::nothing());
                }
                Event::Muted { rule, key, until, note }
            }
            Command::Unmute { .. } if self.muted_until.is_none() => return Ok(Decision::nothing()),
            Command::Unmute { rule, key } => Event::Unmuted { rule, key },
            Command::Note { note } => {
                self.remark(Some(note.clone()))?;
                Event::Noted { note }
            }
        };
        Ok(Decision::events(vec![event]))
    }

    fn evolve(&mut self, event: Event) {
        let note = match event {
            Event::Acknowledged { note } => {
                self.acknowledged = true;
                note
            }
            Event::Muted { until, note, .. } => {
                self.muted_until = Some(until);
                note
            }
            Event::Unmuted { .. } => {
                self.muted_until = None;
                None
            }
            Event::Noted { note } => Some(note),
        };
        self.notes = self.notes.saturating_add(u32::from(note.is_some()));
    }
}

impl Review {
    fn remark(&self, note: Option<String>) -> Result<Option<String>, Rejection> {
        let Some(text) = &note else { return Ok(None) };
        if text.trim().is_empty() || text.len() > MAX_NOTE_BYTES {
            return Err(Rejection::field("/note", format!("must be 1 to {MAX_NOTE_BYTES} bytes")));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(Rejection::field("/note", "must not contain control characters"));
        }
        if self.notes >= MAX_NOTES {
            return Err(Rejection::State(format!("the window has {MAX_NOTES} notes already")));
        }
        Ok(note)
    }
}
