//! Sealing and opening the personal members of one payload. Pure.
//!
//! A sealed payload lacks these members and has one more at its end:
//!
//! ```json
//! "personal":{"fields":["user_agent"],"key":"<24 hex digits>","sealed":"<base64url>"}
//! ```
//!
//! `sealed` is nonce (12 bytes), the AES-256-GCM-SIV of the members as a JSON
//! object, and tag (16). The associated data names where the event belongs and
//! which fields these are, so nothing opens anywhere else.

use std::borrow::Cow;
use std::fmt::Write as _;

use aes_gcm_siv::aead::Aead;
use aes_gcm_siv::aead::{KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::personal::{ERASED, MEMBER, Personal};
use domain::ports::keys::{DataKey, KeyBytes, KeyId};
use domain::{RecordedEvent, StreamId, Subject};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::members::{Members, Name};

pub const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    #[error("personal data needs a subject: {member} {reason}")]
    NoSubject { member: &'static str, reason: String },
    #[error("the member {MEMBER} is written by the log alone")]
    Reserved,
}

/// The blob is not what was sealed here, with the key there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its personal data does not open: {0}")]
pub struct Tampered(pub &'static str);

/// The event that a blob belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub tenant: &'a str,
    pub kind: &'a str,
    pub stream: &'a str,
    pub event_id: Uuid,
    pub event_type: &'a str,
}

impl<'a> Place<'a> {
    pub fn new(stream: &'a StreamId, event_id: Uuid, event_type: &'a str) -> Self {
        Self { tenant: stream.tenant.as_str(), kind: &stream.kind, stream: &stream.id, event_id, event_type }
    }

    pub fn of(event: &'a RecordedEvent) -> Self {
        Self::new(&event.stream, event.event_id, &event.event_type)
    }

    /// No value holds a line feed, so no two places have the same bytes.
    fn associated_data<'f>(&self, fields: impl Iterator<Item = &'f str>) -> String {
        let mut out = String::with_capacity(192);
        let Self { tenant, kind, stream, event_id, event_type } = self;
        // Writing to a String cannot fail.
        let _ = write!(out, "daybook-personal/1\n{tenant}\n{kind}\n{stream}\n{event_id}\n{event_type}");
        for field in fields {
            out.push('\n');
            out.push_str(field);
        }
        out
    }
}

/// A payload whose personal members have been cut out and not yet sealed.
#[derive(Debug)]
pub struct Cut {
    pub subject: Subject,
    /// The rest, its brace open.
    rest: String,
    fields: Vec<&'static str>,
    personal: String,
}

impl Cut {
    /// `None` if nothing in the payload is personal.
    pub fn of(payload: &str, marked: &Personal) -> Result<Option<Self>, BadPayload> {
        // What is no object has no members; whether it may be recorded is for
        // the log to say.
        let Some(Members(members)) = Members::of(payload) else { return Ok(None) };
        let (mut rest, mut personal) = (String::with_capacity(payload.len() + 192), String::from("{"));
        let (mut fields, mut subject) = (Vec::new(), None);
        rest.push('{');
        for (written, value) in &members {
            let name = written.as_str();
            if name == MEMBER {
                return Err(BadPayload::Reserved);
            }
            if name == marked.member {
                subject = Some(*value);
            }
            match marked.fields.iter().find(|f| **f == name) {
                // Null says nothing of anybody.
                Some(field) if value.get() != "null" => {
                    written.put(&mut personal, value.get());
                    if !fields.contains(field) {
                        fields.push(*field);
                    }
                }
                Some(_) => {}
                None => written.put(&mut rest, value.get()),
            }
        }
        if fields.is_empty() {
            return Ok(None);
        }
        personal.push('}');
        let subject = subject_of(subject, marked)?;
        Ok(Some(Self { subject, rest, fields, personal }))
    }

    /// The payload as it is recorded. No nonce may be used twice with one key;
    /// random ones do.
    pub fn seal(self, key: &DataKey, nonce: [u8; NONCE_BYTES], place: &Place<'_>) -> String {
        let Self { rest: mut out, fields, personal, .. } = self;
        let associated = place.associated_data(fields.iter().copied());
        let sealing = Payload { msg: personal.as_bytes(), aad: associated.as_bytes() };
        let mut blob = nonce.to_vec();
        // It fails for more than 64 GiB, and a payload has a megabyte.
        let sealed = cipher(&key.bytes).encrypt(&Nonce::from(nonce), sealing).unwrap_or_default();
        blob.extend_from_slice(&sealed);
        out.push_str(if out.ends_with('{') { "\"" } else { ",\"" });
        out.push_str(MEMBER);
        out.push_str("\":{\"fields\":[");
        for (i, field) in fields.iter().enumerate() {
            // Names from the registry, with nothing to escape.
            let _ = write!(out, "{}\"{field}\"", if i == 0 { "" } else { "," });
        }
        let _ = write!(out, "],\"key\":\"{}\",\"sealed\":\"", key.id);
        URL_SAFE_NO_PAD.encode_string(&blob, &mut out);
        out.push_str("\"}}");
        out
    }
}

