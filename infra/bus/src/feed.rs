//! Live subjects of the gateway: what comes in, what comes of it, and what is
//! unusual, by app and type. Plain messages that nobody keeps, beside the copy of
//! the log that is kept; only of what is new, so that a stream which is filled
//! again does not tell of the past.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use domain::rule::is_subject;
use domain::{RecordedEvent, anomaly_window, rule_match, signal};
use serde::Deserialize;

use crate::message::{HEADERS, push_token};

/// What is older is not told of any more.
const NEW: Duration = Duration::from_secs(600);
/// The first word of the subjects that rules name.
const RULES: &str = "rules";
const NONE: Cow<'static, str> = Cow::Borrowed("-");

#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow, default)]
    app: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    category: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow, default)]
    signal_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    rule: Option<Cow<'a, str>>,
}

/// Of what a rule found.
#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    acts: bool,
    #[serde(default)]
    subjects: Vec<String>,
}

/// All subjects that an event is told of on: that of the gateway, and those that
/// its rule names.
pub fn subjects(event: &RecordedEvent) -> Vec<String> {
    let mut all: Vec<String> = subject(event).into_iter().collect();
    if matches!(&*event.event_type, rule_match::MATCHED | anomaly_window::DETECTED) {
        all.extend(named(event));
    }
    all
}

/// Where a rule wants it told, below what is its tenant's own.
fn named(event: &RecordedEvent) -> Vec<String> {
    let Ok(action) = serde_json::from_str::<Action>(&event.payload) else { return Vec::new() };
    // What an older build let be saved is not told of on a subject of its own.
    let good = action.subjects.into_iter().filter(|subject| action.acts && is_subject(subject));
    let mut root = format!("{RULES}.");
    push_token(&mut root, event.stream.tenant.as_str());
    good.map(|subject| format!("{root}.{subject}")).collect()
}

/// Where an event is told of; `None` if it is none of the gateway's.
pub fn subject(event: &RecordedEvent) -> Option<String> {
    let (first, word) = match &*event.event_type {
        signal::RECEIVED => ("requests", None),
        signal::REJECTED => ("responses", Some("rejected")),
        rule_match::MATCHED => ("responses", Some("matched")),
        anomaly_window::DETECTED => ("anomalies", None),
        _ => return None,
    };
    let names: Names = serde_json::from_str(&event.payload).ok()?;
    let mut subject = first.to_owned();
    let mut push = |text: &str| {
        subject.push('.');
        push_token(&mut subject, text);
    };
    push(event.stream.tenant.as_str());
    push(&names.app.unwrap_or(NONE));
    if let Some(word) = word {
        push(word);
    }
    if *event.event_type == *signal::RECEIVED {
        push(&names.category.unwrap_or(NONE));
        names.signal_type.unwrap_or(NONE).split('.').for_each(push);
    } else if *event.event_type != *signal::REJECTED {
        push(&names.rule.unwrap_or(NONE));
    }
    Some(subject)
}

pub(crate) fn is_new(event: &RecordedEvent) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_micros(u64::try_from(event.recorded_at.as_microsecond()).unwrap_or(0));
    now.saturating_sub(at) <= NEW
}

/// Those of the kept message, but what only its stream needs.
pub(crate) fn headers(of: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in HEADERS.into_iter().chain(["Nats-Msg-Id"]) {
        if let Some(value) = of.get(name) {
            headers.insert(name, value.as_str());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use domain::envelope::Metadata;
    use domain::{StreamId, TenantId};
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn event(event_type: &str, payload: &str) -> RecordedEvent {
        RecordedEvent {
            position: 7,
            stream: StreamId::new(&TenantId::new("acme").unwrap(), "signal", "s").unwrap(),
            version: 1,
            event_id: Uuid::nil(),
            event_type: event_type.into(),
            schema: 1,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
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

    #[test]
    fn subjects_name_app_and_type() {
        for (event_type, payload, expected) in [
            (
                signal::RECEIVED,
                r#"{"app":"a.b","category":"commerce","type":"purchase_complete"}"#,
                "requests.acme.a%2Eb.commerce.purchase_complete",
            ),
            (signal::RECEIVED, r#"{"app":"a","type":"com.x.>"}"#, "requests.acme.a.-.com.x.%3E"),
            (signal::REJECTED, r#"{"reason":"no"}"#, "responses.acme.-.rejected"),
            (rule_match::MATCHED, r#"{"app":"a","rule":"big","type":"t"}"#, "responses.acme.a.matched.big"),
            (anomaly_window::DETECTED, r#"{"app":"a","rule":"lag"}"#, "anomalies.acme.a.lag"),
        ] {
            assert_eq!(subject(&event(event_type, payload)).as_deref(), Some(expected));
        }
        for (acts, named, expected) in [
            (true, r#"["orders.big","all"]"#, vec!["rules.acme.orders.big", "rules.acme.all"]),
            (false, r#"["orders.big"]"#, vec![]),
            (true, r#"["a.>","b c","","x..y","$SYS.z","ok_1-2"]"#, vec!["rules.acme.ok_1-2"]),
        ] {
            let payload = format!(r#"{{"app":"a","rule":"r","type":"t","acts":{acts},"subjects":{named}}}"#);
            for event_type in [rule_match::MATCHED, anomaly_window::DETECTED] {
                assert_eq!(subjects(&event(event_type, &payload))[1..], expected, "{payload}");
            }
            // An app says nothing of where it is told.
            assert_eq!(subjects(&event(signal::RECEIVED, &payload)).len(), 1);
        }
        assert_eq!(subject(&event("band.tapped", r#"{"app":"a"}"#)), None);
        assert!(!is_new(&event(signal::RECEIVED, "{}")));
    }
}
