//! Events as JSON, NDJSON and CSV.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use csv::{Terminator, WriterBuilder};
use daybook_http::{Json, Problem};
use domain::RecordedEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::EventBody;

const THROUGH: HeaderName = HeaderName::from_static("daybook-through");
const UPTO: HeaderName = HeaderName::from_static("daybook-upto");

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Ndjson,
    Csv,
}

pub struct Found {
    pub events: Vec<RecordedEvent>,
    pub through: u64,
    pub upto: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    events: Vec<EventBody>,
    /// All that match up to here are told. `after` of the next page.
    through: u64,
    /// Where it ends for now.
    upto: u64,
}

pub fn answer(format: Format, found: Found) -> Result<Response, Problem> {
    let Found { events, through, upto } = found;
    let events = events.into_iter().map(EventBody::new).collect::<Result<Vec<_>, _>>()?;
    let headers = [
        (THROUGH, HeaderValue::from(through)),
        (UPTO, HeaderValue::from(upto)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    let as_text = |kind: &'static str, text: Vec<u8>| {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
    };
    let body = match format {
        Format::Json => Json(Events { events, through, upto }).into_response(),
        Format::Ndjson => as_text("application/x-ndjson", ndjson(&events)?),
        Format::Csv => as_text("text/csv; charset=utf-8; header=present", table(&events)?),
    };
    Ok((headers, body).into_response())
}

fn ndjson(events: &[EventBody]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    for event in events {
        line(event, &mut out).map_err(Problem::internal)?;
    }
    Ok(out)
}

/// One line of NDJSON.
pub fn line(event: &EventBody, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, event)?;
    // A payload is as it was written; line breaks in it are between tokens.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
    Ok(())
}

pub const COLUMNS: [&str; 16] = [
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
];

/// With CRLF, as RFC 4180 has it.
fn table(events: &[EventBody]) -> Result<Vec<u8>, Problem> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(Problem::internal)?;
    for event in events {
        writer.write_record(cells(event).map(harmless)).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}

pub fn cells(event: &EventBody) -> [String; COLUMNS.len()] {
    [
        event.position.to_string(),
        event.tenant.clone(),
        event.stream.kind.to_string(),
        event.stream.id.to_string(),
        event.version.to_string(),
        event.event_id.to_string(),
        event.event_type.to_string(),
        event.schema.to_string(),
        event.occurred_at.map_or(String::new(), |at| at.to_string()),
        event.recorded_at.to_string(),
        event.actor.to_string(),
        event.command_id.to_string(),
        event.correlation_id.to_string(),
        event.causation_id.map_or(String::new(), |id| id.to_string()),
        event.payload.get().to_owned(),
        event.leaf.clone(),
    ]
}

/// A spreadsheet takes a cell that starts so for a formula. Ids may.
pub fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}
