//! Signals as a browser of them needs it: newest first, of all apps and of one,
//! how many of which type on which day, and what was rejected.

use domain::ports::rows::{Column, ColumnKind, ModelId, TableSpec};
use domain::registry::decode_payload;
use domain::signal::{self, Rejected, Signal};
use domain::{RecordedEvent, TenantId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "signals";
/// Key: [`newest_first`].
pub const SIGNALS: &str = "signals";
/// Key: `<app>/`[`newest_first`]. The same rows.
pub const BY_APP: &str = "by_app";
/// Key: `<app>/<day>/<type>`, the day of the event time in UTC.
pub const TYPES: &str = "types";
/// Key: [`newest_first`].
pub const REJECTED: &str = "rejected";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRow {
    pub position: u64,
    pub event_id: Uuid,
    pub app: String,
    pub source: String,
    pub id: String,
    #[serde(rename = "type")]
    pub signal_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// As the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    /// Received minus sent, by the two clocks: how far the source's clock is
    /// behind, and the way here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRow {
    pub count: u64,
    pub last_position: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRow {
    pub position: u64,
    pub received_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    pub reason: String,
    pub pointer: String,
    pub content_type: String,
    pub size: u64,
    pub sha256: String,
}

impl Row for SignalRow {}
impl Row for TypeRow {}
impl Row for RejectedRow {}

/// A key that sorts later positions first.
pub fn newest_first(position: u64) -> String {
    format!("{:020}", u64::MAX - position)
}

const COLUMNS: &[Column] = &[
    Column { name: "position", path: "position", kind: ColumnKind::Integer },
    Column { name: "app", path: "app", kind: ColumnKind::Text },
    Column { name: "source", path: "source", kind: ColumnKind::Text },
    Column { name: "signal_id", path: "id", kind: ColumnKind::Text },
    Column { name: "type", path: "type", kind: ColumnKind::Text },
    Column { name: "category", path: "category", kind: ColumnKind::Text },
    Column { name: "device", path: "device", kind: ColumnKind::Text },
    Column { name: "occurred_at", path: "occurred_at", kind: ColumnKind::Time },
    Column { name: "received_at", path: "received_at", kind: ColumnKind::Time },
    Column { name: "skew_ms", path: "skew_ms", kind: ColumnKind::Integer },
];

const TABLES: &[TableSpec] = &[
    TableSpec { name: SIGNALS, sorted: false, columns: COLUMNS },
    TableSpec { name: BY_APP, sorted: false, columns: COLUMNS },
    TableSpec {
        name: TYPES,
        sorted: false,
        columns: &[Column { name: "count", path: "count", kind: ColumnKind::Integer }],
    },
    TableSpec {
        name: REJECTED,
        sorted: false,
        columns: &[
            Column { name: "position", path: "position", kind: ColumnKind::Integer },
            Column { name: "app", path: "app", kind: ColumnKind::Text },
            Column { name: "reason", path: "reason", kind: ColumnKind::Text },
            Column { name: "pointer", path: "pointer", kind: ColumnKind::Text },
            Column { name: "received_at", path: "received_at", kind: ColumnKind::Time },
        ],
    },
];

pub struct Signals;

impl Projection for Signals {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[signal::RECEIVED, signal::REJECTED]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        if &*event.event_type == signal::RECEIVED
            && let Ok(signal) = decode_payload::<Signal>(event)
        {
            want.row(TYPES, &event.stream.tenant, &type_key(&signal, event));
        }
    }

    /// Signals of one app and type count in one row.
    fn partition(&self, event: &RecordedEvent) -> String {
        event.stream.tenant.to_string()
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let tenant = &event.stream.tenant;
        match &*event.event_type {
            signal::RECEIVED => received(rows, tenant, event),
            _ => rejected(rows, tenant, event),
        }
    }

    fn related(&self, event: &RecordedEvent, table: &str, row: &domain::ports::rows::RowKey) -> bool {
        let end = newest_first(event.position);
        table == TYPES || row.key.ends_with(&end)
    }
}

fn type_key(signal: &Signal, event: &RecordedEvent) -> String {
    let day = event.at().to_zoned(TimeZone::UTC).date();
    let name = signal.signal_type.replace('%', "%25").replace('/', "%2F");
    format!("{}/{day}/{name}", signal.app)
}

fn received(rows: &mut Rows, tenant: &TenantId, event: &RecordedEvent) -> Result<(), ApplyError> {
    let signal: Signal = decode_payload(event)?;
    let count: &mut TypeRow = rows.entry_or_default(TYPES, tenant, &type_key(&signal, event))?;
    *count = TypeRow { count: count.count + 1, last_position: event.position };
    let skew = signal.sent_at.map(|sent| event.recorded_at.as_millisecond() - sent.as_millisecond());
    let row = SignalRow {
        position: event.position,
        event_id: event.event_id,
        app: signal.app,
        source: signal.source,
        id: signal.id,
        signal_type: signal.signal_type,
        category: signal.category,
        device: signal.device,
        subject: signal.subject,
        occurred_at: event.occurred_at,
        received_at: event.recorded_at,
        skew_ms: skew,
    };
    let key = newest_first(event.position);
    rows.put(BY_APP, tenant, &format!("{}/{key}", row.app), row.clone())?;
    rows.put(SIGNALS, tenant, &key, row)?;
    Ok(())
}

fn rejected(rows: &mut Rows, tenant: &TenantId, event: &RecordedEvent) -> Result<(), ApplyError> {
    let rejected: Rejected = decode_payload(event)?;
    let row = RejectedRow {
        position: event.position,
        received_at: event.recorded_at,
        app: rejected.app,
        reason: rejected.reason,
        pointer: rejected.pointer,
        content_type: rejected.content_type,
        size: rejected.size,
        sha256: rejected.sha256,
    };
    rows.put(REJECTED, tenant, &newest_first(event.position), row)?;
    Ok(())
}
