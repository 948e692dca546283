//! A slice of a cube as JSON, CSV, Arrow or Parquet.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use daybook_http::Problem;
use domain::ports::results::{Table, TableFormat, Values};

use crate::cube::{MAX_ROWS, Row};
use crate::{Desk, on_a_thread};

/// Rows of one answer that a person may read.
const MAX_LIMIT: usize = 10_000;
const LIMIT: usize = 1_000;

pub const ARROW: &str = "application/vnd.apache.arrow.stream";
pub const PARQUET: &str = "application/vnd.apache.parquet";
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    /// What is named, else the first that is accepted and known, else JSON.
    pub fn asked(named: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match named {
            Some("json") => return Ok(Self::Json),
            Some("csv") => return Ok(Self::Csv),
            Some("arrow") => return Ok(Self::Arrow),
            Some("parquet") => return Ok(Self::Parquet),
            Some(_) => return Err(Problem::parameter("format", "must be json, csv, arrow or parquet")),
            None => {}
        }
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let known =
            accept.split(',').find_map(|media| match media.split(';').next().unwrap_or_default().trim() {
                "application/json" | "*/*" => Some(Self::Json),
                "text/csv" => Some(Self::Csv),
                ARROW => Some(Self::Arrow),
                PARQUET => Some(Self::Parquet),
                _ => None,
            });
        Ok(known.unwrap_or(Self::Json))
    }

    /// Rows of one answer: few of those that people read, all of those that
    /// programs do, unless told.
    pub fn limit(self, told: Option<usize>) -> Result<usize, Problem> {
        let (usual, most) = match self {
            Self::Json | Self::Csv => (LIMIT, MAX_LIMIT),
            Self::Arrow | Self::Parquet => (MAX_ROWS, MAX_ROWS),
        };
        match told.unwrap_or(usual) {
            limit if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Problem::parameter("limit", format!("must be 1 to {most}"))),
        }
    }
}

fn with_next(mut response: Response, next: Option<&str>) -> Response {
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(next).ok()) {
        response.headers_mut().insert("daybook-next", next);
    }
    response
}

/// A text of CSV. A spreadsheet takes a cell that starts so for a formula.
pub fn cell(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

pub fn csv(rows: &[Row], next: Option<&str>) -> Result<Response, Problem> {
    const HEADER: [&str; 11] = [
        "key",
        "measure",
        "scenario_id",
        "value",
        "rounded",
        "currency",
        "quality",
        "positions",
        "flagged",
        "flag",
        "reason",
    ];
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(HEADER).map_err(Problem::internal)?;
    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
    for row in rows {
        let record = [
            cell(&row.key),
            row.measure.clone(),
            cell(&row.scenario_id),
            row.value.map(|value| value.to_string()).unwrap_or_default(),
            or_empty(&row.rounded),
            or_empty(&row.currency),
            row.quality.clone(),
            row.positions.to_string(),
            row.flagged.to_string(),
            or_empty(&row.flag),
            cell(row.reason.as_deref().unwrap_or_default()),
        ];
        writer.write_record(record).map_err(Problem::internal)?;
    }
    let bytes = writer.into_inner().map_err(Problem::internal)?;
    let kind = HeaderValue::from_static(CSV);
    Ok(with_next(([(header::CONTENT_TYPE, kind)], bytes).into_response(), next))
}

/// A column for each dimension (`by.book`), then those of the CSV but `rounded`.
fn table(rows: &[Row], facts: Vec<(String, String)>) -> Table {
    let texts = |of: &dyn Fn(&Row) -> Option<String>| Values::Text(rows.iter().map(of).collect());
    let counts = |of: fn(&Row) -> u64| Values::Count(rows.iter().map(of).collect());
    let mut columns = vec![("key".to_owned(), texts(&|row| Some(row.key.clone())))];
    let dimensions = rows.first().map(|row| row.by.keys().cloned().collect::<Vec<_>>());
    for name in dimensions.unwrap_or_default() {
        columns.push((format!("by.{name}"), texts(&|row| row.by.get(&name).cloned())));
    }
    columns.extend([
        ("measure".to_owned(), texts(&|row| Some(row.measure.clone()))),
        ("scenario_id".to_owned(), texts(&|row| Some(row.scenario_id.clone()))),
        ("value".to_owned(), Values::Number(rows.iter().map(|row| row.value).collect())),
        ("currency".to_owned(), texts(&|row| row.currency.clone())),
        ("quality".to_owned(), texts(&|row| Some(row.quality.clone()))),
        ("positions".to_owned(), counts(|row| row.positions)),
        ("flagged".to_owned(), counts(|row| row.flagged)),
        ("flag".to_owned(), texts(&|row| row.flag.clone())),
        ("reason".to_owned(), texts(&|row| row.reason.clone())),
    ]);
    Table { facts, columns }
}

/// `facts` stand in the file's metadata.
pub async fn columns(
    desk: &Desk,
    rows: Vec<Row>,
    facts: Vec<(String, String)>,
    format: TableFormat,
    next: Option<&str>,
) -> Result<Response, Problem> {
    let results = desk.results.clone();
    let bytes = on_a_thread(move || results.table(table(&rows, facts), format)).await?;
    let bytes = bytes.map_err(Problem::internal)?;
    let kind = match format {
        TableFormat::Arrow => ARROW,
        TableFormat::Parquet => PARQUET,
    };
    Ok(with_next(([(header::CONTENT_TYPE, kind)], bytes).into_response(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_goes_before_what_is_accepted() {
        let asked = |named: Option<&str>, accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            Format::asked(named, &headers)
        };
        assert_eq!(asked(None, "text/html, text/csv;q=0.9, */*").unwrap(), Format::Csv);
        assert_eq!(asked(None, PARQUET).unwrap(), Format::Parquet);
        assert_eq!(asked(None, ARROW).unwrap(), Format::Arrow);
        assert_eq!(asked(Some("arrow"), "text/csv").unwrap(), Format::Arrow);
        assert_eq!(asked(None, "image/png").unwrap(), Format::Json);
        assert!(asked(Some("xml"), "*/*").is_err());
        assert!(Format::Csv.limit(Some(10_001)).is_err() && Format::Arrow.limit(Some(10_001)).is_ok());
        assert!(Format::Json.limit(Some(0)).is_err());
    }
}
