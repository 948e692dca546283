//! How the hub answers a tap, as bytes for a plain request and as a response
//! of the full server.

use std::cell::RefCell;
use std::io::Write;

use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use domain::ports::journal::TapKind;
use http_body_util::{Either, Full};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::redirect::HubBody;
use daybook_http::headers::POSITION;

const NOT_FOUND: &str = "<!doctype html><meta charset=utf-8><title>Nothing here yet</title>\
    <h1>Nothing here yet</h1><p>This wristband has no page at the moment. Please try again later.</p>";
const BAD_REQUEST: &str = "<!doctype html><meta charset=utf-8><title>Not a wristband link</title>\
    <h1>Not a wristband link</h1><p>The link must name a wristband: /e?bandId=\u{2026}</p>";

/// Headers of every answer.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To an address that can stand in a header.
    Found(String),
    NotFound,
    BadRequest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// Of the tap in the log, if it is there.
    pub position: Option<u64>,
}

impl Answer {
    fn status(&self) -> (StatusCode, &'static str) {
        match self.outcome {
            Outcome::Found(_) => (StatusCode::FOUND, ""),
            Outcome::NotFound => (StatusCode::NOT_FOUND, NOT_FOUND),
            Outcome::BadRequest => (StatusCode::BAD_REQUEST, BAD_REQUEST),
        }
    }

    pub fn response(self) -> Response<HubBody> {
        let (status, page) = self.status();
        let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(page.as_bytes()))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if !page.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        }
        if let Outcome::Found(url) = &self.outcome
            && let Ok(url) = HeaderValue::from_str(url)
        {
            headers.insert(header::LOCATION, url);
        }
        if let Some(position) = self.position {
            headers.insert(POSITION, position.into());
        }
        response
    }

    /// Writes the answer to a plain request; `last` says that the connection
    /// ends with it.
    pub fn write(&self, out: &mut Vec<u8>, kind: TapKind, now: Timestamp, last: bool) {
        let (status, page) = self.status();
        let reason = status.canonical_reason().unwrap_or_default();
        put(out, &["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"]);
        for (name, value) in &ALWAYS {
            put(out, &[name.as_str(), ": ", value, "\r\n"]);
        }
        if !page.is_empty() {
            put(out, &["content-type: text/html; charset=utf-8\r\n"]);
        }
        if let Outcome::Found(url) = &self.outcome {
            put(out, &["location: ", url, "\r\n"]);
        }
        if let Some(position) = self.position {
            put(out, &[POSITION.as_str(), ": ", &position.to_string(), "\r\n"]);
        }
        if last {
            put(out, &["connection: close\r\n"]);
        }
        put(out, &["content-length: "]);
        // A vector takes everything.
        let _ = write!(out, "{}", page.len());
        put_date(out, now);
        if kind == TapKind::Tapped {
            put(out, &[page]);
        }
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The date, put into words once a second by each thread, and the end of the
/// head.
fn put_date(out: &mut Vec<u8>, now: Timestamp) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() {
            *second = now.as_second();
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
            *text = format!("\r\ndate: {date}\r\n\r\n");
        }
        out.extend_from_slice(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outcome: Outcome, kind: TapKind, last: bool) -> String {
        let mut out = Vec::new();
        let now = "2026-05-04T23:59:59.5Z".parse().unwrap();
        Answer { outcome, position: Some(7) }.write(&mut out, kind, now, last);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_is_one_whole_response() {
        assert_eq!(
            written(Outcome::Found("https://a.example/".into()), TapKind::Tapped, false),
            "HTTP/1.1 302 Found\r\ncache-control: no-store\r\nx-robots-tag: noindex\r\n\
             referrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\
             location: https://a.example/\r\ndaybook-position: 7\r\ncontent-length: 0\r\n\
             date: Mon, 04 May 2026 23:59:59 GMT\r\n\r\n"
        );
    }

    #[test]
    fn a_page_goes_to_people_only() {
        let page = written(Outcome::NotFound, TapKind::Tapped, true);
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, NOT_FOUND);
        assert!(head.contains("\r\nconnection: close\r\n"));
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", NOT_FOUND.len())));
        let preview = written(Outcome::NotFound, TapKind::Previewed, true);
        assert_eq!(preview.split_once("\r\n\r\n").unwrap(), (head, ""));
    }
}
