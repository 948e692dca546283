//! Windows in which a series was unusual, with what people say about them:
//! each by its id, and all by when they began, newest first.

use domain::RecordedEvent;
use domain::anomaly_window::{
    self, ACKNOWLEDGED, Change, DETECTED, Detected, Event, Expected, MUTED, NOTED, Observed, Reason,
    Severity, UNMUTED,
};
use domain::ports::rows::{Column, ColumnKind, ModelId, RowKey, TableSpec};
use domain::registry::{decode, decode_payload};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "anomaly_windows";
/// Key: the window's id.
pub const WINDOWS: &str = "windows";
/// Key: [`newest_start_first`]`/<id>`. The same rows.
pub const BY_START: &str = "by_start";

/// Somebody takes care of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub by: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    pub id: String,
    /// How many changes it has.
    pub version: u64,
    /// Of what people say, for `If-Match`.
    pub review_version: u64,
    pub open: bool,
    /// Why it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub rule: String,
    pub rule_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub app: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub peak: Observed,
    pub score: f64,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    pub points: u32,
    /// Whether its opening set anything off.
    pub acts: bool,
    /// The series was muted when it was opened.
    pub muted: bool,
    /// Position of the fact that opened it.
    pub opened_by: u64,
    pub opened_at: Timestamp,
    /// Position of the newest fact of it.
    pub position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// The series is muted until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    pub notes: u32,
}

impl Row for WindowRow {}

/// A part of a key that sorts later instants first.
pub fn newest_start_first(start: Timestamp) -> String {
    // The difference to the largest number of 64 bits has at most 64 bits.
    format!("{:020}", (i128::from(i64::MAX) - i128::from(start.as_microsecond())).max(0))
}

const COLUMNS: &[Column] = &[
    Column { name: "rule", path: "rule", kind: ColumnKind::Text },
    Column { name: "rule_version", path: "rule_version", kind: ColumnKind::Integer },
    Column { name: "series", path: "key", kind: ColumnKind::Text },
    Column { name: "app", path: "app", kind: ColumnKind::Text },
    Column { name: "open", path: "open", kind: ColumnKind::Boolean },
    Column { name: "start", path: "start", kind: ColumnKind::Time },
    Column { name: "end", path: "end", kind: ColumnKind::Time },
    Column { name: "peak", path: "peak.value", kind: ColumnKind::Real },
    Column { name: "score", path: "score", kind: ColumnKind::Real },
    Column { name: "severity", path: "severity", kind: ColumnKind::Text },
    Column { name: "points", path: "points", kind: ColumnKind::Integer },
    Column { name: "acts", path: "acts", kind: ColumnKind::Boolean },
    Column { name: "muted_until", path: "muted_until", kind: ColumnKind::Time },
    Column { name: "notes", path: "notes", kind: ColumnKind::Integer },
];

const TABLES: &[TableSpec] = &[
    TableSpec { name: WINDOWS, sorted: false, columns: COLUMNS },
    TableSpec { name: BY_START, sorted: false, columns: COLUMNS },
];

pub struct Anomalies;

impl Projection for Anomalies {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[DETECTED, ACKNOWLEDGED, MUTED, UNMUTED, NOTED]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        want.row(WINDOWS, &event.stream.tenant, &event.stream.id);
    }

    /// What is found and what is said have streams of the same id.
    fn partition(&self, event: &RecordedEvent) -> String {
        format!("{}/{}", event.stream.tenant, event.stream.id)
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let (tenant, id) = (&event.stream.tenant, &*event.stream.id);
        let before: Option<WindowRow> = rows.get::<WindowRow>(WINDOWS, tenant, id)?.cloned();
        let old_key = before.as_ref().map(by_start);
        let row = match *event.event_type == *DETECTED {
            true => detected(before, event)?,
            false => said(before, event)?,
        };
        let key = by_start(&row);
        if let Some(old) = old_key.filter(|old| *old != key) {
            rows.delete(BY_START, tenant, &old)?;
        }
        rows.put(BY_START, tenant, &key, row.clone())?;
        rows.put(WINDOWS, tenant, id, row)
    }

    fn related(&self, event: &RecordedEvent, table: &str, row: &RowKey) -> bool {
        let id = &*event.stream.id;
        match table {
            WINDOWS => &*row.key == id,
            _ => row.key.rsplit('/').next() == Some(id),
        }
    }
}

fn by_start(row: &WindowRow) -> String {
    format!("{}/{}", newest_start_first(row.start), row.id)
}

fn detected(before: Option<WindowRow>, event: &RecordedEvent) -> Result<WindowRow, ApplyError> {
    let found: Detected = decode_payload(event)?;
    let mut version = before.as_ref().map_or(0, |row| row.version);
    advance(&mut version, event)?;
    let opened = found.change == Change::Opened;
    let first = before.as_ref();
    Ok(WindowRow {
        id: event.stream.id.to_string(),
        version,
        review_version: first.map_or(0, |row| row.review_version),
        open: found.change != Change::Closed,
        reason: found.reason,
        rule: found.rule,
        rule_version: found.rule_version,
        key: found.key,
        app: found.app,
        start: found.start,
        end: found.end,
        peak: found.peak,
        score: found.score,
        severity: found.severity,
        expected: found.expected,
        points: found.points,
        acts: first.map_or(opened && found.acts, |row| row.acts),
        muted: first.map_or(opened && found.muted, |row| row.muted),
        opened_by: first.map_or(event.position, |row| row.opened_by),
        opened_at: first.map_or(event.recorded_at, |row| row.opened_at),
        position: event.position,
        acknowledged: first.and_then(|row| row.acknowledged.clone()),
        muted_until: first.and_then(|row| row.muted_until),
        notes: first.map_or(0, |row| row.notes),
    })
}

fn said(before: Option<WindowRow>, event: &RecordedEvent) -> Result<WindowRow, ApplyError> {
    let Some(mut row) = before else {
        return Err(ApplyError::Event(format!("there is no window {}", event.stream.id)));
    };
    advance(&mut row.review_version, event)?;
    row.position = event.position;
    let noted = match decode::<anomaly_window::Event>(event)? {
        Event::Acknowledged { note } => {
            let by = event.metadata.actor.to_string();
            row.acknowledged = Some(Acknowledged { by, at: event.recorded_at });
            note.is_some()
        }
        Event::Muted { until, note, .. } => {
            row.muted_until = Some(until);
            note.is_some()
        }
        Event::Unmuted { .. } => {
            row.muted_until = None;
            false
        }
        Event::Noted { .. } => true,
    };
    row.notes = row.notes.saturating_add(u32::from(noted));
    Ok(row)
}

#[cfg(test)]
mod tests;
