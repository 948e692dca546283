//! `/v1/audit/exports`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use daybook_http::limits::preferred_wait;
use daybook_http::{Json, JsonBody, Kind as Problems, Path, Problem, Query};
use domain::audit_trail::Exported;
use domain::ports::log::EventLog;
use domain::{RecordedEvent, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::requests::{Progress, Requests};
use super::{Asked, ExportError, Exports, Kind, Terms, find, record, write};
use crate::AuditState;
use crate::access::Auditor;

/// How long a request waits for its export unless told.
const WAIT: Duration = Duration::from_secs(10);
/// The file that says what the other one is.
pub const MANIFEST: &str = "manifest.tlog-proof";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Failed,
    Done,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Export {
    id: Uuid,
    status: Status,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Positions looked through, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Done>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Done {
    /// Of the event that records it.
    position: u64,
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// What the event says.
    #[schema(value_type = Object)]
    exported: Exported,
    /// Where the file is.
    file: String,
    /// Where the proof of the event is: the file's signed manifest.
    manifest: String,
}

impl Export {
    fn done(id: Uuid, event: &RecordedEvent, exported: Exported) -> Self {
        let kind = Kind::parse(&exported.format).unwrap_or_default();
        let done = Done {
            position: event.position,
            actor: event.metadata.actor.to_string(),
            recorded_at: event.recorded_at,
            exported,
            file: format!("/v1/audit/exports/{id}/{}", kind.file_name()),
            manifest: format!("/v1/audit/exports/{id}/{MANIFEST}"),
        };
        Self { id, status: Status::Done, reason: None, progress: None, done: Some(done) }
    }

    fn so_far(id: Uuid, progress: Progress) -> Self {
        let (status, reason, progress) = match progress {
            Progress::Running(done, all) => (Status::Running, None, Some((done, all))),
            Progress::Failed(reason) => (Status::Failed, Some(reason), None),
        };
        Self { id, status, reason, progress, done: None }
    }
}

/// Writes all events that match into one file (NDJSON, CSV or Parquet) and
/// records its hash. One export is made at a time. If it takes longer than
/// `Prefer: wait=` says (10 s unless told), the answer is 202, and the export's
/// own address tells what came of it.
#[utoipa::path(post, path = "/v1/audit/exports", tag = "Audit", request_body = Terms, responses((status = 201, body = Export), (status = 202, body = Export)))]
pub async fn begin(
    State(state): State<AuditState>,
    auditor: Auditor,
    headers: HeaderMap,
    JsonBody { value: terms, .. }: JsonBody<Terms>,
) -> Result<Response, Problem> {
    let tenant = auditor.tenant(terms.tenant.as_deref())?;
    let exports = state.exports()?;
    let asked = Asked::of(&*state.log, &terms, tenant.clone()).await?;
    let turn = state.turn()?;
    let id = exports.ids.next();
    let making = Making {
        log: state.log.clone(),
        exports: exports.clone(),
        requests: state.requests.clone(),
        tenant: tenant.clone(),
        id,
        actor: auditor.actor(),
    };
    state.requests.set(id, &tenant, Progress::Running(0, 0));
    // Goes on if the client leaves.
    let mut task = tokio::spawn(making.run(asked, turn));
    let ended = tokio::time::timeout(preferred_wait(&headers).unwrap_or(WAIT), &mut task).await;
    if let Ok(Err(error)) = &ended {
        state.requests.set(id, &tenant, Progress::Failed(BROKEN.to_owned()));
        return Err(Problem::internal(error));
    }
    let status = if ended.is_ok() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let export = look(&state, &tenant, id).await?;
    if let Status::Failed = export.status {
        return Err(Problem::internal(export.reason.unwrap_or_default()));
    }
    let address = format!("/v1/audit/exports/{id}");
    let location = HeaderValue::from_str(&address).map_err(Problem::internal)?;
    Ok((status, [(header::LOCATION, location)], Json(export)).into_response())
}

/// What failed inside is for the operator.
const BROKEN: &str = "the server could not make it; its log says why";

struct Making {
    log: Arc<dyn EventLog>,
    exports: Exports,
    requests: Arc<Requests>,
    tenant: TenantId,
    id: Uuid,
    actor: Arc<str>,
}

impl Making {
    async fn run(self, asked: Asked, turn: OwnedSemaphorePermit) {
        match self.make(&asked).await {
            Ok(()) => self.requests.done(self.id, &self.tenant),
            Err(error) => {
                tracing::error!(id = %self.id, %error, "an export failed");
                self.requests.set(self.id, &self.tenant, Progress::Failed(BROKEN.to_owned()));
            }
        }
        drop(turn);
    }

    async fn make(&self, asked: &Asked) -> Result<(), ExportError> {
        let Self { log, exports, tenant, id, .. } = self;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(asked.kind.file_name());
        let progress = |done, all| self.requests.set(*id, tenant, Progress::Running(done, all));
        let exported = write(&**log, asked, &file, exports.parquet, progress).await?;
        exports.store.put(&name(tenant, *id, asked.kind), &file).await?;
        record(&**log, &*exports.ids, (tenant, *id), self.actor.clone(), &exported).await?;
        Ok(())
    }
}

fn name(tenant: &TenantId, id: Uuid, kind: Kind) -> String {
    format!("{tenant}/{id}.{}", kind.as_str())
}

async fn look(state: &AuditState, tenant: &TenantId, id: Uuid) -> Result<Export, Problem> {
    if let Some((event, exported)) = find(&*state.log, tenant, id).await.map_err(problem)? {
        return Ok(Export::done(id, &event, exported));
    }
    let progress = state.requests.get(id, tenant).ok_or_else(Problem::not_found)?;
    Ok(Export::so_far(id, progress))
}

/// What came of an export. One that is being made, or failed, is known to the
/// process that makes it.
#[utoipa::path(get, path = "/v1/audit/exports/{id}", tag = "Audit", params(("id" = Uuid, Path), Whose), responses((status = 200, body = Export)))]
pub async fn one(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(id): Path<Uuid>,
    Query(whose): Query<Whose>,
) -> Result<Json<Export>, Problem> {
    let tenant = auditor.tenant(whose.tenant.as_deref())?;
    look(&state, &tenant, id).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FilePath {
    id: Uuid,
    /// `events.ndjson`, `events.csv` or `events.parquet`, whichever it was made
    /// as, or `manifest.tlog-proof`.
    file: String,
}

/// The file of an export, or the proof of the event that records it.
#[utoipa::path(get, path = "/v1/audit/exports/{id}/{file}", tag = "Audit", params(FilePath, Whose), responses((status = 200, content((Vec<u8> = "application/octet-stream")))))]
pub async fn file(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(FilePath { id, file }): Path<FilePath>,
    Query(whose): Query<Whose>,
) -> Result<Response, Problem> {
    let tenant = auditor.tenant(whose.tenant.as_deref())?;
    let exports = state.exports()?;
    let found = find(&*state.log, &tenant, id).await.map_err(problem)?;
    let (event, exported) = found.ok_or_else(Problem::not_found)?;
    if file == MANIFEST {
        return Ok(Redirect::temporary(&format!("/v1/audit/proofs/{}", event.position)).into_response());
    }
    let kind = Kind::parse(&exported.format).filter(|kind| kind.file_name() == file);
    let kind = kind.ok_or_else(Problem::not_found)?;
    let pieces = exports.store.get(&name(&tenant, id, kind)).await.map_err(unavailable)?;
    let pieces = pieces.ok_or_else(Problem::not_found)?;
    let saved_as = format!("attachment; filename=\"{id}.{}\"", kind.as_str());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind.media())),
        (header::CONTENT_LENGTH, HeaderValue::from(exported.bytes)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&saved_as).map_err(Problem::internal)?),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn unavailable(error: std::io::Error) -> Problem {
    tracing::error!(%error, "exports cannot be read");
    Problem::new(Problems::Unavailable, "The exports cannot be read at the moment.").retry_after(2)
}

fn problem(error: ExportError) -> Problem {
    match error {
        ExportError::Log(error) => error.into(),
        other => Problem::internal(other),
    }
}

impl AuditState {
    fn exports(&self) -> Result<&Exports, Problem> {
        let nowhere = || Problem::new(Problems::Unavailable, "This server has no place for exports.");
        self.exports.as_ref().ok_or_else(nowhere)
    }
}
