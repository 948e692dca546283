//! `ApiKey`: a credential, kept as the hash of its secret. Stream kind
//! `api_key`, its id the key's public id.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;

pub const KIND: &str = "api_key";
pub const ISSUED: &str = "api_key.issued";
pub const REVOKED: &str = "api_key.revoked";
pub const USED: &str = "api_key.used";

/// What a credential may do. `admin` manages keys and settings of its tenant;
/// `ingest` sends signals and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Writer,
    Reader,
    Operator,
    Auditor,
    Admin,
    Ingest,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Writer, Self::Reader, Self::Operator, Self::Auditor, Self::Admin, Self::Ingest];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::Ingest => "ingest",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "api_key.issued")]
    Issued {
        name: String,
        roles: Vec<Role>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// The only app whose signals the key may send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// SHA-256 of the secret, hex. The secret has 256 random bits, so a
        /// fast hash is enough.
        secret_sha256: String,
    },
    #[serde(rename = "api_key.revoked")]
    Revoked {},
    /// Written at most once an hour for a key.
    #[serde(rename = "api_key.used")]
    Used {},
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Issue {
        name: String,
        roles: Vec<Role>,
        expires_at: Option<Timestamp>,
        app: Option<String>,
        secret_sha256: String,
    },
    Revoke,
    /// The key has opened a request.
    Use,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub name: String,
    pub roles: Vec<Role>,
    pub expires_at: Option<Timestamp>,
    pub app: Option<String>,
    /// Empty until issued.
    pub secret_sha256: String,
    pub revoked: bool,
}

impl Decide for ApiKey {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Issue { .. } if !self.secret_sha256.is_empty() => {
                Err(Rejection::State("the key has been issued".into()))
            }
            Command::Issue { name, mut roles, expires_at, app, secret_sha256 } => {
                if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
                    let reason = "must be 1 to 100 bytes without control characters";
                    return Err(Rejection::field("/name", reason));
                }
                if roles.is_empty() {
                    return Err(Rejection::field("/roles", "must name at least one role"));
                }
                if expires_at.is_some_and(|at| at <= context.now) {
                    return Err(Rejection::field("/expires_at", "must be in the future"));
                }
                roles.sort_unstable();
                roles.dedup();
                if let Some(app) = &app {
                    check_id(app).map_err(|e| Rejection::field("/app", e))?;
                    // Any other role would reach past the app.
                    if roles != [Role::Ingest] {
                        let reason = "must be ingest alone for the key of an app";
                        return Err(Rejection::field("/roles", reason));
                    }
                }
                Ok(Decision::events(vec![Event::Issued { name, roles, expires_at, app, secret_sha256 }]))
            }
            _ if self.secret_sha256.is_empty() => Err(Rejection::NotFound),
            Command::Revoke | Command::Use if self.revoked => Ok(Decision::nothing()),
            Command::Revoke => Ok(Decision::events(vec![Event::Revoked {}])),
            Command::Use => Ok(Decision::events(vec![Event::Used {}])),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Issued { name, roles, expires_at, app, secret_sha256 } => {
                *self = Self { name, roles, expires_at, app, secret_sha256, revoked: false }
            }
            Event::Revoked {} => self.revoked = true,
            Event::Used {} => {}
        }
    }
}
