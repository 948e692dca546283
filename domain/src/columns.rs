//! The fields of each event type's payload as typed columns, for whoever reads
//! facts in bulk: sealed segments, SQL, analysts. Fields of today's schema;
//! older payloads are brought up to it first. A list or an object is JSON text.

use crate::{
    api_key, audit_trail, band, journal_cursor, live_event, model_choice, personal, replay, subject, tap,
    tenant,
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

const fn required(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind, required: true, personal: false }
}

const fn optional(name: &'static str, kind: ColumnType) -> Column {
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

const GENERATION: &[Column] = &[required("generation", Integer)];

const DECIDED: &[Column] = &[required("subject", Text), required("reason", Text)];

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
            required("secret_sha256", Text),
        ],
    ),
    (
        model_choice::DEFINED,
        &[required("model", Text), required("version", Integer), optional("parameters", Json)],
    ),
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
    (api_key::REVOKED, &[]),
    (api_key::USED, &[]),
];

/// `None` for a type that this build does not know.
pub fn of(event_type: &str) -> Option<&'static [Column]> {
    COLUMNS.iter().find(|(name, _)| *name == event_type).map(|(_, columns)| *columns)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Map, Value};

    use super::*;
    use crate::registry::EVENT_TYPES;

    fn sample(name: &str, schema: u16) -> Map<String, Value> {
        let path = format!("{}/samples/{name}.{schema}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Samples have every field set, so a column for each is a column for all.
    #[test]
    fn every_field_of_every_sample_has_its_column() {
        for known in EVENT_TYPES {
            let columns = of(known.name).unwrap_or_else(|| panic!("{} has no columns", known.name));
            let sample = sample(known.name, known.schema);
            for (field, value) in &sample {
                let column = columns.iter().find(|c| c.name == field);
                let column = column.unwrap_or_else(|| panic!("{}: no column for {field}", known.name));
                let fits = match column.kind {
                    Text => value.is_string(),
                    Integer => value.is_i64(),
                    Float => value.is_f64(),
                    Boolean => value.is_boolean(),
                    Instant => value.as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()),
                    Json => value.is_array() || value.is_object(),
                };
                assert!(fits, "{}: {field} is not {:?}", known.name, column.kind);
            }
            // What is sealed is put there by the log's writer alone.
            for column in columns.iter().filter(|c| c.name != personal::MEMBER) {
                assert!(sample.contains_key(column.name), "{}: no field {}", known.name, column.name);
            }
        }
    }

    #[test]
    fn no_type_and_no_column_stands_twice() {
        for (i, (name, columns)) in COLUMNS.iter().enumerate() {
            assert!(EVENT_TYPES.iter().any(|t| t.name == *name), "{name} is not registered");
            assert!(COLUMNS[..i].iter().all(|(other, _)| other != name), "{name}");
            for (i, column) in columns.iter().enumerate() {
                assert!(columns[..i].iter().all(|other| other.name != column.name), "{name}");
            }
        }
    }
}
