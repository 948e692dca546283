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

use crate::columns::{self, ColumnType};
use crate::envelope::{NewEvent, RecordedEvent};
use crate::personal::Personal;
use crate::{
    api_key, audit_trail, band, journal_cursor, live_event, model_choice, replay, subject, tap, tenant,
};

/// Turns a payload of schema n into one of schema n + 1.
pub type Upcaster = fn(Value) -> Result<Value, String>;

/// From one schema to the next.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Every payload of the one is a payload of the other.
    Same,
    By(Upcaster),
}

pub struct EventType {
    pub name: &'static str,
    /// The schema that is written today.
    pub schema: u16,
    /// One for each step: `upcasters[0]` takes schema 1 to 2.
    pub upcasters: &'static [Step],
    /// What of the payload is sealed.
    pub personal: Option<Personal>,
}

const fn first(name: &'static str) -> EventType {
    EventType { name, schema: 1, upcasters: &[], personal: None }
}

/// Schema 2 has its personal fields sealed, unless that is switched off.
const fn tap(name: &'static str) -> EventType {
    EventType { name, schema: 2, upcasters: &[Step::Same], personal: Some(tap::PERSONAL) }
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
    tap(tap::TAPPED),
    tap(tap::PREVIEWED),
    first(journal_cursor::DRAINED),
    first(tenant::CONFIGURED),
    first(api_key::ISSUED),
    first(api_key::REVOKED),
    first(api_key::USED),
    first(model_choice::DEFINED),
    first(replay::REQUESTED),
    first(replay::PAUSED),
    first(replay::RESUMED),
    first(replay::ABORTED),
    first(replay::BUILT),
    first(replay::COMPARED),
    first(replay::PROMOTED),
    first(replay::ROLLED_BACK),
    first(replay::PRUNED),
    first(replay::VERIFIED),
    first(replay::SKIPPED_EVENT),
    first(audit_trail::READ),
    first(audit_trail::DENIED),
    first(audit_trail::QUERIED),
    first(audit_trail::EXPORTED),
    first(audit_trail::KEY_ADDED),
    first(audit_trail::KEY_RETIRED),
    first(subject::HELD),
    first(subject::RELEASED),
    first(subject::EXPORTED),
    first(subject::ERASING),
    first(subject::ERASED),
];

/// Facts that no decision loads and nobody's reply names: what `archive trim`
/// may drop from the log once it is sealed.
pub const TRIMMABLE: &[&str] = &[tap::TAPPED, tap::PREVIEWED];

pub fn is_trimmable(event_type: &str) -> bool {
    TRIMMABLE.contains(&event_type)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("unknown event type {0}")]
    UnknownType(String),
    #[error("{event_type} has schema {schema}, newer than this build knows")]
    NewerSchema { event_type: String, schema: u16 },
    /// Read from the log itself by somebody who needs what is sealed.
    #[error("the personal data of {0} is sealed")]
    Sealed(String),
    #[error("the payload of {event_type} does not decode: {reason}")]
    Payload { event_type: String, reason: String },
}

pub fn find(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.iter().find(|t| t.name == name)
}

/// Whether a payload of this schema is one of today's as it is.
pub fn reads_as_today(name: &str, schema: u16) -> bool {
    let steps = |t: &'static EventType| t.upcasters.get(usize::from(schema).checked_sub(1)?..);
    let steps = find(name).and_then(steps);
    steps.is_some_and(|steps| steps.iter().all(|step| matches!(step, Step::Same)))
}

/// The schema that is written today; 0 for a type that nobody may write.
pub fn schema_of(name: &str) -> u16 {
    find(name).map_or(0, |t| t.schema)
}

