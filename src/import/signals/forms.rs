//! Lines of JSON: CloudEvents, webhooks of GitHub, track calls of Segment, any
//! objects.

use std::collections::BTreeMap;

use commands::signals::decode::Reader;
use daybook_http::extract::BodyLimits;
use domain::signal::cloud_event::Apps;
use domain::signal::{Fault, Format, Signal};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Form;

/// A kept event: what came in below `payload`, or as text below `raw` where it
/// was no JSON, beside what the transport told of it.
#[derive(Default, Deserialize)]
struct Kept<'a> {
    event: Option<String>,
    action: Option<String>,
    delivery: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    raw: Option<String>,
}

/// The events of one line, each with the text that it was read from.
pub fn read(form: &Form, line: &[u8], app: Option<&str>) -> Vec<(Vec<u8>, Result<Signal, Fault>)> {
    let kept: Kept<'_> = serde_json::from_slice(line).unwrap_or_default();
    let body = kept.payload.filter(|p| p.get() != "null").map_or(line, |p| p.get().as_bytes());
    if let (Some(raw), None) = (&kept.raw, kept.payload.filter(|p| p.get() != "null")) {
        let fault = Fault::new("", "is not JSON");
        return vec![(raw.clone().into_bytes(), Err(fault))];
    }
    let hash = hex::encode(&Sha256::digest(body)[..16]);
    let fresh = |_: usize| hash.clone();
    let apps = Apps { bound: None, default: app };
    let reader = Reader { apps, limits: BodyLimits::default(), fresh_id: &fresh };
    match form {
        Form::CloudEvents => match serde_json::from_slice::<Vec<&RawValue>>(body) {
            Ok(many) => many.iter().map(|one| cloud(&reader, one.get().as_bytes())).collect(),
            Err(_) => vec![cloud(&reader, body)],
        },
        Form::Ndjson(None) => vec![(body.to_vec(), reader.either(body, 0))],
        Form::Ndjson(Some(signal_type)) => {
            let id = hex::encode(&Sha256::digest(line)[..16]);
            let read = checked(line).and_then(|data| plain(apps, signal_type, Format::App, &id, data));
            vec![(line.to_vec(), read)]
        }
        Form::Github => vec![(body.to_vec(), github(apps, &kept, body, &hash))],
        Form::Segment => vec![(body.to_vec(), segment(apps, body, &hash))],
        Form::Csv(_) => Vec::new(),
    }
}

fn cloud(reader: &Reader<'_>, body: &[u8]) -> (Vec<u8>, Result<Signal, Fault>) {
    (body.to_vec(), reader.cloud_event(body))
}

/// JSON as strict as over HTTP.
fn checked(text: &[u8]) -> Result<Box<RawValue>, Fault> {
    daybook_http::extract::check_json(text, BodyLimits::default())
        .map_err(|p| Fault::new("", p.detail().to_owned()))?;
    serde_json::from_slice(text).map_err(|e| Fault::new("", e.to_string()))
}

fn plain(
    apps: Apps<'_>,
    signal_type: &str,
    format: Format,
    id: &str,
    data: Box<RawValue>,
) -> Result<Signal, Fault> {
    let app = apps.default.ok_or_else(|| Fault::new("", "has no app: name one with --app"))?;
    Signal {
        app: app.to_owned(),
        source: format!("/apps/{app}"),
        id: id.to_owned(),
        signal_type: signal_type.to_owned(),
        category: None,
        subject: None,
        device: None,
        time: None,
        sent_at: None,
        correlation: None,
        dataschema: None,
        datacontenttype: Some("application/json".into()),
        context: None,
        attributes: BTreeMap::new(),
        data: Some(data),
        data_base64: None,
        format,
        mismatch: None,
    }
    .checked()
}

/// The type is `github.<event>.<action>`, or `github.<event>` of one without an
/// action, the source the repository. Its id is that of the delivery, where it
/// was kept.
fn github(apps: Apps<'_>, kept: &Kept<'_>, body: &[u8], hash: &str) -> Result<Signal, Fault> {
    let data = checked(body)?;
    let event = kept.event.as_deref().ok_or_else(|| Fault::new("/event", "is missing"))?;
    let payload: Value = serde_json::from_str(data.get()).unwrap_or_default();
    let action = kept.action.as_deref().or_else(|| payload["action"].as_str());
    let signal_type = match action.filter(|action| !action.is_empty()) {
        Some(action) => format!("github.{event}.{action}"),
        None => format!("github.{event}"),
    };
    let id = kept.delivery.as_deref().unwrap_or(hash);
    let mut signal = plain(apps, &signal_type, Format::Github, id, data)?;
    if let Some(url) = payload["repository"]["html_url"].as_str() {
        signal.source = url.to_owned();
    }
    signal.subject = payload["sender"]["login"].as_str().map(str::to_owned);
    signal.checked()
}

