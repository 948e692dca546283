//! Signals into the log, and what is none into the dead letters.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::Ids;
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, Receipt, StreamWrite};
use domain::signal::{self, Fault, MAX_KEPT_BYTES, REJECTED, REJECTS_KIND, Rejected, Signal, UNKNOWN_APP};
use domain::{StreamId, TenantId, registry};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::decode::Item;

/// Who sends.
#[derive(Clone)]
pub struct Sender {
    pub tenant: TenantId,
    pub actor: Arc<str>,
    pub correlation_id: Option<Arc<str>>,
    /// For rejects that do not tell their app.
    pub app: Option<String>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Accepted {
        event_id: Uuid,
        position: u64,
    },
    /// Was there already, here.
    Duplicate {
        event_id: Uuid,
        position: u64,
    },
    /// Kept with the reason, here.
    Rejected {
        fault: Fault,
        position: u64,
    },
    /// Not recorded, or not known to be: send it again.
    Failed(AppendError),
}

/// Appends all of it at once: each signal for itself, the rejects together.
pub async fn record(log: &dyn EventLog, ids: &dyn Ids, sender: &Sender, items: Vec<Item>) -> Vec<Answer> {
    let mut appends = Vec::with_capacity(items.len() + 1);
    let mut rejects = Vec::new();
    let mut plans = Vec::with_capacity(items.len());
    for item in items {
        let planned = match (&item.read, &item.refused) {
            (Ok(signal), None) => append(signal, ids, sender),
            (Err(fault), _) | (Ok(_), Some(fault)) => Err(fault.clone()),
        };
        plans.push(match planned {
            Ok(append) => {
                appends.push(append);
                None
            }
            Err(fault) => {
                rejects.push(reject(&item, &fault, sender, ids));
                Some(fault)
            }
        });
    }
    let rejected = !rejects.is_empty();
    if rejected {
        let stream = StreamId {
            tenant: sender.tenant.clone(),
            kind: REJECTS_KIND.into(),
            id: sender.app.as_deref().unwrap_or(UNKNOWN_APP).into(),
        };
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: rejects }];
        appends.push(Append { writes, metadata: metadata(sender, ids), idempotency: None });
    }
    let mut results = log.append(appends).await;
    let kept = if rejected { results.pop() } else { None };
    let mut kept = Kept::new(kept);
    let mut results = results.into_iter();
    let mut answers = Vec::with_capacity(plans.len());
    for plan in plans {
        answers.push(match plan {
            Some(fault) => kept.next(fault),
            None => results.next().map_or_else(|| Answer::Failed(silent()), answer),
        });
    }
    answers
}

fn metadata(sender: &Sender, ids: &dyn Ids) -> Metadata {
    let command_id = ids.next();
    Metadata {
        actor: sender.actor.clone(),
        command_id,
        correlation_id: sender.correlation_id.clone().unwrap_or_else(|| command_id.to_string().into()),
        causation_id: None,
    }
}

fn append(signal: &Signal, ids: &dyn Ids, sender: &Sender) -> Result<Append, Fault> {
    let payload = serde_json::to_string(signal).map_err(|e| Fault::new("", e.to_string()))?;
    let event = NewEvent {
        event_id: ids.next(),
        event_type: signal::RECEIVED.into(),
        schema: registry::schema_of(signal::RECEIVED),
        occurred_at: signal.occurred_at(),
        payload,
    };
    let stream = signal.stream(&sender.tenant).map_err(|e| Fault::new("", e.to_string()))?;
    let writes = vec![StreamWrite { stream, expected: ExpectedVersion::NoStream, events: vec![event] }];
    Ok(Append { writes, metadata: metadata(sender, ids), idempotency: None })
}

fn reject(item: &Item, fault: &Fault, sender: &Sender, ids: &dyn Ids) -> NewEvent {
    let named = item.read.as_ref().ok();
    let kept = &item.bytes[..item.bytes.len().min(MAX_KEPT_BYTES)];
    let rejected = Rejected {
        app: named.map(|s| s.app.clone()).or_else(|| sender.app.clone()),
        id: named.map(|s| s.id.clone()),
        reason: fault.reason.clone(),
        pointer: fault.pointer.clone(),
        content_type: item.media_type.clone(),
        size: item.bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(&item.bytes)),
        bytes_base64: STANDARD.encode(kept),
    };
    NewEvent {
        event_id: ids.next(),
        event_type: REJECTED.into(),
        schema: registry::schema_of(REJECTED),
        occurred_at: None,
        // A struct of texts and numbers always serialises.
        payload: serde_json::to_string(&rejected).unwrap_or_default(),
    }
}

fn answer(result: Result<Receipt, AppendError>) -> Answer {
    match result {
        Ok(receipt) => match receipt.events.first() {
            Some(e) => Answer::Accepted { event_id: e.event_id, position: e.position },
            None => Answer::Failed(silent()),
        },
        // The stream holds one event, so the newer one is the first.
        Err(AppendError::Conflict { newer, .. }) if !newer.is_empty() => {
            Answer::Duplicate { event_id: newer[0].event_id, position: newer[0].position }
        }
        Err(error) => Answer::Failed(error),
    }
}

fn silent() -> AppendError {
    AppendError::Unavailable { reason: "the log gave no answer".into(), unknown: true }
}

/// The rejects' own append, handed out one by one.
enum Kept {
    At(std::vec::IntoIter<u64>),
    Not(AppendError),
}

impl Kept {
    fn new(result: Option<Result<Receipt, AppendError>>) -> Self {
        match result {
            Some(Ok(receipt)) => {
                Self::At(receipt.events.iter().map(|e| e.position).collect::<Vec<_>>().into_iter())
            }
            Some(Err(error)) => Self::Not(error),
            None => Self::Not(silent()),
        }
    }

    fn next(&mut self, fault: Fault) -> Answer {
        match self {
            Self::At(positions) => match positions.next() {
                Some(position) => Answer::Rejected { fault, position },
                None => Answer::Failed(silent()),
            },
            Self::Not(error) => Answer::Failed(error.clone()),
        }
    }
}
