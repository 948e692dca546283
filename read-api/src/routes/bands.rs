//! The directory of bands.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{KeyRange, Query as RowQuery, StoredRow};
use domain::{StreamId, band};
use projections::Projection;
use projections::as_of::stream_until;
use projections::bands::{BANDS, BY_EVENT, BY_TAG, BandRow, Bands as BandsFold, NAME, tag_key};
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
    Router::new().route("/v1/bands", get(list)).route("/v1/bands/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
pub struct Doc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BandStatus {
    Active,
    Retired,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only bands that are assigned to this event.
    #[param(value_type = Option<String>)]
    event: Option<Id>,
    /// Only bands with this tag.
    tag: Option<String>,
    /// active or retired.
    #[param(value_type = Option<String>)]
    status: Option<BandStatus>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BandBody {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    event_id: Option<String>,
    tags: Vec<String>,
    status: &'static str,
}

impl From<BandRow> for BandBody {
    fn from(row: BandRow) -> Self {
        Self {
            id: row.id,
            version: row.version,
            event_id: row.event_id,
            tags: row.tags.into_iter().collect(),
            status: if row.retired { "retired" } else { "active" },
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Bands {
    /// In the order of their ids.
    bands: Vec<BandBody>,
    /// The cursor of the next page. A page with one is full, unless two filters
    /// or a status leave out nearly all of the 10,000 bands looked at for it.
    next: Option<String>,
}

/// The tenant's bands, of an event or with a tag if told.
#[utoipa::path(get, path = "/v1/bands", tag = "Directories", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Bands)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Bands>, Problem> {
    let (table, prefix) = match (&filter.event, &filter.tag) {
        (Some(event), _) => (BY_EVENT, format!("{event}/")),
        (None, Some(tag)) => (BY_TAG, format!("{}/", tag_key(tag))),
        (None, None) => (BANDS, String::new()),
    };
    let status = format!("{:?}", filter.status);
    let tag = filter.tag.as_deref().unwrap_or_default();
    let list = List {
        projection: NAME,
        scope: &["bands", reader.tenant.as_str(), table, &prefix, tag, &status],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|place| place.key);
        RowQuery::range(table, KeyRange { prefix: prefix.clone(), after, limit, ..KeyRange::default() })
    };
    let keep = |row: &StoredRow| {
        let band: BandRow = parse(row)?;
        Ok(wanted(&filter, &band).then(|| band.into()))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Bands { bands: page.items, next: page.next }))
}

fn wanted(filter: &Filter, band: &BandRow) -> bool {
    filter.tag.as_ref().is_none_or(|tag| band.tags.contains(tag))
        && filter.status.is_none_or(|status| (status == BandStatus::Retired) == band.retired)
}

/// One band. The ETag is its version.
#[utoipa::path(get, path = "/v1/bands/{id}", tag = "Directories", params(("id" = String, Path), PastParameter, GenerationParameter, ReadHeaders), responses((status = 200, body = BandBody), (status = 304)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    PastReader { reader, at }: PastReader,
) -> Result<Response, Problem> {
    if let Some(at) = at {
        return past(&state, &reader, &id, at).await;
    }
    let queries = [RowQuery::get(BANDS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: BandRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let version = row.version;
    Ok(Answer::new(&snapshot, BandBody::from(row)).version(version).unless_known(&headers))
}

/// The band as its stream had it.
async fn past(state: &ReadState, reader: &Reader, id: &str, at: At) -> Result<Response, Problem> {
    let position = at.position(&*state.log).await?;
    let stream = StreamId::new(&reader.tenant, band::KIND, id).map_err(Problem::internal)?;
    let events = stream_until(&*state.log, &stream, position).await?;
    let rows = fold(&BandsFold, &events, events.len()).map_err(Problem::internal)?;
    let row: BandRow = rows.get(BANDS, &reader.tenant, id).ok_or_else(Problem::not_found)?;
    let model = BandsFold.model();
    let (version, snapshot) = (row.version, lens::past(NAME, model, position));
    Ok(Answer::new(&snapshot, BandBody::from(row)).version(version).into_response())
}
