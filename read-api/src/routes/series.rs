//! Taps over time.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Path, Problem, Query};
use domain::ports::rows::{KeyRange, MAX_ROWS, Query as RowQuery, Snapshot};
use domain::tap::Mode;
use domain::time::instant;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use projections::tap_analytics::rows::{EventSettings, Minute, Summary, key};
use projections::tap_analytics::series::{Granularity, Point, minute_of, points, span};
use projections::tap_analytics::{EVENTS, MINUTES, NAME, SUMMARY};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::analytics::{Count, counts};
use super::{EventKey, GenerationParameter, ReadHeaders, Reader, csv, parse, row_at, rows_at, zone_of};
use crate::at_least::{Answer, reflect};
use crate::state::ReadState;

const MAX_POINTS: usize = 10_000;
pub(super) const MODES: [Mode; 7] =
    [Mode::Pre, Mode::Live, Mode::Post, Mode::Custom, Mode::Fallback, Mode::TenantFallback, Mode::None];

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/analytics/events/{id}/series", get(series))
}

#[derive(OpenApi)]
#[openapi(paths(series))]
pub struct Doc;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeriesQuery {
    /// `10s`, `minute`, `hour` or `day`. Unless told: minutes below a day,
    /// hours below 90 days, else days.
    #[param(value_type = Option<String>)]
    granularity: Option<Granularity>,
    /// RFC 3339 instant, or local time of the event. Unless told, the first tap.
    from: Option<String>,
    /// Not included. Unless told, just after the last tap.
    to: Option<String>,
    /// `json` or `csv`; unless told, as `Accept` says.
    format: Option<String>,
}

/// One bucket of time, `start <= t < end`.
#[derive(Debug, Serialize, ToSchema)]
struct PointBody {
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
    /// The start in the event's zone, with the offset of that moment.
    local: String,
    taps: u64,
    bots: u64,
    previews: u64,
    /// Bands whose first tap at the event was then. Not for `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_bands: Option<u64>,
    /// Not for `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    modes: Option<Vec<Count>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeriesBody {
    event_id: String,
    #[schema(value_type = String)]
    granularity: Granularity,
    /// Hours and days are those of this zone.
    time_zone: String,
    /// Without holes: a bucket without taps is a point too.
    points: Vec<PointBody>,
}

/// Taps over time, in whole buckets of the event's own zone, without holes; at
/// most 10,000 points. `from` and `to` are widened to whole buckets.
#[utoipa::path(get, path = "/v1/analytics/events/{id}/series", tag = "Analytics", params(("id" = String, Path), SeriesQuery, GenerationParameter, ReadHeaders), responses((status = 200, content((SeriesBody = "application/json"), (String = "text/csv")))))]
async fn series(
    State(state): State<ReadState>,
    Path(EventKey(id)): Path<EventKey>,
    Query(query): Query<SeriesQuery>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let as_csv = csv::wanted(query.format.as_deref(), &headers)?;
    let found = load(&state, &id, &query, &reader).await?;
    if !as_csv {
        let body = SeriesBody {
            event_id: id,
            granularity: found.granularity,
            time_zone: zone_name(&found.zone),
            points: found.points.iter().map(|p| point_body(p, &found.zone)).collect(),
        };
        return Ok(Answer::new(&found.snapshot, body).into_response());
    }
    let mut headers = HeaderMap::new();
    reflect(&mut headers, &found.snapshot);
    headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
    Ok((headers, found.csv()?).into_response())
}

struct Series {
    snapshot: Snapshot,
    granularity: Granularity,
    zone: TimeZone,
    points: Vec<Point>,
}

