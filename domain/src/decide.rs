//! What a decision is given and what it answers.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ids::StreamId;
use crate::ports::log::ExpectedVersion;
use crate::target_url::UrlPolicy;

/// The world as a decision may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    pub now: Timestamp,
    /// What the tenant allows redirects to lead to.
    pub urls: UrlPolicy,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A field of the command does not hold; `field` is a JSON pointer.
    #[error("{field}: {reason}")]
    Field { field: String, reason: String },
    /// The aggregate is in no state for this command (HTTP 409).
    #[error("{0}")]
    State(String),
    /// There is no such aggregate (HTTP 404).
    #[error("not found")]
    NotFound,
}

impl Rejection {
    pub fn field(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::Field { field: field.into(), reason: reason.to_string() }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<E> {
    /// Empty if everything is already as asked for.
    pub events: Vec<E>,
    /// What the client should know although it was done, such as overlapping windows.
    pub warnings: Vec<String>,
    /// Other streams that must be as expected for this to hold, with the JSON
    /// pointer of the field that names them.
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub field: &'static str,
    pub kind: &'static str,
    pub id: String,
    pub expected: ExpectedVersion,
}

impl<E> Decision<E> {
    pub fn events(events: Vec<E>) -> Self {
        Self { events, warnings: Vec::new(), checks: Vec::new() }
    }

    pub fn nothing() -> Self {
        Self::events(Vec::new())
    }
}

/// An aggregate: state folded from its stream's events, and the pure decision.
///
/// `cqrs_es::Aggregate` is implemented on top of this, for its test language.
pub trait Decide: Default + Send + Sync + 'static {
    /// Stream kind, also the path segment of its commands (`events` → `event`).
    const KIND: &'static str;
    type Command: Send;
    type Event: Serialize + DeserializeOwned + Clone + Send + Sync;

    fn decide(&self, command: Self::Command, context: &Context) -> Result<Decision<Self::Event>, Rejection>;
    fn evolve(&mut self, event: Self::Event);
}

/// Where the aggregate of this kind and id has its history.
pub fn stream_of<A: Decide>(tenant: &crate::TenantId, id: &str) -> Result<StreamId, crate::ids::InvalidId> {
    StreamId::new(tenant, A::KIND, id)
}
