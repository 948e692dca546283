//! The kinds of problem, each with the page that its `type` leads to.

use axum::http::StatusCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    InvalidJson,
    InvalidField,
    UnknownField,
    TooDeep,
    InvalidParameter,
    InvalidHeader,
    Unauthenticated,
    Forbidden,
    NotFound,
    Trimmed,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    VersionConflict,
    PreconditionFailed,
    PreconditionRequired,
    IdempotencyKeyReused,
    UnsupportedMediaType,
    BodyTooLarge,
    RateLimited,
    RequestTimeout,
    Internal,
    Overloaded,
    Unavailable,
    NotCaughtUp,
    InvalidQuery,
    QueryNotAllowed,
    QueryLimit,
    TooManyQueries,
}

struct Facts {
    slug: &'static str,
    status: StatusCode,
    title: &'static str,
    explanation: &'static str,
}

impl Kind {
    pub const ALL: [Self; 29] = [
        Self::InvalidJson,
        Self::InvalidField,
        Self::UnknownField,
        Self::TooDeep,
        Self::InvalidParameter,
        Self::InvalidHeader,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Trimmed,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::VersionConflict,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::IdempotencyKeyReused,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::RateLimited,
        Self::RequestTimeout,
        Self::Internal,
        Self::Overloaded,
        Self::Unavailable,
        Self::NotCaughtUp,
        Self::InvalidQuery,
        Self::QueryNotAllowed,
        Self::QueryLimit,
        Self::TooManyQueries,
    ];

