//! Windows in which a series was unusual.

mod incidents;
mod live;
mod plot;
mod svg;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::anomaly_window::{self, Severity};
use domain::ports::rows::{KeyRange, Query as RowQuery, StoredRow};
use domain::{RecordedEvent, StreamId};
use jiff::{SignedDuration, Timestamp};
use projections::anomalies::{BY_START, NAME, WINDOWS, WindowRow, newest_start_first};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, Place};
use super::{GenerationParameter, ReadHeaders, Reader, csv, limit, parse, row_at};
use crate::at_least::{Answer, reflect};
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;
/// Facts of a window in one answer, of each kind.
const MAX_FACTS: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/anomalies", get(list))
        .route("/v1/anomalies/{id}", get(one))
        .merge(plot::router())
        .merge(incidents::router())
        .merge(live::router())
}

pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = Doc::openapi();
    doc.merge(plot::Doc::openapi());
    doc.merge(incidents::Doc::openapi());
    doc.merge(live::Doc::openapi());
    doc
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
struct Doc;

/// What is asked of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Open,
    Closed,
    /// Somebody takes care of it
    Acknowledged,
    /// Its series was muted when it opened, or was muted at this window
    Muted,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[param(value_type = Option<String>)]
    app: Option<Id>,
    #[param(value_type = Option<String>)]
    rule: Option<Id>,
    /// Which of the rule's series.
    key: Option<String>,
    /// At least this: `low`, `medium` or `high`.
    #[param(value_type = Option<String>)]
    severity: Option<Severity>,
    /// `open`, `closed`, `acknowledged` or `muted`.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// Began at or after this RFC 3339 time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Began before this RFC 3339 time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// `json` or `csv`; else as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Windows {
    /// Newest start first.
    #[schema(value_type = Vec<Object>)]
    windows: Vec<WindowRow>,
    /// The cursor of the next page, if there is one. In CSV it is the header
    /// `Daybook-Next`.
    next: Option<String>,
}

/// Windows in which a series was unusual, newest start first, as JSON or CSV.
#[utoipa::path(get, path = "/v1/anomalies", tag = "Anomalies", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Windows)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let wants_csv = csv::wanted(filter.format.as_deref(), &headers)?;
    let told = format!("{:?}", (&filter.app, &filter.rule, &filter.key, filter.severity, filter.status));
    let span = format!("{:?}", (filter.from, filter.to));
    let list = List {
        projection: NAME,
        scope: &["anomalies", reader.tenant.as_str(), &told, &span],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| began(filter.from, filter.to, after, limit);
    let keep = |row: &StoredRow| {
        let row: WindowRow = parse(row)?;
        Ok(filter.wants(&row).then_some(row))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    if wants_csv {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, &page.snapshot);
        headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
        if let Some(next) = page.next.and_then(|next| next.parse().ok()) {
            headers.insert("daybook-next", next);
        }
        return Ok((headers, table(&page.items)?).into_response());
    }
    Ok(Answer::new(&page.snapshot, Windows { windows: page.items, next: page.next }).into_response())
}

/// Windows that began in a span, newest first.
fn began(from: Option<Timestamp>, to: Option<Timestamp>, after: Option<Place>, limit: usize) -> RowQuery {
    // Instants are whole microseconds; one before the first there is, is none.
    let last = to.map(|to| to.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN));
    let range = KeyRange {
        from: last.map(newest_start_first),
        // Past every key of this instant: `0` comes after `/`.
        until: from.map(|from| format!("{}0", newest_start_first(from))),
        after: after.map(|place| place.key),
        limit,
        ..KeyRange::default()
    };
    RowQuery::range(BY_START, range)
}

impl Filter {
    fn wants(&self, row: &WindowRow) -> bool {
        let status = match self.status {
            None => true,
            Some(Status::Open) => row.open,
            Some(Status::Closed) => !row.open,
            Some(Status::Acknowledged) => row.acknowledged.is_some(),
            Some(Status::Muted) => row.muted || row.muted_until.is_some(),
        };
        status
            && self.app.as_deref().is_none_or(|app| row.app == app)
            && self.rule.as_deref().is_none_or(|rule| row.rule == rule)
            && self.key.as_deref().is_none_or(|key| row.key.as_deref().unwrap_or_default() == key)
            && self.severity.is_none_or(|least| row.severity >= least)
            // The rest of the first and the last microsecond.
            && self.from.is_none_or(|from| row.start >= from)
            && self.to.is_none_or(|to| row.start < to)
    }
}

fn table(windows: &[WindowRow]) -> Result<Vec<u8>, Problem> {
    let header = [
        "id",
        "app",
        "rule",
        "rule_version",
        "key",
        "open",
        "start",
        "end",
        "severity",
        "score",
        "peak",
        "peak_at",
        "points",
        "acts",
        "acknowledged_by",
        "muted_until",
        "notes",
    ];
    let severity = |row: &WindowRow| match serde_json::to_value(row.severity) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    };
    let rows = windows.iter().map(|row| {
        [
            row.id.clone(),
            row.app.clone(),
            row.rule.clone(),
            row.rule_version.to_string(),
            row.key.clone().unwrap_or_default(),
            row.open.to_string(),
            row.start.to_string(),
            row.end.to_string(),
            severity(row),
            row.score.to_string(),
            row.peak.value.to_string(),
            row.peak.at.to_string(),
            row.points.to_string(),
            row.acts.to_string(),
            row.acknowledged.as_ref().map(|a| a.by.clone()).unwrap_or_default(),
            row.muted_until.map(|until| until.to_string()).unwrap_or_default(),
            row.notes.to_string(),
        ]
    });
    csv::rows(std::iter::once(header.map(String::from)).chain(rows))
}

#[derive(Debug, Serialize, ToSchema)]
struct Fact {
    position: u64,
    #[serde(rename = "type")]
    event_type: String,
    #[schema(value_type = String)]
    recorded_at: Timestamp,
    /// Who said it, or `worker:reactor`.
    actor: String,
    #[schema(value_type = Object)]
    payload: Value,
}

impl Fact {
    fn new(event: &RecordedEvent) -> Result<Self, Problem> {
        let payload = domain::registry::payload(event).map_err(Problem::internal)?;
        Ok(Self {
            position: event.position,
            event_type: event.event_type.to_string(),
            recorded_at: event.recorded_at,
            actor: event.metadata.actor.to_string(),
            payload: serde_json::from_str(&payload).map_err(Problem::internal)?,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct OneWindow {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    window: WindowRow,
    /// Every change of it and everything that people have said, oldest first:
    /// the first 1,000 of each.
    facts: Vec<Fact>,
}

/// One window with its facts. The ETag is the version of what people say.
#[utoipa::path(get, path = "/v1/anomalies/{id}", tag = "Anomalies", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = OneWindow), (status = 304)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    reader: Reader,
) -> Result<Response, Problem> {
    let queries = [RowQuery::get(WINDOWS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let window: WindowRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let mut facts = Vec::new();
    for kind in [anomaly_window::KIND, anomaly_window::REVIEW_KIND] {
        let stream = StreamId::new(&reader.tenant, kind, &id).map_err(Problem::internal)?;
        let events = state.log.read_stream(&stream, 1, MAX_FACTS).await?;
        // What is newer than the row is not told yet.
        let shown = events.iter().filter(|event| event.position <= window.position);
        facts.extend(shown.map(Fact::new).collect::<Result<Vec<_>, _>>()?);
    }
    facts.sort_by_key(|fact| fact.position);
    let version = window.review_version;
    Ok(Answer::new(&snapshot, OneWindow { window, facts }).version(version).into_response())
}
