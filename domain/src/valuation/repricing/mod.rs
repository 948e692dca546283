//! `Repricing`: generations of results beside those that runs made themselves.
//! Stream kind `repricing`, its id the pricing model's name.
//!
//! A generation prices chosen runs again by another model, from what each run
//! pinned: for each of them a run of its own, `<run>@<generation>`. What readers
//! get of a run is what was promoted last and has it; a promotion is one event,
//! for all runs of the generation, and going back takes it away again.

mod decision;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ports::rows::ModelId;

pub use decision::{Command, MAX_GENERATIONS, MAX_RUNS};

pub const KIND: &str = "repricing";
pub const REQUESTED: &str = "repricing.requested";
pub const ABORTED: &str = "repricing.aborted";
pub const COMPARED: &str = "repricing.compared";
pub const PROMOTED: &str = "repricing.promoted";
pub const ROLLED_BACK: &str = "repricing.rolled_back";

/// What runs made themselves. Nobody asked for it.
pub const FIRST: u32 = 1;

/// A run that is sealed, and the hash of its own results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    pub run_id: String,
    pub sha256: String,
}

/// What readers of a run get instead of what they had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub run_id: String,
    /// The generation that they had.
    pub previous: u32,
    /// Over the results that they get.
    pub sha256: String,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub generation: u32,
    pub same: bool,
    pub positions: u64,
    /// Positions whose value is another, or is flagged on one side only.
    pub changed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "repricing.requested")]
    Requested { generation: u32, model: ModelId, runs: Vec<Chosen> },
    #[serde(rename = "repricing.aborted")]
    Aborted { generation: u32 },
    #[serde(rename = "repricing.compared")]
    Compared(Compared),
    #[serde(rename = "repricing.promoted")]
    Promoted { generation: u32, runs: Vec<Shown> },
    /// The last promotion is taken away.
    #[serde(rename = "repricing.rolled_back")]
    RolledBack { from: u32, runs: Vec<String> },
}

/// A generation as the facts have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    pub model: ModelId,
    pub runs: Vec<Chosen>,
    /// Of the stream, when it was asked for.
    pub version: u64,
    pub aborted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repricing {
    pub generations: BTreeMap<u32, Generation>,
    /// Promotions that hold, the last one at the end.
    pub promoted: Vec<u32>,
    /// Of the stream.
    version: u64,
}

impl Repricing {
    /// The generation that a run's readers get.
    pub fn in_force(&self, run: &str) -> u32 {
        self.promoted.iter().rev().copied().find(|n| self.has(*n, run)).unwrap_or(FIRST)
    }

    /// Whether a generation prices a run.
    pub fn has(&self, generation: u32, run: &str) -> bool {
        let runs = self.generations.get(&generation).map(|known| &known.runs);
        runs.is_some_and(|runs| runs.iter().any(|chosen| chosen.run_id == run))
    }

    /// What new runs are priced by; `None`: by the model as it comes.
    pub fn model_in_force(&self) -> Option<&ModelId> {
        let last = self.promoted.last()?;
        self.generations.get(last).map(|known| &known.model)
    }

    /// The newest that is not given up.
    pub fn newest(&self) -> Option<u32> {
        self.generations.iter().rev().find(|(_, known)| !known.aborted).map(|(n, _)| *n)
    }
}

/// The run that prices a run again.
pub fn repriced_id(run: &str, generation: u32) -> String {
    format!("{run}@{generation}")
}

/// Whether an id is kept for such runs.
pub fn is_repriced_id(run: &str) -> bool {
    let number = run.rsplit_once('@').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

impl Decide for Repricing {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        let event = decision::decide(self, command)?;
        Ok(Decision::events(event.into_iter().collect()))
    }

    fn evolve(&mut self, event: Event) {
        self.version += 1;
        match event {
            Event::Requested { generation, model, runs } => {
                let known = Generation { model, runs, version: self.version, aborted: false, compared: None };
                self.generations.insert(generation, known);
            }
            Event::Aborted { generation } => {
                if let Some(known) = self.generations.get_mut(&generation) {
                    known.aborted = true;
                }
            }
            Event::Compared(compared) => {
                if let Some(known) = self.generations.get_mut(&compared.generation) {
                    known.compared = Some(compared);
                }
            }
            Event::Promoted { generation, .. } => self.promoted.push(generation),
            Event::RolledBack { .. } => drop(self.promoted.pop()),
        }
    }
}
