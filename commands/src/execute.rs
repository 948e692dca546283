//! How a command is executed.

use std::sync::Arc;

use tokio::sync::Semaphore;

use daybook_http::Principal;
use domain::api_key::Role;
use domain::decide::{Context, Decide, Decision, Rejection, stream_of};
use domain::envelope::Metadata;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{
    Append, AppendError, EventLog, ExpectedVersion, Idempotency, LogError, Receipt, StreamWrite,
};
use domain::registry::{self, DecodeError};
use domain::target_url::UrlPolicy;
use domain::{StreamId, ids};

use crate::reply::{Outcome, StoredOutcome};

/// Conflicts retried when the caller named no version.
const MAX_ATTEMPTS: usize = 8;
const LOAD_PAGE: usize = 1_000;

/// What every command needs from outside.
#[derive(Clone)]
pub struct Services {
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub bulk: BulkLimits,
}

/// What one bulk request may hold, and how many may be in memory at once.
#[derive(Debug, Clone)]
pub struct BulkLimits {
    pub body_bytes: usize,
    pub rows: usize,
    pub uploads: Arc<Semaphore>,
}

impl Default for BulkLimits {
    fn default() -> Self {
        Self { body_bytes: 64 << 20, rows: 200_000, uploads: Arc::new(Semaphore::new(4)) }
    }
}

/// Who calls which aggregate, and under what conditions.
#[derive(Clone)]
pub struct Call {
    pub principal: Principal,
    /// Kept with the events: the key, the person at the terminal, the worker.
    pub actor: Arc<str>,
    /// The role that the command asks for.
    pub role: Role,
    pub id: String,
    /// `If-Match`: what the caller takes the version to be.
    pub if_match: Option<ExpectedVersion>,
    pub idempotency: Option<RequestKey>,
    pub correlation_id: Option<Arc<str>>,
    /// Where the tenant lets redirects lead to.
    pub urls: UrlPolicy,
}

impl Call {
    /// Whether somebody else's event in between refutes `If-Match`; `*` stays
    /// true of a stream that exists.
    pub fn names_version(&self) -> bool {
        matches!(self.if_match, Some(ExpectedVersion::Exact(_) | ExpectedVersion::NoStream))
    }
}

