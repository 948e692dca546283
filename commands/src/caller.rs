//! Who calls, and the headers that every command takes.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use daybook_http::{CorrelationId, IdempotencyKey, IfMatch, Principal, Problem};
use domain::api_key::Role;
use domain::ports::log::ExpectedVersion;
use domain::target_url::UrlPolicy;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::execute::{Call, Refusal, RequestKey};
use crate::reply::Outcome;

/// Everything of a command's request but its id and body.
pub struct Caller {
    pub principal: Principal,
    idempotency_key: Option<String>,
    if_match: Option<ExpectedVersion>,
    pub correlation_id: Option<Arc<str>>,
    /// Method and path: part of what an idempotency key stands for.
    target: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        let IdempotencyKey(idempotency_key) = IdempotencyKey::from_request_parts(parts, state).await?;
        let IfMatch(if_match) = IfMatch::from_request_parts(parts, state).await?;
        let CorrelationId(correlation_id) = CorrelationId::from_request_parts(parts, state).await?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self { principal, idempotency_key, if_match, correlation_id, target })
    }
}

impl Caller {
    /// What the idempotency key of this request stands for, as a text.
    pub fn request_key(&self) -> Option<String> {
        let key = self.idempotency_key.as_ref()?;
        Some(format!("{}/{}/{key}", self.principal.tenant, self.target))
    }

    pub fn call(self, role: Role, id: &str, body_hash: [u8; 32], urls: UrlPolicy) -> Call {
        let mut asked = Sha256::new();
        asked.update(self.target.as_bytes());
        asked.update([0]);
        asked.update(body_hash);
        let request_hash = asked.finalize().into();
        Call {
            actor: self.principal.actor(),
            principal: self.principal,
            role,
            id: id.to_owned(),
            if_match: self.if_match,
            idempotency: self.idempotency_key.map(|key| RequestKey { key, request_hash }),
            correlation_id: self.correlation_id,
            urls,
        }
    }
}

/// What a refusal looks like from outside.
pub fn problem(refusal: Refusal, if_match: bool) -> Problem {
    use daybook_http::Kind;
    match refusal {
        Refusal::Forbidden(role) => {
            Problem::new(Kind::Forbidden, format!("This key lacks the role {}.", role.as_str()))
        }
        Refusal::Id(e) => Problem::parameter("id", e),
        Refusal::Rejected(rejection) => rejection.into(),
        Refusal::Stale { actual } => {
            Problem::new(Kind::PreconditionFailed, format!("The version is {actual} now."))
                .with("actual_version", actual)
        }
        Refusal::Append(e) => Problem::append(e, if_match),
        Refusal::Log(e) => e.into(),
        Refusal::Decode(e) => Problem::internal(e),
    }
}

/// Parameters that every command takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the headers")]
pub struct CommandHeaders {
    /// Makes repeating safe: the same key and body gets the first answer
    /// again, the same key with another body 422. Kept seven days.
    #[param(rename = "Idempotency-Key", required = false)]
    idempotency_key: Option<String>,
    /// The version (`"3"`) that the aggregate must be at; otherwise 412.
    #[param(rename = "If-Match", required = false)]
    if_match: Option<String>,
    /// `*`: only if it does not exist yet; otherwise 412.
    #[param(rename = "If-None-Match", required = false)]
    if_none_match: Option<String>,
    /// Kept with the events; at most 128 visible ASCII characters.
    #[param(rename = "X-Correlation-ID", required = false)]
    correlation_id: Option<String>,
}

/// An RFC 9457 problem document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents the error body")]
pub struct ProblemBody {
    #[schema(rename = "type", example = "/problems/invalid-field")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    /// Each names a JSON `pointer`, a `parameter` or a `header`.
    errors: Option<Vec<serde_json::Value>>,
}

#[derive(IntoResponses)]
#[allow(dead_code, reason = "documents the answers")]
pub enum CommandAnswers {
    /// Done, or already so; `ETag` is the version, `Daybook-Position` the position.
    #[response(status = 200)]
    Done(Outcome),
    /// Refused; nothing was recorded.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(ProblemBody),
    /// Not possible now; repeat with the same Idempotency-Key.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}
