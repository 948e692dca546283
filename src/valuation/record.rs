//! Many commands of one kind, and what became of each.

use anyhow::Result;
use commands::execute::{Refusal, execute};
use commands::many::{Taken, execute_many};
use domain::decide::Decide;
use domain::valuation::position;
use models_pricing::position::Position as Row;

use runs::inputs::open;

use super::Desk;

/// Appended together; snapshots are large.
const CHUNK: usize = 200;

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Recorded, up to this position of the log.
    Recorded(u64),
    /// It was so already.
    Unchanged,
    /// Refused, with a reason.
    Rejected(String),
}

/// What became of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub answers: Vec<Answer>,
}

impl Recorded {
    pub fn count(&self, of: impl Fn(&Answer) -> bool) -> usize {
        self.answers.iter().filter(|answer| of(answer)).count()
    }

    pub fn recorded(&self) -> usize {
        self.count(|answer| matches!(answer, Answer::Recorded(_)))
    }

    pub fn unchanged(&self) -> usize {
        self.count(|answer| *answer == Answer::Unchanged)
    }

    /// Places and reasons of what was refused.
    pub fn rejected(&self) -> impl Iterator<Item = (usize, &str)> {
        self.answers.iter().enumerate().filter_map(|(at, answer)| match answer {
            Answer::Rejected(reason) => Some((at, reason.as_str())),
            _ => None,
        })
    }
}

impl Desk {
    /// Sends commands to aggregates, each by its id, and answers each.
    pub async fn record<A>(&self, commands: Vec<(String, A::Command)>) -> Result<Recorded>
    where
        A: Decide,
        A::Command: Clone,
    {
        let mut answers = Vec::with_capacity(commands.len());
        let mut left = commands.into_iter();
        loop {
            let chunk: Vec<_> = left.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(Recorded { answers });
            }
            for taken in execute_many::<A>(&self.services, &self.call(""), chunk).await {
                answers.push(match taken {
                    Ok(Taken::Recorded(position)) => Answer::Recorded(position),
                    Ok(Taken::Unchanged(_)) => Answer::Unchanged,
                    Err(refused) => rejected(refused)?,
                });
            }
        }
    }

    /// On its history.
    pub async fn one<A>(&self, id: &str, command: A::Command) -> Result<Answer>
    where
        A: Decide,
        A::Command: Clone,
    {
        match execute::<A>(&self.services, &self.call(id), command).await {
            Ok(outcome) if outcome.events.is_empty() => Ok(Answer::Unchanged),
            Ok(outcome) => Ok(Answer::Recorded(outcome.position)),
            Err(refused) => rejected(refused),
        }
    }

    /// Opens positions as they were read.
    pub async fn open(&self, rows: Vec<Row>) -> Result<Recorded> {
        let commands = rows.into_iter().map(|row| (row.position_id.clone(), open(row))).collect();
        self.record::<position::Position>(commands).await
    }
}

/// What was wrong with a row; what was wrong with the log ends the command.
fn rejected(refusal: Refusal) -> Result<Answer> {
    match refusal {
        refused @ (Refusal::Id(_) | Refusal::Rejected(_)) => Ok(Answer::Rejected(refused.to_string())),
        other => Err(other.into()),
    }
}
