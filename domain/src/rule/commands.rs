//! What can be asked of a rule, and what is decided.

use serde::{Deserialize, Serialize};

use super::{Definition, Event, KIND};
use crate::decide::{Context, Decide, Decision, Rejection};

const MAX_REASON_BYTES: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A new rule, in force from its own position on.
    Define(Definition),
    /// Replaces all that the rule says.
    Change(Definition),
    Enable,
    Disable {
        reason: Option<String>,
    },
    /// For good; its id is not given out again.
    Archive,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What it says; absent before it was defined.
    pub definition: Option<Definition>,
    pub enabled: bool,
    pub archived: bool,
    /// Counts what it has said, from 1: matches name it.
    pub version: u32,
}

impl Decide for Rule {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Define(definition) = command {
            return self.define(definition);
        }
        let Some(current) = &self.definition else { return Err(Rejection::NotFound) };
        let event = match command {
            Command::Archive if self.archived => return Ok(Decision::nothing()),
            Command::Archive => Event::Archived {},
            _ if self.archived => return Err(Rejection::State("the rule is archived".into())),
            Command::Change(definition) => {
                definition.check()?;
                if *current == definition {
                    return Ok(Decision::nothing());
                }
                Event::Changed(definition)
            }
            Command::Enable if self.enabled => return Ok(Decision::nothing()),
            Command::Enable => Event::Enabled {},
            Command::Disable { .. } if !self.enabled => return Ok(Decision::nothing()),
            Command::Disable { reason } => {
                if reason.as_ref().is_some_and(|r| r.len() > MAX_REASON_BYTES) {
                    let reason = format!("must have at most {MAX_REASON_BYTES} bytes");
                    return Err(Rejection::field("/reason", reason));
                }
                Event::Disabled { reason }
            }
            // Handled above.
            Command::Define(_) => return Ok(Decision::nothing()),
        };
        Ok(Decision::events(vec![event]))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Defined(definition) => {
                *self = Self { definition: Some(definition), enabled: true, archived: false, version: 1 };
            }
            Event::Changed(definition) => {
                self.definition = Some(definition);
                self.version += 1;
            }
            Event::Enabled {} => self.enabled = true,
            Event::Disabled { .. } => self.enabled = false,
            Event::Archived {} => {
                self.archived = true;
                self.enabled = false;
            }
        }
    }
}

impl Rule {
    /// Defining a rule again as it is changes nothing.
    fn define(&self, definition: Definition) -> Result<Decision<Event>, Rejection> {
        definition.check()?;
        match &self.definition {
            None => Ok(Decision::events(vec![Event::Defined(definition)])),
            Some(current) if *current == definition && !self.archived => Ok(Decision::nothing()),
            Some(_) => Err(Rejection::State("there is a rule of this id already".into())),
        }
    }
}
