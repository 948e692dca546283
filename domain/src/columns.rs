//! The fields of each event type's payload as typed columns, for whoever reads
//! facts in bulk: sealed segments, SQL, analysts. Fields of today's schema;
//! older payloads are brought up to it first. A list or an object is JSON text.

mod language;
mod valuation;
mod webhooks;

use crate::racing::{columns, driver, lineups, live, race, scoring, track};
use crate::{
    anomaly_window, api_key, audit_trail, band, journal_cursor, live_event, model_choice, personal, replay,
    rule, rule_match, sample, signal, signal_schema, style_drift, subject, tap, tenant,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number of 64 bits with a fraction.
    Float,
    Boolean,
    /// An RFC 3339 instant.
    Instant,
    /// Anything, as the JSON text that the payload has.
    Json,
}

/// A member of the payload. Absent and null are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    pub required: bool,
    /// A text that reads as erased once its subject's key is destroyed.
    pub personal: bool,
}

pub(crate) const fn required(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind, required: true, personal: false }
}

pub(crate) const fn optional(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind, required: false, personal: false }
}

const fn personal(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text, required: false, personal: true }
}

use ColumnType::{Boolean, Float, Instant, Integer, Json, Text};

const DETAILS: &[Column] = &[
    required("name", Text),
    optional("venue", Text),
    optional("place", Text),
    required("time_zone", Text),
    required("starts_at", Instant),
    required("ends_at", Instant),
    optional("pre_url", Text),
    optional("live_url", Text),
    optional("post_url", Text),
    optional("fallback_url", Text),
];

const WINDOW: &[Column] = &[
    required("id", Text),
    required("title", Text),
    required("kind", Text),
    required("starts_at", Instant),
    required("ends_at", Instant),
    required("url", Text),
    required("priority", Integer),
];

const TAP: &[Column] = &[
    required("band_id", Text),
    optional("event_id", Text),
    optional("window_id", Text),
    required("mode", Text),
    optional("url", Text),
    personal("user_agent"),
    optional("referrer", Text),
    optional("language", Text),
    optional("country", Text),
    personal("visitor"),
    required("source", Text),
    optional(personal::MEMBER, Json),
];

const SIGNAL: &[Column] = &[
    required("app", Text),
    required("source", Text),
    required("id", Text),
    required("type", Text),
    optional("category", Text),
    optional("subject", Text),
    optional("device", Text),
    optional("time", Text),
    optional("sent_at", Instant),
    optional("correlation", Text),
    optional("dataschema", Text),
    optional("datacontenttype", Text),
    optional("context", Json),
    optional("attributes", Json),
    optional("data", Json),
    optional("data_base64", Text),
    required("format", Text),
    optional("mismatch", Json),
];

const SCHEMA: &[Column] =
    &[required("app", Text), required("type", Text), required("on_mismatch", Text), required("schema", Json)];

const REJECTED: &[Column] = &[
    optional("app", Text),
    optional("id", Text),
    required("reason", Text),
    required("pointer", Text),
    required("content_type", Text),
    required("size", Integer),
    required("sha256", Text),
    required("bytes_base64", Text),
];

const RULE: &[Column] = &[
    required("name", Text),
    optional("app", Text),
    optional("category", Text),
    optional("event_type", Text),
    optional("conditions", Json),
    optional("cel", Text),
    optional("anomaly", Json),
    required("priority", Integer),
    required("actions", Json),
    optional("throttle", Json),
];

const GENERATION: &[Column] = &[required("generation", Integer)];

const SAMPLE: &[Column] = &[
    required("subject", Text),
    personal("title"),
    optional("author", Text),
    optional("written_at", Text),
    optional("genre", Text),
    optional("language", Text),
    optional("licence", Text),
    optional("corpus", Text),
    required("format", Text),
    required("normalisation", Text),
    required("sha256", Text),
    required("bytes", Integer),
    required("parts", Integer),
    optional(personal::MEMBER, Json),
];

const LABEL: &[Column] = &[
    optional("author", Text),
    optional("written_at", Text),
    optional("genre", Text),
    optional("language", Text),
    optional("licence", Text),
    optional("corpus", Text),
];

