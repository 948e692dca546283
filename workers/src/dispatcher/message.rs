//! What is sent: the CloudEvent that tells of an event, and the headers that
//! say from whom it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::RecordedEvent;
use domain::anomaly_window::DETECTED;
use domain::cloud_event::CONTENT_TYPE;
use domain::delivery::Scheduled;
use domain::endpoint::{Auth, Definition, Headers, WebhookEndpoint};
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::ports::webhooks::Request;
use domain::registry::payload;
use domain::{TenantId, endpoint, signal};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use signatures::{Key, body_hmac};

/// A longer body names what it is about and where that can be read.
pub const MAX_BODY_BYTES: usize = 20_000;

/// All that one attempt needs of its endpoint.
pub struct Sending {
    pub tenant: TenantId,
    pub id: Arc<str>,
    pub of: Scheduled,
    pub endpoint: WebhookEndpoint,
    /// Of the rule that found it.
    pub rule_name: Option<String>,
}

/// Why nothing can be sent.
#[derive(Debug)]
pub enum Unsendable {
    /// The log does not answer now.
    Log(LogError),
    /// The endpoint's secrets were erased.
    Erased,
    Broken(&'static str),
}

impl From<LogError> for Unsendable {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Sending {
    pub async fn body(&self, log: &dyn EventLog) -> Result<String, Unsendable> {
        let cause = self.read(log, self.of.cause, &self.of.cause_type).await?;
        let signal = match self.of.signal {
            Some(position) if position != self.of.cause => {
                match self.read(log, position, signal::RECEIVED).await {
                    // A window may be opened or closed by a tap, by time that has
                    // passed, or by a change of its rule.
                    Err(Unsendable::Broken(_)) if *self.of.cause_type == *DETECTED => None,
                    signal => Some(signal?),
                }
            }
            _ => None,
        };
        let itself = self.of.signal == Some(self.of.cause);
        let signal = signal.as_ref().or(itself.then_some(&cause));
        let whole = self.event(&cause, signal, true)?;
        match whole.len() < MAX_BODY_BYTES {
            true => Ok(whole),
            false => self.event(&cause, signal, false),
        }
    }

    async fn read(&self, log: &dyn EventLog, position: u64, kind: &str) -> Result<RecordedEvent, Unsendable> {
        let filter = ReadFilter { tenant: Some(self.tenant.clone()), ..ReadFilter::types([kind]) };
        let page = log.read(position.saturating_sub(1), 1, &filter).await?;
        let found = page.events.into_iter().find(|event| event.position == position);
        found.ok_or(Unsendable::Broken("the event is not in the log"))
    }

    fn event(
        &self,
        cause: &RecordedEvent,
        signal: Option<&RecordedEvent>,
        whole: bool,
    ) -> Result<String, Unsendable> {
        let said = |event: &RecordedEvent| -> Result<Value, Unsendable> {
            let text = payload(event).map_err(|_| Unsendable::Broken("the event does not decode"))?;
            serde_json::from_str(&text).map_err(|_| Unsendable::Broken("the event is no JSON"))
        };
        let mut data = Map::new();
        if *cause.event_type == *endpoint::TESTED {
            data.insert("endpoint".into(), self.of.endpoint.clone().into());
        }
        if let Some(rule) = &self.of.rule {
            let rule = json!({"id": rule, "name": self.rule_name, "version": self.of.rule_version});
            data.insert("rule".into(), rule);
        }
        if cause.stream.kind.as_ref() == domain::anomaly_window::KIND {
            let mut window = said(cause)?;
            if !whole && let Some(window) = window.as_object_mut() {
                window.remove("observed");
            }
            data.insert("anomaly".into(), window);
        }
        if let Some(signal) = signal {
            let mut about =
                json!({"position": signal.position, "link": format!("/v1/signals/{}", signal.position)});
            if whole {
                about["event"] = said(signal)?;
            } else {
                about["omitted"] = true.into();
            }
            data.insert("signal".into(), about);
        }
        let kind = match &*cause.event_type {
            endpoint::TESTED => "webhook.ping",
            other => other,
        };
        let mut event = json!({
            "specversion": "1.0",
            "id": cause.event_id,
            "source": format!("/daybook/{}", self.tenant),
            "type": kind,
            "time": cause.at(),
            "position": cause.position.to_string(),
            "datacontenttype": "application/json",
            "data": data,
        });
        let subject = self.of.rule.as_ref().map(|rule| format!("rule/{rule}"));
        if let Some(subject) = subject {
            event["subject"] = subject.into();
        }
        Ok(event.to_string())
    }

