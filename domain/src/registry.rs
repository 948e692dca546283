//! Every event type there is, with its current schema and the upcasters that
//! bring older payloads up to it. Names are stable; a payload that was ever
//! written keeps decoding (`domain/samples/`, one file per type and schema).

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::envelope::{NewEvent, RecordedEvent};
use crate::{api_key, band, journal_cursor, live_event, tap, tenant};

/// Turns a payload of schema n into one of schema n + 1.
pub type Upcaster = fn(Value) -> Result<Value, String>;

pub struct EventType {
    pub name: &'static str,
    /// The schema that is written today.
    pub schema: u16,
    /// One for each step: `upcasters[0]` takes schema 1 to 2.
    pub upcasters: &'static [Upcaster],
}

const fn first(name: &'static str) -> EventType {
    EventType { name, schema: 1, upcasters: &[] }
}

pub static EVENT_TYPES: &[EventType] = &[
    first(live_event::SCHEDULED),
    first(live_event::DETAILS_CHANGED),
    first(live_event::WINDOW_ADDED),
    first(live_event::WINDOW_CHANGED),
    first(live_event::WINDOW_REMOVED),
    first(live_event::SCHEDULE_MODE_CHANGED),
    first(live_event::CANCELLED),
    first(live_event::ARCHIVED),
    first(live_event::RESTORED),
    first(band::REGISTERED),
    first(band::ASSIGNED),
    first(band::UNASSIGNED),
    first(band::TAGGED),
    first(band::RETIRED),
    first(band::RESTORED),
    first(tap::TAPPED),
    first(tap::PREVIEWED),
    first(journal_cursor::DRAINED),
    first(tenant::CONFIGURED),
    first(api_key::ISSUED),
    first(api_key::REVOKED),
    first(api_key::USED),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("unknown event type {0}")]
    UnknownType(String),
    #[error("{event_type} has schema {schema}, newer than this build knows")]
    NewerSchema { event_type: String, schema: u16 },
    #[error("the payload of {event_type} does not decode: {reason}")]
    Payload { event_type: String, reason: String },
}

pub fn find(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.iter().find(|t| t.name == name)
}

/// Checked at start: a type with schema n has n − 1 upcasters, and no name
/// stands twice.
pub fn check() -> Result<(), String> {
    for (i, t) in EVENT_TYPES.iter().enumerate() {
        if t.upcasters.len() + 1 != usize::from(t.schema) {
            return Err(format!("{}: schema {} needs {} upcasters", t.name, t.schema, t.schema - 1));
        }
        if EVENT_TYPES[..i].iter().any(|other| other.name == t.name) {
            return Err(format!("{} is registered twice", t.name));
        }
    }
    Ok(())
}

/// The payload brought up to the current schema.
pub fn payload(event: &RecordedEvent) -> Result<Cow<'_, str>, DecodeError> {
    upcast(&event.event_type, event.schema, &event.payload)
}

fn upcast<'a>(event_type: &str, schema: u16, payload: &'a str) -> Result<Cow<'a, str>, DecodeError> {
    let known = find(event_type).ok_or_else(|| DecodeError::UnknownType(event_type.into()))?;
    if schema == known.schema {
        return Ok(Cow::Borrowed(payload));
    }
    if schema == 0 || schema > known.schema {
        return Err(DecodeError::NewerSchema { event_type: event_type.into(), schema });
    }
    let fail = |reason: String| DecodeError::Payload { event_type: event_type.into(), reason };
    let mut value: Value = serde_json::from_str(payload).map_err(|e| fail(e.to_string()))?;
    for step in &known.upcasters[usize::from(schema) - 1..] {
        value = step(value).map_err(fail)?;
    }
    Ok(Cow::Owned(value.to_string()))
}

/// Decodes a payload that stands for itself, such as a [`tap::Tap`].
pub fn decode_payload<T: DeserializeOwned>(event: &RecordedEvent) -> Result<T, DecodeError> {
    serde_json::from_str(&payload(event)?)
        .map_err(|e| DecodeError::Payload { event_type: event.event_type.to_string(), reason: e.to_string() })
}

/// Decodes into an aggregate's event enum (tag `type`, content `payload`).
pub fn decode<E: DeserializeOwned>(event: &RecordedEvent) -> Result<E, DecodeError> {
    let tagged = format!(r#"{{"type":"{}","payload":{}}}"#, event.event_type, payload(event)?);
    serde_json::from_str(&tagged)
        .map_err(|e| DecodeError::Payload { event_type: event.event_type.to_string(), reason: e.to_string() })
}

/// The registered name and the payload text of an aggregate's event.
pub fn encode<E: Serialize>(event: &E) -> Result<(&'static EventType, String), DecodeError> {
    #[derive(Deserialize)]
    struct Tagged<'a> {
        r#type: String,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let unencodable =
        |e: serde_json::Error| DecodeError::Payload { event_type: "?".into(), reason: e.to_string() };
    let text = serde_json::to_string(event).map_err(unencodable)?;
    let tagged: Tagged = serde_json::from_str(&text).map_err(unencodable)?;
    let known = find(&tagged.r#type).ok_or_else(|| DecodeError::UnknownType(tagged.r#type.clone()))?;
    Ok((known, tagged.payload.get().to_owned()))
}

/// An aggregate's event, ready to be appended.
pub fn new_event<E: Serialize>(event: &E, event_id: Uuid) -> Result<NewEvent, DecodeError> {
    let (known, payload) = encode(event)?;
    Ok(NewEvent {
        event_id,
        event_type: Arc::from(known.name),
        schema: known.schema,
        occurred_at: None,
        payload,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_registry_is_complete() {
        assert_eq!(super::check(), Ok(()));
    }
}
