//! CloudEvents in and out: 1.0, and 0.3 whose attributes have other names
//! (<https://github.com/cloudevents/spec>). Every mode of the HTTP binding and
//! every format ends in the members of the JSON format, which are read here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::check::{self, Checked};
use super::{Fault, Format, Signal};

/// Members of a JSON object, each as it was written.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The extension attribute that names the app.
pub const APP: &str = "appid";
const DEVICE: &str = "deviceid";

/// Whose app a signal may be of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Apps<'a> {
    /// The only app that the credential speaks for.
    pub bound: Option<&'a str>,
    /// For what names none itself.
    pub default: Option<&'a str>,
}

impl Apps<'_> {
    pub(super) fn pick(self, pointer: &str, named: Option<&str>) -> Checked<String> {
        match (named.or(self.default), self.bound) {
            (Some(named), Some(bound)) if named != bound => {
                Err(Fault::new(pointer, "is not the app of this key"))
            }
            (None, None) => {
                Err(Fault::new(pointer, "is missing: name the app here, in ?app= or by a key of the app"))
            }
            (Some(app), _) | (None, Some(app)) => {
                check::app(pointer, app)?;
                Ok(app.to_owned())
            }
        }
    }
}

/// Reads the members of an event in the JSON format.
pub fn decode(mut members: Members, apps: Apps<'_>) -> Result<Signal, Fault> {
    let format = match required(&mut members, "specversion")?.as_str() {
        "1.0" => Format::CloudEvents,
        "0.3" => Format::CloudEvents03,
        _ => return Err(Fault::new("/specversion", "must be \"1.0\" or \"0.3\"")),
    };
    let mut signal = Signal {
        app: String::new(),
        source: required(&mut members, "source")?,
        id: required(&mut members, "id")?,
        signal_type: required(&mut members, "type")?,
        category: None,
        subject: optional(&mut members, "subject")?,
        device: None,
        time: optional(&mut members, "time")?,
        sent_at: None,
        correlation: None,
        dataschema: None,
        datacontenttype: optional(&mut members, "datacontenttype")?,
        context: None,
        attributes: BTreeMap::new(),
        data: None,
        data_base64: None,
        format,
        mismatch: None,
    };
    let schema = if format == Format::CloudEvents03 { "schemaurl" } else { "dataschema" };
    signal.dataschema = optional(&mut members, schema)?;
    match (&signal.dataschema, format) {
        (Some(uri), Format::CloudEvents03) => check::uri_reference("/schemaurl", uri)?,
        (Some(uri), _) => check::uri("/dataschema", uri)?,
        (None, _) => {}
    }
    if let Some(media_type) = &signal.datacontenttype {
        check::media_type("/datacontenttype", media_type)?;
    }
    if let Some(time) = &signal.time {
        check::instant("/time", time)?;
    }
    data(&mut members, &mut signal)?;
    for (name, value) in members {
        if let Some(value) = attribute(&name, &value, format)? {
            signal.attributes.insert(name, value);
        }
    }
    let text = |name: &str| signal.attributes.get(name).and_then(Value::as_str).map(str::to_owned);
    signal.app = apps.pick("/appid", text(APP).as_deref())?;
    signal.device = text(DEVICE).filter(|device| !device.is_empty());
    signal.correlation = text("correlationid");
    signal.sent_at = text("sentat").and_then(|at| at.parse().ok()).map(crate::time::to_micros);
    signal.checked()
}

fn required(members: &mut Members, name: &str) -> Checked<String> {
    optional(members, name)?.ok_or_else(|| Fault::new(format!("/{name}"), "is missing"))
}

/// A text; null is the same as absent.
fn optional(members: &mut Members, name: &str) -> Checked<Option<String>> {
    let Some(raw) = members.remove(name) else { return Ok(None) };
    match serde_json::from_str(raw.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) => Ok(Some(text)),
        _ => Err(Fault::new(format!("/{name}"), "must be a string")),
    }
}

fn data(members: &mut Members, signal: &mut Signal) -> Checked {
    let data = members.remove("data").filter(|raw| raw.get() != "null");
    let mut base64 = optional(members, "data_base64")?;
    if data.is_some() && base64.is_some() {
        return Err(Fault::new("/data_base64", "must not stand beside data"));
    }
    let mut pointer = "/data_base64";
    if signal.format == Format::CloudEvents03 {
        match optional(members, "datacontentencoding")?.as_deref() {
            None => signal.data = data,
            Some("base64") => {
                pointer = "/data";
                let text = data.and_then(|raw| serde_json::from_str(raw.get()).ok());
                base64 = Some(text.ok_or_else(|| Fault::new("/data", "must be a string of base64"))?);
            }
            Some(_) => return Err(Fault::new("/datacontentencoding", "must be \"base64\"")),
        }
    } else {
        signal.data = data;
    }
    if let Some(text) = &base64
        && STANDARD.decode(text).is_err()
    {
        return Err(Fault::new(pointer, "must be base64 (RFC 4648)"));
    }
    signal.data_base64 = base64;
    Ok(())
}

