//! Reading one's own writes: `Daybook-At-Least` and `Prefer: wait` in the
//! request, `Daybook-Position` and `Daybook-Model` in the answer.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_http::Problem;
use daybook_http::headers::POSITION;
use domain::ports::rows::Snapshot;
use serde::Serialize;

pub const AT_LEAST: HeaderName = HeaderName::from_static("daybook-at-least");
pub const MODEL: HeaderName = HeaderName::from_static("daybook-model");

const DEFAULT_WAIT: Duration = Duration::from_secs(10);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What the answer has to reflect, and how long the client waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLeast {
    /// 0: whatever there is.
    pub position: u64,
    pub wait: Duration,
    /// Not the live one; only for operators.
    pub generation: Option<u32>,
}

impl Default for AtLeast {
    fn default() -> Self {
        Self { position: 0, wait: DEFAULT_WAIT, generation: None }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers)
    }
}

impl AtLeast {
    /// For the next read of the same answer: from the same generation, also if
    /// another one has become live in between.
    pub fn after(snapshot: &Snapshot) -> Self {
        Self { generation: Some(snapshot.generation.number), ..Self::default() }
    }

    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        if let Some(value) = headers.get(AT_LEAST) {
            let number = value.to_str().ok().and_then(|v| v.trim().parse().ok());
            let wrong = || Problem::header("Daybook-At-Least", "must be a position: a whole number");
            wanted.position = number.ok_or_else(wrong)?;
        }
        for value in headers.get_all("prefer") {
            let preferences = value.to_str().unwrap_or_default().split(',');
            let wait = preferences.filter_map(|p| p.trim().strip_prefix("wait=")).next();
            if let Some(seconds) = wait {
                let wrong = || Problem::header("Prefer", "must have whole seconds in wait");
                let seconds: u32 = seconds.trim().parse().map_err(|_| wrong())?;
                wanted.wait = Duration::from_secs(seconds.into()).min(MAX_WAIT);
            }
        }
        Ok(wanted)
    }
}

/// Says in the headers what the rows of an answer reflect.
pub fn reflect(headers: &mut HeaderMap, snapshot: &Snapshot) {
    headers.insert(POSITION, HeaderValue::from(snapshot.position));
    // A model's name and version are plain words.
    if let Ok(model) = HeaderValue::from_str(&snapshot.model.to_string()) {
        headers.insert(MODEL, model);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

/// A JSON answer made of a snapshot.
pub struct Answer<T> {
    headers: HeaderMap,
    body: T,
}

impl<T: Serialize> Answer<T> {
    pub fn new(snapshot: &Snapshot, body: T) -> Self {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, snapshot);
        Self { headers, body }
    }

    /// With the aggregate's version, as commands take it in `If-Match`.
    pub fn version(mut self, version: u64) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
            self.headers.insert(header::ETAG, tag);
        }
        self
    }

    /// Answers 304 if the client has this version already.
    pub fn unless_known(self, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let tag = self.headers.get(header::ETAG).and_then(|v| v.to_str().ok());
        let same = |given: &str| {
            let given = given.trim();
            Some(given.strip_prefix("W/").unwrap_or(given)) == tag || given == "*"
        };
        if tag.is_some() && known.split(',').any(same) {
            return (StatusCode::NOT_MODIFIED, self.headers).into_response();
        }
        self.into_response()
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (self.headers, axum::Json(self.body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<AtLeast, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        AtLeast::from_headers(&headers)
    }

    #[test]
    fn the_wait_is_bounded_and_other_preferences_are_ignored() {
        assert_eq!(read(&[]).unwrap(), AtLeast::default());
        let wanted = read(&[("daybook-at-least", "42"), ("prefer", "respond-async, wait=3")]).unwrap();
        assert_eq!(wanted, AtLeast { position: 42, wait: Duration::from_secs(3), generation: None });
        assert_eq!(read(&[("prefer", "wait=9999")]).unwrap().wait, MAX_WAIT);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in [("daybook-at-least", "-1"), ("daybook-at-least", "x"), ("prefer", "wait=soon")] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
    }
}