/// Checked at start: a type with schema n has n − 1 upcasters, no name stands
/// twice, and what is personal is a member of the payload.
pub fn check() -> Result<(), String> {
    for (i, t) in EVENT_TYPES.iter().enumerate() {
        if t.upcasters.len() + 1 != usize::from(t.schema) {
            return Err(format!("{}: schema {} needs {} upcasters", t.name, t.schema, t.schema - 1));
        }
        if EVENT_TYPES[..i].iter().any(|other| other.name == t.name) {
            return Err(format!("{} is registered twice", t.name));
        }
        let columns = columns::of(t.name).unwrap_or_default();
        let named = t.personal.iter().flat_map(|p| p.fields.iter().chain([&p.member]));
        for name in named {
            if !columns.iter().any(|c| c.name == *name && c.kind == ColumnType::Text) {
                return Err(format!("{}: there is no text {name}", t.name));
            }
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
    let steps = &known.upcasters[usize::from(schema) - 1..];
    if steps.iter().all(|step| matches!(step, Step::Same)) {
        return Ok(Cow::Borrowed(payload));
    }
    let fail = |reason: String| DecodeError::Payload { event_type: event_type.into(), reason };
    let mut value: Value = serde_json::from_str(payload).map_err(|e| fail(e.to_string()))?;
    for step in steps {
        if let Step::By(upcaster) = step {
            value = upcaster(value).map_err(fail)?;
        }
    }
    Ok(Cow::Owned(value.to_string()))
}

/// The payload, if what is personal in it can be read.
fn opened(event: &RecordedEvent) -> Result<Cow<'_, str>, DecodeError> {
    let payload = payload(event)?;
    match is_sealed(&event.event_type, &payload) {
        true => Err(DecodeError::Sealed(event.event_type.to_string())),
        false => Ok(payload),
    }
}

/// In JSON these bytes are the name of a member: within a text its quotes would
/// be escaped.
fn is_sealed(event_type: &str, payload: &str) -> bool {
    payload.contains(r#""personal":{"#) && find(event_type).is_some_and(|t| t.personal.is_some())
}

/// Decodes a payload that stands for itself, such as a [`tap::Tap`].
pub fn decode_payload<T: DeserializeOwned>(event: &RecordedEvent) -> Result<T, DecodeError> {
    serde_json::from_str(&opened(event)?)
        .map_err(|e| DecodeError::Payload { event_type: event.event_type.to_string(), reason: e.to_string() })
}

/// Decodes into an aggregate's event enum (tag `type`, content `payload`).
pub fn decode<E: DeserializeOwned>(event: &RecordedEvent) -> Result<E, DecodeError> {
    let tagged = format!(r#"{{"type":"{}","payload":{}}}"#, event.event_type, opened(event)?);
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
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::envelope::Metadata;
    use crate::{StreamId, TenantId};

    fn recorded(event_type: &str, schema: u16, payload: &str) -> RecordedEvent {
        let tenant = TenantId::new("t").unwrap();
        RecordedEvent {
            position: 1,
            stream: StreamId::new(&tenant, "k", "i").unwrap(),
            version: 1,
            event_id: Uuid::nil(),
            event_type: event_type.into(),
            schema,
            occurred_at: None,
            recorded_at: jiff::Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                actor: "test".into(),
                command_id: Uuid::nil(),
                correlation_id: "c".into(),
                causation_id: None,
            },
            payload: payload.into(),
            leaf: [0; 32],
        }
    }

    /// Decodes with the type that readers of this event type use; for what is
    /// written today, encoding again must give the same JSON.
    fn decodes(event: &RecordedEvent) -> Result<String, DecodeError> {
        fn again<E: DeserializeOwned + Serialize>(event: &RecordedEvent) -> Result<String, DecodeError> {
            let (known, payload) = encode(&decode::<E>(event)?)?;
            assert_eq!(known.name, &*event.event_type);
            Ok(payload)
        }
        let json = |v: Result<String, serde_json::Error>| v.unwrap();
        match event.event_type.split('.').next().unwrap() {
            "live_event" => again::<live_event::Event>(event),
            "band" if matches!(&*event.event_type, tap::TAPPED | tap::PREVIEWED) => {
                decode_payload::<tap::Tap>(event).map(|t| json(serde_json::to_string(&t)))
            }
            "band" => again::<band::Event>(event),
            "tenant" => again::<tenant::Event>(event),
            "api_key" => again::<api_key::Event>(event),
            "model" => again::<model_choice::Event>(event),
            "replay" => again::<replay::Event>(event),
            "log_key" => {
                decode_payload::<audit_trail::LogKey>(event).map(|k| json(serde_json::to_string(&k)))
            }
            "audit" => {
                fn same<T: DeserializeOwned + Serialize>(
                    event: &RecordedEvent,
                ) -> Result<String, DecodeError> {
                    decode_payload::<T>(event).map(|payload| serde_json::to_string(&payload).unwrap())
                }
                match &*event.event_type {
                    audit_trail::READ => same::<audit_trail::Read>(event),
                    audit_trail::DENIED => same::<audit_trail::Denied>(event),
                    audit_trail::QUERIED => same::<audit_trail::Queried>(event),
                    _ => same::<audit_trail::Exported>(event),
                }
            }
            "subject" => again::<subject::Event>(event),
            "journal" => {
                decode_payload::<journal_cursor::Drained>(event).map(|d| json(serde_json::to_string(&d)))
            }
            other => panic!("no reader for {other}"),
        }
    }

    #[test]
    fn every_sample_ever_written_decodes() {
        let mut seen = BTreeSet::new();
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (name, schema) = stem.rsplit_once('.').unwrap();
            let schema: u16 = schema.parse().unwrap();
            let payload = fs::read_to_string(&path).unwrap();
            let event = recorded(name, schema, payload.trim_end());
            let written = decodes(&event).unwrap_or_else(|e| panic!("{stem}: {e}"));
            if find(name).unwrap().schema == schema {
                let json = |t: &str| serde_json::from_str::<Value>(t).unwrap();
                assert_eq!(json(&written), json(&event.payload), "{stem}");
            }
            seen.insert((name.to_owned(), schema));
        }
        for known in EVENT_TYPES {
            for schema in 1..=known.schema {
                assert!(
                    seen.contains(&(known.name.to_owned(), schema)),
                    "no sample of {} {schema}",
                    known.name
                );
            }
        }
    }

    #[test]
    fn the_registry_is_complete() {
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn a_tap_of_the_first_schema_is_one_of_the_second() {
        let first =
            recorded(tap::TAPPED, 1, r#"{"band_id":"b1","mode":"live","visitor":"v","source":"hub"}"#);
        assert_eq!(payload(&first).unwrap(), first.payload);
        assert_eq!(decode_payload::<tap::Tap>(&first).unwrap().visitor, Some("v".into()));
    }

    #[test]
    fn a_tap_that_is_still_sealed_does_not_pass_for_one_without_an_agent() {
        let sealed =
            r#"{"band_id":"b1","mode":"live","source":"hub","personal":{"fields":[],"key":"","sealed":""}}"#;
        let error = decode_payload::<tap::Tap>(&recorded(tap::TAPPED, 2, sealed)).unwrap_err();
        assert!(matches!(error, DecodeError::Sealed(_)), "{error}");
        let quoted = r#"{"band_id":"b1","mode":"live","source":"\"personal\":{"}"#;
        decode_payload::<tap::Tap>(&recorded(tap::TAPPED, 2, quoted)).unwrap();
    }

    #[test]
    fn what_this_build_does_not_know_is_an_error() {
        let unknown = recorded("band.eaten", 1, "{}");
        assert!(matches!(decode::<band::Event>(&unknown), Err(DecodeError::UnknownType(_))));
        let newer = recorded(band::RETIRED, 9, "{}");
        assert!(matches!(decode::<band::Event>(&newer), Err(DecodeError::NewerSchema { .. })));
    }
}
