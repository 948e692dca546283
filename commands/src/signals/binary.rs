//! The binary content mode of CloudEvents over HTTP: attributes in `ce-`
//! headers, percent-encoded; the body is the data
//! (<https://github.com/cloudevents/spec>, HTTP protocol binding, 3.1).

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use domain::signal::Fault;
use domain::signal::cloud_event::{Members, binary_data};
use serde_json::Value;

const PREFIX: &str = "ce-";

/// Whether the headers hold an event.
pub fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The members that the event would have in the JSON format.
pub fn members(headers: &HeaderMap, media_type: Option<&str>, body: &[u8]) -> Result<Members, Fault> {
    let mut members = BTreeMap::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let fault = |reason: &str| Fault::new(format!("/{attribute}"), reason);
        if matches!(attribute, "datacontenttype" | "data" | "data_base64") {
            return Err(fault("must not be a header: Content-Type says it and the body is the data"));
        }
        let text = unquoted(value.as_bytes()).and_then(|v| percent_decoded(&v)).map_err(fault)?;
        if members.insert(attribute.to_owned(), string(&text)?).is_some() {
            return Err(fault("is given twice"));
        }
    }
    if let Some(media_type) = media_type {
        members.insert("datacontenttype".into(), string(media_type)?);
    }
    binary_data(&mut members, media_type, body)?;
    Ok(members)
}

fn string(text: &str) -> Result<Box<serde_json::value::RawValue>, Fault> {
    serde_json::value::to_raw_value(&Value::from(text)).map_err(|e| Fault::new("", e.to_string()))
}

/// Without double quotes around it and backslashes within those.
fn unquoted(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let value = value.trim_ascii();
    let Some(inner) = value.strip_prefix(b"\"") else { return Ok(value.to_vec()) };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'"' if bytes.as_slice().is_empty() => return Ok(out),
            b'"' => break,
            b'\\' => out.extend(bytes.next()),
            b => out.push(*b),
        }
    }
    Err("has a double quote that is not closed")
}

/// One round of percent-decoding into UTF-8. What need not have been encoded
/// may be, and hex digits may have either case.
fn percent_decoded(value: &[u8]) -> Result<String, &'static str> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let digits = rest.get(..2).ok_or("has a % without two hex digits")?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).map_err(|_| "has a % without two hex digits")?;
                out.extend(byte);
                rest = &rest[2..];
            }
            b' '..=b'~' => out.push(*first),
            _ => return Err("must be printable ASCII: percent-encode anything else"),
        }
    }
    String::from_utf8(out).map_err(|_| "is not UTF-8 once its percent-encoding is undone")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()));
        pairs.collect()
    }

    fn subject(value: &[u8]) -> Result<String, Fault> {
        let members = members(&headers(&[("ce-subject", value)]), None, b"")?;
        Ok(serde_json::from_str(members["subject"].get()).unwrap())
    }

    #[test]
    fn values_are_decoded_once() {
        for (value, text) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("%e2%82%ac", "€"),
            ("%61%20b", "a b"),
            ("a%2520b", "a%20b"),
            ("\"quoted \\\"text\\\"\"", "quoted \"text\""),
            ("a b", "a b"),
        ] {
            assert_eq!(subject(value.as_bytes()).unwrap(), text, "{value}");
        }
    }

    #[test]
    fn what_does_not_decode_names_its_header() {
        for value in [&b"50%"[..], b"%2", b"%zz", b"%ff", b"%e2%82", b"\"open", b"\"a\"b", "ü".as_bytes()] {
            assert_eq!(subject(value).unwrap_err().pointer, "/subject", "{value:?}");
        }
        let fault = members(&headers(&[("ce-datacontenttype", b"text/plain")]), None, b"").unwrap_err();
        assert_eq!(fault.pointer, "/datacontenttype");
    }
}
