//! The log's tree, for everybody: checkpoint and tiles as C2SP's tlog-tiles
//! lays them out, below `/log`. And for auditors, proofs of single events.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daybook_http::auth::Role;
use daybook_http::{Kind, Path, Principal, Problem};
use domain::TenantId;
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::tree::{SignedCheckpoint, TreeLog};
use proofs::{ProofError, ProofFile, TileError, TilePath, Tiles};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::at_least::{AtLeast, POSITION};

/// Full tiles never change, and a partial one is a beginning of its full one.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";
/// How often it is looked for a checkpoint that covers a position.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct TreeState {
    pub log: Arc<dyn EventLog>,
    pub tree: Arc<dyn TreeLog>,
    pub tiles: Arc<dyn Tiles>,
    /// Of the checkpoints that are served; `None` while nobody signs.
    pub origin: Option<String>,
}

/// Without a key.
pub fn public_router(state: TreeState) -> Router {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/tile/{*path}", get(tile))
        .with_state(state)
}

pub fn router(state: TreeState) -> Router {
    Router::new()
        .route("/v1/audit/proofs/{position}", get(proof))
        .route("/v1/audit/checkpoints", post(sign))
        .with_state(state)
}

#[derive(OpenApi)]
#[openapi(paths(proof, sign))]
struct Doc;

#[derive(OpenApi)]
#[openapi(paths(checkpoint, tile))]
struct PublicDoc;

pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

pub fn public_openapi() -> utoipa::openapi::OpenApi {
    PublicDoc::openapi()
}

/// The newest checkpoint: a signed note with the log's origin, size and root
/// (C2SP tlog-checkpoint).
#[utoipa::path(get, path = "/log/checkpoint", tag = "Audit", security(()), responses((status = 200, content((String = "text/plain")))))]
async fn checkpoint(State(state): State<TreeState>, headers: HeaderMap) -> Result<Response, Problem> {
    let newest = match &state.origin {
        Some(origin) => state.tree.checkpoint(origin, None).await?,
        None => None,
    };
    let newest = newest.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}-{}\"", newest.size, newest.note.len());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(TEXT)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache")),
        (header::ETAG, HeaderValue::from_str(&tag).map_err(Problem::internal)?),
    ];
    match known {
        true => Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        false => Ok((headers, newest.note).into_response()),
    }
}

/// A tile of hashes, `<level>/<index>[.p/<width>]`, or a bundle of entries,
/// `entries/<index>[.p/<width>]` (C2SP tlog-tiles). An entry is the SHA-256 of
/// an event's canonical bytes.
#[utoipa::path(get, path = "/log/tile/{path}", tag = "Audit", security(()), params(("path" = String, Path)), responses((status = 200, content((Vec<u8> = "application/octet-stream")))))]
async fn tile(State(state): State<TreeState>, Path(path): Path<String>) -> Result<Response, Problem> {
    let path = TilePath::parse(&format!("tile/{path}")).map_err(|_| Problem::not_found())?;
    let bytes = state.tiles.tile(path).await.map_err(tile_problem)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER)),
    ];
    Ok((headers, bytes).into_response())
}

/// A proof file (C2SP tlog-proof) that the event at a position is in the log:
/// the event's canonical bytes, the path to the root, and a checkpoint with it.
/// Waits for a checkpoint that covers the position as long as `Prefer: wait=`
/// says.
#[utoipa::path(get, path = "/v1/audit/proofs/{position}", tag = "Audit", params(("position" = u64, Path)), responses((status = 200, content((String = "text/plain")))))]
async fn proof(
    State(state): State<TreeState>,
    principal: Principal,
    Path(position): Path<u64>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    principal.require(Role::Auditor)?;
    let before = position.checked_sub(1).ok_or_else(Problem::not_found)?;
    let page = state.log.read(before, 1, &ReadFilter::default()).await?;
    let may_see = |tenant: &TenantId| *tenant == principal.tenant || principal.tenant == TenantId::system();
    let event = page.events.into_iter().find(|e| e.position == position && may_see(&e.stream.tenant));
    let event = event.ok_or_else(Problem::not_found)?;
    let checkpoint = covering(&state, position, at_least.wait).await?;
    let path = proofs::inclusion(&*state.tiles, checkpoint.size, &checkpoint.root, before).await;
    let path = path.map_err(proof_problem)?.path;
    let extra = Some(event.canonical_bytes());
    let file = ProofFile { extra, index: before, path, checkpoint: checkpoint.note };
    let name = format!("attachment; filename=\"{position}.tlog-proof\"");
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(TEXT)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(Problem::internal)?),
        (POSITION, HeaderValue::from(checkpoint.size)),
    ];
    Ok((headers, file.to_text()).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckpointBody {
    origin: String,
    size: u64,
    /// Hexadecimal.
    root: String,
    /// The signed note.
    note: String,
}

/// A checkpoint that covers all that the log holds now, as soon as it is signed.
#[utoipa::path(post, path = "/v1/audit/checkpoints", tag = "Audit", responses((status = 200, body = CheckpointBody)))]
async fn sign(
    State(state): State<TreeState>,
    principal: Principal,
    at_least: AtLeast,
) -> Result<axum::Json<CheckpointBody>, Problem> {
    principal.require(Role::Auditor)?;
    let head = state.log.head().await?.position;
    let SignedCheckpoint { origin, size, root, note, .. } = covering(&state, head, at_least.wait).await?;
    Ok(axum::Json(CheckpointBody { origin, size, root: hex::encode(root), note }))
}

/// The smallest checkpoint that covers a position, waited for.
async fn covering(state: &TreeState, position: u64, wait: Duration) -> Result<SignedCheckpoint, Problem> {
    let unsigned = || Problem::new(Kind::Unavailable, "Nobody signs this log.");
    let origin = state.origin.as_deref().ok_or_else(unsigned)?;
    let deadline = Instant::now() + wait;
    loop {
        let found = state.tree.checkpoints(origin, position.saturating_sub(1), 1).await?;
        if let Some(found) = found.into_iter().next() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            let detail = format!("No checkpoint covers position {position} yet.");
            return Err(Problem::new(Kind::NotCaughtUp, detail).retry_after(1));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn tile_problem(error: TileError) -> Problem {
    match error {
        TileError::Missing(_) => Problem::not_found(),
        TileError::Damaged { .. } => Problem::internal(error),
        TileError::Unavailable(reason) => {
            tracing::error!(%reason, "tiles cannot be read");
            Problem::new(Kind::Unavailable, "The tiles cannot be read at the moment.").retry_after(2)
        }
    }
}

fn proof_problem(error: ProofError) -> Problem {
    match error {
        ProofError::Tile(error) => tile_problem(error),
        error => Problem::internal(format!("the log's tree contradicts its checkpoint: {error}")),
    }
}
