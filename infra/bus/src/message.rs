//! One event as a message: subject, headers, body.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID};
use bytes::Bytes;
use domain::RecordedEvent;
use domain::cloud_event::{self, CONTENT_TYPE};

/// Headers that a consumer may go by without reading the body.
pub const HEADERS: [&str; 7] = [
    "Content-Type",
    "Daybook-Position",
    "Daybook-Tenant",
    "Daybook-Type",
    "Daybook-Schema",
    "Daybook-Version",
    "Daybook-Leaf",
];
/// Beside the values of the headers, what a message has around its body.
const OVERHEAD: usize = 1024;

pub(crate) struct Message {
    pub subject: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// `<prefix>.<tenant>.<kind>.<type>`. The dots of an event type are the
/// subject's own, so that `events.*.taps.band.*` can be subscribed to.
pub fn subject(prefix: &str, event: &RecordedEvent) -> String {
    let mut subject = String::with_capacity(64);
    subject.push_str(prefix);
    subject.push('.');
    push_token(&mut subject, event.stream.tenant.as_str());
    subject.push('.');
    push_token(&mut subject, &event.stream.kind);
    for part in event.event_type.split('.') {
        subject.push('.');
        push_token(&mut subject, part);
    }
    subject
}

/// What means something in a subject is written as `%` and two digits.
pub(crate) fn push_token(subject: &mut String, text: &str) {
    if text.is_empty() {
        subject.push('%');
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':' | b'@' | b'=' | b'+') {
            subject.push(char::from(byte));
        } else {
            subject.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The message that must become number `event.position` of its stream.
pub(crate) fn message(prefix: &str, event: &RecordedEvent, max_payload: usize) -> Message {
    let mut body = cloud_event::encode(event, true);
    if body.len() + OVERHEAD > max_payload {
        body = cloud_event::encode(event, false);
    }
    let position = event.position.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SEQUENCE, event.position.saturating_sub(1).to_string());
    headers.insert(NATS_MESSAGE_ID, position.as_str());
    let values = [
        CONTENT_TYPE.to_owned(),
        position,
        event.stream.tenant.to_string(),
        event.event_type.to_string(),
        event.schema.to_string(),
        event.version.to_string(),
        hex::encode(event.leaf),
    ];
    for (name, value) in HEADERS.into_iter().zip(values) {
        headers.insert(name, value);
    }
    Message { subject: subject(prefix, event), headers, body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_subject_is_written_otherwise() {
        let token = |text: &str| {
            let mut subject = String::new();
            push_token(&mut subject, text);
            subject
        };
        assert_eq!(token("_system"), "_system");
        assert_eq!(token("a.b*>c d"), "a%2Eb%2A%3Ec%20d");
        assert_eq!(token("100%"), "100%25");
        assert_eq!(token(""), "%");
        assert_eq!(token("é"), "%C3%A9");
    }
}
