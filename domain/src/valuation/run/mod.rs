//! `Run`: positions × scenarios × measures, priced in tasks by any number of
//! workers. Stream kind `run`.
//!
//! Everything that a result depends on is pinned when the run starts. A task is
//! claimed until an instant under a token; a later claim has a greater one, and
//! only the newest token may complete the task. So a worker that was killed, was
//! paused or works twice changes nothing. The event of a task that is done has the
//! hash of its cells and not the numbers; the last one seals the run.

mod decision;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use decision::Command;
pub use plan::{MAX_TASKS, Plan, Reprices, Start, Task};

pub const KIND: &str = "run";
pub const SCENARIOS_GIVEN: &str = "run.scenarios_given";
pub const STARTED: &str = "run.started";
pub const TASK_CLAIMED: &str = "run.task_claimed";
pub const TASK_EXTENDED: &str = "run.task_extended";
pub const TASK_COMPLETED: &str = "run.task_completed";
pub const TASK_FAILED: &str = "run.task_failed";
pub const TASK_DIED: &str = "run.task_died";
pub const TASK_RETRIED: &str = "run.task_retried";
pub const CANCELLED: &str = "run.cancelled";
pub const SEALED: &str = "run.sealed";

/// Every event of a run.
pub const EVENT_TYPES: [&str; 10] = [
    SCENARIOS_GIVEN,
    STARTED,
    TASK_CLAIMED,
    TASK_EXTENDED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_DIED,
    TASK_RETRIED,
    CANCELLED,
    SEALED,
];

/// What a task came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cells {
    /// SHA-256 of the object that has the cells; its name, too.
    pub sha256: String,
    pub bytes: u64,
    /// Cells: positions × scenarios × measures.
    pub rows: u64,
    /// Cells that have a reason instead of a number.
    pub flagged: u64,
    /// Positions that were priced.
    pub positions: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A part of the pinned scenarios' JSON, recorded together with the others
    /// and with the start.
    #[serde(rename = "run.scenarios_given")]
    ScenariosGiven { part: u32, text: String },
    #[serde(rename = "run.started")]
    Started(Box<Plan>),
    #[serde(rename = "run.task_claimed")]
    TaskClaimed { task: String, token: u32, worker: String, until: Timestamp },
    /// The worker is still at it.
    #[serde(rename = "run.task_extended")]
    TaskExtended { task: String, token: u32, until: Timestamp },
    #[serde(rename = "run.task_completed")]
    TaskCompleted {
        task: String,
        token: u32,
        #[serde(flatten)]
        cells: Cells,
    },
    #[serde(rename = "run.task_failed")]
    TaskFailed { task: String, token: u32, reason: String },
    /// It was tried as often as the run allows.
    #[serde(rename = "run.task_died")]
    TaskDied { task: String, reason: String },
    /// A dead task may be claimed again.
    #[serde(rename = "run.task_retried")]
    TaskRetried { task: String },
    #[serde(rename = "run.cancelled")]
    Cancelled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Every task is done. The hash is over the results of all in the order of
    /// the tasks, and nothing else: the same inputs have the same.
    #[serde(rename = "run.sealed")]
    Sealed { sha256: String, rows: u64, flagged: u64, bytes: u64 },
}

/// Where a task stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "UPPERCASE")]
pub enum TaskStatus {
    #[default]
    Queued,
    Running {
        worker: String,
        until: Timestamp,
    },
    Succeeded(Cells),
    Dead {
        reason: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Of the newest claim; 0 before the first.
    pub token: u32,
    /// Claims since it was queued or retried.
    pub attempts: u32,
    #[serde(flatten)]
    pub status: TaskStatus,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    Queued,
    Running,
    Completed,
    /// Nothing is left to be done, and some tasks are dead.
    Failed,
    Cancelled,
}

impl RunStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether workers have nothing more to do, unless dead tasks are retried.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `None` until it is started.
    pub plan: Option<Plan>,
    /// The pinned scenarios as JSON.
    pub scenarios: String,
    /// By the tasks' ids.
    pub tasks: BTreeMap<String, TaskState>,
    pub cancelled: bool,
    /// The hash over all results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl Run {
    pub fn status(&self) -> RunStatus {
        if self.sealed.is_some() {
            return RunStatus::Completed;
        }
        if self.cancelled {
            return RunStatus::Cancelled;
        }
        let count = |of: fn(&TaskStatus) -> bool| self.tasks.values().filter(|task| of(&task.status)).count();
        let dead = count(|status| matches!(status, TaskStatus::Dead { .. }));
        let done = count(|status| matches!(status, TaskStatus::Succeeded(_)));
        match () {
            () if dead > 0 && dead + done == self.tasks.len() => RunStatus::Failed,
            () if self.tasks.values().any(|task| task.token > 0) => RunStatus::Running,
            () => RunStatus::Queued,
        }
    }

    /// When the next claim of a task that somebody works on runs out.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let until = |task: &TaskState| match &task.status {
            TaskStatus::Running { until, .. } => Some(*until),
            _ => None,
        };
        self.tasks.values().filter_map(until).min()
    }

    /// Whether a worker could claim something now.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        !self.status().is_over() && self.tasks.values().any(|task| task.is_claimable(now))
    }

    /// Results of tasks that are done, in the order of the tasks.
    pub fn results(&self) -> impl Iterator<Item = (&str, &Cells)> {
        self.tasks.iter().filter_map(|(id, task)| match &task.status {
            TaskStatus::Succeeded(cells) => Some((id.as_str(), cells)),
            _ => None,
        })
    }

    /// SHA-256 of a line for each task: id, hash of its cells, rows, flagged.
    fn seal(&self) -> Event {
        let mut hash = Sha256::new();
        let (mut rows, mut flagged, mut bytes) = (0, 0, 0);
        for (id, cells) in self.results() {
            hash.update(format!("{id} {} {} {}\n", cells.sha256, cells.rows, cells.flagged));
            rows += cells.rows;
            flagged += cells.flagged;
            bytes += cells.bytes;
        }
        Event::Sealed { sha256: hex::encode(hash.finalize()), rows, flagged, bytes }
    }
}

impl TaskState {
    fn is_claimable(&self, now: Timestamp) -> bool {
        match &self.status {
            TaskStatus::Queued => true,
            TaskStatus::Running { until, .. } => *until <= now,
            TaskStatus::Succeeded(_) | TaskStatus::Dead { .. } => false,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.status, TaskStatus::Succeeded(_) | TaskStatus::Dead { .. })
    }
}