/// A call of Segment's spec: the type is the name of a tracked event, else the
/// kind of call; properties are the data.
fn segment(apps: Apps<'_>, body: &[u8], hash: &str) -> Result<Signal, Fault> {
    let whole = checked(body)?;
    let call: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(whole.get()).map_err(|_| Fault::new("", "must be an object"))?;
    let text = |name: &str| call.get(name).and_then(|v| serde_json::from_str::<String>(v.get()).ok());
    let kind = text("type").ok_or_else(|| Fault::new("/type", "is missing"))?;
    let name = text("event").filter(|_| kind == "track").unwrap_or(kind);
    let data = call.get("properties").or(call.get("traits")).cloned().unwrap_or(whole);
    let id = text("messageId").unwrap_or_else(|| hash.to_owned());
    let mut signal = plain(apps, &name, Format::Segment, &id, data)?;
    signal.time = text("timestamp").or_else(|| text("originalTimestamp"));
    if let Some(time) = &signal.time
        && signal.occurred_at().is_none()
    {
        return Err(Fault::new("/timestamp", format!("{time:?} is no time of RFC 3339")));
    }
    signal.sent_at = text("sentAt").and_then(|at| at.parse().ok());
    signal.subject = text("userId");
    signal.device = text("anonymousId");
    signal.context = call.get("context").cloned();
    signal.checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(form: &Form, line: &str) -> Result<Signal, Fault> {
        let mut all = read(form, line.as_bytes(), Some("shop"));
        assert_eq!(all.len(), 1);
        all.remove(0).1
    }

    #[test]
    fn a_webhook_of_github_is_named_by_event_and_action() {
        let line = r#"{"event":"issues","payload":{"action":"opened","repository":{"html_url":"https://github.com/a/b"},"sender":{"login":"eve"}}}"#;
        let signal = one(&Form::Github, line).unwrap();
        assert_eq!(signal.signal_type, "github.issues.opened");
        assert_eq!(
            (signal.source.as_str(), signal.subject.as_deref()),
            ("https://github.com/a/b", Some("eve"))
        );
        assert_eq!(signal.id, one(&Form::Github, line).unwrap().id);
        assert_eq!(one(&Form::Github, r#"{"action":"opened"}"#).unwrap_err().pointer, "/event");
        for line in
            [r#"{"event":"push","payload":{}}"#, r#"{"event":"push","action":"","payload":{"ref":"a"}}"#]
        {
            assert_eq!(one(&Form::Github, line).unwrap().signal_type, "github.push");
        }
    }

    #[test]
    fn a_track_call_brings_its_properties_and_times() {
        let line = r#"{"type":"track","event":"Order Completed","messageId":"m","timestamp":"2026-07-01T00:00:00Z","sentAt":"2026-07-01T00:00:01Z","userId":"u","properties":{"total":1.50}}"#;
        let signal = one(&Form::Segment, line).unwrap();
        assert_eq!((signal.signal_type.as_str(), signal.id.as_str()), ("Order Completed", "m"));
        assert_eq!(signal.data.as_ref().unwrap().get(), r#"{"total":1.50}"#);
        assert!(signal.sent_at.is_some() && signal.occurred_at().is_some());
    }

    #[test]
    fn what_is_no_event_says_why() {
        assert_eq!(
            one(&Form::CloudEvents, "{\"payload\":null,\"raw\":\"x\"}").unwrap_err().reason,
            "is not JSON"
        );
        assert_eq!(one(&Form::CloudEvents, "{\"much\":1}").unwrap_err().pointer, "/specversion");
        assert!(one(&Form::Ndjson(Some("t".into())), "{\"n\":1e999}").is_err());
        assert_eq!(one(&Form::Ndjson(Some("t".into())), "{\"n\":1}").unwrap().signal_type, "t");
        let without = read(&Form::Ndjson(Some("t".into())), b"{}", None).remove(0).1;
        assert!(without.unwrap_err().reason.contains("--app"));
    }
}
