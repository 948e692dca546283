//! The directory of live events: what is known of each, by start time.

use domain::RecordedEvent;
use domain::live_event::{self, LiveEvent, Status};
use domain::ports::rows::{Column, ColumnKind, ModelId, TableSpec};
use domain::registry::decode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "live_events";
/// Key: the event's id; greatest start first.
pub const EVENTS: &str = "events";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveEventRow {
    pub version: u64,
    #[serde(flatten)]
    pub event: LiveEvent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_because: Option<String>,
}

impl Row for LiveEventRow {
    fn sort_key(&self) -> Option<String> {
        self.event.details.as_ref().map(|d| time_key(d.starts_at))
    }
}

/// Orders instants as text: microseconds since the earliest one there is.
pub fn time_key(at: Timestamp) -> String {
    let micros = at.as_microsecond() - Timestamp::MIN.as_microsecond();
    format!("{micros:020}")
}

pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Scheduled => "scheduled",
        Status::Cancelled => "cancelled",
        Status::Archived => "archived",
    }
}

pub struct LiveEvents;

impl Projection for LiveEvents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            live_event::SCHEDULED,
            live_event::DETAILS_CHANGED,
            live_event::WINDOW_ADDED,
            live_event::WINDOW_CHANGED,
            live_event::WINDOW_REMOVED,
            live_event::SCHEDULE_MODE_CHANGED,
            live_event::CANCELLED,
            live_event::ARCHIVED,
            live_event::RESTORED,
        ]
    }

    fn tables(&self) -> &'static [TableSpec] {
        const fn column(name: &'static str, path: &'static str, kind: ColumnKind) -> Column {
            Column { name, path, kind }
        }
        const COLUMNS: &[Column] = &[
            column("name", "details.name", ColumnKind::Text),
            column("venue", "details.venue", ColumnKind::Text),
            column("place", "details.place", ColumnKind::Text),
            column("time_zone", "details.time_zone", ColumnKind::Text),
            column("starts_at", "details.starts_at", ColumnKind::Time),
            column("ends_at", "details.ends_at", ColumnKind::Time),
            column("status", "status", ColumnKind::Text),
            column("windows", "windows", ColumnKind::Json),
            column("version", "version", ColumnKind::Integer),
        ];
        &[TableSpec { name: EVENTS, sorted: true, columns: COLUMNS }]
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        want.row(EVENTS, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let change: live_event::Event = decode(event)?;
        let (tenant, id) = (&event.stream.tenant, &event.stream.id);
        let row: &mut LiveEventRow = rows.entry_or_default(EVENTS, tenant, id)?;
        advance(&mut row.version, event)?;
        row.cancelled_because = match &change {
            live_event::Event::Cancelled { reason } => Some(reason.clone()),
            live_event::Event::Restored {} => None,
            _ => row.cancelled_because.take(),
        };
        row.event.apply_event(change);
        Ok(())
    }
}
