//! The rules of a run.

use jiff::SignedDuration;

use super::{Cells, Event, Run, RunStatus, Start, TaskState, TaskStatus};
use crate::decide::{Check, Context, Decide, Decision, Rejection};
use crate::ports::log::ExpectedVersion;
use crate::valuation::{check_name, market_snapshot, parts};

const MAX_REASON_BYTES: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Start(Box<Start>),
    /// Whatever is first in order and free; nothing if there is nothing.
    Claim {
        worker: String,
    },
    Extend {
        task: String,
        token: u32,
    },
    Complete {
        task: String,
        token: u32,
        cells: Cells,
    },
    Fail {
        task: String,
        token: u32,
        reason: String,
    },
    Cancel {
        reason: Option<String>,
    },
    /// Dead tasks; all of them if none is named.
    Retry {
        tasks: Vec<String>,
    },
}

impl Decide for Run {
    const KIND: &'static str = super::KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Start(start) = command {
            return self.start(*start);
        }
        if self.plan.is_none() {
            return Err(Rejection::NotFound);
        }
        let events = match command {
            Command::Claim { worker } => self.claim(worker, context)?,
            Command::Extend { task, token } => {
                self.held(&task, token)?;
                vec![Event::TaskExtended { task, token, until: self.until(context)? }]
            }
            Command::Complete { task, token, cells } => self.complete(task, token, cells)?,
            Command::Fail { task, token, reason } => self.fail(task, token, reason)?,
            Command::Cancel { reason } => match self.status() {
                RunStatus::Cancelled => vec![],
                RunStatus::Completed => return Err(state("the run is completed")),
                _ => vec![Event::Cancelled { reason: reason.map(shortened) }],
            },
            Command::Retry { tasks } => self.retry(tasks)?,
            // Handled above.
            Command::Start(_) => vec![],
        };
        Ok(Decision::events(events))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::ScenariosGiven { text, .. } => self.scenarios.push_str(&text),
            Event::Started(plan) => {
                self.tasks = plan.tasks.iter().map(|t| (t.id.clone(), TaskState::default())).collect();
                self.plan = Some(*plan);
            }
            Event::TaskClaimed { task, token, worker, until } => self.change(&task, |state| {
                state.token = token;
                state.attempts += 1;
                state.status = TaskStatus::Running { worker, until };
            }),
            Event::TaskExtended { task, until: later, .. } => self.change(&task, |state| {
                if let TaskStatus::Running { until, .. } = &mut state.status {
                    *until = later;
                }
            }),
            Event::TaskCompleted { task, cells, .. } => {
                self.change(&task, |state| state.status = TaskStatus::Succeeded(cells));
            }
            Event::TaskFailed { task, reason, .. } => self.change(&task, |state| {
                state.last_error = Some(reason);
                state.status = TaskStatus::Queued;
            }),
            Event::TaskDied { task, reason } => {
                self.change(&task, |state| state.status = TaskStatus::Dead { reason });
            }
            Event::TaskRetried { task } => self.change(&task, |state| {
                state.attempts = 0;
                state.status = TaskStatus::Queued;
            }),
            Event::Cancelled { .. } => self.cancelled = true,
            Event::Sealed { sha256, .. } => self.sealed = Some(sha256),
        }
    }
}

fn state(reason: &str) -> Rejection {
    Rejection::State(reason.into())
}

fn shortened(mut reason: String) -> String {
    while reason.len() > MAX_REASON_BYTES {
        reason.pop();
    }
    reason
}

impl Run {
    fn change(&mut self, task: &str, change: impl FnOnce(&mut TaskState)) {
        if let Some(state) = self.tasks.get_mut(task) {
            change(state);
        }
    }

    fn start(&self, start: Start) -> Result<Decision<Event>, Rejection> {
        if let Some(known) = &self.plan {
            return match known.request_sha256 == start.plan.request_sha256 {
                true => Ok(Decision::nothing()),
                false => Err(state("there is a run of this id, and it was asked for otherwise")),
            };
        }
        start.check()?;
        let Start { plan, scenarios } = start;
        let checks = vec![Check {
            field: "/market_snapshot_id",
            kind: market_snapshot::KIND,
            id: plan.market_snapshot.clone(),
            expected: ExpectedVersion::Exists,
        }];
        let parts = (0..).zip(parts::cut(&scenarios));
        let mut events: Vec<Event> = parts.map(|(part, text)| Event::ScenariosGiven { part, text }).collect();
        events.push(Event::Started(Box::new(plan)));
        Ok(Decision { checks, ..Decision::events(events) })
    }

