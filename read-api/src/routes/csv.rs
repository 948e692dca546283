//! Tables for spreadsheets.

use axum::http::{HeaderMap, HeaderValue, header};
use csv::{Terminator, Writer, WriterBuilder};
use daybook_http::Problem;
use daybook_http::problem::Kind;

pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8; header=present");

/// Rows of text with CRLF, as RFC 4180 has them.
pub fn rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>, Problem> {
    wide(rows)
}

/// The same of rows whose width is not known before; all are as wide as the
/// first.
pub fn wide<R: IntoIterator<Item = String>>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, Problem> {
    let mut writer: Writer<Vec<u8>> =
        WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.into_iter().map(harmless)).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}

/// A spreadsheet takes a cell that starts so for a formula, if it is no number.
/// Ids may.
fn harmless(cell: String) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if formula { format!("'{cell}") } else { cell }
}

/// Whether the client wants CSV: by `?format=csv|json`, else by `Accept`.
pub fn wanted(format: Option<&str>, headers: &HeaderMap) -> Result<bool, Problem> {
    match format {
        Some("csv") => return Ok(true),
        Some("json") => return Ok(false),
        Some(_) => return Err(Problem::parameter("format", "must be json or csv")),
        None => {}
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    let media = || accept.split(',').map(|m| m.split(';').next().unwrap_or_default().trim());
    for m in media() {
        match m {
            "text/csv" => return Ok(true),
            "*/*" | "application/*" | "application/json" | "" => return Ok(false),
            _ => {}
        }
    }
    Err(Problem::new(Kind::NotAcceptable, "There is application/json and text/csv here."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        let row = ["=1+1", "+x", "-x", "-1.5", "@x", "a,b", "say \"a\"", "plain"].map(String::from);
        let text = String::from_utf8(rows([row]).unwrap()).unwrap();
        assert_eq!(text, "'=1+1,'+x,'-x,-1.5,'@x,\"a,b\",\"say \"\"a\"\"\",plain\r\n");
    }

    #[test]
    fn the_format_is_negotiated() {
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            wanted(None, &headers).map_err(|p| p.kind())
        };
        assert_eq!(accept("text/csv"), Ok(true));
        assert_eq!(accept("text/html, text/csv;q=0.5"), Ok(true));
        assert_eq!(accept("application/json, text/csv"), Ok(false));
        assert_eq!(accept("*/*"), Ok(false));
        assert_eq!(accept("image/png"), Err(Kind::NotAcceptable));
        assert_eq!(wanted(Some("csv"), &HeaderMap::new()), Ok(true));
        assert!(wanted(Some("xml"), &HeaderMap::new()).is_err());
    }
}
