//! What a command answers. The same answer can be given again from what is
//! kept under the idempotency key.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use daybook_http::headers::POSITION;
use domain::StreamId;
use domain::ports::log::{AppendError, Receipt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::execute::Refusal;

/// What the log keeps with an idempotency key, beside the events themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredOutcome {
    /// The stream's version after the command.
    pub version: u64,
    /// Set if nothing changed: where the stream's newest event stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged_at: Option<u64>,
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl StoredOutcome {
    pub fn to_json(&self) -> String {
        // A struct of numbers and strings always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StreamRef {
    #[schema(example = "event")]
    pub kind: String,
    #[schema(example = "show-1")]
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventRef {
    pub event_id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "live_event.scheduled")]
    pub event_type: String,
    pub version: u64,
    pub position: u64,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    pub stream: StreamRef,
    /// The stream's version now; also the `ETag`.
    pub version: u64,
    /// Log position of the newest event of the stream; also `Daybook-Position`.
    pub position: u64,
    /// What was recorded. Empty if everything was as asked for already.
    pub events: Vec<EventRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Outcome {
    pub fn unchanged(stream: StreamId, stored: StoredOutcome) -> Self {
        let position = stored.unchanged_at.unwrap_or(0);
        Self { position, ..Self::new(stream, Vec::new(), stored) }
    }

    /// From the receipt of this append, or of the earlier one with its key.
    pub fn from_receipt(stream: StreamId, receipt: Receipt, stored: StoredOutcome) -> Result<Self, Refusal> {
        if receipt.replayed {
            return Self::replayed(stream, receipt);
        }
        Ok(Self::of(stream, &receipt, stored))
    }

    pub fn replayed(stream: StreamId, receipt: Receipt) -> Result<Self, Refusal> {
        let stored = receipt.reply.as_deref().and_then(|r| serde_json::from_str(r).ok());
        let stored = stored.ok_or_else(|| AppendError::Unavailable {
            reason: "the reply stored under the idempotency key does not read".into(),
            unknown: false,
        })?;
        // What was recorded then says which stream it was: a new key's id is
        // drawn again for each request.
        let stream = receipt.events.first().map_or(stream, |e| e.stream.clone());
        Ok(Self::of(stream, &receipt, stored))
    }

    fn of(stream: StreamId, receipt: &Receipt, stored: StoredOutcome) -> Self {
        if receipt.events.is_empty() {
            return Self::unchanged(stream, stored);
        }
        let events = receipt
            .events
            .iter()
            .map(|e| EventRef {
                event_id: e.event_id,
                event_type: e.event_type.to_string(),
                version: e.version,
                position: e.position,
            })
            .collect();
        Self { position: receipt.position(), ..Self::new(stream, events, stored) }
    }

    fn new(stream: StreamId, events: Vec<EventRef>, stored: StoredOutcome) -> Self {
        Self {
            stream: StreamRef { kind: stream.kind.to_string(), id: stream.id.to_string() },
            version: stored.version,
            position: 0,
            events,
            warnings: stored.warnings,
        }
    }
}

impl Outcome {
    /// An answer with this body and the headers of the outcome.
    pub fn answer(&self, body: impl Serialize) -> Response {
        let mut response = Json(body).into_response();
        // Digits and quotes always make a header value.
        if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", self.version)) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response.headers_mut().insert(POSITION, HeaderValue::from(self.position));
        response
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        self.answer(&self)
    }
}
