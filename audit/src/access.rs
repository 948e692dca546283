//! Who may look, at whose history, and what a refusal looks like from outside.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use daybook_http::auth::Role;
use daybook_http::problem::Place;
use daybook_http::{Kind, Principal, Problem};
use domain::TenantId;
use domain::ports::rows::RowsError;

/// A key with the role auditor. The first argument of every operation, so that
/// others learn nothing from how their parameters are taken.
pub struct Auditor(Principal);

impl<S: Send + Sync> FromRequestParts<S> for Auditor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require(Role::Auditor)?;
        Ok(Self(principal))
    }
}

impl Auditor {
    pub fn actor(&self) -> Arc<str> {
        self.0.actor()
    }

    /// The key's own tenant. Only the installation's auditors may name another.
    pub fn tenant(&self, named: Option<&str>) -> Result<TenantId, Problem> {
        let own = &self.0.tenant;
        let Some(named) = named else { return Ok(own.clone()) };
        let named = TenantId::new(named).map_err(|e| Problem::parameter("tenant", e))?;
        if named == *own || *own == TenantId::system() {
            return Ok(named);
        }
        Err(Problem::at(Kind::Forbidden, Place::Parameter("tenant".into()), "is not the tenant of this key"))
    }
}

/// A number within its bounds.
pub fn within(name: &str, given: Option<usize>, default: usize, max: usize) -> Result<usize, Problem> {
    match given.unwrap_or(default) {
        n if (1..=max).contains(&n) => Ok(n),
        _ => Err(Problem::parameter(name, format!("must be 1 to {max}"))),
    }
}

/// An actor or a correlation id, as events have them.
pub fn name<'a>(parameter: &str, value: &'a str) -> Result<&'a str, Problem> {
    if value.is_empty() || value.len() > 256 || value.chars().any(char::is_control) {
        return Err(Problem::parameter(parameter, "must be 1 to 256 bytes without control characters"));
    }
    Ok(value)
}

pub fn rows_problem(error: RowsError) -> Problem {
    match error {
        RowsError::UnknownProjection(_) => {
            Problem::new(Kind::Unavailable, "The index of the history is not there yet.").retry_after(1)
        }
        // Pruned between two reads of one answer.
        RowsError::UnknownGeneration(_) => {
            Problem::new(Kind::Unavailable, "The rows were replaced meanwhile.").retry_after(1)
        }
        RowsError::Unavailable(reason) => {
            tracing::error!(%reason, "rows cannot be read");
            Problem::new(Kind::Unavailable, "The rows cannot be read at the moment.").retry_after(2)
        }
        other => Problem::internal(other),
    }
}
