//! Events to record batches.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use domain::cells::{Cell, cells};
use domain::columns::{Column, ColumnType};
use domain::ports::archive::ArchiveError;
use domain::{RecordedEvent, registry};

use crate::schema;

/// Rows of a batch. Batches end at the same rows however events come in, so
/// that the same events make the same bytes.
pub const BATCH_ROWS: usize = 8_192;
/// Payload bytes after which a batch ends before.
const BATCH_BYTES: usize = 64 << 20;

/// Gathers events of one type.
pub struct Rows {
    columns: &'static [Column],
    schema: SchemaRef,
    rows: usize,
    bytes: usize,
    numbers: [Int64Builder; 2],
    texts: [StringBuilder; 9],
    causation: StringBuilder,
    schemas: Int32Builder,
    instants: [TimestampMicrosecondBuilder; 2],
    leaf: FixedSizeBinaryBuilder,
    decoded: BooleanBuilder,
    typed: Vec<Typed>,
}

enum Typed {
    Text(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Instant(TimestampMicrosecondBuilder),
}

fn instants() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

impl Rows {
    pub fn new(event_type: &str) -> Self {
        let columns = schema::fields_of(event_type);
        let typed = columns.iter().map(|column| match column.kind {
            ColumnType::Text | ColumnType::Json => Typed::Text(StringBuilder::new()),
            ColumnType::Integer => Typed::Integer(Int64Builder::new()),
            ColumnType::Float => Typed::Float(Float64Builder::new()),
            ColumnType::Boolean => Typed::Boolean(BooleanBuilder::new()),
            ColumnType::Instant => Typed::Instant(instants()),
        });
        Self {
            columns,
            schema: schema::of_type(event_type),
            rows: 0,
            bytes: 0,
            numbers: Default::default(),
            texts: Default::default(),
            causation: StringBuilder::new(),
            schemas: Int32Builder::new(),
            instants: [instants(), instants()],
            leaf: FixedSizeBinaryBuilder::new(32),
            decoded: BooleanBuilder::new(),
            typed: typed.collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Of payloads.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    pub fn push(&mut self, event: &RecordedEvent) -> Result<(), ArchiveError> {
        let [position, version] = &mut self.numbers;
        position.append_value(event.position.cast_signed());
        version.append_value(event.version.cast_signed());
        let mut id = uuid::Uuid::encode_buffer();
        let mut command = uuid::Uuid::encode_buffer();
        let texts: [&str; 9] = [
            event.stream.tenant.as_str(),
            &event.stream.kind,
            &event.stream.id,
            event.event_id.hyphenated().encode_lower(&mut id),
            &event.event_type,
            &event.metadata.actor,
            event.metadata.command_id.hyphenated().encode_lower(&mut command),
            &event.metadata.correlation_id,
            &event.payload,
        ];
        for (builder, text) in self.texts.iter_mut().zip(texts) {
            builder.append_value(text);
        }
        match event.metadata.causation_id {
            Some(id) => {
                let mut text = uuid::Uuid::encode_buffer();
                self.causation.append_value(id.hyphenated().encode_lower(&mut text));
            }
            None => self.causation.append_null(),
        }
        self.schemas.append_value(event.schema.into());
        let [occurred, recorded] = &mut self.instants;
        occurred.append_option(event.occurred_at.map(|at| at.as_microsecond()));
        recorded.append_value(event.recorded_at.as_microsecond());
        self.leaf.append_value(event.leaf).map_err(|e| ArchiveError::Log(e.to_string()))?;
        self.push_typed(event);
        self.rows += 1;
        self.bytes += event.payload.len();
        Ok(())
    }

    fn push_typed(&mut self, event: &RecordedEvent) {
        let mut row = Vec::new();
        let payload = registry::payload(event);
        let decoded = payload.as_ref().is_ok_and(|payload| cells(self.columns, payload, &mut row));
        row.resize(self.columns.len(), Cell::Null);
        for (builder, cell) in self.typed.iter_mut().zip(row) {
            builder.append(cell);
        }
        self.decoded.append_value(decoded);
    }

    pub fn take(&mut self) -> Result<RecordBatch, ArchiveError> {
        (self.rows, self.bytes) = (0, 0);
        let [position, version] = &mut self.numbers;
        let [tenant, kind, stream, id, event_type, actor, command, correlation, payload] = &mut self.texts;
        let [occurred, recorded] = &mut self.instants;
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(position.finish()),
            Arc::new(tenant.finish()),
            Arc::new(kind.finish()),
            Arc::new(stream.finish()),
            Arc::new(version.finish()),
            Arc::new(id.finish()),
            Arc::new(event_type.finish()),
            Arc::new(self.schemas.finish()),
            Arc::new(occurred.finish()),
            Arc::new(recorded.finish()),
            Arc::new(actor.finish()),
            Arc::new(command.finish()),
            Arc::new(correlation.finish()),
            Arc::new(self.causation.finish()),
            Arc::new(payload.finish()),
            Arc::new(self.leaf.finish()),
            Arc::new(self.decoded.finish()),
        ];
        arrays.extend(self.typed.iter_mut().map(Typed::finish));
        RecordBatch::try_new(self.schema.clone(), arrays).map_err(|e| ArchiveError::Log(e.to_string()))
    }
}

impl Typed {
    fn append(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Json(text)) => builder.append_value(text),
            (Self::Integer(builder), Cell::Integer(number)) => builder.append_value(number),
            (Self::Float(builder), Cell::Float(number)) => builder.append_value(number),
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Instant(builder), Cell::Instant(at)) => builder.append_value(at),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Float(builder), _) => builder.append_null(),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Instant(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish()),
        }
    }
}
