//! The columns of a segment: the envelope, then the payload's fields.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use domain::columns::{self, Column, ColumnType};
use domain::registry;

/// What typed columns are called: `p_band_id`.
pub const PREFIX: &str = "p_";

/// Columns that every segment has, in this order.
pub const ENVELOPE: [&str; 17] = [
    "position",
    "tenant",
    "kind",
    "stream",
    "version",
    "event_id",
    "type",
    "schema",
    "occurred_at",
    "recorded_at",
    "actor",
    "command_id",
    "correlation_id",
    "causation_id",
    "payload",
    "leaf",
    "decoded",
];

pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Signed numbers only: not every reader knows unsigned ones.
fn envelope() -> Vec<Field> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let number = |name| Field::new(name, DataType::Int64, false);
    vec![
        number("position"),
        text("tenant"),
        text("kind"),
        text("stream"),
        number("version"),
        text("event_id"),
        text("type"),
        Field::new("schema", DataType::Int32, false),
        Field::new("occurred_at", instant(), true),
        Field::new("recorded_at", instant(), false),
        text("actor"),
        text("command_id"),
        text("correlation_id"),
        Field::new("causation_id", DataType::Utf8, true),
        text("payload"),
        Field::new("leaf", DataType::FixedSizeBinary(32), false),
        Field::new("decoded", DataType::Boolean, false),
    ]
}

fn typed(column: &Column) -> Field {
    let kind = match column.kind {
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Instant => instant(),
    };
    // Nullable, since a payload need not fit.
    Field::new(format!("{PREFIX}{}", column.name), kind, true)
}

/// The payload's fields of a type; none if this build does not know it.
pub fn fields_of(event_type: &str) -> &'static [Column] {
    columns::of(event_type).unwrap_or_default()
}

/// The schema number that typed columns follow today.
pub fn current(event_type: &str) -> u16 {
    registry::find(event_type).map_or(0, |t| t.schema)
}

/// All columns of segments of this type, as they are written today.
pub fn of_type(event_type: &str) -> SchemaRef {
    let mut fields = envelope();
    fields.extend(fields_of(event_type).iter().map(typed));
    Arc::new(Schema::new(fields))
}

/// Whether a text column's values repeat, so that a dictionary pays.
pub fn repeats(column: &str) -> bool {
    !matches!(column, "event_id" | "payload" | "p_personal")
}

pub(crate) fn dictionary(field: &Field) -> Field {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Field::new(field.name(), kind, field.is_nullable())
}

/// The columns that all segments have in common.
pub fn common() -> SchemaRef {
    Arc::new(Schema::new(envelope()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_as_it_is_listed() {
        let schema = of_type("band.tapped");
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names[..ENVELOPE.len()], ENVELOPE);
        assert!(names.contains(&"p_band_id"));
        assert_eq!(of_type("not.known"), common());
    }
}
