//! The directory of live events.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::live_event::{EventDetails, ScheduleMode, Status, Window};
use domain::ports::rows::{Query as RowQuery, SortAfter, StoredRow};
use domain::{StreamId, live_event};
use projections::Projection;
use projections::as_of::stream_until;
use projections::live_events::{EVENTS, LiveEventRow, LiveEvents, NAME, status_word};
use projections::testing::fold;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, Place};
use super::{GenerationParameter, PastParameter, PastReader, ReadHeaders, Reader, limit, parse, row_at};
use crate::at_least::Answer;
use crate::lens::{self, At};
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/events", get(list)).route("/v1/events/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only events of this status: scheduled, cancelled or archived.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// An event without its windows.
#[derive(Debug, Serialize, ToSchema)]
struct Listed {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    details: EventDetails,
    status: &'static str,
    windows: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Events {
    /// Latest start first.
    events: Vec<Listed>,
    /// The cursor of the next page. A page with one is full, unless the status
    /// leaves out nearly all of the 10,000 events looked at for it.
    next: Option<String>,
}

/// The tenant's events, latest start first.
#[utoipa::path(get, path = "/v1/events", tag = "Directories", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Events)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Events>, Problem> {
    let status = filter.status.map_or("any", status_word);
    let list = List {
        projection: NAME,
        scope: &["events", reader.tenant.as_str(), status],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        // Every event has a start to be sorted by.
        let after = after.map(|p| SortAfter { sort: p.sort.unwrap_or_default(), key: p.key });
        RowQuery::top(EVENTS, "", after, limit)
    };
    let keep = |row: &StoredRow| {
        let found: LiveEventRow = parse(row)?;
        let wanted = filter.status.is_none_or(|s| s == found.event.status);
        Ok(if wanted { listed(&row.key, found) } else { None })
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Events { events: page.items, next: page.next }))
}

fn listed(id: &str, row: LiveEventRow) -> Option<Listed> {
    Some(Listed {
        id: id.into(),
        version: row.version,
        details: row.event.details?,
        status: status_word(row.event.status),
        windows: row.event.windows.len(),
    })
}

#[derive(Debug, Serialize, ToSchema)]
struct Whole {
    id: String,
    version: u64,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    details: EventDetails,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_because: Option<String>,
    #[schema(value_type = Object)]
    schedule: ScheduleMode,
    /// In the order of their starts.
    #[schema(value_type = Vec<Object>)]
    windows: Vec<Window>,
}

/// One event with its windows. The ETag is its version.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "Directories", params(("id" = String, Path), PastParameter, GenerationParameter, ReadHeaders), responses((status = 200, body = Whole), (status = 304)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    PastReader { reader, at }: PastReader,
) -> Result<Response, Problem> {
    if let Some(at) = at {
        return past(&state, &reader, &id, at).await;
    }
    let queries = [RowQuery::get(EVENTS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: LiveEventRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let version = row.version;
    Ok(Answer::new(&snapshot, whole(id.0, row)?).version(version).unless_known(&headers))
}

/// The event as its stream had it.
async fn past(state: &ReadState, reader: &Reader, id: &str, at: At) -> Result<Response, Problem> {
    let position = at.position(&*state.log).await?;
    let stream = StreamId::new(&reader.tenant, live_event::KIND, id).map_err(Problem::internal)?;
    let events = stream_until(&*state.log, &stream, position).await?;
    let rows = fold(&LiveEvents, &events, events.len()).map_err(Problem::internal)?;
    let row: LiveEventRow = rows.get(EVENTS, &reader.tenant, id).ok_or_else(Problem::not_found)?;
    let (version, snapshot) = (row.version, lens::past(NAME, LiveEvents.model(), position));
    Ok(Answer::new(&snapshot, whole(id.to_owned(), row)?).version(version).into_response())
}

fn whole(id: String, row: LiveEventRow) -> Result<Whole, Problem> {
    let mut windows: Vec<Window> = row.event.windows.into_values().collect();
    windows.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
    Ok(Whole {
        id,
        version: row.version,
        details: row.event.details.ok_or_else(Problem::not_found)?,
        status: status_word(row.event.status),
        cancelled_because: row.cancelled_because,
        schedule: row.event.mode,
        windows,
    })
}
