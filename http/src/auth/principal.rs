use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::TenantId;
use domain::api_key::Role;

use crate::problem::{Kind, Problem};

/// The holder of the API key of a request. The tenant comes from here and
/// never from a body, path or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub tenant: TenantId,
    pub key_id: Arc<str>,
    pub roles: Arc<[Role]>,
    /// The only app whose signals it may send.
    pub app: Option<Arc<str>>,
}

impl Principal {
    pub fn new(tenant: TenantId, key_id: &str, roles: &[Role]) -> Self {
        Self { tenant, key_id: key_id.into(), roles: roles.into(), app: None }
    }

    /// An admin may do everything within its tenant; no other role implies
    /// another.
    pub fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|r| *r == role || *r == Role::Admin)
    }

    pub fn require(&self, role: Role) -> Result<(), Problem> {
        self.require_any(&[role])
    }

    pub fn require_any(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.iter().any(|r| self.has(*r)) {
            return Ok(());
        }
        let names: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
        let detail = format!("This needs a key with the role {}.", names.join(" or "));
        Err(Problem::new(Kind::Forbidden, detail).with("roles", names))
    }

    /// The `actor` of what this principal causes.
    pub fn actor(&self) -> Arc<str> {
        format!("key:{}", self.key_id).into()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(unauthenticated)
    }
}

/// The one answer to a missing, unknown, revoked or expired key.
pub fn unauthenticated() -> Problem {
    Problem::new(Kind::Unauthenticated, "Send a valid API key as X-API-Key or as a bearer token.")
}
