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
use crate::racing::{driver, lineups, live, race, scoring, track};
use crate::valuation::{
    fixings, instrument, market_name, market_snapshot, position, position_snapshot, repricing, run,
};
use crate::{
    anomaly_window, api_key, audit_trail, band, delivery, embedding, endpoint, journal_cursor, language_use,
    live_event, model_choice, replay, rewrite, rule, rule_match, sample, signal, signal_schema, style_drift,
    subject, tap, tenant,
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

/// Personal data from the first schema on.
const fn personal(name: &'static str, personal: Personal) -> EventType {
    EventType { name, schema: 1, upcasters: &[], personal: Some(personal) }
}

/// Schema 2 has members that may be left out.
const fn second(name: &'static str) -> EventType {
    EventType { name, schema: 2, upcasters: &[Step::Same], personal: None }
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
    // Schema 2 may name the app of a key.
    EventType { name: api_key::ISSUED, schema: 2, upcasters: &[Step::Same], personal: None },
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
    first(rule::DEFINED),
    first(rule::CHANGED),
    first(rule::ENABLED),
    first(rule::DISABLED),
    first(rule::ARCHIVED),
    personal(sample::SUBMITTED, sample::PERSONAL_TITLE),
    personal(sample::PART_RECORDED, sample::PERSONAL_TEXT),
    first(sample::LABELLED),
    first(sample::WITHDRAWN),
    first(style_drift::DETECTED),
    personal(embedding::RECORDED, embedding::PERSONAL),
    first(language_use::TEXT_SENT),
    first(language_use::ANSWERED),
    first(rewrite::REQUESTED),
    first(rewrite::STARTED),
    personal(rewrite::COMPLETED, rewrite::PERSONAL),
    first(rewrite::FAILED),
    first(subject::HELD),
    first(subject::RELEASED),
    first(subject::EXPORTED),
    first(subject::ERASING),
    first(subject::ERASED),
    first(signal::RECEIVED),
    first(signal::REJECTED),
    first(signal_schema::DEFINED),
    first(signal_schema::CHANGED),
    first(signal_schema::RETIRED),
    first(rule_match::MATCHED),
    first(rule_match::ADVANCED),
    first(rule_match::TICKED),
    first(anomaly_window::DETECTED),
    first(anomaly_window::ACKNOWLEDGED),
    first(anomaly_window::MUTED),
    first(anomaly_window::UNMUTED),
    first(anomaly_window::NOTED),
    personal(endpoint::CREATED, endpoint::PERSONAL),
    personal(endpoint::CHANGED, endpoint::PERSONAL_CHANGE),
    personal(endpoint::SECRET_ROTATED, endpoint::PERSONAL_KEY),
    first(endpoint::PAUSED),
    first(endpoint::RESUMED),
    first(endpoint::DISABLED),
    first(endpoint::DELETED),
    first(endpoint::TESTED),
    first(delivery::SCHEDULED),
    first(delivery::ATTEMPTED),
    first(delivery::DELIVERED),
    first(delivery::DEAD),
    first(delivery::REQUESTED_AGAIN),
    first(delivery::ADVANCED),
    first(delivery::LIVE_FROM),
    // Schema 2 may say when the race starts.
    second(race::SCHEDULED),
    second(race::DETAILS_CHANGED),
    first(race::ENTERED),
    // Schema 2 may name what the site calls the drivers.
    second(race::SALARIES_SET),
    first(race::FINISHED),
    first(race::MEASURED),
    first(race::RESULT_DETAILED),
    first(race::SESSION_RECORDED),
    first(race::CORRECTED),
    second(race::POSTPONED),
    first(race::CANCELLED),
    first(race::STARTED),
    // Schema 2 may name the model's parameters.
    second(race::PROJECTION_SEALED),
    // Schema 2 may hold a contest, and scores by it.
    second(lineups::KEPT),
    first(live::OBSERVED),
    first(driver::REGISTERED),
    first(driver::ALSO_NAMED),
    first(track::DEFINED),
    first(scoring::DEFINED),
    first(instrument::DEFINED),
    first(instrument::APPROVED),
    first(instrument::RETIRED),
    first(position::OPENED),
    first(position::AMENDED),
    first(position::TRANSFERRED),
    first(position::TAGGED),
    first(position::CLOSED),
    first(market_snapshot::RECORDED),
    first(market_snapshot::PART_RECORDED),
    first(market_name::GIVEN),
    first(fixings::PUBLISHED),
    first(position_snapshot::TAKEN),
    first(run::SCENARIOS_GIVEN),
    first(run::STARTED),
    first(run::TASK_CLAIMED),
    first(run::TASK_EXTENDED),
    first(run::TASK_COMPLETED),
    first(run::TASK_FAILED),
    first(run::TASK_DIED),
    first(run::TASK_RETRIED),
    first(run::CANCELLED),
    first(run::SEALED),
    first(repricing::REQUESTED),
    first(repricing::ABORTED),
    first(repricing::COMPARED),
    first(repricing::PROMOTED),
    first(repricing::ROLLED_BACK),
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
mod tests;
