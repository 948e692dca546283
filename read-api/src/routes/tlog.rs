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
use domain::ports::tree::{self, SignedCheckpoint, TreeLog};
use proofs::{ProofError, ProofFile, TileError, TilePath, Tiles};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::at_least::AtLeast;
use daybook_http::headers::POSITION;

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
    // A signature that is added later leaves size and root as they were.
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&newest.note)[..16]));
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
    let size = checkpoint.size;
    let file = ProofFile::of(&event, checkpoint, &*state.tiles).await.map_err(proof_problem)?;
    let name = format!("attachment; filename=\"{position}.tlog-proof\"");
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(TEXT)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(Problem::internal)?),
        (POSITION, HeaderValue::from(size)),
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

/// A checkpoint that covers a position, waited for.
async fn covering(state: &TreeState, position: u64, wait: Duration) -> Result<SignedCheckpoint, Problem> {
    let unsigned = || Problem::new(Kind::Unavailable, "Nobody signs this log.");
    let origin = state.origin.as_deref().ok_or_else(unsigned)?;
    let deadline = Instant::now() + wait;
    loop {
        if let Some(found) = tree::covering(&*state.tree, origin, position).await? {
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use domain::envelope::{Metadata, NewEvent};
    use domain::ids::StreamId;
    use domain::ports::clock::Clock;
    use domain::ports::log::{Append, ExpectedVersion, StreamWrite};
    use http_body_util::BodyExt;
    use infra_log::MemoryLog;
    use jiff::Timestamp;
    use proofs::{Checkpoint, LogTiles, SigningKey, Trust};
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;

    const ORIGIN: &str = "log.example";

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate(ORIGIN, &[seed; 32]).unwrap()
    }

    fn new_log() -> Arc<MemoryLog> {
        Arc::new(MemoryLog::new(Arc::new(Noon)))
    }

    /// Events of the tenant acme, and a checkpoint over all there are.
    async fn grow(log: &MemoryLog, events: u128, seed: u8) {
        let stream = StreamId::new(&TenantId::new("acme").unwrap(), "test", "a").unwrap();
        let start = u128::from(log.head().await.unwrap().position);
        let event = |n: u128| NewEvent {
            event_id: Uuid::from_u128(n),
            event_type: "test.done".into(),
            schema: 1,
            occurred_at: None,
            payload: "{}".to_owned(),
        };
        let metadata = Metadata {
            actor: "cli:test".into(),
            command_id: Uuid::nil(),
            correlation_id: "test".into(),
            causation_id: None,
        };
        let events = (start..start + events).map(event).collect();
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
        log.append(vec![Append { writes, metadata, idempotency: None }]).await.remove(0).unwrap();
        let frontier = log.frontier().await.unwrap();
        let (size, root) = (frontier.size(), frontier.root());
        let note = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&[key(seed)]);
        let signed_at = Timestamp::UNIX_EPOCH;
        let signed = SignedCheckpoint { origin: ORIGIN.to_owned(), size, root, note, signed_at };
        log.keep_checkpoint(&signed).await.unwrap();
    }

    /// Status, entity tag and body, for a holder of a key.
    async fn ask(log: &Arc<MemoryLog>, tenant: &str, role: Role, request: &str) -> (u16, String, String) {
        let origin = Some(ORIGIN.to_owned());
        let tiles = Arc::new(LogTiles::new(log.clone()));
        let state = TreeState { log: log.clone(), tree: log.clone(), tiles, origin };
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, tag) = rest.split_once(' ').unwrap_or((rest, ""));
        let tenant = match tenant {
            "_system" => TenantId::system(),
            tenant => TenantId::new(tenant).unwrap(),
        };
        let principal = Principal::new(tenant, "k", &[role]);
        let request = Request::builder().method(method).uri(path).header(header::IF_NONE_MATCH, tag);
        let request = request.header("prefer", "wait=0").extension(principal).body(Body::empty()).unwrap();
        let router = router(state.clone()).merge(public_router(state));
        let answer = router.oneshot(request).await.unwrap();
        let tag = answer.headers().get(header::ETAG).map_or("", |tag| tag.to_str().unwrap()).to_owned();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, tag, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_old_event_is_proved_with_the_key_of_today() {
        let log = new_log();
        grow(&log, 3, 1).await;
        grow(&log, 300, 2).await;
        for position in [1, 3, 4, 303] {
            let path = format!("GET /v1/audit/proofs/{position}");
            let (status, _, file) = ask(&log, "acme", Role::Auditor, &path).await;
            assert_eq!(status, 200, "{file}");
            let file = ProofFile::parse(file.as_bytes()).unwrap();
            let verified = file.check(&Trust::of(key(2).public().clone()), None).unwrap();
            assert_eq!((verified.position, verified.opened.checkpoint.size), (position, 303));
        }
        assert_eq!(tree::covering(&*log, ORIGIN, 303).await.unwrap().map(|c| c.size), Some(303));
        assert_eq!(tree::covering(&*log, ORIGIN, 304).await, Ok(None));
        assert_eq!(tree::covering(&*log, "another.example", 1).await, Ok(None));
    }

    #[tokio::test]
    async fn a_tenants_events_are_proved_to_its_own_auditors() {
        let log = new_log();
        grow(&log, 3, 1).await;
        for (tenant, role, path, expected) in [
            ("acme", Role::Auditor, "GET /v1/audit/proofs/2", 200),
            ("_system", Role::Auditor, "GET /v1/audit/proofs/2", 200),
            ("other", Role::Auditor, "GET /v1/audit/proofs/2", 404),
            ("other", Role::Admin, "GET /v1/audit/proofs/2", 404),
            ("acme", Role::Reader, "GET /v1/audit/proofs/2", 403),
            ("acme", Role::Auditor, "GET /v1/audit/proofs/0", 404),
            ("acme", Role::Auditor, "GET /v1/audit/proofs/4", 404),
            ("acme", Role::Auditor, "GET /v1/audit/proofs/-1", 400),
            ("acme", Role::Auditor, "GET /v1/audit/proofs/x", 400),
            ("acme", Role::Auditor, "GET /v1/audit/proofs/18446744073709551616", 400),
            ("acme", Role::Reader, "POST /v1/audit/checkpoints", 403),
            // Roots and sizes say nothing of anybody's events.
            ("other", Role::Auditor, "POST /v1/audit/checkpoints", 200),
        ] {
            let (status, _, body) = ask(&log, tenant, role, path).await;
            assert_eq!(status, expected, "{tenant} {role:?} {path}: {body}");
            assert!(status == 200 || !body.contains("test.done"), "{body}");
        }
        let nothing = ask(&log, "other", Role::Auditor, "GET /v1/audit/proofs/4").await;
        let foreign = ask(&log, "other", Role::Auditor, "GET /v1/audit/proofs/2").await;
        assert_eq!(foreign, nothing, "whether it exists is not told either");
    }

    #[tokio::test]
    async fn the_tag_of_a_checkpoint_is_that_of_its_bytes() {
        let (one, two) = (new_log(), new_log());
        grow(&one, 3, 1).await;
        grow(&two, 3, 2).await;
        let (status, tag, note) = ask(&one, "acme", Role::Reader, "GET /log/checkpoint").await;
        let (_, other_tag, other) = ask(&two, "acme", Role::Reader, "GET /log/checkpoint").await;
        // The same statement and length, signed by another.
        assert_eq!((status, note.len(), note == other), (200, other.len(), false));
        assert_ne!(tag, other_tag);
        let known = format!("GET /log/checkpoint {tag}");
        assert_eq!(ask(&one, "acme", Role::Reader, &known).await, (304, tag.clone(), String::new()));
        assert_eq!(ask(&two, "acme", Role::Reader, &known).await, (200, other_tag, other));
    }
}
