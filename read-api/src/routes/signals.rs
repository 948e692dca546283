//! What the event gateway took in, and what it rejected.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daybook_http::{Id, Json, Path, Problem, Query};
use domain::RecordedEvent;
use domain::ports::log::ReadFilter;
use domain::ports::rows::StoredRow;
use domain::registry::decode_payload;
use domain::signal::cloud_event;
use domain::signal::{self, Mismatch, Rejected, Signal};
use jiff::Timestamp;
use projections::signals::{BY_APP, NAME, REJECTED, RejectedRow, SIGNALS, SignalRow, TYPES, TypeRow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, Place, range};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse};
use crate::at_least::Answer;
use crate::state::ReadState;
use daybook_http::headers::POSITION;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/signals", get(list))
        .route("/v1/signals/types", get(types))
        .route("/v1/signals/rejected", get(rejects))
        .route("/v1/signals/rejected/{position}", get(reject))
        .route("/v1/signals/{position}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, types, rejects, reject, one))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[param(value_type = Option<String>)]
    app: Option<Id>,
    #[serde(rename = "type")]
    signal_type: Option<String>,
    category: Option<String>,
    device: Option<String>,
    /// Received at or after this RFC 3339 time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Received before this RFC 3339 time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// 1 to 1,000; 50 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Signals {
    /// Newest first.
    #[schema(value_type = Vec<Object>)]
    signals: Vec<SignalRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The tenant's signals, newest first. `skew_ms` is how much later than sent a
/// signal was received.
#[utoipa::path(get, path = "/v1/signals", tag = "Signals", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Signals)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Signals>, Problem> {
    let (table, prefix) = match &filter.app {
        Some(app) => (BY_APP, format!("{app}/")),
        None => (SIGNALS, String::new()),
    };
    let told =
        format!("{:?}", (&filter.signal_type, &filter.category, &filter.device, filter.from, filter.to));
    let list = List {
        projection: NAME,
        scope: &["signals", reader.tenant.as_str(), &prefix, &told],
        limit: limit(filter.limit, 50, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| range(table, &prefix, after, limit);
    let keep = |row: &StoredRow| {
        let row: SignalRow = parse(row)?;
        Ok(filter.wants(&row).then_some(row))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Signals { signals: page.items, next: page.next }))
}

impl Filter {
    fn wants(&self, row: &SignalRow) -> bool {
        let same = |wanted: &Option<String>, given: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| given == Some(wanted))
        };
        same(&self.signal_type, Some(&row.signal_type))
            && same(&self.category, row.category.as_deref())
            && same(&self.device, row.device.as_deref())
            && self.from.is_none_or(|from| row.received_at >= from)
            && self.to.is_none_or(|to| row.received_at < to)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TypesFilter {
    #[param(value_type = Option<String>)]
    app: Option<Id>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TypeCount {
    app: String,
    /// Of the event time, in UTC.
    day: String,
    #[serde(rename = "type")]
    signal_type: String,
    count: u64,
    last_position: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Types {
    /// By app, day and type.
    types: Vec<TypeCount>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// How many signals of which type came on which day.
#[utoipa::path(get, path = "/v1/signals/types", tag = "Signals", params(TypesFilter, GenerationParameter, ReadHeaders), responses((status = 200, body = Types)))]
async fn types(
    State(state): State<ReadState>,
    Query(filter): Query<TypesFilter>,
    reader: Reader,
) -> Result<Answer<Types>, Problem> {
    let prefix = filter.app.as_ref().map(|app| format!("{app}/")).unwrap_or_default();
    let list = List {
        projection: NAME,
        scope: &["signal-types", reader.tenant.as_str(), &prefix],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| range(TYPES, &prefix, after, limit);
    let keep = |row: &StoredRow| {
        let counted: TypeRow = parse(row)?;
        let mut parts = row.key.splitn(3, '/');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (app, day, name) = (part(), part(), part());
        let signal_type = name.replace("%2F", "/").replace("%25", "%");
        let TypeRow { count, last_position } = counted;
        Ok(Some(TypeCount { app, day, signal_type, count, last_position }))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Types { types: page.items, next: page.next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Rejects {
    /// Newest first. `/v1/signals/rejected/{position}` has the bytes.
    #[schema(value_type = Vec<Object>)]
    rejected: Vec<RejectedRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// What came in and was no signal, newest first.
#[utoipa::path(get, path = "/v1/signals/rejected", tag = "Signals", params(TypesFilter, GenerationParameter, ReadHeaders), responses((status = 200, body = Rejects)))]
async fn rejects(
    State(state): State<ReadState>,
    Query(filter): Query<TypesFilter>,
    reader: Reader,
) -> Result<Answer<Rejects>, Problem> {
    let app = filter.app.as_deref();
    let list = List {
        projection: NAME,
        scope: &["rejected", reader.tenant.as_str(), app.unwrap_or_default()],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| range(REJECTED, "", after, limit);
    let keep = |row: &StoredRow| {
        let row: RejectedRow = parse(row)?;
        Ok((app.is_none() || row.app.as_deref() == app).then_some(row))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Rejects { rejected: page.items, next: page.next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct WholeSignal {
    position: u64,
    app: String,
    #[schema(value_type = String)]
    received_at: Timestamp,
    /// The signal as a CloudEvent in JSON.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
    /// Where it does not fit its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    mismatch: Option<Mismatch>,
}

/// One signal, by its position, as a CloudEvent.
#[utoipa::path(get, path = "/v1/signals/{position}", tag = "Signals", params(("position" = u64, Path), ReadHeaders), responses((status = 200, body = WholeSignal)))]
async fn one(
    State(state): State<ReadState>,
    Path(position): Path<u64>,
    reader: Reader,
) -> Result<Response, Problem> {
    let event = at(&state, &reader, signal::RECEIVED, position).await?;
    let signal: Signal = decode_payload(&event).map_err(Problem::internal)?;
    let text = cloud_event::encode(&signal);
    let whole = WholeSignal {
        position,
        app: signal.app,
        received_at: event.recorded_at,
        event: RawValue::from_string(text).map_err(Problem::internal)?,
        mismatch: signal.mismatch,
    };
    Ok(found(position, whole))
}

#[derive(Debug, Serialize, ToSchema)]
struct WholeReject {
    position: u64,
    #[schema(value_type = String)]
    received_at: Timestamp,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rejected: Rejected,
    /// The bytes as text, if they are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What was rejected, by its position, with its bytes.
#[utoipa::path(get, path = "/v1/signals/rejected/{position}", tag = "Signals", params(("position" = u64, Path), ReadHeaders), responses((status = 200, body = WholeReject)))]
async fn reject(
    State(state): State<ReadState>,
    Path(position): Path<u64>,
    reader: Reader,
) -> Result<Response, Problem> {
    let event = at(&state, &reader, signal::REJECTED, position).await?;
    let rejected: Rejected = decode_payload(&event).map_err(Problem::internal)?;
    let bytes = STANDARD.decode(&rejected.bytes_base64).unwrap_or_default();
    let text = String::from_utf8(bytes).ok();
    let whole = WholeReject { position, received_at: event.recorded_at, rejected, text };
    Ok(found(position, whole))
}

fn found(position: u64, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response
}

/// The tenant's event of this type at this position.
async fn at(
    state: &ReadState,
    reader: &Reader,
    event_type: &'static str,
    position: u64,
) -> Result<RecordedEvent, Problem> {
    // Without a filter nothing past the position is looked at.
    let before = position.checked_sub(1).ok_or_else(Problem::not_found)?;
    let page = state.log.read(before, 1, &ReadFilter::default()).await?;
    let event = page.events.into_iter().next().ok_or_else(Problem::not_found)?;
    let there = event.position == position
        && event.stream.tenant == reader.tenant
        && *event.event_type == *event_type;
    if there { Ok(event) } else { Err(Problem::not_found()) }
}
