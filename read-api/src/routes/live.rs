//! An event's summary as it moves, over server-sent events.
//!
//! A message's id is the position that it reflects. A client that comes back
//! with `Last-Event-ID` gets the summary as soon as the rows are past it: what
//! it missed is in there. Messages are whole summaries, so losing one costs
//! nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use daybook_http::problem::Kind;
use daybook_http::{Path, Problem};
use domain::TenantId;
use domain::ports::rows::Snapshot;
use futures::stream::{self, Stream, StreamExt};
use projections::tap_analytics::NAME;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::OpenApi;

use super::analytics::{SummaryBody, summary_body, summary_queries};
use super::{EventKey, GenerationParameter, ReadHeaders, Reader};
use crate::at_least::AtLeast;
use crate::state::ReadState;

const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Messages are at least this far apart.
const COALESCE: Duration = Duration::from_millis(200);
/// How often the store is asked where no projector runs in this process.
const POLL: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Then the client comes back, and its key is checked again.
const LIFETIME: Duration = Duration::from_mins(10);
const MAX_PER_TENANT: usize = 100;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/analytics/events/{id}/stream", get(live))
        .layer(Extension(Connections::default()))
}

#[derive(OpenApi)]
#[openapi(paths(live))]
pub struct Doc;

/// Open streams by tenant.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<HashMap<TenantId, usize>>>);

/// One open stream; counted until it is dropped.
struct Open {
    connections: Connections,
    tenant: TenantId,
}

impl Connections {
    fn open(&self, tenant: &TenantId) -> Result<Open, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant.clone()).or_default();
        if *count >= MAX_PER_TENANT {
            let detail = format!("{MAX_PER_TENANT} streams of this tenant are open already.");
            return Err(Problem::new(Kind::RateLimited, detail).retry_after(5));
        }
        *count += 1;
        Ok(Open { connections: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.tenant);
            }
        }
    }
}

/// The summary, and again whenever it changes: server-sent events named
/// `summary` whose id is the position that they reflect. Resumes after
/// `Last-Event-ID`. Ends after ten minutes.
#[utoipa::path(get, path = "/v1/analytics/events/{id}/stream", tag = "Analytics", params(("id" = String, Path), ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last message that was seen."), GenerationParameter, ReadHeaders), responses((status = 200, body = SummaryBody, content_type = "text/event-stream")))]
async fn live(
    State(state): State<ReadState>,
    Extension(connections): Extension<Connections>,
    Path(EventKey(id)): Path<EventKey>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let seen = last_event_id(&headers)?;
    let first = state.read(NAME, &reader.tenant, &reader.at_least, &summary_queries(&id)).await?;
    let body = summary_body(&id, &first)?.ok_or_else(Problem::not_found)?;
    let open = connections.open(&reader.tenant)?;
    let stop = state.stop.clone();
    let follower = Follower {
        moved: state.board.of(NAME).watch(),
        state,
        event_id: id,
        first: Some((first, body)),
        sent: None,
        seen,
        since: Instant::now(),
        open,
        generation: reader.at_least.generation,
    };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    // A server that stops ends its streams; the client comes back elsewhere.
    let messages = messages(follower).take_until(stop.cancelled_owned());
    let mut response = Sse::new(messages).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    // Proxies must not collect messages before they pass them on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|v| v.trim().parse().ok());
    position
        .map(Some)
        .ok_or_else(|| Problem::header(LAST_EVENT_ID, "must be the id of a message of this stream"))
}

struct Follower {
    state: ReadState,
    event_id: String,
    moved: watch::Receiver<u64>,
    /// Read when the stream was opened.
    first: Option<(Snapshot, SummaryBody)>,
    sent: Option<SummaryBody>,
    /// What the client has: nothing up to here is sent again.
    seen: Option<u64>,
    since: Instant,
    open: Open,
    /// `None`: whichever is live.
    generation: Option<u32>,
}

fn messages(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((Ok(message), follower))
    })
}

impl Follower {
    /// The next summary that the client has not seen. `None` ends the stream:
    /// its time is over, or the rows can't be read; the client comes back.
    async fn next(&mut self) -> Option<Event> {
        if let Some((snapshot, body)) = self.first.take()
            && let Some(event) = self.message(&snapshot, body)
        {
            return Some(event);
        }
        let end = self.since + LIFETIME;
        while Instant::now() < end {
            // Moves during this pause are one message.
            tokio::time::sleep(COALESCE).await;
            let queries = summary_queries(&self.event_id);
            let at_least = AtLeast { generation: self.generation, ..AtLeast::default() };
            self.moved.mark_unchanged();
            let snapshot = self.state.read(NAME, &self.open.tenant, &at_least, &queries).await.ok()?;
            let body = summary_body(&self.event_id, &snapshot).ok()??;
            if let Some(event) = self.message(&snapshot, body) {
                return Some(event);
            }
            // Whether it moved or the time is over, the store is asked.
            let _ = tokio::time::timeout(POLL, self.moved.changed()).await;
        }
        None
    }

    fn message(&mut self, snapshot: &Snapshot, body: SummaryBody) -> Option<Event> {
        let known = self.seen.is_some_and(|seen| snapshot.position <= seen);
        if known || self.sent.as_ref() == Some(&body) {
            return None;
        }
        self.seen = None;
        let event = Event::default().event("summary").id(snapshot.position.to_string());
        let event = event.json_data(&body).ok()?;
        self.sent = Some(body);
        Some(event)
    }
}
