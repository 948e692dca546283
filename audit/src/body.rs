//! An event as auditors see it.

use std::sync::Arc;

use daybook_http::Problem;
use domain::RecordedEvent;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Serialize, ToSchema)]
pub struct StreamName {
    #[schema(value_type = String)]
    pub kind: Arc<str>,
    #[schema(value_type = String)]
    pub id: Arc<str>,
}

/// Everything that the event's leaf is the hash of, and the leaf.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    pub position: u64,
    pub tenant: String,
    pub stream: StreamName,
    pub version: u64,
    pub event_id: Uuid,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub event_type: Arc<str>,
    pub schema: u16,
    /// When the source says that it happened.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    #[schema(value_type = String)]
    pub actor: Arc<str>,
    pub command_id: Uuid,
    #[schema(value_type = String)]
    pub correlation_id: Arc<str>,
    pub causation_id: Option<Uuid>,
    /// As it was written.
    #[schema(value_type = Object)]
    pub payload: Box<RawValue>,
    /// SHA-256 of the canonical bytes, hexadecimal.
    pub leaf: String,
}

impl EventBody {
    pub fn new(event: RecordedEvent) -> Result<Self, Problem> {
        let RecordedEvent { position, stream, version, event_id, event_type, schema, .. } = event;
        let (occurred_at, recorded_at, meta) = (event.occurred_at, event.recorded_at, event.metadata);
        let payload = match serde_json::from_str(&event.payload) {
            Ok(raw) => raw,
            // No log takes such a payload; who finds one has to see it.
            Err(_) => to_raw_value(&event.payload).map_err(Problem::internal)?,
        };
        Ok(Self {
            position,
            tenant: stream.tenant.to_string(),
            stream: StreamName { kind: stream.kind, id: stream.id },
            version,
            event_id,
            event_type,
            schema,
            occurred_at,
            recorded_at,
            actor: meta.actor,
            command_id: meta.command_id,
            correlation_id: meta.correlation_id,
            causation_id: meta.causation_id,
            payload,
            leaf: hex::encode(event.leaf),
        })
    }
}
