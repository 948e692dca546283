//! What may be asked of a projection's generations, and what is refused.

use std::collections::BTreeSet;

use super::{Built, Compared, Event, Replay, Stage, Verified};
use crate::decide::Rejection;
use crate::ports::rows::ModelId;

/// Generations that exist beside each other.
pub const MAX_GENERATIONS: usize = 16;
const MAX_SKIPS: usize = 10_000;
const MAX_REASON_BYTES: usize = 500;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The number is one that the row store gave.
    Request {
        generation: u32,
        model: ModelId,
        at: Option<u64>,
    },
    Pause {
        generation: u32,
    },
    Resume {
        generation: u32,
    },
    Abort {
        generation: u32,
    },
    /// The builder is done.
    Finish(Built),
    Compare(Compared),
    /// The fence is the head of the log.
    Promote {
        generation: u32,
        fence: u64,
    },
    /// To the last one before that is among these.
    RollBack {
        available: BTreeSet<u32>,
    },
    Prune {
        generation: u32,
    },
    Verify(Verified),
    Skip {
        position: u64,
        reason: String,
        kept_by: BTreeSet<u32>,
    },
}

/// At most one event; none if it is so already.
pub(super) fn decide(state: &Replay, command: Command) -> Result<Option<Event>, Rejection> {
    match command {
        Command::Request { generation, model, at } => request(state, generation, model, at),
        Command::Pause { generation } => match building(state, generation, "paused")? {
            Stage::Paused => Ok(None),
            _ => Ok(Some(Event::Paused { generation })),
        },
        Command::Resume { generation } => match building(state, generation, "resumed")? {
            Stage::Paused => Ok(Some(Event::Resumed { generation })),
            _ => Ok(None),
        },
        Command::Abort { generation } if state.stage(generation) == Some(Stage::Aborted) => Ok(None),
        Command::Abort { generation } => {
            building(state, generation, "aborted")?;
            Ok(Some(Event::Aborted { generation }))
        }
        Command::Finish(built) if state.stage(built.generation) == Some(Stage::Built) => Ok(None),
        Command::Finish(built) => {
            building(state, built.generation, "finished")?;
            Ok(Some(Event::Built(built)))
        }
        Command::Compare(compared) => {
            present(state, compared.generation)?;
            present(state, compared.against)?;
            Ok(Some(Event::Compared(compared)))
        }
        Command::Promote { generation, .. } if generation == state.live => Ok(None),
        Command::Promote { generation, fence } => {
            promotable(state, generation)?;
            Ok(Some(Event::Promoted { generation, previous: state.live, fence }))
        }
        Command::RollBack { available } => match state.previous(&available) {
            Some(to) => Ok(Some(Event::RolledBack { from: state.live, to })),
            None => {
                Err(Rejection::State("there is no generation that was live before and still exists".into()))
            }
        },
        Command::Prune { generation } => prune(state, generation),
        Command::Verify(verified) => {
            present(state, verified.generation)?;
            Ok(Some(Event::Verified(verified)))
        }
        Command::Skip { position, reason, kept_by } => skip(state, position, reason, kept_by),
    }
}

fn request(
    state: &Replay,
    generation: u32,
    model: ModelId,
    at: Option<u64>,
) -> Result<Option<Event>, Rejection> {
    if generation <= state.greatest() {
        return Err(Rejection::State(format!("generation {generation} has been given out")));
    }
    let there = |stage: Stage| !matches!(stage, Stage::Aborted | Stage::Pruned);
    if state.generations.values().filter(|k| there(k.stage)).count() >= MAX_GENERATIONS {
        let reason = format!("there are {MAX_GENERATIONS} generations already; prune some of them");
        return Err(Rejection::State(reason));
    }
    Ok(Some(Event::Requested { generation, model, at }))
}

/// Building, or paused at it.
fn building(state: &Replay, generation: u32, what: &str) -> Result<Stage, Rejection> {
    match state.stage(generation) {
        None => Err(Rejection::NotFound),
        Some(stage @ (Stage::Building | Stage::Paused)) => Ok(stage),
        Some(stage) => {
            let word = word(stage);
            Err(Rejection::State(format!("generation {generation} is {word} and can't be {what}")))
        }
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Building => "building",
        Stage::Paused => "paused",
        Stage::Built => "built",
        Stage::Aborted => "aborted",
        Stage::Pruned => "pruned",
    }
}

fn present(state: &Replay, generation: u32) -> Result<(), Rejection> {
    match state.stage(generation) {
        Some(Stage::Built) => Ok(()),
        None => Err(Rejection::NotFound),
        Some(stage) => Err(Rejection::State(format!("generation {generation} is {}", word(stage)))),
    }
}

fn promotable(state: &Replay, generation: u32) -> Result<(), Rejection> {
    present(state, generation)?;
    match state.generations.get(&generation).and_then(|k| k.at) {
        Some(at) => {
            let reason = format!("generation {generation} is the past up to {at} and can't be promoted");
            Err(Rejection::State(reason))
        }
        None => Ok(()),
    }
}

fn prune(state: &Replay, generation: u32) -> Result<Option<Event>, Rejection> {
    match state.stage(generation) {
        None => Err(Rejection::NotFound),
        _ if generation == state.live => {
            Err(Rejection::State(format!("generation {generation} is live; promote another one first")))
        }
        Some(Stage::Building | Stage::Paused) => {
            Err(Rejection::State(format!("generation {generation} is building; abort it first")))
        }
        Some(Stage::Pruned) => Ok(None),
        Some(Stage::Built | Stage::Aborted) => Ok(Some(Event::Pruned { generation })),
    }
}

fn skip(
    state: &Replay,
    position: u64,
    reason: String,
    kept_by: BTreeSet<u32>,
) -> Result<Option<Event>, Rejection> {
    if state.skips.contains_key(&position) {
        return Ok(None);
    }
    if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        let wrong = format!("must be 1 to {MAX_REASON_BYTES} bytes without control characters");
        return Err(Rejection::field("/reason", wrong));
    }
    if state.skips.len() >= MAX_SKIPS {
        return Err(Rejection::State(format!("{MAX_SKIPS} events are left out already")));
    }
    Ok(Some(Event::SkippedEvent { position, reason, kept_by }))
}
