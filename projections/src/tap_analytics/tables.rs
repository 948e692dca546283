//! The tables, and the columns of their SQL views.

use domain::ports::rows::{Column, ColumnKind, TableSpec};

use super::{BANDS, EVENTS, HISTORY, MINUTES, REFERRERS, SHARED, SUMMARY, VISITORS};

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, path: name, kind }
}

const fn table(name: &'static str, columns: &'static [Column]) -> TableSpec {
    TableSpec { name, sorted: false, columns }
}

const EVENTS_TABLE: TableSpec = table(
    EVENTS,
    &[
        column("name", ColumnKind::Text),
        column("time_zone", ColumnKind::Text),
        column("starts_at", ColumnKind::Time),
        column("ends_at", ColumnKind::Time),
    ],
);

/// The last two only where visits are told apart.
const SUMMARY_COLUMNS: &[Column] = &[
    column("event_id", ColumnKind::Text),
    column("taps", ColumnKind::Integer),
    column("bots", ColumnKind::Integer),
    column("previews", ColumnKind::Integer),
    column("unique_bands", ColumnKind::Integer),
    column("repeat_bands", ColumnKind::Integer),
    column("unique_visitors", ColumnKind::Integer),
    column("first_tap_at", ColumnKind::Time),
    column("last_tap_at", ColumnKind::Time),
    column("modes", ColumnKind::Json),
    column("devices", ColumnKind::Json),
    column("countries", ColumnKind::Json),
    Column { name: "sessions", path: "sessions.count", kind: ColumnKind::Integer },
    Column { name: "session_seconds", path: "sessions.seconds", kind: ColumnKind::Integer },
];

const SUMMARY_TABLE: TableSpec = table(SUMMARY, SUMMARY_COLUMNS.split_at(SUMMARY_COLUMNS.len() - 2).0);

const SUMMARY_WITH_SESSIONS: TableSpec = table(SUMMARY, SUMMARY_COLUMNS);

const REFERRERS_TABLE: TableSpec =
    table(REFERRERS, &[column("event_id", ColumnKind::Text), column("hosts", ColumnKind::Json)]);

const MINUTES_TABLE: TableSpec = table(
    MINUTES,
    &[
        column("event_id", ColumnKind::Text),
        column("start", ColumnKind::Time),
        column("taps", ColumnKind::Integer),
        column("bots", ColumnKind::Integer),
        column("previews", ColumnKind::Integer),
        column("new_bands", ColumnKind::Integer),
        column("modes", ColumnKind::Json),
    ],
);

const BANDS_TABLE: TableSpec = TableSpec {
    name: BANDS,
    sorted: true,
    columns: &[
        column("event_id", ColumnKind::Text),
        column("band_id", ColumnKind::Text),
        column("taps", ColumnKind::Integer),
        column("bots", ColumnKind::Integer),
        column("previews", ColumnKind::Integer),
        column("first_tap_at", ColumnKind::Time),
        column("last_tap_at", ColumnKind::Time),
    ],
};

const HISTORY_TABLE: TableSpec = table(HISTORY, &[column("events", ColumnKind::Json)]);

const VISITORS_TABLE: TableSpec = table(VISITORS, &[]);

const SHARED_TABLE: TableSpec = table(SHARED, &[column("bands", ColumnKind::Integer)]);

pub static TABLES: &[TableSpec] = &[
    EVENTS_TABLE,
    SUMMARY_TABLE,
    REFERRERS_TABLE,
    MINUTES_TABLE,
    BANDS_TABLE,
    HISTORY_TABLE,
    VISITORS_TABLE,
    SHARED_TABLE,
];

/// With visits told apart.
pub static WITH_SESSIONS: &[TableSpec] = &[
    EVENTS_TABLE,
    SUMMARY_WITH_SESSIONS,
    REFERRERS_TABLE,
    MINUTES_TABLE,
    BANDS_TABLE,
    HISTORY_TABLE,
    VISITORS_TABLE,
    SHARED_TABLE,
];
