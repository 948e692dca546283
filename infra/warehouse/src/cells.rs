//! Signals to record batches.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use domain::signal::Signal;
use domain::{RecordedEvent, registry};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{COLUMNS, CONTEXT, Kind, schema};
use crate::error::WarehouseError;

/// Rows of a batch. Batches end at the same rows however signals come in, so
/// that the same signals make the same bytes.
pub const BATCH_ROWS: usize = 4_096;

pub struct Rows {
    builders: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Instant(TimestampMicrosecondBuilder),
}

#[derive(Default)]
enum Cell {
    #[default]
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    Instant(Timestamp),
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<Option<Timestamp>> for Cell {
    fn from(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Null, Self::Instant)
    }
}

impl Rows {
    pub fn new() -> Self {
        let builder = |kind| match kind {
            Kind::Text | Kind::Json => Builder::Text(StringBuilder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::Instant => Builder::Instant(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        };
        Self { builders: COLUMNS.iter().map(|c| builder(c.kind)).collect(), rows: 0 }
    }

    pub fn is_full(&self) -> bool {
        self.rows == BATCH_ROWS
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// `signal` is what the event's payload says, if it can be read.
    pub fn push(&mut self, event: &RecordedEvent, signal: Option<Signal>) {
        for (builder, cell) in self.builders.iter_mut().zip(cells(event, signal)) {
            builder.append(cell);
        }
        self.rows += 1;
    }

    pub fn take(&mut self) -> Result<RecordBatch, WarehouseError> {
        self.rows = 0;
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        RecordBatch::try_new(schema(), arrays).map_err(|e| WarehouseError::Unwritable(e.to_string()))
    }
}

/// What the payload says, by today's schema.
pub fn signal_of(event: &RecordedEvent) -> Option<Signal> {
    registry::decode_payload(event).ok()
}

fn cells(event: &RecordedEvent, signal: Option<Signal>) -> Vec<Cell> {
    let decoded = signal.is_some();
    let mut cells = vec![
        Cell::Integer(event.position.cast_signed()),
        Cell::Text(event.event_id.to_string()),
        Cell::Instant(event.recorded_at),
        event.occurred_at.into(),
    ];
    match signal {
        Some(signal) => said(signal, &mut cells),
        None => cells.resize_with(COLUMNS.len() - 3, Cell::default),
    }
    cells.extend([
        Cell::Integer(event.schema.into()),
        Cell::Text(event.payload.clone()),
        Cell::Boolean(decoded),
    ]);
    cells
}

fn said(signal: Signal, cells: &mut Vec<Cell>) {
    let json = |value: Option<Value>| Cell::from(value.map(|v| v.to_string()));
    let format = serde_json::to_value(signal.format).ok();
    cells.extend([
        signal.sent_at.into(),
        Cell::Text(signal.source),
        Cell::Text(signal.id),
        Cell::Text(signal.signal_type),
        signal.category.into(),
        signal.subject.into(),
        signal.device.into(),
        signal.time.into(),
        signal.correlation.into(),
        signal.dataschema.into(),
        signal.datacontenttype.into(),
        format.and_then(|f| f.as_str().map(str::to_owned)).into(),
    ]);
    let context = signal.context.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    for column in &COLUMNS[CONTEXT] {
        let value = context.as_ref().and_then(|c| c.get(column.name));
        cells.push(match (column.kind, value) {
            (Kind::Text, Some(Value::String(text))) => Cell::Text(text.clone()),
            (Kind::Text, Some(value @ Value::Number(_))) => Cell::Text(value.to_string()),
            (Kind::Integer, Some(value)) => value.as_i64().map_or(Cell::Null, Cell::Integer),
            (Kind::Boolean, Some(Value::Bool(value))) => Cell::Boolean(*value),
            _ => Cell::Null,
        });
    }
    let attributes = (!signal.attributes.is_empty()).then(|| signal.attributes.into_iter().collect());
    cells.push(json(attributes));
    cells.push(signal.data.map(|raw| raw.get().to_owned()).into());
    cells.push(signal.data_base64.into());
}

impl Builder {
    fn append(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Integer(builder), Cell::Integer(number)) => builder.append_value(number),
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Instant(builder), Cell::Instant(at)) => builder.append_value(at.as_microsecond()),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Instant(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish()),
        }
    }
}
