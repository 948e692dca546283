//! Error answers as RFC 9457 problem documents.
//!
//! A client branches on `type`, a relative reference that is served as a page
//! (`GET /problems/{slug}`). What the server knows and a client must not, such
//! as a database's message, is logged and never part of a problem.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::decide::Rejection;
use domain::ports::log::{AppendError, LogError};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use crate::problem_kinds::Kind;

pub const CONTENT_TYPE: &str = "application/problem+json";

/// How much of a text that quotes the client is given back to it.
const MAX_DETAIL_BYTES: usize = 500;

/// Where in the request the fault is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    #[serde(flatten)]
    pub place: Place,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// JSON pointer into the body; empty for the body as a whole.
    Pointer(String),
    /// Name of a query or path parameter.
    Parameter(String),
    Header(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    extensions: Vec<(&'static str, Value)>,
    retry_after: Option<u32>,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = cut(detail.into());
        Self { kind, detail, errors: Vec::new(), extensions: Vec::new(), retry_after: None }
    }

    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "There is nothing at this address for this key.")
    }

    /// A field of the body does not hold; `pointer` is a JSON pointer.
    pub fn field(pointer: impl Into<String>, reason: impl Display) -> Self {
        Self::at(Kind::InvalidField, Place::Pointer(pointer.into()), reason)
    }

    /// A query or path parameter does not hold.
    pub fn parameter(name: impl Into<String>, reason: impl Display) -> Self {
        Self::at(Kind::InvalidParameter, Place::Parameter(name.into()), reason)
    }

    pub fn header(name: impl Into<String>, reason: impl Display) -> Self {
        Self::at(Kind::InvalidHeader, Place::Header(name.into()), reason)
    }

    /// One fault, which is also the detail, for people.
    pub fn at(kind: Kind, place: Place, reason: impl Display) -> Self {
        let (Place::Pointer(name) | Place::Parameter(name) | Place::Header(name)) = &place;
        let named = if name.is_empty() { "The body".into() } else { cut(name.clone().into()) };
        let mut problem = Self::new(kind, format!("{named} {reason}"));
        problem.add(place, reason);
        problem
    }

    /// Logs the cause and answers without it.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(Kind::Internal, "The server failed at this request. Quote the request id when asking.")
    }

    /// Names one more fault.
    pub fn add(&mut self, place: Place, reason: impl Display) {
        let place = match place {
            Place::Pointer(p) => Place::Pointer(cut(p.into()).into_owned()),
            Place::Parameter(p) => Place::Parameter(cut(p.into()).into_owned()),
            Place::Header(p) => Place::Header(p),
        };
        self.errors.push(Fault { place, detail: cut(reason.to_string().into()).into_owned() });
    }

    /// Adds an extension member.
    pub fn with(mut self, member: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.push((member, value.into()));
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn errors(&self) -> &[Fault] {
        &self.errors
    }

    /// The document, also used where a bulk answer tells about one row.
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), self.kind.type_uri().into());
        body.insert("title".into(), self.kind.title().into());
        body.insert("status".into(), self.status().as_u16().into());
        body.insert("detail".into(), self.detail.as_ref().into());
        if !self.errors.is_empty() {
            body.insert("errors".into(), json!(self.errors));
        }
        for (name, value) in &self.extensions {
            body.insert((*name).into(), value.clone());
        }
        Value::Object(body)
    }

    /// The answer to an append that failed. With `if_match` the client named
    /// the version, and a conflict is a failed precondition.
    pub fn append(error: AppendError, if_match: bool) -> Self {
        match error {
            AppendError::Conflict { stream, actual, newer, .. } => {
                let kind = if if_match { Kind::PreconditionFailed } else { Kind::VersionConflict };
                let newer: Vec<Value> = newer
                    .iter()
                    .map(|e| json!({"event_id": e.event_id, "type": e.event_type, "version": e.version, "position": e.position}))
                    .collect();
                Self::new(kind, format!("{}/{} is at version {actual}.", stream.kind, stream.id))
                    .with("actual_version", actual)
                    .with("newer", newer)
            }
            AppendError::KeyReused => Self::new(
                Kind::IdempotencyKeyReused,
                "This Idempotency-Key was used for another request of this tenant.",
            ),
            AppendError::QueueFull => {
                Self::new(Kind::Overloaded, "Too many writes are waiting.").retry_after(1)
            }
            AppendError::Invalid(reason) => Self::new(Kind::InvalidField, reason),
            AppendError::Unavailable { reason, unknown } => {
                tracing::error!(%reason, unknown, "append failed");
                let detail = if unknown {
                    "The log did not answer. Whether the request was recorded is not known; repeat it with the same Idempotency-Key."
                } else {
                    "The log cannot be written at the moment. Nothing was recorded."
                };
                Self::new(Kind::Unavailable, detail)
                    .with("recorded", if unknown { "unknown" } else { "no" })
                    .retry_after(2)
            }
        }
    }
}

/// Cuts at a character boundary, so that an answer never repeats megabytes.
fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= MAX_DETAIL_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MAX_DETAIL_BYTES);
    format!("{}…", &text[..end]).into()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.to_json().to_string();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"daybook\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        // For the outermost layer, which adds the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Field { field, reason } => Self::field(field, reason),
            Rejection::State(reason) => Self::new(Kind::Conflict, reason),
            Rejection::NotFound => Self::not_found(),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        Self::append(error, false)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(reason) => {
                tracing::error!(%reason, "the log cannot be read");
                Self::new(Kind::Unavailable, "The log cannot be read at the moment.").retry_after(2)
            }
            LogError::Trimmed { upto } => {
                let detail = format!(
                    "Facts up to position {upto} were trimmed from the log, and the archive does not have them."
                );
                Self::new(Kind::Trimmed, detail).with("upto", upto)
            }
            LogError::Damaged { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ports::log::{ExpectedVersion, Written};
    use domain::{StreamId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn conflict() -> AppendError {
        let stream = StreamId::new(&TenantId::new("t").unwrap(), "band", "b1").unwrap();
        let newer = Written {
            stream: stream.clone(),
            event_id: Uuid::nil(),
            event_type: "band.retired".into(),
            version: 4,
            position: 90,
        };
        AppendError::Conflict { stream, expected: ExpectedVersion::Exact(3), actual: 4, newer: vec![newer] }
    }

    #[test]
    fn a_conflict_names_the_version_and_what_is_newer() {
        let problem = Problem::append(conflict(), true);
        assert_eq!(problem.status(), StatusCode::PRECONDITION_FAILED);
        let body = problem.to_json();
        assert_eq!((&body["actual_version"], &body["newer"][0]["type"]), (&json!(4), &json!("band.retired")));
        // The tenant is the client's own and need not be told.
        assert_eq!(body["detail"], "band/b1 is at version 4.");
        assert_eq!(Problem::from(conflict()).status(), StatusCode::CONFLICT);
    }

    #[test]
    fn a_store_that_fails_is_not_quoted() {
        let reason = || "password authentication failed for user x".to_owned();
        for problem in [
            Problem::from(AppendError::Unavailable { reason: reason(), unknown: true }),
            Problem::from(AppendError::Unavailable { reason: reason(), unknown: false }),
            Problem::from(LogError::Unavailable(reason())),
            Problem::from(LogError::Damaged { position: 1, reason: reason() }),
            Problem::internal(reason()),
        ] {
            assert!(problem.status().is_server_error());
            assert!(!problem.to_json().to_string().contains("password"));
        }
    }
}
