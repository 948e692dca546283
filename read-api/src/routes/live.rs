//! An event's summary as it moves, over server-sent events.
//!
//! A message's id is the position that it reflects. A client that comes back
//! with `Last-Event-ID` gets the summary as soon as the rows are past it: what
//! it missed is in there. Messages are whole summaries, so losing one costs
//! nothing.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::get;
use axum::{Extension, Router};
use daybook_http::sse::{COALESCE, Connections, LIFETIME, Open, POLL, last_event_id, streamed};
use daybook_http::{Path, Problem};
use domain::ports::rows::Snapshot;
use futures::stream::{self, Stream};
use projections::tap_analytics::NAME;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::OpenApi;

use super::analytics::{SummaryBody, summary_body, summary_queries};
use super::{EventKey, GenerationParameter, ReadHeaders, Reader};
use crate::at_least::AtLeast;
use crate::state::ReadState;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/analytics/events/{id}/stream", get(live))
        .layer(Extension(Connections::default()))
}

#[derive(OpenApi)]
#[openapi(paths(live))]
pub struct Doc;

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
    Ok(streamed(messages(follower), stop))
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
            let snapshot = self.state.read(NAME, self.open.tenant(), &at_least, &queries).await.ok()?;
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
