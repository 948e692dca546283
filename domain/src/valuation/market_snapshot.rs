//! `MarketSnapshot`: a market as it was observed, immutable. Stream kind
//! `market_snapshot`, its id the hash of its content; so the same content twice
//! is one snapshot, and a name that was given to it is a label and no identity.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{check_name, parts};
use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "market_snapshot";
pub const RECORDED: &str = "market_snapshot.recorded";
pub const PART_RECORDED: &str = "market_snapshot.part_recorded";

/// Longest content, as JSON text.
pub const MAX_CONTENT_BYTES: usize = parts::MAX_TEXT_BYTES;
/// Longer content stands in events before the one that names the snapshot.
const MAX_INLINE_BYTES: usize = 500_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A part of the content's canonical text; recorded together with the others
    /// and with what ends them.
    #[serde(rename = "market_snapshot.part_recorded")]
    PartRecorded { part: u32, text: String },
    #[serde(rename = "market_snapshot.recorded")]
    Recorded {
        /// SHA-256 of the canonical content, in hex.
        sha256: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The valuation date.
        as_of: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor: Option<String>,
        /// What the pricing model reads, without its name.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        content: Value,
        /// How many parts before this event are the content, if it is not here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<u32>,
    },
}

/// What is to be recorded, with its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub sha256: String,
    pub name: Option<String>,
    pub as_of: String,
    pub vendor: Option<String>,
    pub content: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MarketSnapshot {
    pub name: Option<String>,
    pub as_of: String,
    pub vendor: Option<String>,
    /// `None` until it is recorded.
    pub content: Option<Value>,
    /// Until they are the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl Record {
    /// Of a snapshot as it came: its name is taken out of the content.
    pub fn new(mut content: Value) -> Result<Self, Rejection> {
        let Value::Object(map) = &mut content else {
            return Err(Rejection::field("", "must be an object"));
        };
        let name = match map.remove("snapshot_id") {
            Some(Value::String(name)) if !name.is_empty() => Some(name),
            None | Some(Value::Null | Value::String(_)) => None,
            Some(_) => return Err(Rejection::field("/snapshot_id", "must be a text")),
        };
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let as_of = text("as_of_time").or_else(|| text("as_of"));
        let as_of = as_of.ok_or_else(|| Rejection::field("/as_of_time", "must be given"))?;
        let vendor = text("vendor");
        Ok(Self { sha256: content_hash(&content), name, as_of, vendor, content })
    }

    /// The id of its stream.
    pub fn id(&self) -> String {
        self.sha256.clone()
    }
}

/// SHA-256 of JSON with sorted members and no spaces, in hex.
pub fn content_hash(content: &Value) -> String {
    hex::encode(Sha256::digest(canonical(content).as_bytes()))
}

/// The same JSON for the same content, in whatever order its members came.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::String(name.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(rows) => {
            format!("[{}]", rows.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

impl Decide for MarketSnapshot {
    const KIND: &'static str = KIND;
    type Command = Record;
    type Event = Event;

    fn decide(&self, record: Record, _: &Context) -> Result<Decision<Event>, Rejection> {
        if self.content.is_some() {
            return Ok(Decision::nothing());
        }
        let Record { sha256, name, as_of, vendor, content } = record;
        if let Some(name) = &name {
            check_name("/snapshot_id", name)?;
        }
        let text = canonical(&content);
        let size = text.len();
        if size > MAX_CONTENT_BYTES {
            let reason = format!("has {size} bytes; at most {MAX_CONTENT_BYTES} are kept in one snapshot");
            return Err(Rejection::field("", reason));
        }
        if size <= MAX_INLINE_BYTES {
            let event = Event::Recorded { sha256, name, as_of, vendor, content, parts: None };
            return Ok(Decision::events(vec![event]));
        }
        let mut events: Vec<Event> =
            (0..).zip(parts::cut(&text)).map(|(part, text)| Event::PartRecorded { part, text }).collect();
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        events.push(Event::Recorded {
            sha256,
            name,
            as_of,
            vendor,
            content: Value::Null,
            parts: Some(count),
        });
        Ok(Decision::events(events))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::PartRecorded { text, .. } => self.parts.push(text),
            Event::Recorded { name, as_of, vendor, content, parts, .. } => {
                let content = match parts {
                    None => content,
                    // It was made from JSON.
                    Some(_) => serde_json::from_str(&self.parts.concat()).unwrap_or(Value::Null),
                };
                *self = Self { name, as_of, vendor, content: Some(content), parts: Vec::new() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn record(name: &str) -> Record {
        Record::new(json!({"snapshot_id": name, "as_of_time": "2026-01-23", "vendor": "V", "curves": []}))
            .unwrap()
    }

    fn recorded(record: Record) -> Event {
        let Record { sha256, name, as_of, vendor, content } = record;
        Event::Recorded { sha256, name, as_of, vendor, content, parts: None }
    }

    fn framework() -> TestFramework<MarketSnapshot> {
        TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    #[test]
    fn the_same_content_is_one_snapshot_whatever_it_is_called() {
        let other = Record::new(json!({"vendor": "V", "curves": [], "as_of_time": "2026-01-23"})).unwrap();
        assert_eq!(record("A").sha256, other.sha256);
        assert_ne!(record("A").sha256, Record::new(json!({"as_of_time": "2026-01-23"})).unwrap().sha256);
        framework()
            .given_no_previous_events()
            .when(record("A"))
            .then_expect_events(vec![recorded(record("A"))]);
        framework().given(vec![recorded(record("A"))]).when(record("B")).then_expect_events(vec![]);
    }

    #[test]
    fn long_content_is_kept_in_parts() {
        let nodes: Vec<Value> =
            (0..20_000).map(|n| json!({"date": n, "value": 0.03, "source": "BGC"})).collect();
        let long = Record::new(json!({"as_of": "2026-01-23", "nodes": nodes})).unwrap();
        let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let decision = MarketSnapshot::default().decide(long.clone(), &context).unwrap();
        assert!(decision.events.len() > 2);
        let longest = decision.events.iter().map(|e| serde_json::to_string(e).unwrap().len()).max().unwrap();
        assert!(longest < crate::ports::log::MAX_PAYLOAD_BYTES, "{longest}");
        let mut state = MarketSnapshot::default();
        decision.events.into_iter().for_each(|event| state.evolve(event));
        assert_eq!(state.content, Some(long.content.clone()));
        assert!(state.decide(long, &context).unwrap().events.is_empty());
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        assert!(Record::new(json!([])).is_err());
        assert!(Record::new(json!({"curves": []})).is_err());
        assert!(Record::new(json!({"as_of": "2026-01-23", "snapshot_id": 5})).is_err());
        let huge = Record::new(json!({"as_of": "2026-01-23", "x": "y".repeat(MAX_CONTENT_BYTES)})).unwrap();
        let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        assert!(MarketSnapshot::default().decide(huge, &context).is_err());
    }
}
