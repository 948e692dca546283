//! The columns of a file, as Arrow and as every engine calls them.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// JSON as text.
    Json,
    Integer,
    Boolean,
    Instant,
}

pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
}

const fn always(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn maybe(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

/// In the order of the files. Tenant, app and hour are in the path.
pub const COLUMNS: [Column; 37] = [
    always("position", Kind::Integer),
    always("event_id", Kind::Text),
    always("received_at", Kind::Instant),
    maybe("event_time", Kind::Instant),
    maybe("sent_at", Kind::Instant),
    maybe("source", Kind::Text),
    maybe("id", Kind::Text),
    maybe("type", Kind::Text),
    maybe("category", Kind::Text),
    maybe("subject", Kind::Text),
    maybe("device_id", Kind::Text),
    maybe("time", Kind::Text),
    maybe("correlation_id", Kind::Text),
    maybe("dataschema", Kind::Text),
    maybe("datacontenttype", Kind::Text),
    maybe("format", Kind::Text),
    maybe("platform", Kind::Text),
    maybe("os_version", Kind::Text),
    maybe("app_version", Kind::Text),
    maybe("build_number", Kind::Text),
    maybe("device_model", Kind::Text),
    maybe("manufacturer", Kind::Text),
    maybe("screen_width", Kind::Integer),
    maybe("screen_height", Kind::Integer),
    maybe("locale", Kind::Text),
    maybe("timezone", Kind::Text),
    maybe("network_type", Kind::Text),
    maybe("carrier", Kind::Text),
    maybe("is_jailbroken", Kind::Boolean),
    maybe("is_emulator", Kind::Boolean),
    maybe("sdk_version", Kind::Text),
    maybe("attributes", Kind::Json),
    maybe("data", Kind::Json),
    maybe("data_base64", Kind::Text),
    always("schema", Kind::Integer),
    always("payload", Kind::Json),
    always("decoded", Kind::Boolean),
];

/// What of the device's context has a column of its own.
pub const CONTEXT: std::ops::Range<usize> = 16..31;

/// Columns that are in the path, all of them texts.
pub const PARTITIONS: [&str; 5] = ["app_id", "year", "month", "day", "hour"];

pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = |c: &Column| Field::new(c.name, data_type(c.kind), c.nullable);
        Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
    });
    SCHEMA.clone()
}

/// Signed numbers only: not every reader knows unsigned ones.
fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Boolean => DataType::Boolean,
        Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_where_it_is_said_to_be() {
        assert_eq!(COLUMNS[CONTEXT.start].name, "platform");
        assert_eq!(COLUMNS[CONTEXT.end - 1].name, "sdk_version");
    }
}