    /// The request of an attempt at this time.
    pub fn request(&self, body: String, now: Timestamp) -> Result<Request, Unsendable> {
        let definition =
            self.endpoint.definition.as_ref().ok_or(Unsendable::Broken("there is no endpoint"))?;
        let timestamp = now.as_second();
        let mut signatures = Vec::new();
        for key in self.endpoint.signing(now) {
            let key = Key::parse(key.secret.clear().ok_or(Unsendable::Erased)?);
            let key = key.map_err(|_| Unsendable::Broken("the signing key does not read"))?;
            signatures.extend(key.sign(&self.id, timestamp, &body));
        }
        let mut headers: Vec<(String, String)> = vec![
            ("content-type".into(), format!("{CONTENT_TYPE}; charset=utf-8")),
            ("webhook-id".into(), self.id.to_string()),
            ("webhook-timestamp".into(), timestamp.to_string()),
            ("webhook-signature".into(), signatures.join(" ")),
        ];
        headers.extend(self.authentication(definition, &body)?);
        headers.extend(self.own_headers()?);
        let timeout = definition.timeout_ms.unwrap_or(endpoint::DEFAULT_TIMEOUT_MS);
        Ok(Request {
            method: definition.method,
            url: definition.url.clone(),
            headers,
            body: body.into_bytes(),
            timeout: std::time::Duration::from_millis(timeout.into()),
        })
    }

    fn credential(&self) -> Result<&str, Unsendable> {
        let credential = self.endpoint.credential.as_ref();
        let credential = credential.ok_or(Unsendable::Broken("there is no credential"))?;
        credential.clear().ok_or(Unsendable::Erased)
    }

    fn authentication(
        &self,
        definition: &Definition,
        body: &str,
    ) -> Result<Option<(String, String)>, Unsendable> {
        Ok(match &definition.auth {
            Auth::None => None,
            Auth::Basic { username } => {
                let both = STANDARD.encode(format!("{username}:{}", self.credential()?));
                Some(("authorization".into(), format!("Basic {both}")))
            }
            Auth::Bearer => Some(("authorization".into(), format!("Bearer {}", self.credential()?))),
            Auth::Hmac { header } => {
                Some((header.clone(), body_hmac(self.credential()?.as_bytes(), body.as_bytes())))
            }
        })
    }

    fn own_headers(&self) -> Result<Headers, Unsendable> {
        let Some(text) = &self.endpoint.headers else { return Ok(Headers::new()) };
        let text = text.clear().ok_or(Unsendable::Erased)?;
        serde_json::from_str(text).map_err(|_| Unsendable::Broken("the headers do not read"))
    }

    /// What came back, without what only the endpoint may know: an endpoint may
    /// answer with the headers that it was sent.
    pub fn without_secrets(&self, text: &str, request: &[(String, String)]) -> String {
        let public = ["content-type", "webhook-id", "webhook-timestamp"];
        let sent = request
            .iter()
            .filter(|(name, _)| !public.contains(&name.as_str()))
            .map(|(_, value)| value.as_str());
        let own = self.endpoint.credential.as_ref().and_then(|text| text.clear());
        let keys = self.endpoint.keys.iter().filter_map(|key| key.secret.clear());
        let parts = sent.flat_map(|value| value.split(' '));
        let mut secrets: Vec<&str> = parts.chain(own).chain(keys).filter(|part| part.len() >= 4).collect();
        // The longest first, so that no rest of one is left.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }
}
