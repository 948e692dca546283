//! From a request to signals: which of the forms a body has, and each of its
//! events for itself.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use daybook_http::extract::{BodyLimits, check_json, read_json};
use daybook_http::problem::Place;
use daybook_http::{Kind, Problem};
use domain::signal::cloud_event::{self, Apps, Members};
use domain::signal::{Fault, MAX_BYTES, Signal, app_event};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{binary, proto};

/// One event of a request as it came in, and what it was read as.
pub struct Item {
    pub read: Result<Signal, Fault>,
    /// Why it is not taken although it is a signal.
    pub refused: Option<Fault>,
    pub bytes: Bytes,
    pub media_type: String,
}

/// What a request holds.
pub enum Events {
    One(Box<Item>),
    Many(Vec<Item>),
}

/// Reads the event of this index.
type ReadOne<'a> = dyn Fn(&[u8], usize) -> Result<Signal, Fault> + 'a;

/// The most events of one request.
pub const MAX_EVENTS: usize = 1_000;

pub struct Reader<'a> {
    pub apps: Apps<'a>,
    pub limits: BodyLimits,
    /// Names the event of this index, if it brings no id.
    pub fresh_id: &'a (dyn Fn(usize) -> String + Sync),
}

impl Reader<'_> {
    /// Refuses only what is no container of events at all; what is wrong with
    /// one event is told of that event.
    pub fn read(&self, headers: &HeaderMap, body: Bytes) -> Result<Events, Problem> {
        let declared = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or_default().to_owned());
        let full = declared.clone().unwrap_or_default();
        let essence = full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let one = |read| {
            let (bytes, media_type) = (body.clone(), full.clone());
            Events::One(Box::new(Item { read, refused: None, bytes, media_type }))
        };
        let fits = within(&body);
        match essence.as_str() {
            "application/cloudevents+json" => Ok(one(self.cloud_event(&body))),
            "application/cloudevents+protobuf" => {
                Ok(one(fits.and_then(|()| proto::members(&body)).and_then(|m| self.cloud(m))))
            }
            "application/cloudevents-batch+json" => {
                self.many(array(&body)?, &full, &|bytes, _| self.cloud_event(bytes))
            }
            "application/cloudevents-batch+protobuf" => {
                let events = proto::batch(body.clone()).map_err(problem)?;
                self.many(events, &full, &|bytes, _| proto::members(bytes).and_then(|m| self.cloud(m)))
            }
            _ if binary::is_binary(headers) => {
                let members = fits.and_then(|()| binary::members(headers, declared.as_deref(), &body));
                let checked = members.and_then(|m| self.checked_data(m));
                Ok(one(checked.and_then(|m| self.cloud(m))))
            }
            "application/json" => match batch_of(&body)? {
                Some(events) => self.many(events, &full, &|bytes, i| self.either(bytes, i)),
                None => Ok(one(fits.and_then(|()| self.either(&body, 0)))),
            },
            "application/x-ndjson" => {
                let lines = body.split(|b| *b == b'\n').map(|line| line.trim_ascii());
                let lines = lines.filter(|line| !line.is_empty()).map(|line| body.slice_ref(line));
                self.many(lines.collect(), &full, &|bytes, i| self.either(bytes, i))
            }
            _ => Err(unsupported()),
        }
    }

    fn many(&self, events: Vec<Bytes>, media_type: &str, read: &ReadOne<'_>) -> Result<Events, Problem> {
        if events.len() > MAX_EVENTS {
            let detail = format!("The batch has {} events; split it.", events.len());
            return Err(Problem::new(Kind::BodyTooLarge, detail).with("limit_events", MAX_EVENTS));
        }
        let item = |(i, bytes): (usize, Bytes)| Item {
            read: within(&bytes).and_then(|()| read(&bytes, i)),
            refused: None,
            bytes,
            media_type: media_type.to_owned(),
        };
        Ok(Events::Many(events.into_iter().enumerate().map(item).collect()))
    }

    /// A CloudEvent or an app's typed event, whose version says which.
    pub fn either(&self, bytes: &[u8], index: usize) -> Result<Signal, Fault> {
        let mut members = self.json(bytes)?;
        let mut within = "";
        // The shape `{"event": {…}}`.
        if members.len() == 1
            && let Some(event) = members.remove("event")
        {
            members = self.json(event.get().as_bytes()).map_err(|f| below("/event", f))?;
            within = "/event";
        }
        if members.contains_key("specversion") {
            return self.cloud(members).map_err(|f| below(within, f));
        }
        let fresh = (self.fresh_id)(index);
        app_event::decode(members, self.apps, &fresh).map_err(|f| below(within, f))
    }

    /// A CloudEvent in the JSON format.
    pub fn cloud_event(&self, bytes: &[u8]) -> Result<Signal, Fault> {
        within(bytes).and_then(|()| self.json(bytes)).and_then(|m| self.cloud(m))
    }

    fn cloud(&self, members: Members) -> Result<Signal, Fault> {
        cloud_event::decode(members, self.apps)
    }

    fn json(&self, bytes: &[u8]) -> Result<Members, Fault> {
        read_json::<BTreeMap<String, Box<RawValue>>>(bytes, self.limits).map_err(|p| fault(&p))
    }

    /// Data of the binary mode is checked as any other JSON is.
    fn checked_data(&self, members: Members) -> Result<Members, Fault> {
        if let Some(data) = members.get("data") {
            check_json(data.get().as_bytes(), self.limits).map_err(|p| below("/data", fault(&p)))?;
        }
        Ok(members)
    }
}

fn within(bytes: &[u8]) -> Result<(), Fault> {
    match bytes.len() <= MAX_BYTES {
        true => Ok(()),
        false => Err(Fault::new("", format!("is longer than {MAX_BYTES} bytes"))),
    }
}

fn below(prefix: &str, fault: Fault) -> Fault {
    Fault { pointer: format!("{prefix}{}", fault.pointer), ..fault }
}

fn fault(problem: &Problem) -> Fault {
    match problem.errors().first() {
        Some(error) => {
            let (Place::Pointer(at) | Place::Parameter(at) | Place::Header(at)) = &error.place;
            Fault::new(at.clone(), error.detail.clone())
        }
        None => Fault::new("", problem.detail().to_owned()),
    }
}

pub fn problem(fault: Fault) -> Problem {
    Problem::field(fault.pointer, fault.reason)
}

/// The elements of a JSON array, each as it was written.
fn array(body: &[u8]) -> Result<Vec<Bytes>, Problem> {
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let detail = format!("The body is no JSON array of events (line {line}, column {column}).");
        Problem::new(Kind::InvalidJson, detail).with("line", line).with("column", column)
    })?;
    Ok(items.into_iter().map(|item| Bytes::copy_from_slice(item.get().as_bytes())).collect())
}

/// The events of `[…]` or `{"events": […]}`. `None` for a single event.
fn batch_of(body: &[u8]) -> Result<Option<Vec<Bytes>>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch<'a> {
        #[serde(borrow)]
        events: &'a RawValue,
    }
    match body.trim_ascii_start().first() {
        Some(b'[') => array(body).map(Some),
        _ => match serde_json::from_slice::<Batch>(body) {
            Ok(batch) => array(batch.events.get().as_bytes()).map(Some),
            Err(_) => Ok(None),
        },
    }
}

fn unsupported() -> Problem {
    let detail = "Send application/json, application/x-ndjson, application/cloudevents+json, \
                  application/cloudevents-batch+json, the same in +protobuf, or ce- headers with any body.";
    Problem::new(Kind::UnsupportedMediaType, detail)
}
