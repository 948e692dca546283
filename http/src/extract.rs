//! Extractors that refuse what they do not understand, and say which part.

use std::time::Duration;

use axum::body::Body;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::ids::check_id;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::json::{self, Mismatch, reworded};
use crate::problem::{Kind, Problem};

/// Of a body that is too long, before it is answered.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
const MAX_DISCARDING: Duration = Duration::from_secs(5);

/// What a request's body may be. Put another value into the request's
/// extensions (`axum::Extension`) for routes that take more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    pub bytes: usize,
    /// Nesting of objects and arrays, at most 120.
    pub depth: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 5 << 20, depth: 64 }
    }
}

impl BodyLimits {
    pub fn of(extensions: &axum::http::Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }
}

/// A JSON body. Also an answer, as with axum's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A JSON body with the SHA-256 of its bytes, for idempotency. An empty body
/// reads as `{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody<T> {
    pub value: T,
    pub hash: [u8; 32],
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let limits = BodyLimits::of(&parts.extensions);
        let bytes = read_body(&parts.headers, body, limits.bytes).await?;
        if bytes.is_empty() {
            return Ok(Self { value: json::read(b"{}", limits.depth)?, hash: Sha256::digest(b"").into() });
        }
        check_content_type(&parts.headers, "application/json")?;
        Ok(Self { value: json::read(&bytes, limits.depth)?, hash: Sha256::digest(&bytes).into() })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(JsonBody::from_request(request, state).await?.value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
            Err(e) => Problem::internal(e).into_response(),
        }
    }
}

/// Reads one JSON text as [`Json`] does, such as a line of NDJSON.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8], limits: BodyLimits) -> Result<T, Problem> {
    json::read(bytes, limits.depth)
}

/// Whether any JSON text is what [`read_json`] takes: syntax, depth, no member
/// twice, no NUL.
pub fn check_json(bytes: &[u8], limits: BodyLimits) -> Result<(), Problem> {
    json::check_bytes(bytes, limits.depth)
}

/// Collects a body of at most `max_bytes`.
pub async fn read_body(headers: &HeaderMap, mut body: Body, max_bytes: usize) -> Result<Bytes, Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_bytes as u64) {
        // Who waits for 100 Continue has sent nothing.
        if !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large(max_bytes));
    }
    match Limited::new(&mut body, max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => {
            discard(body).await;
            Err(too_large(max_bytes))
        }
        Err(_) => Err(Problem::new(Kind::InvalidJson, "The body could not be read to its end.")),
    }
}

/// Takes in what a client is still sending, within bounds: closing before it
/// has finished would reset the connection, and it would not see the answer.
async fn discard(mut body: Body) {
    let reading = async {
        let mut left = MAX_DISCARDED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Late or not, the answer is the same.
    let _ = tokio::time::timeout(MAX_DISCARDING, reading).await;
}

pub fn too_large(max_bytes: usize) -> Problem {
    Problem::new(Kind::BodyTooLarge, format!("The body is longer than {max_bytes} bytes."))
        .with("limit_bytes", max_bytes)
}

/// Refuses any content type but `wanted` (parameters aside) and charsets
/// other than UTF-8.
pub fn check_content_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let refuse = |what: &str| Problem::new(Kind::UnsupportedMediaType, format!("{what}; send {wanted}."));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|v| v != "identity") {
        return Err(refuse("Encoded bodies are not supported"));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(refuse("There is no Content-Type"));
    };
    let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    if parts.next() != Some(wanted) {
        return Err(refuse("This Content-Type is not supported here"));
    }
    match parts.find_map(|p| p.strip_prefix("charset=")) {
        Some(charset) if charset.trim_matches('"') != "utf-8" => Err(refuse("The charset must be utf-8")),
        _ => Ok(()),
    }
}

/// Query parameters. Give `T` `deny_unknown_fields`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

pub fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // What is not UTF-8 comes out of the decoder as U+FFFD.
        if value.contains(['\0', '\u{fffd}']) || name.contains(['\0', '\u{fffd}']) {
            return Err(Problem::parameter(name, "must be valid UTF-8 without NUL"));
        }
    }
    let parameters = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(parameters).map_err(|e| {
        let name = e.path().to_string();
        parameter_problem(name, &e.into_inner().to_string())
    })
}

fn parameter_problem(name: String, message: &str) -> Problem {
    match reworded(message) {
        Mismatch::Unknown(name) => Problem::parameter(name, "is not a parameter of this operation"),
        Mismatch::Missing(name) => Problem::parameter(name, "is missing"),
        Mismatch::Repeated(name) => Problem::parameter(name, "is given twice"),
        Mismatch::Other(reason) => Problem::parameter(name, reason),
    }
}

/// Parameters of the path; use [`Id`] for ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rejection = match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => return Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(rejection)) => rejection.into_kind(),
            Err(e) => return Err(Problem::internal(e)),
        };
        let (name, reason) = match rejection {
            ErrorKind::InvalidUtf8InPathParam { key } => (Some(key), "must be valid UTF-8".into()),
            ErrorKind::DeserializeError { key, message, .. } => (Some(key), message),
            ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
                (Some(key), format!("must be {}", json::plain(expected_type)))
            }
            ErrorKind::ParseError { expected_type, .. } => {
                (None, format!("must be {}", json::plain(expected_type)))
            }
            ErrorKind::Message(message) => (None, message),
            other => return Err(Problem::internal(other)),
        };
        // Only a path with a single parameter fails without its name.
        let name = match (name, RawPathParams::from_request_parts(parts, state).await) {
            (Some(name), _) => name,
            (None, Ok(all)) => all.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
            (None, Err(_)) => "path".into(),
        };
        Err(Problem::parameter(name, reason))
    }
}

/// The id of a thing in a path, a query or a body, checked by [`check_id`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(pub String);

impl TryFrom<String> for Id {
    type Error = domain::ids::InvalidId;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        check_id(&id)?;
        Ok(Self(id))
    }
}

impl std::ops::Deref for Id {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
