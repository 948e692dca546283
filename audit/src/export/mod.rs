//! Exports: all events that match, in one file, with a fact of it in the log.
//! The fact has the file's hash and is proved like any other, so a checkpoint
//! that covers it covers the file.

mod file;
mod requests;
pub mod routes;
mod writers;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use domain::audit_trail::{EXPORTED, EXPORTS, Exported};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::Ids;
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, StreamWrite};
use domain::{RecordedEvent, StreamId, TenantId};
use futures::stream::BoxStream;
use uuid::Uuid;

pub use file::{Kind, MakeParquet, sha256, write};
pub(crate) use requests::Requests;
pub use requests::{Asked, Terms};
pub use writers::EventWriter;

/// A file, piece by piece.
pub type Pieces = BoxStream<'static, std::io::Result<bytes::Bytes>>;

/// Where files of exports are kept.
#[async_trait]
pub trait ExportStore: Send + Sync {
    async fn put(&self, name: &str, file: &Path) -> std::io::Result<()>;
    /// `None` if it is not there.
    async fn get(&self, name: &str) -> std::io::Result<Option<Pieces>>;
}

/// What it takes to serve exports.
#[derive(Clone)]
pub struct Exports {
    pub store: Arc<dyn ExportStore>,
    pub parquet: MakeParquet,
    pub ids: Arc<dyn Ids>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the file: {0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Broken(String),
}

impl ExportError {
    fn broken(reason: impl std::fmt::Display) -> Self {
        Self::Broken(reason.to_string())
    }
}

/// The stream of one export.
pub fn stream(tenant: &TenantId, id: Uuid) -> Result<StreamId, ExportError> {
    StreamId::new(tenant, EXPORTS, &id.to_string()).map_err(ExportError::broken)
}

/// Records what was exported, before anybody has it.
pub async fn record(
    log: &dyn EventLog,
    ids: &dyn Ids,
    (tenant, id): (&TenantId, Uuid),
    actor: Arc<str>,
    exported: &Exported,
) -> Result<u64, ExportError> {
    let payload = serde_json::to_string(exported).map_err(ExportError::broken)?;
    let (event_id, command_id) = (ids.next(), ids.next());
    let event = NewEvent { event_id, event_type: EXPORTED.into(), schema: 1, occurred_at: None, payload };
    let (stream, expected) = (stream(tenant, id)?, ExpectedVersion::NoStream);
    let correlation_id = command_id.to_string().into();
    let append = Append {
        writes: vec![StreamWrite { stream, expected, events: vec![event] }],
        metadata: Metadata { actor, command_id, correlation_id, causation_id: None },
        idempotency: None,
    };
    match log.append(vec![append]).await.pop() {
        Some(receipt) => Ok(receipt?.position()),
        None => Err(ExportError::broken("the log did not answer")),
    }
}

/// An export as its fact tells, if there is one.
pub async fn find(
    log: &dyn EventLog,
    tenant: &TenantId,
    id: Uuid,
) -> Result<Option<(RecordedEvent, Exported)>, ExportError> {
    let Some(event) = log.last(&stream(tenant, id)?).await? else { return Ok(None) };
    let told = domain::registry::decode_payload(&event).map_err(ExportError::broken)?;
    Ok(Some((event, told)))
}
