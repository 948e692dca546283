//! Record batches back to events.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, FixedSizeBinaryArray, Int32Array, RecordBatch, StringArray};
use domain::envelope::Metadata;
use domain::ports::archive::ArchiveError;
use domain::{RecordedEvent, StreamId, TenantId};
use jiff::Timestamp;
use uuid::Uuid;

type Numbers = arrow_array::PrimitiveArray<Int64Type>;
type Instants = arrow_array::PrimitiveArray<TimestampMicrosecondType>;

/// A batch with all columns of the envelope, read as plain (not as
/// dictionaries).
pub struct Events<'a> {
    position: &'a Numbers,
    version: &'a Numbers,
    schema: &'a Int32Array,
    occurred_at: &'a Instants,
    recorded_at: &'a Instants,
    leaf: &'a FixedSizeBinaryArray,
    texts: [&'a StringArray; 10],
    shared: HashMap<&'a str, Arc<str>>,
    tenant: Option<TenantId>,
}

const TEXTS: [&str; 10] = [
    "tenant",
    "kind",
    "stream",
    "event_id",
    "type",
    "actor",
    "command_id",
    "correlation_id",
    "causation_id",
    "payload",
];

fn column<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    cast: impl FnOnce(&'a dyn Array) -> Option<&'a T>,
) -> Result<&'a T, String> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"))?;
    cast(column.as_ref()).ok_or_else(|| format!("column {name} has another type"))
}

impl<'a> Events<'a> {
    pub fn new(batch: &'a RecordBatch, object: &str) -> Result<Self, ArchiveError> {
        Self::over(batch).map_err(|reason| ArchiveError::Damaged { object: object.to_owned(), reason })
    }

    fn over(batch: &'a RecordBatch) -> Result<Self, String> {
        let number = |name| column(batch, name, |a| a.as_primitive_opt::<Int64Type>());
        let instant = |name| column(batch, name, |a| a.as_primitive_opt::<TimestampMicrosecondType>());
        let mut texts = Vec::with_capacity(TEXTS.len());
        for name in TEXTS {
            texts.push(column(batch, name, |a| a.as_string_opt::<i32>())?);
        }
        Ok(Self {
            position: number("position")?,
            version: number("version")?,
            schema: column(batch, "schema", |a| a.as_primitive_opt::<Int32Type>())?,
            occurred_at: instant("occurred_at")?,
            recorded_at: instant("recorded_at")?,
            leaf: column(batch, "leaf", |a| a.as_fixed_size_binary_opt())?,
            texts: texts.try_into().map_err(|_| "columns are missing".to_owned())?,
            shared: HashMap::new(),
            tenant: None,
        })
    }

    /// The event of a row, which says what its leaf is the hash of.
    pub fn event(&mut self, row: usize, object: &str) -> Result<RecordedEvent, ArchiveError> {
        let damaged = |reason: String| ArchiveError::Damaged { object: object.to_owned(), reason };
        let event = self.decode(row).map_err(damaged)?;
        if event.compute_leaf() != event.leaf {
            let reason = format!("the event at position {} does not match its leaf", event.position);
            return Err(damaged(reason));
        }
        Ok(event)
    }

    fn decode(&mut self, row: usize) -> Result<RecordedEvent, String> {
        let [tenant, kind, stream, id, event_type, actor, command, correlation, causation, payload] =
            self.texts.map(|array| (!array.is_null(row)).then(|| array.value(row)));
        let text = |value: Option<&'a str>| value.ok_or_else(|| "a text is missing".to_owned());
        let uuid = |value: &str| Uuid::try_parse(value).map_err(|e| e.to_string());
        let instant = |at: i64| Timestamp::from_microsecond(at).map_err(|e| e.to_string());
        let occurred = (!self.occurred_at.is_null(row)).then(|| self.occurred_at.value(row));
        Ok(RecordedEvent {
            position: self.position.value(row).cast_unsigned(),
            stream: StreamId {
                tenant: self.tenant(text(tenant)?)?,
                kind: self.share(text(kind)?),
                id: text(stream)?.into(),
            },
            version: self.version.value(row).cast_unsigned(),
            event_id: uuid(text(id)?)?,
            event_type: self.share(text(event_type)?),
            schema: u16::try_from(self.schema.value(row)).map_err(|e| e.to_string())?,
            occurred_at: occurred.map(instant).transpose()?,
            recorded_at: instant(self.recorded_at.value(row))?,
            metadata: Metadata {
                actor: self.share(text(actor)?),
                command_id: uuid(text(command)?)?,
                correlation_id: text(correlation)?.into(),
                causation_id: causation.map(uuid).transpose()?,
            },
            payload: text(payload)?.to_owned(),
            leaf: self.leaf.value(row).try_into().map_err(|_| "the leaf does not have 32 bytes")?,
        })
    }

    /// Words that repeat are kept once.
    fn share(&mut self, word: &'a str) -> Arc<str> {
        self.shared.entry(word).or_insert_with(|| word.into()).clone()
    }

    fn tenant(&mut self, id: &str) -> Result<TenantId, String> {
        match &self.tenant {
            Some(tenant) if tenant.as_str() == id => Ok(tenant.clone()),
            _ => {
                let tenant = TenantId::new(id).map_err(|e| format!("the tenant {e}"))?;
                Ok(self.tenant.insert(tenant).clone())
            }
        }
    }
}
