//! Request headers that commands act on, each with one accepted form.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use domain::ports::log::ExpectedVersion;

use crate::problem::Problem;

/// Longest idempotency key, correlation id or request id, in bytes.
pub const MAX_TOKEN_BYTES: usize = 128;

pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
pub const CORRELATION_ID: &str = "X-Correlation-ID";
pub const IF_MATCH: &str = "If-Match";
pub const IF_NONE_MATCH: &str = "If-None-Match";
/// Of an answer: the position of the log that it reflects.
pub const POSITION: HeaderName = HeaderName::from_static("daybook-position");

/// The client's name for this request, so that a repetition is recognised. May
/// be written as a quoted string or bare; both are the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// `X-Correlation-ID`: carried through everything the request causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(pub Option<Arc<str>>);

/// The version that the client decided on: `If-Match: "7"`, `If-Match: *`
/// (must exist) or `If-None-Match: *` (must not exist).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<ExpectedVersion>);

impl IfMatch {
    pub fn is_given(self) -> bool {
        self.0.is_some()
    }
}

/// The one value of a header, `None` if absent.
pub fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::header(name, "must be given once"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(Problem::header(name, "must be ASCII text")),
    }
}

fn token<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(text) = single(headers, name)? else { return Ok(None) };
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if is_token(text) {
        return Ok(Some(text));
    }
    let reason = format!("must be 1 to {MAX_TOKEN_BYTES} visible ASCII characters without quotes");
    Err(Problem::header(name, reason))
}

/// Whether a text may stand in a header and in metadata as it is.
pub fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
}

fn expected_version(headers: &HeaderMap) -> Result<Option<ExpectedVersion>, Problem> {
    let none_match = single(headers, IF_NONE_MATCH)?;
    let Some(text) = single(headers, IF_MATCH)? else {
        return match none_match {
            None => Ok(None),
            Some("*") => Ok(Some(ExpectedVersion::NoStream)),
            Some(_) => Err(Problem::header(IF_NONE_MATCH, "must be * for a command")),
        };
    };
    if none_match.is_some() {
        return Err(Problem::header(IF_NONE_MATCH, "must not stand beside If-Match"));
    }
    if text == "*" {
        return Ok(Some(ExpectedVersion::Exists));
    }
    let digits = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let digits = digits.filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|d| d.parse().ok()) {
        Some(0) => Ok(Some(ExpectedVersion::NoStream)),
        Some(version) => Ok(Some(ExpectedVersion::Exact(version))),
        None => Err(Problem::header(
            IF_MATCH,
            "must be one strong entity tag with a version, such as \"7\", or *",
        )),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(token(&parts.headers, IDEMPOTENCY_KEY)?.map(str::to_owned)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(token(&parts.headers, CORRELATION_ID)?.map(Arc::from)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(expected_version(&parts.headers)?))
    }
}
