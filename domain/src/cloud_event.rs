//! A recorded event as the world outside reads it: CloudEvents 1.0 in JSON.
//! The payload's text stands in `data` as it was written, so that the leaf can
//! be computed again from the message alone.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::envelope::{Metadata, RecordedEvent};
use crate::ids::{StreamId, TenantId};

pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The event as one JSON object. Without its data where that would make the
/// message too large for who carries it; `dataomitted` says so.
pub fn encode(event: &RecordedEvent, with_data: bool) -> String {
    let mut out = String::with_capacity(event.payload.len() + 900);
    let stream = &event.stream;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        r#"{{"specversion":"1.0","id":"{}","source":"/daybook/{}","type":{},"subject":{},"time":"{}""#,
        event.event_id,
        stream.tenant,
        text(&event.event_type),
        text(&format!("{}/{}", stream.kind, stream.id)),
        event.at(),
    );
    let _ = write!(
        out,
        r#","tenant":"{}","position":"{}","streamversion":"{}","schema":{},"recordedat":"{}""#,
        stream.tenant, event.position, event.version, event.schema, event.recorded_at
    );
    if let Some(at) = event.occurred_at {
        let _ = write!(out, r#","occurredat":"{at}""#);
    }
    let meta = &event.metadata;
    let _ = write!(
        out,
        r#","actor":{},"commandid":"{}","correlationid":{}"#,
        text(&meta.actor),
        meta.command_id,
        text(&meta.correlation_id)
    );
    if let Some(id) = meta.causation_id {
        let _ = write!(out, r#","causationid":"{id}""#);
    }
    let _ = write!(out, r#","leaf":"{}""#, hex::encode(event.leaf));
    if with_data {
        out.push_str(r#","datacontenttype":"application/json","data":"#);
        out.push_str(&event.payload);
    } else {
        out.push_str(r#","dataomitted":true"#);
    }
    out.push('}');
    out
}

/// A JSON string. Most texts are plain and need no escapes.
fn text(value: &str) -> String {
    if value.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return format!("\"{value}\"");
    }
    serde_json::Value::from(value).to_string()
}

#[derive(Deserialize)]
struct Message<'a> {
    specversion: &'a str,
    id: Uuid,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    tenant: TenantId,
    position: &'a str,
    streamversion: &'a str,
    schema: u16,
    recordedat: Timestamp,
    occurredat: Option<Timestamp>,
    #[serde(borrow)]
    actor: Cow<'a, str>,
    commandid: Uuid,
    #[serde(borrow)]
    correlationid: Cow<'a, str>,
    causationid: Option<Uuid>,
    leaf: &'a str,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Reads what [`encode`] wrote. The leaf is computed anew from what stands
/// there, except for a message without data, which can only repeat what was
/// said. `None` if it does not read.
pub fn decode(json: &[u8]) -> Option<RecordedEvent> {
    let message: Message = serde_json::from_slice(json).ok()?;
    if message.specversion != "1.0" {
        return None;
    }
    let (kind, id) = message.subject.split_once('/')?;
    let mut event = RecordedEvent {
        position: message.position.parse().ok()?,
        stream: StreamId { tenant: message.tenant, kind: kind.into(), id: id.into() },
        version: message.streamversion.parse().ok()?,
        event_id: message.id,
        event_type: message.event_type.as_ref().into(),
        schema: message.schema,
        occurred_at: message.occurredat,
        recorded_at: message.recordedat,
        metadata: Metadata {
            actor: message.actor.as_ref().into(),
            command_id: message.commandid,
            correlation_id: message.correlationid.as_ref().into(),
            causation_id: message.causationid,
        },
        payload: message.data.map(|d| d.get().to_owned()).unwrap_or_default(),
        leaf: [0; 32],
    };
    match message.data {
        Some(_) => event.leaf = event.compute_leaf(),
        None => hex::decode_to_slice(message.leaf, &mut event.leaf).ok()?,
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> RecordedEvent {
        let mut event = RecordedEvent {
            position: u64::MAX >> 1,
            stream: StreamId::new(&TenantId::new("acme").unwrap(), "band", "b:1.x").unwrap(),
            version: 3,
            event_id: Uuid::from_u128(7),
            event_type: "band.tagged".into(),
            schema: 2,
            occurred_at: Some("2026-07-01T19:00:00.000001Z".parse().unwrap()),
            recorded_at: "2026-07-01T19:00:00.5Z".parse().unwrap(),
            metadata: Metadata {
                actor: "key:\"odd\\".into(),
                command_id: Uuid::from_u128(8),
                correlation_id: "Zürich \"1\"".into(),
                causation_id: Some(Uuid::from_u128(9)),
            },
            payload: "{\"n\": 1.50,\n \"t\":\"\u{e9}\\u00e9\"}".into(),
            leaf: [0; 32],
        };
        event.leaf = event.compute_leaf();
        event
    }

    #[test]
    fn what_is_read_is_what_was_recorded_to_the_byte() {
        let mut event = event();
        assert_eq!(decode(encode(&event, true).as_bytes()), Some(event.clone()));
        (event.occurred_at, event.metadata.causation_id) = (None, None);
        event.leaf = event.compute_leaf();
        assert_eq!(decode(encode(&event, true).as_bytes()), Some(event));
    }

    #[test]
    fn a_changed_message_has_another_leaf() {
        let event = event();
        let message = encode(&event, true).replace("1.50", "1.5");
        let read = decode(message.as_bytes()).unwrap();
        assert_ne!(read.leaf, event.leaf);
    }

    #[test]
    fn without_data_the_rest_is_there() {
        let event = event();
        let message = encode(&event, false);
        assert!(message.contains(r#""dataomitted":true"#) && !message.contains(r#""data":"#));
        assert_eq!(decode(message.as_bytes()).unwrap().leaf, event.leaf);
        assert_eq!(decode(b"{}"), None);
    }

    #[test]
    fn it_is_a_cloud_event() {
        let value: serde_json::Value = serde_json::from_str(&encode(&event(), true)).unwrap();
        let object = value.as_object().unwrap();
        for name in ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"] {
            assert!(object.contains_key(name), "{name}");
        }
        // Names of attributes are lower-case letters and digits.
        assert!(object.keys().all(|k| k.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())));
    }
}
