//! Which keys sign the log, as facts: so that auditors see from when to when,
//! and that nobody adds one unseen.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::audit_trail::{KEY_ADDED, KEY_RETIRED, LOG_KEY, LogKey};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::Ids;
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, StreamWrite};
use domain::{StreamId, TenantId};
use proofs::{PublicKey, SigningKey};

const SIGNER: &str = "worker:signer";
/// Others may record the same at the same time.
const ATTEMPTS: usize = 3;

/// Records those keys that do not stand as signing.
pub async fn added(log: &dyn EventLog, ids: &dyn Ids, keys: &[SigningKey]) -> Result<()> {
    for key in keys {
        record(log, ids, KEY_ADDED, SIGNER.into(), key.public()).await.context("recording a signing key")?;
    }
    Ok(())
}

/// `None` for a key that never signed.
pub async fn retired(
    log: &dyn EventLog,
    ids: &dyn Ids,
    actor: Arc<str>,
    key: &PublicKey,
) -> Result<Option<u64>> {
    match log.last(&stream(key)?).await? {
        None => Ok(None),
        Some(_) => record(log, ids, KEY_RETIRED, actor, key).await.map(Some),
    }
}

fn stream(key: &PublicKey) -> Result<StreamId> {
    Ok(StreamId::new(&TenantId::system(), LOG_KEY, &hex::encode(&key.bytes()[..8]))?)
}

/// Where it is recorded, now or already.
async fn record(
    log: &dyn EventLog,
    ids: &dyn Ids,
    event_type: &str,
    actor: Arc<str>,
    key: &PublicKey,
) -> Result<u64> {
    let stream = stream(key)?;
    let told = LogKey { name: key.name().to_owned(), key: key.to_string() };
    for _ in 0..ATTEMPTS {
        let last = log.last(&stream).await?;
        if let Some(last) = last.as_ref().filter(|last| *last.event_type == *event_type) {
            return Ok(last.position);
        }
        let expected = last.map_or(ExpectedVersion::NoStream, |last| ExpectedVersion::Exact(last.version));
        let (event_id, command_id) = (ids.next(), ids.next());
        let payload = serde_json::to_string(&told)?;
        let event =
            NewEvent { event_id, event_type: event_type.into(), schema: 1, occurred_at: None, payload };
        let append = Append {
            writes: vec![StreamWrite { stream: stream.clone(), expected, events: vec![event] }],
            metadata: Metadata {
                actor: actor.clone(),
                command_id,
                correlation_id: command_id.to_string().into(),
                causation_id: None,
            },
            idempotency: None,
        };
        match log.append(vec![append]).await.pop() {
            Some(Ok(receipt)) => return Ok(receipt.position()),
            Some(Err(AppendError::Conflict { .. })) => {}
            Some(Err(error)) => return Err(error.into()),
            None => bail!("the log did not answer"),
        }
    }
    bail!("others record the same key all the time")
}
