//! From the columns of a row to an event, the same for both databases.

use std::collections::HashMap;
use std::sync::Arc;

use domain::envelope::{Metadata, RecordedEvent};
use domain::ids::{StreamId, TenantId};
use domain::ports::log::LogError;
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) struct Columns<'r> {
    pub position: i64,
    pub tenant: &'r str,
    pub kind: &'r str,
    pub stream: &'r str,
    pub version: i64,
    pub event_id: Uuid,
    pub event_type: &'r str,
    pub schema: i32,
    pub occurred_at: Option<i64>,
    pub recorded_at: i64,
    pub actor: &'r str,
    pub command_id: Uuid,
    pub correlation_id: &'r str,
    pub causation_id: Option<Uuid>,
    pub payload: String,
    pub leaf: &'r [u8],
}

/// Decodes the rows of one page. Names that repeat share their memory.
#[derive(Default)]
pub(crate) struct Decoder {
    names: HashMap<Box<str>, Arc<str>>,
    tenant: Option<TenantId>,
}

impl Decoder {
    pub fn event(&mut self, row: Columns<'_>) -> Result<RecordedEvent, LogError> {
        let position = u64::try_from(row.position).unwrap_or(0);
        self.decode(position, row).map_err(|reason| LogError::Damaged { position, reason })
    }

    fn decode(&mut self, position: u64, row: Columns<'_>) -> Result<RecordedEvent, String> {
        Ok(RecordedEvent {
            position,
            stream: StreamId {
                tenant: self.tenant(row.tenant)?,
                kind: self.name(row.kind),
                id: row.stream.into(),
            },
            version: u64::try_from(row.version).map_err(|_| "the version is negative")?,
            event_id: row.event_id,
            event_type: self.name(row.event_type),
            schema: u16::try_from(row.schema).map_err(|_| "the schema number is out of range")?,
            occurred_at: row.occurred_at.map(timestamp).transpose()?,
            recorded_at: timestamp(row.recorded_at)?,
            metadata: Metadata {
                actor: self.name(row.actor),
                command_id: row.command_id,
                correlation_id: row.correlation_id.into(),
                causation_id: row.causation_id,
            },
            payload: row.payload,
            leaf: row.leaf.try_into().map_err(|_| "the leaf does not have 32 bytes")?,
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.names.insert(name.into(), shared.clone());
        shared
    }

    fn tenant(&mut self, id: &str) -> Result<TenantId, String> {
        if let Some(known) = self.tenant.as_ref().filter(|t| t.as_str() == id) {
            return Ok(known.clone());
        }
        let tenant = TenantId::new(id).map_err(|e| format!("the tenant {e}"))?;
        self.tenant = Some(tenant.clone());
        Ok(tenant)
    }
}

pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(micros).map_err(|_| format!("{micros} µs is not an instant"))
}

/// A number for a BIGINT column; positions never come near its end.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