    pub fn slug(self) -> &'static str {
        self.facts().slug
    }

    pub fn status(self) -> StatusCode {
        self.facts().status
    }

    pub fn title(self) -> &'static str {
        self.facts().title
    }

    pub fn explanation(self) -> &'static str {
        self.facts().explanation
    }

    pub fn type_uri(self) -> String {
        format!("/problems/{}", self.slug())
    }

    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.slug() == slug)
    }

    /// For answers that were made without a problem, such as the router's own.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::GONE => Self::Trimmed,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::RequestTimeout,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PRECONDITION_FAILED => Self::PreconditionFailed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::InvalidField,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Self::Overloaded,
            other if other.is_client_error() => Self::InvalidParameter,
            _ => Self::Internal,
        }
    }

    #[rustfmt::skip]
    fn facts(self) -> Facts {
        use StatusCode as S;
        let (slug, status, title, explanation) = match self {
            Self::InvalidJson => ("invalid-json", S::BAD_REQUEST, "The body is not JSON",
                "The body is not valid UTF-8 or not valid JSON, or an object in it has the same key twice. The detail names the line and column."),
            Self::InvalidField => ("invalid-field", S::UNPROCESSABLE_ENTITY, "A field is not acceptable",
                "The body is JSON, but a field is missing, has another type, or has a value that is refused. `errors` names each field by its JSON pointer."),
            Self::UnknownField => ("unknown-field", S::UNPROCESSABLE_ENTITY, "A field is unknown",
                "The body has a field that this operation does not know. Nothing is ignored silently, so that a misspelt field is noticed."),
            Self::TooDeep => ("too-deep", S::UNPROCESSABLE_ENTITY, "The body is nested too deeply",
                "Objects and arrays in the body are nested deeper than the server reads."),
            Self::InvalidParameter => ("invalid-parameter", S::BAD_REQUEST, "A parameter is not acceptable",
                "A query parameter is unknown, repeated or has a value that is refused, or a part of the path is not an id. `errors` names it."),
            Self::InvalidHeader => ("invalid-header", S::BAD_REQUEST, "A header is not acceptable",
                "A request header has a form that is refused. `errors` names it."),
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED, "A valid API key is needed",
                "Send a key as `X-API-Key: <key>` or `Authorization: Bearer <key>`. The answer is the same whether the key is missing, unknown, revoked or expired."),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "The key may not do this",
                "The API key is valid but has none of the roles that this operation needs."),
            Self::NotFound => ("not-found", S::NOT_FOUND, "Not found",
                "There is nothing at this address for this key. What belongs to another tenant is answered in the same way."),
            Self::Trimmed => ("trimmed", S::GONE, "Trimmed from the log",
                "The facts that this asks for were trimmed from the log. They are read from the archive (the operator's `archive.url`), which is not where it was, or does not reach as far. `upto` is the last position that may be gone."),
            Self::MethodNotAllowed => ("method-not-allowed", S::METHOD_NOT_ALLOWED, "The method is not allowed here",
                "The address exists, but not for this method. The `Allow` header lists those that it has."),
            Self::NotAcceptable => ("not-acceptable", S::NOT_ACCEPTABLE, "No such representation",
                "The server has no representation that the `Accept` header allows."),
            Self::Conflict => ("conflict", S::CONFLICT, "The state does not allow this",
                "The thing exists but is in no state for this operation; the detail says why. Repeating the request unchanged does not help."),
            Self::VersionConflict => ("version-conflict", S::CONFLICT, "Changed by someone else meanwhile",
                "Another request changed the same thing while this one was decided, several times in a row. `actual_version` is its version, `newer` names the events. Repeat the request."),
            Self::PreconditionFailed => ("precondition-failed", S::PRECONDITION_FAILED, "Not at the version in If-Match",
                "The thing has moved past the version given in `If-Match`. `actual_version` is its version now, `newer` names the events since. Read it again and decide anew."),
            Self::PreconditionRequired => ("precondition-required", S::PRECONDITION_REQUIRED, "If-Match is needed",
                "This operation must name the version that it was decided on, in `If-Match`."),
            Self::IdempotencyKeyReused => ("idempotency-key-reused", S::UNPROCESSABLE_ENTITY, "The idempotency key was used for another request",
                "An earlier request with this `Idempotency-Key` had another method, path or body. Use a new key for a new request, and the same bytes for a repetition."),
            Self::UnsupportedMediaType => ("unsupported-media-type", S::UNSUPPORTED_MEDIA_TYPE, "The content type is not supported",
                "Send `Content-Type: application/json`, UTF-8, without `Content-Encoding`, unless the operation documents another type."),
            Self::BodyTooLarge => ("body-too-large", S::PAYLOAD_TOO_LARGE, "The body is too large",
                "The body is longer than this operation accepts; `limit_bytes` says how long it may be. Split it."),
            Self::RateLimited => ("rate-limited", S::TOO_MANY_REQUESTS, "Too many requests",
                "The rate limit that the `RateLimit-Policy` header describes is used up. Wait as long as `Retry-After` says."),
            Self::RequestTimeout => ("request-timeout", S::SERVICE_UNAVAILABLE, "The request took too long",
                "The server stopped working on the request. Whether a write was recorded is not known; repeat it with the same `Idempotency-Key`."),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed",
                "Something went wrong that is not the client's fault. The operator finds the cause in the log by the `request_id`."),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "The server is overloaded",
                "The server has as many requests as it can work on and refused this one before doing anything. Repeat it after `Retry-After`."),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "A store is unavailable",
                "The log or the rows cannot be reached at the moment. The detail says whether anything was recorded. Repeat with the same `Idempotency-Key`."),
            Self::NotCaughtUp => ("not-caught-up", S::SERVICE_UNAVAILABLE, "The rows are behind the position asked for",
                "The rows did not reach the position in `Daybook-At-Least` in time. `position` says how far they are. Repeat the request, or wait longer with `Prefer: wait=60`."),
            Self::InvalidQuery => ("invalid-query", S::UNPROCESSABLE_ENTITY, "The query cannot be answered",
                "The SQL does not parse, names a table, column or function that is not there, or meets a value that it cannot work with, such as a text that is no number. The detail says which."),
            Self::QueryNotAllowed => ("query-not-allowed", S::UNPROCESSABLE_ENTITY, "Only queries that read are allowed",
                "Send one SELECT (also WITH or VALUES), an EXPLAIN of one, DESCRIBE <table> or SHOW TABLES. There are no files, no settings and no statements that change anything."),
            Self::QueryLimit => ("query-limit", S::UNPROCESSABLE_ENTITY, "The query takes too much",
                "The query was stopped since it took too long or needed too much memory; `limit_seconds` or `limit_bytes` says how much there is. Ask about fewer positions or types, or group by less."),
            Self::TooManyQueries => ("too-many-queries", S::TOO_MANY_REQUESTS, "Too many queries at once",
                "As many of these run as the server works on at once. Repeat it after `Retry-After`."),
        };
        Facts { slug, status, title, explanation }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_slug_is_unique_and_found_again() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_slug(kind.slug()), Some(kind));
        }
    }

    #[test]
    fn every_error_status_has_a_kind_that_is_an_error() {
        for status in 400..600 {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            assert!(Kind::from_status(status).status().as_u16() >= 400);
        }
    }
}
