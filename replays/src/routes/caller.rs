//! Who asks, and what a refusal looks like from outside.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use daybook_http::auth::Role;
use daybook_http::{CorrelationId, IdempotencyKey, Kind, Principal, Problem};
use domain::TenantId;
use domain::ports::rows::RowsError;
use projections::ModelError;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::decisions::{By, RequestKey};
use crate::error::ReplayError;

/// Everything of a request but its path and body.
pub struct Caller {
    principal: Principal,
    key: Option<String>,
    correlation_id: Option<Arc<str>>,
    /// Method and path: part of what an idempotency key stands for.
    target: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, state).await?;
        let CorrelationId(correlation_id) = CorrelationId::from_request_parts(parts, state).await?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self { principal, key, correlation_id, target })
    }
}

impl Caller {
    /// An operator, with what the idempotency key stands for.
    pub fn by(self, body_hash: [u8; 32]) -> Result<By, Problem> {
        self.principal.require(Role::Operator)?;
        let mut asked = Sha256::new();
        asked.update(self.target.as_bytes());
        asked.update([0]);
        asked.update(body_hash);
        let request_hash = asked.finalize().into();
        let tenant = self.principal.tenant.clone();
        Ok(By {
            actor: self.principal.actor(),
            correlation_id: self.correlation_id,
            key: self.key.map(|key| RequestKey { tenant, key, request_hash }),
        })
    }

    /// Whose rows may be told: everybody's to the installation's own keys,
    /// otherwise the caller's.
    pub fn may_see(&self) -> Option<TenantId> {
        (self.principal.tenant != TenantId::system()).then(|| self.principal.tenant.clone())
    }

    /// For what may be repeated without one.
    pub fn without_key(self) -> Result<By, Problem> {
        self.principal.require(Role::Operator)?;
        Ok(By { actor: self.principal.actor(), correlation_id: self.correlation_id, key: None })
    }
}

/// Headers that these operations take.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the headers")]
pub struct Headers {
    /// Makes repeating safe: the same key and body gets the first answer
    /// again, the same key with another body 422. Kept seven days.
    #[param(rename = "Idempotency-Key", required = false)]
    idempotency_key: Option<String>,
    /// Kept with the events; at most 128 visible ASCII characters.
    #[param(rename = "X-Correlation-ID", required = false)]
    correlation_id: Option<String>,
}

pub fn problem(error: ReplayError) -> Problem {
    match error {
        ReplayError::UnknownProjection(_) | ReplayError::UnknownGeneration(_) => Problem::not_found(),
        ReplayError::Model(ModelError::Parameter { pointer, reason }) => {
            Problem::field(format!("/parameters{pointer}"), reason)
        }
        ReplayError::Model(error) => Problem::field("/model", error),
        ReplayError::Rejected(rejection) => rejection.into(),
        error @ ReplayError::Overtaken(_) => Problem::new(Kind::VersionConflict, error.to_string()),
        ReplayError::Behind { position, fence, .. } => {
            let detail =
                format!("The rows reflect position {position} and not {fence} yet; nothing was decided.");
            Problem::new(Kind::NotCaughtUp, detail).with("position", position).retry_after(1)
        }
        ReplayError::Append(error) => Problem::append(error, false),
        ReplayError::Log(error) => error.into(),
        ReplayError::Rows(RowsError::InUse(what)) => {
            Problem::new(Kind::Unavailable, format!("{what} is in use.")).retry_after(2)
        }
        ReplayError::Rows(RowsError::Unavailable(reason)) => {
            tracing::error!(%reason, "rows cannot be read");
            Problem::new(Kind::Unavailable, "The rows cannot be read at the moment.").retry_after(2)
        }
        ReplayError::Rows(RowsError::UnknownGeneration(_) | RowsError::UnknownProjection(_)) => {
            Problem::not_found()
        }
        other => Problem::internal(other),
    }
}
