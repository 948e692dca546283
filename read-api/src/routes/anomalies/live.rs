//! Changes of windows as they are recorded, over server-sent events.
//!
//! A message is a fact and its id the fact's position, so a client that comes
//! back with `Last-Event-ID` misses none and gets none twice.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::get;
use axum::{Extension, Router};
use daybook_http::sse::{Connections, LIFETIME, Open, last_event_id, streamed};
use daybook_http::{Id, Problem, Query};
use domain::RecordedEvent;
use domain::anomaly_window::{ACKNOWLEDGED, DETECTED, Detected, MUTED, NOTED, UNMUTED};
use domain::ports::log::ReadFilter;
use domain::registry::decode_payload;
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::super::{ReadHeaders, Reader};
use super::Fact;
use crate::state::ReadState;

const PAGE: usize = 500;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/anomalies/stream", get(live)).layer(Extension(Connections::default()))
}

#[derive(OpenApi)]
#[openapi(paths(live))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Changes of this rule's windows only. What people say is told of all.
    #[param(value_type = Option<String>)]
    rule: Option<Id>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Message {
    window: String,
    #[serde(flatten)]
    fact: Fact,
}

/// Changes of windows and what people say of them, from now on or after
/// `Last-Event-ID`: server-sent events named as the facts, whose ids are their
/// positions. Ends after ten minutes.
#[utoipa::path(get, path = "/v1/anomalies/stream", tag = "Anomalies", params(Filter, ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last message that was seen."), ReadHeaders), responses((status = 200, body = Message, content_type = "text/event-stream")))]
async fn live(
    State(state): State<ReadState>,
    Extension(connections): Extension<Connections>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let after = match last_event_id(&headers)? {
        Some(seen) => seen,
        None => state.log.head().await?.position,
    };
    let open = connections.open(&reader.tenant)?;
    let stop = state.stop.clone();
    let wanted = ReadFilter {
        tenant: Some(reader.tenant),
        ..ReadFilter::types([DETECTED, ACKNOWLEDGED, MUTED, UNMUTED, NOTED])
    };
    let rule = filter.rule.as_deref().map(str::to_owned);
    let until = Instant::now() + LIFETIME;
    let follower = Follower { state, wanted, rule, after, waiting: VecDeque::new(), until, _open: open };
    Ok(streamed(messages(follower), stop))
}

struct Follower {
    state: ReadState,
    wanted: ReadFilter,
    rule: Option<String>,
    after: u64,
    waiting: VecDeque<RecordedEvent>,
    until: Instant,
    _open: Open,
}

fn messages(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((Ok(message), follower))
    })
}

impl Follower {
    /// `None` ends the stream: its time is over, or the log can't be read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(event) = self.waiting.pop_front() {
                if let Some(message) = self.message(&event) {
                    return Some(message);
                }
            }
            let page = self.state.log.read(self.after, PAGE, &self.wanted).await.ok()?;
            let moved = page.through > self.after;
            self.after = page.through.max(self.after);
            self.waiting = page.events.into();
            if !moved {
                let changed = self.state.log.changed(self.after);
                tokio::time::timeout_at(self.until, changed).await.ok()?.ok()?;
            }
            if Instant::now() >= self.until {
                return None;
            }
        }
    }

    fn message(&self, event: &RecordedEvent) -> Option<Event> {
        if let Some(rule) = &self.rule
            && *event.event_type == *DETECTED
            && decode_payload::<Detected>(event).ok()?.rule != *rule
        {
            return None;
        }
        let message = Message { window: event.stream.id.to_string(), fact: Fact::new(event).ok()? };
        let name = event.event_type.to_string();
        Event::default().event(name).id(event.position.to_string()).json_data(&message).ok()
    }
}
