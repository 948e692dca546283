//! JSON, CSV or a page, as the client wants it.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use daybook_http::Problem;
use domain::ports::rows::Snapshot;
use serde::Serialize;

use crate::at_least::{Answer, reflect};
use crate::routes::csv;

const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Nothing of a page is loaded or run.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Html,
}

impl Format {
    /// By `?format=json|csv|html`, else by `Accept`.
    pub fn of(format: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match format {
            Some("html") => return Ok(Self::Html),
            Some("json" | "csv") | None => {}
            Some(_) => return Err(Problem::parameter("format", "must be json, csv or html")),
        }
        if format.is_none() && accept.trim_start().starts_with("text/html") {
            return Ok(Self::Html);
        }
        Ok(if csv::wanted(format, headers)? { Self::Csv } else { Self::Json })
    }

    /// The same where there is no page.
    pub fn of_table(format: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(if csv::wanted(format, headers)? { Self::Csv } else { Self::Json })
    }
}

pub fn json<T: Serialize>(snapshot: &Snapshot, body: T) -> Response {
    Answer::new(snapshot, body).into_response()
}

pub fn table(snapshot: &Snapshot, rows: Vec<Vec<String>>) -> Result<Response, Problem> {
    let bytes = csv::wide(rows)?;
    let mut response = ([(header::CONTENT_TYPE, csv::CONTENT_TYPE)], bytes).into_response();
    reflect(response.headers_mut(), snapshot);
    Ok(response)
}

pub fn page(snapshot: &Snapshot, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, PAGE),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = (headers, html).into_response();
    reflect(response.headers_mut(), snapshot);
    response
}

/// A row of a table.
pub fn cells<const N: usize>(cells: [&dyn ToString; N]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

/// Nothing where there is nothing.
pub fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