fn subject_of(value: Option<&RawValue>, marked: &Personal) -> Result<Subject, BadPayload> {
    let fail = |reason: String| BadPayload::NoSubject { member: marked.member, reason };
    let value = value.ok_or_else(|| fail("is not there".into()))?;
    let id: Cow<'_, str> = serde_json::from_str(value.get()).map_err(|_| fail("is not a text".to_owned()))?;
    Subject::new(marked.kind, &id).map_err(|e| fail(e.to_string()))
}

fn cipher(key: &KeyBytes) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.reveal().into())
}

/// The personal part of a recorded payload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed<'a> {
    #[serde(borrow)]
    fields: Vec<Cow<'a, str>>,
    key: KeyId,
    #[serde(borrow)]
    sealed: Cow<'a, str>,
}

impl<'a> Sealed<'a> {
    /// From the member's own text.
    pub fn parse(member: &'a str) -> Result<Self, Tampered> {
        serde_json::from_str(member).map_err(|_| Tampered("it is not in the form that is written"))
    }

    /// `None` if nothing of the payload was sealed.
    pub fn of(payload: &'a str) -> Result<Option<Self>, Tampered> {
        if !payload.contains(MEMBER) {
            return Ok(None);
        }
        if let Some(sealed) = as_written(payload).and_then(|(_, member)| Self::parse(member).ok()) {
            return Ok(Some(sealed));
        }
        let Some(Members(members)) = Members::of(payload) else { return Ok(None) };
        let Some((_, member)) = members.iter().find(|(name, _)| name.as_str() == MEMBER) else {
            return Ok(None);
        };
        Self::parse(member.get()).map(Some)
    }

    pub fn key(&self) -> KeyId {
        self.key
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| &**field)
    }

    /// The members as a JSON object.
    pub fn open(&self, key: &KeyBytes, place: &Place<'_>) -> Result<String, Tampered> {
        let blob = URL_SAFE_NO_PAD.decode(self.sealed.as_bytes()).map_err(|_| Tampered("no base64url"))?;
        let (nonce, sealed) = blob
            .split_first_chunk::<NONCE_BYTES>()
            .filter(|(_, sealed)| sealed.len() >= TAG_BYTES)
            .ok_or(Tampered("it is too short"))?;
        let associated = place.associated_data(self.fields());
        let opening = Payload { msg: sealed, aad: associated.as_bytes() };
        let opened = cipher(key)
            .decrypt(&Nonce::from(*nonce), opening)
            .map_err(|_| Tampered("it belongs to another event, or was changed"))?;
        String::from_utf8(opened).map_err(|_| Tampered("it is no text"))
    }

    /// What stands for the members once their key is destroyed.
    pub fn erased(&self) -> String {
        let mut out = String::from("{");
        self.fields().for_each(|field| Name::Escaped(field.to_owned()).put(&mut out, ERASED));
        out.push('}');
        out
    }
}

/// A payload as [`Cut::seal`] writes it, in what stands before the member and
/// the member. These bytes are no part of a text, whose quotes have escapes;
/// and if they stood deeper, the member would have a brace too many.
fn as_written(payload: &str) -> Option<(&str, &str)> {
    const NAME: &str = "\"personal\":";
    let at = payload.rfind(NAME)?;
    let member = payload[at + NAME.len()..].strip_suffix('}')?;
    Some((&payload[..at], member))
}

/// A recorded payload with its personal members (a JSON object) back in it.
pub fn restored(payload: &str, personal: &str) -> Result<String, Tampered> {
    if let Some((rest, member)) = as_written(payload)
        && Sealed::parse(member).is_ok()
        && let Some(inner) = personal.strip_prefix('{').and_then(|p| p.strip_suffix('}'))
        && !inner.is_empty()
    {
        return Ok([rest, inner, "}"].concat());
    }
    let not_an_object = || Tampered("it is no object");
    let Members(rest) = Members::of(payload).ok_or_else(not_an_object)?;
    let Members(personal) = Members::of(personal).ok_or_else(not_an_object)?;
    let mut out = String::with_capacity(payload.len());
    out.push('{');
    for (name, value) in rest.iter().filter(|(name, _)| name.as_str() != MEMBER).chain(&personal) {
        name.put(&mut out, value.get());
    }
    out.push('}');
    Ok(out)
}

#[cfg(test)]
mod tests;
