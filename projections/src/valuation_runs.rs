//! Valuation runs: where each stands and how far it is.

use domain::RecordedEvent;
use domain::ports::rows::{Column, ColumnKind, ModelId, TableSpec};
use domain::registry::decode;
use domain::valuation::run::{self, Event, RunStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "valuation_runs";
/// Key: the run's id.
pub const RUNS: &str = "runs";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    pub run_id: String,
    /// Of the run's stream.
    pub version: u64,
    /// `QUEUED`, `RUNNING`, `COMPLETED`, `FAILED` or `CANCELLED`.
    pub status: String,
    pub run_type: String,
    pub as_of: String,
    pub market_snapshot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_snapshot: Option<String>,
    pub model: String,
    pub measures: Vec<String>,
    pub scenarios: u32,
    pub positions: u64,
    pub unpriced: u64,
    pub tasks: u64,
    pub tasks_done: u64,
    pub tasks_dead: u64,
    /// Claims of tasks so far.
    pub claims: u64,
    /// Claims that ended with a reason.
    pub failures: u64,
    /// Cells that are there.
    pub rows: u64,
    pub flagged: u64,
    pub bytes: u64,
    pub cancelled: bool,
    /// Over all results, once the run is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
}

impl Row for RunRow {}

const TABLES: &[TableSpec] = &[TableSpec {
    name: RUNS,
    sorted: false,
    columns: &[
        Column { name: "status", path: "status", kind: ColumnKind::Text },
        Column { name: "run_type", path: "run_type", kind: ColumnKind::Text },
        Column { name: "as_of", path: "as_of", kind: ColumnKind::Text },
        Column { name: "market_snapshot", path: "market_snapshot", kind: ColumnKind::Text },
        Column { name: "positions", path: "positions", kind: ColumnKind::Integer },
        Column { name: "scenarios", path: "scenarios", kind: ColumnKind::Integer },
        Column { name: "tasks", path: "tasks", kind: ColumnKind::Integer },
        Column { name: "tasks_done", path: "tasks_done", kind: ColumnKind::Integer },
        Column { name: "tasks_dead", path: "tasks_dead", kind: ColumnKind::Integer },
        Column { name: "flagged", path: "flagged", kind: ColumnKind::Integer },
        Column { name: "sha256", path: "sha256", kind: ColumnKind::Text },
        Column { name: "started_at", path: "started_at", kind: ColumnKind::Time },
    ],
}];

pub struct ValuationRuns;

impl Projection for ValuationRuns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &run::EVENT_TYPES
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        want.row(RUNS, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let happened: Event = decode(event)?;
        let row: &mut RunRow = rows.entry_or_default(RUNS, &event.stream.tenant, &event.stream.id)?;
        advance(&mut row.version, event)?;
        let at = event.at();
        row.started_at.get_or_insert(at);
        row.changed_at = Some(at);
        row.fold(&event.stream.id, happened);
        row.status = row.status().name().to_owned();
        Ok(())
    }
}

impl RunRow {
    fn fold(&mut self, id: &str, event: Event) {
        match event {
            Event::ScenariosGiven { .. } | Event::TaskExtended { .. } => {}
            Event::Started(plan) => {
                let plan = *plan;
                self.tasks = plan.tasks.len() as u64;
                self.run_type = plan.run_type;
                self.as_of = plan.as_of;
                self.market_snapshot = plan.market_snapshot;
                self.position_snapshot = plan.position_snapshot;
                self.model = plan.model;
                self.measures = plan.measures;
                self.scenarios = plan.scenarios;
                self.positions = plan.positions;
                self.unpriced = plan.unpriced;
            }
            Event::TaskClaimed { .. } => self.claims += 1,
            Event::TaskCompleted { cells, .. } => {
                self.tasks_done += 1;
                self.rows += cells.rows;
                self.flagged += cells.flagged;
                self.bytes += cells.bytes;
            }
            Event::TaskFailed { .. } => self.failures += 1,
            Event::TaskDied { .. } => self.tasks_dead += 1,
            Event::TaskRetried { .. } => self.tasks_dead = self.tasks_dead.saturating_sub(1),
            Event::Cancelled { .. } => self.cancelled = true,
            Event::Sealed { sha256, .. } => self.sha256 = Some(sha256),
        }
        self.run_id = id.to_owned();
    }

    fn status(&self) -> RunStatus {
        match self {
            Self { sha256: Some(_), .. } => RunStatus::Completed,
            Self { cancelled: true, .. } => RunStatus::Cancelled,
            row if row.tasks_dead > 0 && row.tasks_dead + row.tasks_done == row.tasks => RunStatus::Failed,
            row if row.claims > 0 => RunStatus::Running,
            _ => RunStatus::Queued,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::valuation::run::{Cells, Plan, Task};

    use super::*;

    fn plan() -> Plan {
        Plan {
            run_type: "SANDBOX".into(),
            request_sha256: "h".into(),
            as_of: "2026-01-23".into(),
            market_snapshot: "m".into(),
            at: 1,
            position_snapshot: None,
            books: vec![],
            model: "pricing@1".into(),
            parameters: serde_json::Value::Null,
            reprices: None,
            measures: vec!["PV".into()],
            scenarios: 1,
            base_currency: None,
            hash_mod: 2,
            lease_seconds: 1,
            max_attempts: 1,
            positions: 2,
            unpriced: 0,
            tasks: vec![Task::new("CASH", 0, 1), Task::new("CASH", 1, 1)],
        }
    }

    /// A row counts what the aggregate knows of each task.
    #[test]
    fn the_status_is_the_aggregates() {
        let claimed = |task: &str, token| Event::TaskClaimed {
            task: task.into(),
            token,
            worker: "w".into(),
            until: Timestamp::UNIX_EPOCH,
        };
        let cells = Cells { sha256: "c".into(), bytes: 5, rows: 3, flagged: 1, positions: 1 };
        let done = |task: &str| Event::TaskCompleted { task: task.into(), token: 1, cells: cells.clone() };
        let (first, second) = ("CASH/0000", "CASH/0001");
        let events = [
            Event::Started(Box::new(plan())),
            claimed(first, 1),
            done(first),
            claimed(second, 1),
            Event::TaskDied { task: second.into(), reason: "r".into() },
            Event::TaskRetried { task: second.into() },
            claimed(second, 2),
            done(second),
            Event::Sealed { sha256: "s".into(), rows: 6, flagged: 2, bytes: 10 },
        ];
        let (mut row, mut run) = (RunRow::default(), run::Run::default());
        for event in events {
            domain::decide::Decide::evolve(&mut run, event.clone());
            row.fold("R", event);
            assert_eq!(row.status(), run.status());
        }
        assert_eq!((row.claims, row.rows, row.flagged, row.bytes), (3, 6, 2, 10));
        assert_eq!((row.tasks_done, row.tasks_dead, row.status()), (2, 0, RunStatus::Completed));
    }
}
