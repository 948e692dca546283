//! `Replay`: what operators decided about the generations of a projection, and
//! what came of it. Stream kind `replay` of the system's tenant, its id the
//! projection's name.
//!
//! The decision stands here first; the row store follows it. A promotion is
//! one event, and two operators at once are told apart by the version that
//! they expect of this stream.

mod commands;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ports::rows::ModelId;

pub use commands::Command;

pub const KIND: &str = "replay";
pub const REQUESTED: &str = "replay.requested";
pub const PAUSED: &str = "replay.paused";
pub const RESUMED: &str = "replay.resumed";
pub const ABORTED: &str = "replay.aborted";
pub const BUILT: &str = "replay.built";
pub const COMPARED: &str = "replay.compared";
pub const PROMOTED: &str = "replay.promoted";
pub const ROLLED_BACK: &str = "replay.rolled_back";
pub const PRUNED: &str = "replay.pruned";
pub const VERIFIED: &str = "replay.verified";
pub const SKIPPED_EVENT: &str = "replay.skipped_event";

/// The generation that an installation begins with. Nobody asked for it.
pub const FIRST: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "replay.requested")]
    Requested {
        generation: u32,
        model: ModelId,
        /// Only the past up to here; the generation is never followed further.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
    },
    #[serde(rename = "replay.paused")]
    Paused { generation: u32 },
    #[serde(rename = "replay.resumed")]
    Resumed { generation: u32 },
    #[serde(rename = "replay.aborted")]
    Aborted { generation: u32 },
    #[serde(rename = "replay.built")]
    Built(Built),
    #[serde(rename = "replay.compared")]
    Compared(Compared),
    #[serde(rename = "replay.promoted")]
    Promoted {
        generation: u32,
        previous: u32,
        /// Where the rows had to be: the head of the log at the decision.
        fence: u64,
    },
    #[serde(rename = "replay.rolled_back")]
    RolledBack { from: u32, to: u32 },
    #[serde(rename = "replay.pruned")]
    Pruned { generation: u32 },
    #[serde(rename = "replay.verified")]
    Verified(Verified),
    /// An event that failed is left out from now on, of this generation and of
    /// all to come.
    #[serde(rename = "replay.skipped_event")]
    SkippedEvent {
        position: u64,
        reason: String,
        /// Generations that have it in their rows, since it did not fail there.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        kept_by: BTreeSet<u32>,
    },
}

/// History is folded; the generation can be promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Built {
    pub generation: u32,
    pub position: u64,
    pub rows: u64,
    /// Over all rows, in any order.
    pub checksum: String,
    /// Events folded.
    pub events: u64,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub generation: u32,
    pub against: u32,
    /// Both stood here.
    pub position: u64,
    pub same: bool,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
}

/// A generation was built again and compared with what is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    pub generation: u32,
    pub position: u64,
    pub same: bool,
    /// Of the stored rows.
    pub checksum: String,
    /// Of those that were built again.
    pub rebuilt: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Building,
    Paused,
    Built,
    Aborted,
    Pruned,
}

/// A generation as the facts have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub stage: Stage,
    /// `None` of [`FIRST`], which nobody asked for.
    pub model: Option<ModelId>,
    pub at: Option<u64>,
    pub built: Option<Built>,
    pub compared: Option<Compared>,
    pub verified: Option<Verified>,
}

impl Known {
    fn new(stage: Stage, model: Option<ModelId>, at: Option<u64>) -> Self {
        Self { stage, model, at, built: None, compared: None, verified: None }
    }
}

/// An event that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    pub reason: String,
    pub kept_by: BTreeSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    pub generations: BTreeMap<u32, Known>,
    pub live: u32,
    /// What was live before, last one last.
    pub before: Vec<u32>,
    /// By position.
    pub skips: BTreeMap<u64, Skip>,
}

impl Default for Replay {
    fn default() -> Self {
        let first = Known::new(Stage::Built, None, None);
        let generations = BTreeMap::from([(FIRST, first)]);
        Self { generations, live: FIRST, before: Vec::new(), skips: BTreeMap::new() }
    }
}

impl Replay {
    /// The greatest number ever given.
    pub fn greatest(&self) -> u32 {
        self.generations.keys().next_back().copied().unwrap_or(FIRST)
    }

    /// What a rollback leads to among those that can be had.
    pub fn previous(&self, available: &BTreeSet<u32>) -> Option<u32> {
        let usable = |g: &&u32| {
            let known = self.generations.get(*g);
            known.is_some_and(|k| k.stage == Stage::Built) && available.contains(*g) && **g != self.live
        };
        self.before.iter().rev().find(usable).copied()
    }

    /// Positions that a generation leaves out.
    pub fn left_out(&self, generation: u32) -> BTreeSet<u64> {
        let of = |(position, skip): (&u64, &Skip)| (!skip.kept_by.contains(&generation)).then_some(*position);
        self.skips.iter().filter_map(of).collect()
    }

    pub fn stage(&self, generation: u32) -> Option<Stage> {
        self.generations.get(&generation).map(|k| k.stage)
    }
}

impl Decide for Replay {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        commands::decide(self, command).map(|event| Decision::events(event.into_iter().collect()))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Requested { generation, model, at } => {
                self.generations.insert(generation, Known::new(Stage::Building, Some(model), at));
            }
            Event::Paused { generation } => self.set(generation, |k| k.stage = Stage::Paused),
            Event::Resumed { generation } => self.set(generation, |k| k.stage = Stage::Building),
            Event::Aborted { generation } => self.set(generation, |k| k.stage = Stage::Aborted),
            Event::Built(built) => self.set(built.generation, |k| {
                k.stage = Stage::Built;
                k.built = Some(built);
            }),
            Event::Compared(compared) => self.set(compared.generation, |k| k.compared = Some(compared)),
            Event::Verified(verified) => self.set(verified.generation, |k| k.verified = Some(verified)),
            Event::Promoted { generation, .. } => {
                self.before.retain(|g| *g != generation);
                self.before.push(self.live);
                self.live = generation;
            }
            Event::RolledBack { to, .. } => {
                self.before.retain(|g| *g != to);
                self.live = to;
            }
            Event::Pruned { generation } => {
                self.before.retain(|g| *g != generation);
                self.set(generation, |k| k.stage = Stage::Pruned);
            }
            Event::SkippedEvent { position, reason, kept_by } => {
                self.skips.insert(position, Skip { reason, kept_by });
            }
        }
    }
}

impl Replay {
    fn set(&mut self, generation: u32, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.generations.get_mut(&generation) {
            change(known);
        }
    }
}
