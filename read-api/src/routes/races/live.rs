//! A race as it runs, over server-sent events. A message's id is the position
//! of the observation; messages are whole, so losing one costs nothing.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::get;
use axum::{Extension, Router};
use daybook_http::sse::{COALESCE, Connections, LIFETIME, Open, POLL, last_event_id, streamed};
use daybook_http::{Id, Path, Problem};
use domain::ports::rows::{Query as RowQuery, Snapshot};
use futures::stream::{self, Stream};
use projections::dfs_projections::{LIVE, LiveCar, LiveRow, NAME, RACES};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::at_least::AtLeast;
use crate::routes::{GenerationParameter, ReadHeaders, Reader, row_at, rows_at};
use crate::state::ReadState;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/races/{id}/live", get(live)).layer(Extension(Connections::default()))
}

#[derive(OpenApi)]
#[openapi(paths(live))]
pub struct Doc;

#[derive(Debug, Serialize, ToSchema)]
struct LiveBody {
    race: String,
    /// Of the observation in the log.
    position: u64,
    #[schema(value_type = String)]
    at: jiff::Timestamp,
    lap: u32,
    laps: u32,
    flag: String,
    /// Of the sealed projection that strengths are from.
    model: Option<String>,
    /// By place, each with its expected finish, chances and points by site.
    #[schema(value_type = Vec<Object>)]
    cars: Vec<LiveCar>,
}

impl From<LiveRow> for LiveBody {
    fn from(row: LiveRow) -> Self {
        let LiveRow { race, position, at, lap, laps, flag, model, cars } = row;
        Self { race, position, at, lap, laps, flag, model, cars }
    }
}

/// The race as it runs and how it is likely to end, again with every
/// observation: server-sent events named `race`. Resumes after
/// `Last-Event-ID`. Ends after ten minutes.
#[utoipa::path(get, operation_id = "race_live", path = "/v1/races/{id}/live", tag = "Races", params(("id" = String, Path), ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last message that was seen."), GenerationParameter, ReadHeaders), responses((status = 200, body = LiveBody, content_type = "text/event-stream")))]
async fn live(
    State(state): State<ReadState>,
    Extension(connections): Extension<Connections>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let seen = last_event_id(&headers)?.unwrap_or(0);
    let queries = [RowQuery::get(LIVE, &id), RowQuery::get(RACES, &id)];
    let first = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    if rows_at(&first, 1).is_empty() {
        return Err(Problem::not_found());
    }
    let open = connections.open(&reader.tenant)?;
    let stop = state.stop.clone();
    let follower = Follower {
        moved: state.board.of(NAME).watch(),
        state,
        race: id.0,
        first: Some(first),
        seen,
        since: Instant::now(),
        open,
        generation: reader.at_least.generation,
    };
    Ok(streamed(messages(follower), stop))
}

struct Follower {
    state: ReadState,
    race: String,
    moved: watch::Receiver<u64>,
    /// Read when the stream was opened.
    first: Option<Snapshot>,
    /// Position of the last observation that the client has.
    seen: u64,
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
    /// The next observation that the client has not seen. `None` ends the
    /// stream: its time is over, or the rows can't be read.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take()
            && let Some(event) = self.message(&first)
        {
            return Some(event);
        }
        let end = self.since + LIFETIME;
        while Instant::now() < end {
            tokio::time::sleep(COALESCE).await;
            let at_least = AtLeast { generation: self.generation, ..AtLeast::default() };
            self.moved.mark_unchanged();
            let queries = [RowQuery::get(LIVE, &self.race)];
            let snapshot = self.state.read(NAME, self.open.tenant(), &at_least, &queries).await.ok()?;
            if let Some(event) = self.message(&snapshot) {
                return Some(event);
            }
            // Whether it moved or the time is over, the store is asked.
            let _ = tokio::time::timeout(POLL, self.moved.changed()).await;
        }
        None
    }

    fn message(&mut self, snapshot: &Snapshot) -> Option<Event> {
        let row: LiveRow = row_at(snapshot, 0).ok()??;
        if row.position <= self.seen {
            return None;
        }
        self.seen = row.position;
        let event = Event::default().event("race").id(row.position.to_string());
        event.json_data(LiveBody::from(row)).ok()
    }
}