/// The series of an event, from one snapshot except for the defaults of the
/// range, which are read first.
async fn load(state: &ReadState, id: &str, query: &SeriesQuery, reader: &Reader) -> Result<Series, Problem> {
    let known = [RowQuery::get(SUMMARY, id), RowQuery::get(EVENTS, id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &known).await?;
    let summary: Option<Summary> = row_at(&snapshot, 0)?;
    let settings: Option<EventSettings> = row_at(&snapshot, 1)?;
    if summary.is_none() && settings.is_none() {
        return Err(Problem::not_found());
    }
    let zone = zone_of(settings.as_ref());
    let Some((from, to)) = range(query, &summary.unwrap_or_default(), &zone)? else {
        let granularity = query.granularity.unwrap_or(Granularity::Minute);
        return Ok(Series { snapshot, granularity, zone, points: Vec::new() });
    };
    let granularity = query.granularity.unwrap_or_else(|| fitting(from, to));
    let (from, to) = span(from, to, granularity, &zone, MAX_POINTS).ok_or_else(|| {
        let reason = format!("would make more than {MAX_POINTS} points; ask for less time or larger buckets");
        Problem::parameter("granularity", reason)
    })?;
    let keys = KeyRange {
        prefix: key(id, ""),
        from: Some(key(id, &minute_of(from).to_string())),
        until: Some(key(id, &to.to_string())),
        limit: MAX_ROWS,
        ..KeyRange::default()
    };
    let queries = [RowQuery::range(MINUTES, keys)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let rows = rows_at(&snapshot, 0);
    if rows.len() == MAX_ROWS {
        let reason = format!("reaches over more than {MAX_ROWS} minutes with taps; ask for less time");
        return Err(Problem::parameter("from", reason));
    }
    let minutes: Vec<Minute> = rows.iter().map(parse).collect::<Result<_, Problem>>()?;
    let points = points(&minutes, from, to, granularity, &zone);
    Ok(Series { snapshot, granularity, zone, points })
}

/// `None`: nothing was asked for and nothing tapped.
fn range(
    query: &SeriesQuery,
    summary: &Summary,
    zone: &TimeZone,
) -> Result<Option<(Timestamp, Timestamp)>, Problem> {
    let read = |name: &'static str, text: &Option<String>| match text {
        Some(text) => instant(text, zone).map(Some).map_err(|e| Problem::parameter(name, e)),
        None => Ok(None),
    };
    let past_last =
        summary.last_tap_at.and_then(|last| last.checked_add(SignedDuration::from_micros(1)).ok());
    let given = (read("from", &query.from)?, read("to", &query.to)?);
    let (from, to) = match (given.0.or(summary.first_tap_at), given.1.or(past_last)) {
        (Some(from), Some(to)) => (from, to),
        (None, None) => return Ok(None),
        // One end is known: a day up to it or from it.
        (Some(from), None) => (from, from.saturating_add(SignedDuration::from_hours(24)).unwrap_or(from)),
        (None, Some(to)) => (to.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(to), to),
    };
    match given {
        _ if from < to => Ok(Some((from, to))),
        (Some(_), Some(_)) => Err(Problem::parameter("to", "must be after from")),
        // Asked for after the last tap or before the first.
        _ => Ok(None),
    }
}

fn fitting(from: Timestamp, to: Timestamp) -> Granularity {
    match to.duration_since(from).as_hours() {
        ..24 => Granularity::Minute,
        24..2160 => Granularity::Hour,
        _ => Granularity::Day,
    }
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn point_body(point: &Point, zone: &TimeZone) -> PointBody {
    PointBody {
        start: point.bucket.start,
        end: point.bucket.end,
        local: local(point.bucket.start, zone),
        taps: point.taps,
        bots: point.bots,
        previews: point.previews,
        new_bands: point.detail.as_ref().map(|d| d.new_bands),
        modes: point.detail.as_ref().map(|d| counts(&d.modes)),
    }
}

impl Series {
    /// One line a point. Cells that ten seconds don't have are empty.
    fn csv(&self) -> Result<Vec<u8>, Problem> {
        let fixed = ["start", "end", "local", "taps", "bots", "previews", "new_bands"];
        let names: Vec<&str> = fixed.into_iter().chain(MODES.map(Mode::as_str)).collect();
        let heading: [String; 14] = std::array::from_fn(|i| names[i].to_owned());
        csv::rows(std::iter::once(heading).chain(self.points.iter().map(|p| self.line(p))))
    }

    fn line(&self, point: &Point) -> [String; 14] {
        let mode = |i: usize| match &point.detail {
            Some(detail) => detail.modes.0.get(MODES[i].as_str()).copied().unwrap_or(0).to_string(),
            None => String::new(),
        };
        std::array::from_fn(|i| match i {
            0 => point.bucket.start.to_string(),
            1 => point.bucket.end.to_string(),
            2 => local(point.bucket.start, &self.zone),
            3 => point.taps.to_string(),
            4 => point.bots.to_string(),
            5 => point.previews.to_string(),
            6 => point.detail.as_ref().map_or(String::new(), |d| d.new_bands.to_string()),
            _ => mode(i - 7),
        })
    }
}