    fn until(&self, context: &Context) -> Result<jiff::Timestamp, Rejection> {
        let seconds = self.plan.as_ref().map_or(0, |plan| plan.lease_seconds);
        let until = context.now.checked_add(SignedDuration::from_secs(seconds.into()));
        until.map_err(|_| state("the clock is at its end"))
    }

    fn max_attempts(&self) -> u32 {
        self.plan.as_ref().map_or(0, |plan| plan.max_attempts)
    }

    /// Tasks whose last claim ran out die on the way.
    fn claim(&self, worker: String, context: &Context) -> Result<Vec<Event>, Rejection> {
        check_name("/worker", &worker)?;
        if self.status().is_over() {
            return Ok(vec![]);
        }
        let mut events = Vec::new();
        for (id, task) in self.tasks.iter().filter(|(_, task)| task.is_claimable(context.now)) {
            if task.attempts >= self.max_attempts() {
                let reason = "its worker was not heard of again, as often as it was tried".to_owned();
                events.push(Event::TaskDied { task: id.clone(), reason });
                continue;
            }
            let (token, until) = (task.token + 1, self.until(context)?);
            events.push(Event::TaskClaimed { task: id.clone(), token, worker, until });
            break;
        }
        Ok(events)
    }

    /// The task, if this is its newest token and it is not done.
    fn held(&self, id: &str, token: u32) -> Result<&TaskState, Rejection> {
        let task = self.tasks.get(id).ok_or_else(|| Rejection::field("/task", "there is no such task"))?;
        if self.cancelled {
            return Err(state("the run is cancelled"));
        }
        match (&task.status, task.token == token) {
            (TaskStatus::Running { .. }, true) => Ok(task),
            _ => Err(state("the claim is not the task's newest")),
        }
    }

    fn complete(&self, id: String, token: u32, cells: Cells) -> Result<Vec<Event>, Rejection> {
        let known = self.tasks.get(&id).filter(|task| task.token == token);
        if known.is_some_and(|task| matches!(&task.status, TaskStatus::Succeeded(done) if *done == cells)) {
            return Ok(vec![]);
        }
        self.held(&id, token)?;
        let done = Event::TaskCompleted { task: id, token, cells };
        let mut after = self.clone();
        after.evolve(done.clone());
        let last = after.results().count() == after.tasks.len();
        Ok(if last { vec![done, after.seal()] } else { vec![done] })
    }

    fn fail(&self, id: String, token: u32, reason: String) -> Result<Vec<Event>, Rejection> {
        let attempts = self.held(&id, token)?.attempts;
        let reason = shortened(reason);
        let failed = Event::TaskFailed { task: id.clone(), token, reason: reason.clone() };
        Ok(match attempts >= self.max_attempts() {
            true => vec![failed, Event::TaskDied { task: id, reason }],
            false => vec![failed],
        })
    }

    fn retry(&self, tasks: Vec<String>) -> Result<Vec<Event>, Rejection> {
        if self.cancelled {
            return Err(state("the run is cancelled"));
        }
        let dead = |task: &TaskState| matches!(task.status, TaskStatus::Dead { .. });
        for (at, id) in tasks.iter().enumerate() {
            let task = self.tasks.get(id);
            let pointer = format!("/tasks/{at}");
            let task = task.ok_or_else(|| Rejection::field(&pointer, "there is no such task"))?;
            if !dead(task) && task.is_over() {
                return Err(Rejection::field(&pointer, "is done"));
            }
        }
        let asked = |id: &String| tasks.is_empty() || tasks.contains(id);
        let retried = self.tasks.iter().filter(|(id, task)| dead(task) && asked(id));
        Ok(retried.map(|(id, _)| Event::TaskRetried { task: id.clone() }).collect())
    }
}