const DRIFT: &[Column] = &[
    required("author_id", Text),
    required("sample", Text),
    required("written_at", Text),
    required("before", Integer),
    required("after", Integer),
    required("p_value", Float),
    required("distance", Float),
    required("features", Json),
    required("model", Text),
    required("fingerprint", Text),
];

const DECIDED: &[Column] = &[required("subject", Text), required("reason", Text)];

const NAMED: &[Column] = &[required("name", Text)];

/// One line for each registered event type.
static COLUMNS: &[(&str, &[Column])] = &[
    (live_event::SCHEDULED, DETAILS),
    (live_event::DETAILS_CHANGED, DETAILS),
    (live_event::WINDOW_ADDED, WINDOW),
    (live_event::WINDOW_CHANGED, WINDOW),
    (live_event::WINDOW_REMOVED, &[required("window_id", Text)]),
    (live_event::SCHEDULE_MODE_CHANGED, &[required("mode", Text), optional("window_id", Text)]),
    (live_event::CANCELLED, &[required("reason", Text)]),
    (live_event::ARCHIVED, &[]),
    (live_event::RESTORED, &[]),
    (band::REGISTERED, &[optional("event_id", Text), optional("tags", Json)]),
    (band::ASSIGNED, &[required("event_id", Text)]),
    (band::UNASSIGNED, &[]),
    (band::TAGGED, &[required("tags", Json)]),
    (band::RETIRED, &[]),
    (band::RESTORED, &[]),
    (tap::TAPPED, TAP),
    (tap::PREVIEWED, TAP),
    (journal_cursor::DRAINED, &[required("from", Integer), required("to", Integer)]),
    (tenant::CONFIGURED, &[optional("fallback_url", Text), required("urls", Json)]),
    (
        api_key::ISSUED,
        &[
            required("name", Text),
            required("roles", Json),
            optional("expires_at", Instant),
            optional("app", Text),
            required("secret_sha256", Text),
        ],
    ),
    (
        model_choice::DEFINED,
        &[required("model", Text), required("version", Integer), optional("parameters", Json)],
    ),
    (rule::DEFINED, RULE),
    (rule::CHANGED, RULE),
    (rule::ENABLED, &[]),
    (rule::DISABLED, &[optional("reason", Text)]),
    (rule::ARCHIVED, &[]),
    (replay::REQUESTED, &[required("generation", Integer), required("model", Json), optional("at", Integer)]),
    (replay::PAUSED, GENERATION),
    (replay::RESUMED, GENERATION),
    (replay::ABORTED, GENERATION),
    (
        replay::BUILT,
        &[
            required("generation", Integer),
            required("position", Integer),
            required("rows", Integer),
            required("checksum", Text),
            required("events", Integer),
            required("seconds", Float),
        ],
    ),
    (
        replay::COMPARED,
        &[
            required("generation", Integer),
            required("against", Integer),
            required("position", Integer),
            required("same", Boolean),
            required("added", Integer),
            required("removed", Integer),
            required("changed", Integer),
        ],
    ),
    (
        replay::PROMOTED,
        &[required("generation", Integer), required("previous", Integer), required("fence", Integer)],
    ),
    (replay::ROLLED_BACK, &[required("from", Integer), required("to", Integer)]),
    (replay::PRUNED, GENERATION),
    (
        replay::VERIFIED,
        &[
            required("generation", Integer),
            required("position", Integer),
            required("same", Boolean),
            required("checksum", Text),
            required("rebuilt", Text),
        ],
    ),
    (
        replay::SKIPPED_EVENT,
        &[required("position", Integer), required("reason", Text), optional("kept_by", Json)],
    ),
    (
        audit_trail::READ,
        &[
            required("what", Text),
            required("count", Integer),
            required("from", Instant),
            required("to", Instant),
            optional("targets", Json),
            optional("lost", Integer),
        ],
    ),
    (
        audit_trail::DENIED,
        &[
            required("what", Text),
            required("status", Integer),
            required("count", Integer),
            required("from", Instant),
            required("to", Instant),
        ],
    ),
    (audit_trail::QUERIED, &[required("query", Text), required("sha256", Text), optional("at", Integer)]),
    (
        audit_trail::EXPORTED,
        &[
            required("sha256", Text),
            required("bytes", Integer),
            required("format", Text),
            required("events", Integer),
            required("after", Integer),
            required("upto", Integer),
            required("size", Integer),
            required("query", Json),
        ],
    ),
    (audit_trail::KEY_ADDED, &[required("name", Text), required("key", Text)]),
    (audit_trail::KEY_RETIRED, &[required("name", Text), required("key", Text)]),
    (sample::SUBMITTED, SAMPLE),
    (
        sample::PART_RECORDED,
        &[
            required("subject", Text),
            required("part", Integer),
            personal("text"),
            optional(personal::MEMBER, Json),
        ],
    ),
    (sample::LABELLED, LABEL),
    (sample::WITHDRAWN, &[required("reason", Text)]),
    (style_drift::DETECTED, DRIFT),
    (subject::HELD, DECIDED),
    (subject::RELEASED, DECIDED),
    (subject::EXPORTED, &[required("subject", Text), required("facts", Integer), required("upto", Integer)]),
    (subject::ERASING, &[required("subject", Text), required("reason", Text), required("keys", Json)]),
    (
        subject::ERASED,
        &[
            required("subject", Text),
            required("asked", Integer),
            required("keys", Json),
            required("facts", Integer),
            optional("first", Integer),
            optional("last", Integer),
            required("clear", Integer),
            required("rebuilt", Json),
            required("replies", Integer),
        ],
    ),
    (signal::RECEIVED, SIGNAL),
    (signal::REJECTED, REJECTED),
    (signal_schema::DEFINED, SCHEMA),
    (signal_schema::CHANGED, SCHEMA),
    (signal_schema::RETIRED, &[optional("reason", Text)]),
    (
        rule_match::MATCHED,
        &[
            required("rule", Text),
            required("rule_version", Integer),
            required("signal", Integer),
            required("signal_event_id", Text),
            required("app", Text),
            required("type", Text),
            required("acts", Boolean),
            optional("subjects", Json),
        ],
    ),
    (rule_match::ADVANCED, &[required("to", Integer)]),
    (rule_match::TICKED, &[required("every_seconds", Integer)]),
    (anomaly_window::DETECTED, anomaly_window::columns::DETECTED),
    (anomaly_window::ACKNOWLEDGED, anomaly_window::columns::ACKNOWLEDGED),
    (anomaly_window::MUTED, anomaly_window::columns::MUTED),
    (anomaly_window::UNMUTED, anomaly_window::columns::UNMUTED),
    (anomaly_window::NOTED, anomaly_window::columns::NOTED),
    (race::SCHEDULED, columns::RACE),
    (race::DETAILS_CHANGED, columns::RACE),
    (race::ENTERED, &[required("entries", Json), required("official", Boolean)]),
    (race::SALARIES_SET, &[required("site", Text), required("salaries", Json), optional("ids", Json)]),
    (race::FINISHED, &[required("results", Json), required("official", Boolean)]),
    (race::MEASURED, &[required("cars", Json)]),
    (race::RESULT_DETAILED, &[required("results", Json)]),
    (race::CORRECTED, &[required("results", Json), required("official", Boolean), required("reason", Text)]),
    (race::POSTPONED, &[required("date", Text), optional("starts_at", Instant)]),
    (race::CANCELLED, &[required("reason", Text)]),
    (lineups::KEPT, columns::KEPT),
    (live::OBSERVED, columns::OBSERVED),
    (race::STARTED, &[required("at", Instant)]),
    (race::SESSION_RECORDED, columns::SESSION),
    (race::PROJECTION_SEALED, columns::SEALED),
    (driver::REGISTERED, NAMED),
    (driver::ALSO_NAMED, NAMED),
    (track::DEFINED, &[required("name", Text), required("kind", Text), optional("from", Text)]),
    (scoring::DEFINED, columns::SCORING),
    (api_key::REVOKED, &[]),
    (api_key::USED, &[]),
];

/// `None` for a type that this build does not know.
pub fn of(event_type: &str) -> Option<&'static [Column]> {
    all().find(|(name, _)| *name == event_type).map(|(_, columns)| *columns)
}

fn all() -> impl Iterator<Item = &'static (&'static str, &'static [Column])> {
    COLUMNS.iter().chain(valuation::COLUMNS).chain(webhooks::COLUMNS).chain(language::COLUMNS)
}

#[cfg(test)]
mod tests;
