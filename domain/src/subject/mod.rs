//! What was decided about a subject's personal data: held, released, exported,
//! erased. Stream kind `subject` of the subject's tenant, its id
//! [`Subject::stream_id`](crate::Subject::stream_id).
//!
//! `subject.erasing` is the decision: from then on the keys that it names will
//! be gone, whatever dies in between. `subject.erased` says that they are, and
//! that nothing shows any more what they had sealed.

mod certificate;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::personal::Subject;
use crate::ports::keys::KeyId;

pub use certificate::{Certificate, Entry, Told};

pub const KIND: &str = "subject";
pub const HELD: &str = "subject.held";
pub const RELEASED: &str = "subject.released";
pub const EXPORTED: &str = "subject.exported";
pub const ERASING: &str = "subject.erasing";
pub const ERASED: &str = "subject.erased";

const MAX_REASON_BYTES: usize = 500;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "subject.held")]
    Held { subject: Subject, reason: String },
    #[serde(rename = "subject.released")]
    Released { subject: Subject, reason: String },
    #[serde(rename = "subject.exported")]
    Exported(Exported),
    #[serde(rename = "subject.erasing")]
    Erasing(Erasing),
    #[serde(rename = "subject.erased")]
    Erased(Erased),
}

/// Everything held about the subject was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    pub subject: Subject,
    /// How many facts.
    pub facts: u64,
    /// As the log was up to here.
    pub upto: u64,
}

/// These keys are to be destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasing {
    pub subject: Subject,
    pub reason: String,
    pub keys: Vec<KeyId>,
}

/// They are, and nothing shows any more what they had sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    pub subject: Subject,
    /// Position of the [`ERASING`] that this ends.
    pub asked: u64,
    pub keys: Vec<KeyId>,
    /// How many facts they had sealed, the first and the last of them.
    pub facts: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Facts of the subject that were recorded in clear: they stay.
    pub clear: u64,
    /// Rows that were built anew and are live.
    pub rebuilt: Vec<Rebuilt>,
    /// Replies that were forgotten.
    pub replies: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    pub projection: String,
    pub generation: u32,
    /// Of the rows as they were built.
    pub position: u64,
    pub rows: u64,
    pub checksum: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Nothing of the subject may be erased from now on.
    Hold {
        subject: Subject,
        reason: String,
    },
    Release {
        subject: Subject,
        reason: String,
    },
    Export(Exported),
    /// The keys are those that the subject has.
    Erase {
        subject: Subject,
        reason: String,
        keys: Vec<KeyId>,
    },
    /// Keys that had been destroyed are here again, with an old copy of the
    /// keys. Nothing holds them back.
    EraseAgain {
        subject: Subject,
        reason: String,
        keys: Vec<KeyId>,
    },
    Finish(Erased),
}

/// The subject's history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Why nothing may be erased.
    pub held: Option<String>,
    /// What is under way.
    pub erasing: Option<Erasing>,
    /// Oldest first.
    pub erased: Vec<Erased>,
    pub exports: u64,
}

fn reasoned(reason: &str) -> Result<(), Rejection> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        let wrong = format!("must be 1 to {MAX_REASON_BYTES} bytes without control characters");
        return Err(Rejection::field("/reason", wrong));
    }
    Ok(())
}

impl Decide for Record {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        decide(self, command).map(|event| Decision::events(event.into_iter().collect()))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Held { reason, .. } => self.held = Some(reason),
            Event::Released { .. } => self.held = None,
            Event::Exported(_) => self.exports += 1,
            Event::Erasing(erasing) => self.erasing = Some(erasing),
            Event::Erased(erased) => {
                self.erasing = None;
                self.erased.push(erased);
            }
        }
    }
}

/// At most one event; none if it is so already.
fn decide(record: &Record, command: Command) -> Result<Option<Event>, Rejection> {
    match command {
        Command::Hold { subject, reason } => {
            reasoned(&reason)?;
            if record.erasing.is_some() {
                return Err(Rejection::State("it is being erased; what is left cannot be held".into()));
            }
            let same = record.held.as_ref() == Some(&reason);
            Ok((!same).then_some(Event::Held { subject, reason }))
        }
        Command::Release { subject, reason } => {
            reasoned(&reason)?;
            Ok(record.held.is_some().then_some(Event::Released { subject, reason }))
        }
        Command::Export(exported) => Ok(Some(Event::Exported(exported))),
        Command::Erase { subject, reason, keys } => {
            reasoned(&reason)?;
            if let Some(Erasing { keys: going, .. }) = &record.erasing {
                return match keys.iter().all(|key| going.contains(key)) {
                    true => Ok(None),
                    // What came since has another key; this erasure does not take it.
                    false => Err(Rejection::State(
                        "it is being erased, and more was recorded since: ask again when that is done".into(),
                    )),
                };
            }
            if let Some(why) = &record.held {
                return Err(Rejection::State(format!("it is held and may not be erased: {why}")));
            }
            match keys.is_empty() {
                true if record.erased.is_empty() => Err(Rejection::NotFound),
                true => Ok(None),
                false => Ok(Some(Event::Erasing(Erasing { subject, reason, keys }))),
            }
        }
        Command::EraseAgain { subject, reason, keys } => {
            let wanted = record.erasing.is_none() && !keys.is_empty();
            Ok(wanted.then_some(Event::Erasing(Erasing { subject, reason, keys })))
        }
        Command::Finish(erased) => {
            // Whoever was slow may find the next erasure under way.
            let its_own = record.erasing.as_ref().is_some_and(|erasing| erasing.keys == erased.keys);
            Ok(its_own.then_some(Event::Erased(erased)))
        }
    }
}
