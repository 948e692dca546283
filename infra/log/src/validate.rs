//! What an append must look like before it is queued.

use std::collections::HashSet;
use std::fmt;

use domain::envelope::{Metadata, NewEvent};
use domain::ids::check_id;
use domain::ports::log::{
    Append, AppendError, ExpectedVersion, Idempotency, MAX_APPEND_BYTES, MAX_EVENTS_PER_APPEND,
    MAX_PAYLOAD_BYTES,
};
use domain::registry::is_trimmable;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

const MAX_NAME_BYTES: usize = 256;
const MAX_REPLY_BYTES: usize = 1 << 20;
/// Roughly what an event's envelope takes beside its payload.
const ENVELOPE_BYTES: usize = 300;

/// Checks one append and says how many bytes it weighs in the queue.
pub(crate) fn check(append: &Append) -> Result<usize, AppendError> {
    check_append(append).map_err(AppendError::Invalid)
}

/// The version past which events are news to who expected this.
pub(crate) fn known_version(expected: ExpectedVersion, actual: u64) -> u64 {
    match expected {
        ExpectedVersion::Exact(version) => version,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Any | ExpectedVersion::Exists => actual,
    }
}

fn check_append(append: &Append) -> Result<usize, String> {
    check_metadata(&append.metadata)?;
    let mut bytes = ENVELOPE_BYTES;
    if let Some(idempotency) = &append.idempotency {
        check_idempotency(idempotency)?;
        bytes += idempotency.key.len() + idempotency.reply.len();
    }
    let count: usize = append.writes.iter().map(|w| w.events.len()).sum();
    if count > MAX_EVENTS_PER_APPEND {
        return Err(format!("an append holds at most {MAX_EVENTS_PER_APPEND} events, this one {count}"));
    }
    if append.writes.len() > MAX_EVENTS_PER_APPEND {
        return Err(format!("an append names at most {MAX_EVENTS_PER_APPEND} streams"));
    }
    let mut seen = HashSet::with_capacity(append.writes.len());
    for write in &append.writes {
        let stream = &write.stream;
        // The tenant can't be wrong: its type checks it.
        check_id(&stream.kind).map_err(|e| format!("the kind of a stream {e}"))?;
        check_id(&stream.id).map_err(|e| format!("the id of a stream {e}"))?;
        if !seen.insert(stream) {
            return Err(format!("{stream} appears twice"));
        }
        bytes += ENVELOPE_BYTES;
        for event in &write.events {
            check_event(event)?;
            if append.idempotency.is_some() && is_trimmable(&event.event_type) {
                return Err(format!("{} may be trimmed, so no reply may name it", event.event_type));
            }
            bytes += event.payload.len() + ENVELOPE_BYTES;
        }
    }
    if bytes > MAX_APPEND_BYTES {
        return Err(format!("an append takes at most {MAX_APPEND_BYTES} bytes, this one {bytes}"));
    }
    Ok(bytes)
}

fn check_metadata(metadata: &Metadata) -> Result<(), String> {
    check_name("actor", &metadata.actor)?;
    check_name("correlation id", &metadata.correlation_id)
}

fn check_idempotency(idempotency: &Idempotency) -> Result<(), String> {
    check_name("idempotency key", &idempotency.key)?;
    if idempotency.reply.len() > MAX_REPLY_BYTES {
        return Err(format!("a stored reply has at most {MAX_REPLY_BYTES} bytes"));
    }
    if idempotency.reply.contains('\0') {
        return Err("a stored reply holds no NUL".to_owned());
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("the {what} must have 1 to {MAX_NAME_BYTES} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("the {what} must not contain control characters"));
    }
    Ok(())
}

fn check_event(event: &NewEvent) -> Result<(), String> {
    check_id(&event.event_type).map_err(|e| format!("an event type {e}"))?;
    if event.payload.len() > MAX_PAYLOAD_BYTES {
        return Err(format!("a payload has at most {MAX_PAYLOAD_BYTES} bytes"));
    }
    serde_json::from_str::<WellFormed>(&event.payload)
        .map_err(|e| format!("the payload of {} is not JSON: {e}", event.event_type))?;
    Ok(())
}

/// Reads JSON and keeps nothing. Unlike `IgnoredAny` it decodes strings, so a
/// lone surrogate is refused: Postgres could not show such a payload as JSON.
struct WellFormed;

impl<'de> Deserialize<'de> for WellFormed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WellFormed)
    }
}

impl<'de> Visitor<'de> for WellFormed {
    type Value = WellFormed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(WellFormed)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<WellFormed>()?.is_some() {}
        Ok(WellFormed)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<WellFormed, WellFormed>()?.is_some() {}
        Ok(WellFormed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str) -> Result<(), String> {
        check_event(&NewEvent {
            event_id: uuid::Uuid::nil(),
            event_type: "test.done".into(),
            schema: 1,
            occurred_at: None,
            payload: text.to_owned(),
        })
    }

    #[test]
    fn payloads_are_well_formed_json() {
        for good in [r#"{"a":[1,-2,3.5,true,null,"x\u0000\ud83d\ude00"],"b":{}}"#, "1e300", "\"\""] {
            assert_eq!(payload(good), Ok(()), "{good}");
        }
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for bad in ["", "{", "\0", "\"\0\"", r#""\ud800""#, r#"{"\udc00":1}"#, "{} {}", "NaN", &deep] {
            assert!(payload(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_hold_no_control_characters() {
        assert!(check_name("actor", "key:1").is_ok());
        for bad in ["", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(check_name("actor", bad).is_err());
        }
    }
}
