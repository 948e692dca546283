//! What follows from an attempt.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Attempted, Death, Event, KIND, MAX_DETAIL_BYTES, MAX_EXCERPT_BYTES, Schedule, Scheduled, Trouble, excerpt,
};
use crate::decide::{Context, Decide, Decision, Rejection};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answer { status: u16, retry_after: Option<Duration>, body: String },
    Failed { error: Trouble, detail: String },
}

/// One try, begun at `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub at: Timestamp,
    pub latency: Duration,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Schedule(Scheduled),
    Record { id: String, attempt: Attempt, schedule: Schedule },
    GiveUp(Death),
    RequestAgain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    #[default]
    Due,
    Delivered,
    Dead,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Absent before it was scheduled.
    pub of: Option<Scheduled>,
    pub state: State,
    pub attempts: u32,
    /// Attempts since it was last asked for.
    pub round: u32,
    pub due_at: Timestamp,
}

impl Decide for Delivery {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        let Some(of) = &self.of else {
            return match command {
                Command::Schedule(of) => Ok(Decision::events(vec![Event::Scheduled(of)])),
                _ => Err(Rejection::NotFound),
            };
        };
        let (endpoint, cause) = (of.endpoint.clone(), of.cause);
        match command {
            Command::Schedule(_) => Ok(Decision::nothing()),
            Command::RequestAgain if self.state == State::Due => Ok(Decision::nothing()),
            Command::RequestAgain => {
                let again = Event::RequestedAgain { endpoint, cause, due_at: context.now };
                Ok(Decision::events(vec![again]))
            }
            _ if self.state != State::Due => Err(Rejection::State("the delivery has ended".into())),
            Command::GiveUp(reason) => {
                let dead = Event::Dead { endpoint, cause, attempts: self.attempts, reason };
                Ok(Decision::events(vec![dead]))
            }
            Command::Record { id, attempt, schedule } => {
                Ok(Decision::events(self.after(of, &id, attempt, &schedule, context.now)))
            }
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Scheduled(of) => *self = Self { due_at: of.due_at, of: Some(of), ..Self::default() },
            Event::Attempted(attempted) => {
                (self.attempts, self.round) = (attempted.attempt, self.round + 1);
                self.due_at = attempted.next_at.unwrap_or(self.due_at);
            }
            Event::Delivered { .. } => self.state = State::Delivered,
            Event::Dead { .. } => self.state = State::Dead,
            Event::RequestedAgain { due_at, .. } => {
                (self.state, self.round, self.due_at) = (State::Due, 0, due_at);
            }
        }
    }
}

impl Delivery {
    /// An attempt, and whether the delivery ends with it.
    fn after(
        &self,
        of: &Scheduled,
        id: &str,
        attempt: Attempt,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Vec<Event> {
        let (endpoint, cause, attempts) = (of.endpoint.clone(), of.cause, self.attempts + 1);
        let mut attempted = Attempted {
            endpoint: endpoint.clone(),
            cause,
            attempt: attempts,
            at: attempt.at,
            latency_ms: u64::try_from(attempt.latency.as_millis()).unwrap_or(u64::MAX),
            status: None,
            error: None,
            detail: None,
            excerpt: None,
            next_at: None,
        };
        let kept = |text: &str, most| Some(excerpt(text, most)).filter(|text| !text.is_empty());
        let mut asked = None;
        match attempt.outcome {
            Outcome::Answer { status, retry_after, body } => {
                attempted.status = Some(status);
                attempted.excerpt = kept(&body, MAX_EXCERPT_BYTES);
                asked = retry_after;
            }
            Outcome::Failed { error, detail } => {
                attempted.error = Some(error);
                attempted.detail = kept(&detail, MAX_DETAIL_BYTES);
            }
        }
        let end = match attempted.status {
            Some(200..=299) => Some(Event::Delivered { endpoint, cause, attempts }),
            Some(410) => Some(Event::Dead { endpoint, cause, attempts, reason: Death::Gone }),
            _ => {
                attempted.next_at = schedule.next(id, attempts, self.round + 1, now, asked);
                let dead = Event::Dead { endpoint, cause, attempts, reason: Death::Exhausted };
                attempted.next_at.is_none().then_some(dead)
            }
        };
        std::iter::once(Event::Attempted(attempted)).chain(end).collect()
    }
}