/// An `Idempotency-Key` and the hash of what was asked with it.
#[derive(Clone)]
pub struct RequestKey {
    pub key: String,
    pub request_hash: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the credential lacks the role {}", .0.as_str())]
    Forbidden(Role),
    #[error("the id {0}")]
    Id(#[from] ids::InvalidId),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// `If-Match` does not hold.
    #[error("the stream is at version {actual}")]
    Stale { actual: u64 },
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Authorise, load, decide, append with the version that was loaded; again,
/// a bounded number of times, if somebody was faster and the caller named no
/// version.
pub async fn execute<A>(services: &Services, call: &Call, command: A::Command) -> Result<Outcome, Refusal>
where
    A: Decide,
    A::Command: Clone,
{
    if !call.principal.has(call.role) {
        return Err(Refusal::Forbidden(call.role));
    }
    let stream = stream_of::<A>(&call.principal.tenant, &call.id)?;
    if let Some(outcome) = replay(services, call, &stream).await? {
        return Ok(outcome);
    }
    let mut attempt = 1;
    loop {
        let loaded = load::<A>(services, &stream).await?;
        let outcome = decide_and_append(services, call, &stream, &loaded, command.clone()).await;
        match outcome {
            Err(Refusal::Append(AppendError::Conflict { stream: s, .. }))
                if s == stream && !call.names_version() && attempt < MAX_ATTEMPTS =>
            {
                attempt += 1;
            }
            // The first request with this key may have gone in since we looked.
            // If that cannot be read, the refusal still says what is known.
            Err(refusal) => {
                return match replay(services, call, &stream).await {
                    Ok(first) => first.ok_or(refusal),
                    Err(Refusal::Log(_)) => Err(refusal),
                    Err(reused) => Err(reused),
                };
            }
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// An aggregate as its stream tells.
pub struct Loaded<A> {
    pub state: A,
    pub version: u64,
    /// Position of the newest event of the stream.
    pub position: u64,
}

pub async fn load<A: Decide>(services: &Services, stream: &StreamId) -> Result<Loaded<A>, Refusal> {
    let mut loaded = Loaded { state: A::default(), version: 0, position: 0 };
    loop {
        let page = services.log.read_stream(stream, loaded.version + 1, LOAD_PAGE).await?;
        for event in &page {
            loaded.state.evolve(registry::decode(event)?);
            loaded.version = event.version;
            loaded.position = event.position;
        }
        if page.len() < LOAD_PAGE {
            return Ok(loaded);
        }
    }
}

async fn decide_and_append<A: Decide>(
    services: &Services,
    call: &Call,
    stream: &StreamId,
    loaded: &Loaded<A>,
    command: A::Command,
) -> Result<Outcome, Refusal> {
    if !call.if_match.is_none_or(|expected| expected.holds(loaded.version)) {
        return Err(Refusal::Stale { actual: loaded.version });
    }
    let context = Context { now: services.clock.now(), urls: call.urls.clone() };
    let decision = loaded.state.decide(command, &context)?;
    let unchanged = decision.events.is_empty();
    let stored = StoredOutcome {
        version: loaded.version + decision.events.len() as u64,
        unchanged_at: unchanged.then_some(loaded.position),
        warnings: decision.warnings.clone(),
    };
    if unchanged && call.idempotency.is_none() {
        return Ok(Outcome::unchanged(stream.clone(), stored));
    }
    let append =
        build_append(services, call, stream, ExpectedVersion::Exact(loaded.version), &decision, &stored)?;
    let receipt = append_one(services, append).await.map_err(|e| explain_check(e, stream, &decision))?;
    Outcome::from_receipt(stream.clone(), receipt, stored)
}

/// The append of one decision; also used by bulk commands, which expect that
/// there is no stream yet instead of loading it.
pub fn build_append<E: serde::Serialize>(
    services: &Services,
    call: &Call,
    stream: &StreamId,
    expected: ExpectedVersion,
    decision: &Decision<E>,
    stored: &StoredOutcome,
) -> Result<Append, Refusal> {
    let events = decision
        .events
        .iter()
        .map(|e| registry::new_event(e, services.ids.next()))
        .collect::<Result<_, _>>()?;
    let mut writes = vec![StreamWrite { stream: stream.clone(), expected, events }];
    for check in &decision.checks {
        let stream = StreamId::new(&stream.tenant, check.kind, &check.id)?;
        writes.push(StreamWrite { stream, expected: check.expected, events: vec![] });
    }
    let command_id = services.ids.next();
    let correlation_id = call.correlation_id.clone().unwrap_or_else(|| command_id.to_string().into());
    Ok(Append {
        writes,
        metadata: Metadata { actor: call.actor.clone(), command_id, correlation_id, causation_id: None },
        idempotency: call.idempotency.as_ref().map(|k| Idempotency {
            tenant: stream.tenant.clone(),
            key: k.key.clone(),
            request_hash: k.request_hash,
            reply: stored.to_json(),
        }),
    })
}

pub async fn append_one(services: &Services, append: Append) -> Result<Receipt, AppendError> {
    let mut results = services.log.append(vec![append]).await;
    results.pop().unwrap_or_else(|| {
        Err(AppendError::Unavailable { reason: "the log gave no answer".into(), unknown: true })
    })
}

/// A conflict on a stream that was only checked is a bad field of the command.
pub fn explain_check<E>(error: AppendError, stream: &StreamId, decision: &Decision<E>) -> Refusal {
    if let AppendError::Conflict { stream: other, .. } = &error
        && other != stream
        && let Some(check) = decision.checks.iter().find(|c| *c.id == *other.id && *c.kind == *other.kind)
    {
        return Rejection::field(check.field, format!("names no {}", check.kind)).into();
    }
    error.into()
}

/// The reply kept under the call's idempotency key, if there is one.
pub async fn replay(services: &Services, call: &Call, stream: &StreamId) -> Result<Option<Outcome>, Refusal> {
    let Some(asked) = &call.idempotency else { return Ok(None) };
    let Some(stored) = services.log.stored_reply(&stream.tenant, &asked.key).await? else {
        return Ok(None);
    };
    if stored.request_hash != asked.request_hash {
        return Err(AppendError::KeyReused.into());
    }
    Outcome::replayed(stream.clone(), stored.receipt).map(Some)
}
