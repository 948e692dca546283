//! CloudEvents in their Protobuf format (cloudevents.proto of the
//! specification, package `io.cloudevents.v1`), as members of the JSON format.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::signal::Fault;
use domain::signal::cloud_event::{Members, binary_data};
use jiff::Timestamp;
use prost::Message;
use serde_json::Value;
use serde_json::value::to_raw_value;

#[derive(Clone, PartialEq, Message)]
pub struct CloudEvent {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub source: String,
    #[prost(string, tag = "3")]
    pub spec_version: String,
    #[prost(string, tag = "4")]
    pub r#type: String,
    #[prost(map = "string, message", tag = "5")]
    pub attributes: HashMap<String, AttributeValue>,
    #[prost(oneof = "Data", tags = "6, 7, 8")]
    pub data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Data {
    #[prost(bytes, tag = "6")]
    Binary(Vec<u8>),
    #[prost(string, tag = "7")]
    Text(String),
    #[prost(message, tag = "8")]
    Any(Any),
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes, tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AttributeValue {
    #[prost(oneof = "Attribute", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub attr: Option<Attribute>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Attribute {
    #[prost(bool, tag = "1")]
    Boolean(bool),
    #[prost(int32, tag = "2")]
    Integer(i32),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bytes, tag = "4")]
    Bytes(Vec<u8>),
    #[prost(string, tag = "5")]
    Uri(String),
    #[prost(string, tag = "6")]
    UriRef(String),
    #[prost(message, tag = "7")]
    Time(Instant),
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Instant {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    /// Each as its own bytes, so that one that does not read fails alone.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}

/// The events of a batch, each still encoded.
pub fn batch(body: Bytes) -> Result<Vec<Bytes>, Fault> {
    Batch::decode(body)
        .map(|b| b.events)
        .map_err(|_| Fault::new("", "is no batch of CloudEvents in Protobuf"))
}

/// The members that the event would have in the JSON format.
pub fn members(bytes: &[u8]) -> Result<Members, Fault> {
    let event = CloudEvent::decode(bytes).map_err(|_| Fault::new("", "is no CloudEvent in Protobuf"))?;
    let mut members = BTreeMap::new();
    for (name, value) in event.attributes {
        let value = attribute(value.attr).map_err(|reason| Fault::new(format!("/{name}"), reason))?;
        put(&mut members, &name, value)?;
    }
    for (name, value) in [
        ("id", event.id),
        ("source", event.source),
        ("specversion", event.spec_version),
        ("type", event.r#type),
    ] {
        put(&mut members, name, value.into())?;
    }
    let named = members.get("datacontenttype").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    match event.data {
        None => {}
        Some(Data::Binary(bytes)) => binary_data(&mut members, named.as_deref(), &bytes)?,
        Some(Data::Text(text)) if domain::signal::is_json(named.as_deref()) && named.is_some() => {
            binary_data(&mut members, named.as_deref(), text.as_bytes())?;
        }
        Some(Data::Text(text)) => put(&mut members, "data", text.into())?,
        Some(Data::Any(any)) => {
            put(&mut members, "data_base64", STANDARD.encode(any.value).into())?;
            if named.is_none() {
                put(&mut members, "datacontenttype", "application/protobuf".into())?;
            }
            if !members.contains_key("dataschema") && any.type_url.contains(':') {
                put(&mut members, "dataschema", any.type_url.into())?;
            }
        }
    }
    Ok(members)
}

fn put(members: &mut Members, name: &str, value: Value) -> Result<(), Fault> {
    let raw = to_raw_value(&value).map_err(|e| Fault::new(format!("/{name}"), e.to_string()))?;
    match members.insert(name.to_owned(), raw) {
        Some(_) => Err(Fault::new(format!("/{name}"), "is given twice")),
        None => Ok(()),
    }
}

fn attribute(value: Option<Attribute>) -> Result<Value, &'static str> {
    Ok(match value.ok_or("has no value")? {
        Attribute::Boolean(value) => value.into(),
        Attribute::Integer(value) => value.into(),
        Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriRef(text) => text.into(),
        Attribute::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Attribute::Time(at) => {
            let at = Timestamp::new(at.seconds, at.nanos).map_err(|_| "is no time of the years 1 to 9999")?;
            at.to_string().into()
        }
    })
}

#[cfg(test)]
mod tests {
    use domain::signal::cloud_event::{Apps, decode};

    use super::*;

    fn event() -> CloudEvent {
        let of = |attr| AttributeValue { attr: Some(attr) };
        let time = Instant { seconds: 1_751_389_200, nanos: 250_000_000 };
        CloudEvent {
            id: "1".into(),
            source: "/orders".into(),
            spec_version: "1.0".into(),
            r#type: "order.placed".into(),
            attributes: HashMap::from([
                ("time".into(), of(Attribute::Time(time))),
                ("sampledrate".into(), of(Attribute::Integer(5))),
                ("appid".into(), of(Attribute::Text("shop".into()))),
                ("datacontenttype".into(), of(Attribute::Text("application/json".into()))),
            ]),
            data: Some(Data::Text("{\"n\": 1.50}".into())),
        }
    }

    #[test]
    fn an_event_has_the_members_of_the_json_format() {
        let signal = decode(members(&event().encode_to_vec()).unwrap(), Apps::default()).unwrap();
        assert_eq!((signal.app.as_str(), signal.time.as_deref()), ("shop", Some("2025-07-01T17:00:00.25Z")));
        assert_eq!(signal.data.unwrap().get(), "{\"n\": 1.50}");
        assert_eq!(signal.attributes["sampledrate"], 5);
    }

    #[test]
    fn one_broken_event_of_a_batch_fails_alone() {
        let good = Bytes::from(event().encode_to_vec());
        let body = Batch { events: vec![good.clone(), Bytes::from_static(&[0xff])] }.encode_to_vec();
        let events = batch(body.into()).unwrap();
        assert_eq!(events[0], good);
        assert!(members(&events[0]).is_ok() && members(&events[1]).is_err());
    }
}