/// An extension attribute; in version 0.3 it may be anything. Null is the same as
/// absent.
fn attribute(name: &str, raw: &RawValue, format: Format) -> Checked<Option<Value>> {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !named || name.len() > check::MAX_ATTRIBUTE_NAME {
        let reason = "is no name of an attribute: lower-case letters and digits, at most 64";
        return Err(Fault::new(pointer, reason));
    }
    let value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    match &value {
        Value::Null => Ok(None),
        Value::Bool(_) => Ok(Some(value)),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(Some(value)),
        Value::String(text) => check::attribute(&pointer, text).map(|()| Some(value)),
        _ if format == Format::CloudEvents03 && raw.get().len() <= check::MAX_ATTRIBUTE_VALUE => {
            Ok(Some(value))
        }
        Value::Number(_) => Err(Fault::new(pointer, "must be a whole number of 32 bits")),
        Value::Array(_) | Value::Object(_) => {
            Err(Fault::new(pointer, "must be a string, a whole number, true or false"))
        }
    }
}

/// The signal as a CloudEvent in JSON: what came in as one, with the same
/// members; any other with its app, device and category as extensions.
pub fn encode(signal: &Signal) -> String {
    let old = signal.format == Format::CloudEvents03;
    let mut out = String::with_capacity(512 + signal.data.as_ref().map_or(0, |d| d.get().len()));
    // Writing to a String cannot fail.
    let _ = write!(out, r#"{{"specversion":"{}""#, if old { "0.3" } else { "1.0" });
    let mut text = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(out, ",{}:{}", Value::from(name), Value::from(value));
        }
    };
    text("id", Some(&signal.id));
    text("source", Some(&signal.source));
    text("type", Some(&signal.signal_type));
    text("subject", signal.subject.as_deref());
    text("time", signal.time.as_deref());
    text("datacontenttype", signal.datacontenttype.as_deref());
    text(if old { "schemaurl" } else { "dataschema" }, signal.dataschema.as_deref());
    if !matches!(signal.format, Format::CloudEvents | Format::CloudEvents03) {
        text(APP, Some(&signal.app));
        text(DEVICE, signal.device.as_deref());
        text("category", signal.category.as_deref());
        text("correlationid", signal.correlation.as_deref());
    }
    for (name, value) in &signal.attributes {
        let _ = write!(out, ",{}:{value}", Value::from(name.as_str()));
    }
    if let Some(data) = &signal.data {
        let _ = write!(out, r#","data":{data}"#);
    }
    match &signal.data_base64 {
        Some(text) if old => {
            let _ = write!(out, r#","datacontentencoding":"base64","data":"{text}""#);
        }
        Some(text) => {
            let _ = write!(out, r#","data_base64":"{text}""#);
        }
        None => {}
    }
    out.push('}');
    out
}

/// Data of the binary mode as members: JSON stays JSON, text becomes a string,
/// anything else base64. `json` is the body if it was read as JSON.
pub fn binary_data(members: &mut Members, media_type: Option<&str>, body: &[u8]) -> Result<(), Fault> {
    let raw = |text: String| RawValue::from_string(text).map_err(|e| Fault::new("/data", e.to_string()));
    if body.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(body);
    if check::is_json(media_type) && media_type.is_some() {
        let json = text.map_err(|_| Fault::new("/data", "must be UTF-8"))?;
        let json = RawValue::from_string(json.trim().to_owned());
        members.insert("data".into(), json.map_err(|_| Fault::new("/data", "must be JSON"))?);
        return Ok(());
    }
    let is_text = media_type.is_some_and(|t| {
        let essence = t.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence.starts_with("text/") || essence.ends_with("/xml") || essence.ends_with("+xml")
    });
    match text {
        Ok(text) if is_text && !text.contains('\0') => {
            members.insert("data".into(), raw(Value::from(text).to_string())?);
        }
        _ => {
            members.insert("data_base64".into(), raw(Value::from(STANDARD.encode(body)).to_string())?);
        }
    }
    Ok(())
}
