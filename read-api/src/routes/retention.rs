//! Who comes back: bands of one event that tapped at later ones too.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::{Problem, Query};
use domain::ports::rows::{Query as RowQuery, Snapshot};
use jiff::Timestamp;
use projections::tap_analytics::rows::{EventSettings, Shared, Summary, key};
use projections::tap_analytics::{EVENTS, NAME, SHARED, SUMMARY};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::analytics::{event_ids, no_such_event};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at, rows_at};
use crate::at_least::Answer;
use crate::state::ReadState;

const DEFAULT_EVENTS: usize = 10;
/// Every pair of events is a row to be read.
const MAX_EVENTS: usize = 20;
/// Events of a tenant that are put in order to find the last ones.
const MAX_LISTED: usize = 10_000;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/analytics/retention", get(retention))
}

#[derive(OpenApi)]
#[openapi(paths(retention))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Up to 20 ids of events, separated by commas. Unless told, the tenant's
    /// events that started last.
    events: Option<String>,
    /// How many of the last; 1 to 20, 10 unless told.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RetentionBody {
    /// By their start, earliest first.
    events: Vec<EventRetention>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventRetention {
    event_id: String,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    unique_bands: u64,
    /// The events after it, the next one first.
    later: Vec<Returned>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Returned {
    event_id: String,
    /// Bands that tapped at both.
    bands: u64,
    /// Their share of the earlier event's bands, 0 to 1.
    share: f64,
}

/// How many bands of each event tapped at later events.
#[utoipa::path(get, path = "/v1/analytics/retention", tag = "Analytics", params(Which, GenerationParameter, ReadHeaders), responses((status = 200, body = RetentionBody)))]
async fn retention(
    State(state): State<ReadState>,
    Query(which): Query<Which>,
    reader: Reader,
) -> Result<Answer<RetentionBody>, Problem> {
    let limit = limit(which.limit, DEFAULT_EVENTS, MAX_EVENTS)?;
    let mut events = match &which.events {
        Some(text) => named(&state, &reader, text).await?,
        None => all(&state, &reader).await?,
    };
    events.sort_by(|a, b| (a.1.starts_at, &a.0).cmp(&(b.1.starts_at, &b.0)));
    if which.events.is_none() {
        events.drain(..events.len().saturating_sub(limit));
    }
    let totals = events.iter().map(|(id, _)| RowQuery::get(SUMMARY, id));
    let shared = pairs(events.len()).map(|(i, j)| {
        let (a, b) = (events[i].0.as_str(), events[j].0.as_str());
        RowQuery::get(SHARED, &if a < b { key(a, b) } else { key(b, a) })
    });
    let queries: Vec<RowQuery> = totals.chain(shared).collect();
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let body = body(events, &snapshot)?;
    Ok(Answer::new(&snapshot, body))
}

type Event = (String, EventSettings);

async fn named(state: &ReadState, reader: &Reader, text: &str) -> Result<Vec<Event>, Problem> {
    let ids = event_ids(text, 1, MAX_EVENTS)?;
    let queries: Vec<RowQuery> = ids.iter().map(|id| RowQuery::get(EVENTS, id)).collect();
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let of = |(i, id): (usize, String)| match row_at(&snapshot, i)? {
        Some(settings) => Ok((id, settings)),
        None => Err(no_such_event(&id)),
    };
    ids.into_iter().enumerate().map(of).collect()
}

async fn all(state: &ReadState, reader: &Reader) -> Result<Vec<Event>, Problem> {
    let queries = [RowQuery::prefix(EVENTS, "", MAX_LISTED)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    rows_at(&snapshot, 0).iter().map(|row| Ok((row.key.clone(), parse(row)?))).collect()
}

/// All pairs of `0..n`, the smaller first, in order.
fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

fn body(events: Vec<Event>, snapshot: &Snapshot) -> Result<RetentionBody, Problem> {
    let mut out = Vec::with_capacity(events.len());
    for (i, (event_id, settings)) in events.iter().enumerate() {
        let summary: Option<Summary> = row_at(snapshot, i)?;
        out.push(EventRetention {
            event_id: event_id.clone(),
            name: settings.name.clone(),
            starts_at: settings.starts_at,
            unique_bands: summary.map_or(0, |s| s.unique_bands),
            later: Vec::new(),
        });
    }
    for (n, (i, j)) in pairs(events.len()).enumerate() {
        let shared: Option<Shared> = row_at(snapshot, events.len() + n)?;
        let (bands, of) = (shared.map_or(0, |s| s.bands), out[i].unique_bands);
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let share = if of == 0 { 0.0 } else { bands as f64 / of as f64 };
        out[i].later.push(Returned { event_id: events[j].0.clone(), bands, share });
    }
    Ok(RetentionBody { events: out })
}
