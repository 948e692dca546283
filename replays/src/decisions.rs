//! Recording a decision: load, decide, append with the version that was
//! loaded. The aggregates belong to the system's tenant; the idempotency key
//! to the tenant of who asks.

use std::sync::Arc;

use domain::decide::{Context, Decide};
use domain::envelope::Metadata;
use domain::ports::log::{Append, AppendError, ExpectedVersion, Idempotency, Receipt, StreamWrite};
use domain::target_url::UrlPolicy;
use domain::{TenantId, registry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::error::ReplayError;
use crate::facts::Facts;

/// Conflicts tried again where nothing depends on what else was decided.
pub const PATIENT: usize = 8;
/// For decisions that another one in between would change the meaning of.
pub const ONCE: usize = 1;

/// Who asks.
#[derive(Debug, Clone)]
pub struct By {
    pub actor: Arc<str>,
    pub correlation_id: Option<Arc<str>>,
    pub key: Option<RequestKey>,
}

impl By {
    pub fn actor(actor: impl Into<Arc<str>>) -> Self {
        Self { actor: actor.into(), correlation_id: None, key: None }
    }
}

/// An `Idempotency-Key` and what was asked with it.
#[derive(Debug, Clone)]
pub struct RequestKey {
    pub tenant: TenantId,
    pub key: String,
    pub request_hash: [u8; 32],
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    pub projection: String,
    /// The generation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// False if it was so already.
    pub changed: bool,
    /// Of the newest decision about the projection.
    pub position: u64,
}

/// A decision and where it may be repeated from.
pub struct Asked<'a, A: Decide> {
    pub facts: Facts<A>,
    pub command: A::Command,
    pub generation: Option<u32>,
    pub by: &'a By,
    pub attempts: usize,
}

impl Engine {
    pub(crate) async fn decide<A>(
        &self,
        projection: &str,
        asked: Asked<'_, A>,
    ) -> Result<Decided, ReplayError>
    where
        A: Decide,
        A::Command: Clone,
    {
        let Asked { mut facts, command, generation, by, attempts } = asked;
        let mut attempt = 1;
        loop {
            let context = Context { now: self.clock.now(), urls: UrlPolicy::default() };
            let decision = facts.state.decide(command.clone(), &context)?;
            let changed = !decision.events.is_empty();
            let mut decided =
                Decided { projection: projection.into(), generation, changed, position: facts.position };
            if !changed && by.key.is_none() {
                return Ok(decided);
            }
            let events: Result<_, _> =
                decision.events.iter().map(|e| registry::new_event(e, self.ids.next())).collect();
            let events = events.map_err(|e| ReplayError::Fold(e.to_string()))?;
            let expected = match facts.version {
                0 => ExpectedVersion::NoStream,
                version => ExpectedVersion::Exact(version),
            };
            let write = StreamWrite { stream: facts.stream.clone(), expected, events };
            match self.append(write, by, &decided).await {
                Ok(receipt) if receipt.replayed => return stored(&receipt),
                Ok(receipt) => {
                    decided.position = decided.position.max(receipt.position());
                    self.wake.notify_waiters();
                    return Ok(decided);
                }
                Err(AppendError::Conflict { .. }) if attempt < attempts => {
                    attempt += 1;
                    facts.refresh(&*self.log).await?;
                }
                Err(AppendError::Conflict { .. }) => return Err(ReplayError::Overtaken(projection.into())),
                Err(error) => return Err(ReplayError::Append(error)),
            }
        }
    }

    async fn append(&self, write: StreamWrite, by: &By, reply: &Decided) -> Result<Receipt, AppendError> {
        let command_id = self.ids.next();
        let correlation_id = by.correlation_id.clone().unwrap_or_else(|| command_id.to_string().into());
        let append = Append {
            writes: vec![write],
            metadata: Metadata { actor: by.actor.clone(), command_id, correlation_id, causation_id: None },
            idempotency: by.key.as_ref().map(|k| Idempotency {
                tenant: k.tenant.clone(),
                key: k.key.clone(),
                request_hash: k.request_hash,
                // A struct of numbers and names always serialises.
                reply: serde_json::to_string(reply).unwrap_or_default(),
            }),
        };
        let mut results = self.log.append(vec![append]).await;
        results.pop().unwrap_or_else(|| {
            Err(AppendError::Unavailable { reason: "the log gave no answer".into(), unknown: true })
        })
    }

    /// The answer that this request has had already.
    pub async fn answered(&self, by: &By) -> Result<Option<Decided>, ReplayError> {
        let Some(asked) = &by.key else { return Ok(None) };
        let Some(reply) = self.log.stored_reply(&asked.tenant, &asked.key).await? else { return Ok(None) };
        if reply.request_hash != asked.request_hash {
            return Err(ReplayError::Append(AppendError::KeyReused));
        }
        stored(&reply.receipt).map(Some)
    }
}

fn stored(receipt: &Receipt) -> Result<Decided, ReplayError> {
    let reply = receipt.reply.as_deref().and_then(|r| serde_json::from_str::<Decided>(r).ok());
    let mut reply = reply.ok_or_else(|| {
        let reason = "the reply stored under the idempotency key does not read".into();
        ReplayError::Append(AppendError::Unavailable { reason, unknown: false })
    })?;
    reply.position = reply.position.max(receipt.position());
    Ok(reply)
}
