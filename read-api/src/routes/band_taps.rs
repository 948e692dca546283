//! Bands by taps: the top of an event, and the history of one.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{Query as RowQuery, SortAfter};
use domain::{StreamId, band};
use jiff::Timestamp;
use projections::tap_analytics::rows::{BandTaps, History, PastTap};
use projections::tap_analytics::{BANDS, EVENTS, HISTORY, NAME, SUMMARY};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::analytics::{Count, counts};
use super::{EventKey, GenerationParameter, ReadHeaders, Reader, limit, parse, row_at, rows_at};
use crate::at_least::Answer;
use crate::cursor;
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/analytics/events/{id}/top-bands", get(top_bands))
        .route("/v1/bands/{id}/taps", get(band_taps))
}

#[derive(OpenApi)]
#[openapi(paths(top_bands, band_taps))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TopBand {
    band_id: String,
    taps: u64,
    bots: u64,
    previews: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    first_tap_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_tap_at: Option<Timestamp>,
    modes: Vec<Count>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TopBands {
    /// Most taps first; equal ones by id. Only bands with a tap by a person.
    bands: Vec<TopBand>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Bands of an event by their taps, most first.
#[utoipa::path(get, path = "/v1/analytics/events/{id}/top-bands", tag = "Analytics", params(("id" = String, Path), Page, GenerationParameter, ReadHeaders), responses((status = 200, body = TopBands)))]
async fn top_bands(
    State(state): State<ReadState>,
    Path(EventKey(id)): Path<EventKey>,
    Query(page): Query<Page>,
    reader: Reader,
) -> Result<Answer<TopBands>, Problem> {
    let limit = limit(page.limit, 100, MAX_LIMIT)?;
    let list = ["top-bands", reader.tenant.as_str(), &id];
    let after = match &page.cursor {
        Some(text) => {
            let (sort, key) = cursor::decode(&list, text)?;
            Some(SortAfter { sort, key })
        }
        None => None,
    };
    let queries = [
        RowQuery::top(BANDS, &id, after, limit + 1),
        RowQuery::get(SUMMARY, &id),
        RowQuery::get(EVENTS, &id),
    ];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    if rows_at(&snapshot, 1).is_empty() && rows_at(&snapshot, 2).is_empty() {
        return Err(Problem::not_found());
    }
    let rows = rows_at(&snapshot, 0);
    let next = match rows.get(..limit).and_then(<[_]>::last) {
        Some(last) if rows.len() > limit => Some(cursor::encode(&list, &(&last.sort, &last.key))?),
        _ => None,
    };
    let bands = rows.iter().take(limit).map(|r| Ok(top_band(parse(r)?))).collect::<Result<_, Problem>>()?;
    Ok(Answer::new(&snapshot, TopBands { bands, next }))
}

fn top_band(row: BandTaps) -> TopBand {
    TopBand {
        modes: counts(&row.modes),
        band_id: row.band_id,
        taps: row.taps,
        bots: row.bots,
        previews: row.previews,
        first_tap_at: row.first_tap_at,
        last_tap_at: row.last_tap_at,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// 1 to 100; 100 unless told.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BandTap {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Of the event in the log.
    position: u64,
    event_id: Option<String>,
    /// human, bot or preview.
    class: &'static str,
    mode: &'static str,
    window_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventTaps {
    event_id: String,
    taps: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct BandHistory {
    band_id: String,
    /// Events at which a person tapped the band; `-` is none.
    events: Vec<EventTaps>,
    /// The last hundred of any class at most, newest first.
    taps: Vec<BandTap>,
}

/// What one band did, over all events.
#[utoipa::path(get, path = "/v1/bands/{id}/taps", tag = "Analytics", params(("id" = String, Path), HistoryQuery, GenerationParameter, ReadHeaders), responses((status = 200, body = BandHistory)))]
async fn band_taps(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(query): Query<HistoryQuery>,
    reader: Reader,
) -> Result<Answer<BandHistory>, Problem> {
    use projections::tap_analytics::rows::HISTORY_TAPS;
    let limit = limit(query.limit, HISTORY_TAPS, HISTORY_TAPS)?;
    let queries = [RowQuery::get(HISTORY, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let history: History = match row_at(&snapshot, 0)? {
        Some(history) => history,
        None => {
            // A band that nobody tapped yet has no history, but exists.
            let stream = StreamId::new(&reader.tenant, band::KIND, &id).map_err(Problem::internal)?;
            state.log.last(&stream).await?.ok_or_else(Problem::not_found)?;
            History::default()
        }
    };
    let events = history.events.into_iter().map(|(event_id, taps)| EventTaps { event_id, taps }).collect();
    let taps = history.last.into_iter().rev().take(limit).map(band_tap).collect::<Result<_, Problem>>()?;
    Ok(Answer::new(&snapshot, BandHistory { band_id: id.0, events, taps }))
}

fn band_tap(past: PastTap) -> Result<BandTap, Problem> {
    use projections::tap_analytics::NO_EVENT;
    let PastTap(at, position, event_id, class, mode, window_id) = past;
    Ok(BandTap {
        at: Timestamp::from_microsecond(at).map_err(Problem::internal)?,
        position,
        event_id: Some(event_id).filter(|id| id != NO_EVENT),
        class: class.as_str(),
        mode: mode.as_str(),
        window_id,
    })
}
