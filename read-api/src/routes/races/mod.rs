//! Races, drivers and tracks; what was sealed before a race, and the record.

mod backtests;
mod drivers;
mod forecasts;
mod graph;
mod lineups;
mod live;
mod projections;
mod race;
mod tracks;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ::projections::dfs_projections::{
    BY_TRACK, CARDS, Card, DRIVERS, DriverRow, NAME, RACES, RaceRow, TRACKS, TrackRow,
};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use daybook_http::problem::Kind;
use daybook_http::{Id, Problem, Query};
use domain::ports::rows::{Query as RowQuery, Snapshot, SortAfter, StoredRow};
use domain::racing::race::Details;
use domain::racing::track::TrackKind;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, Place};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at, rows_at};
use crate::at_least::{Answer, AtLeast};
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;
/// Tracks that are looked through for how each races.
const MAX_TRACKS: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/races", get(list))
        .merge(race::router())
        .merge(projections::router())
        .merge(lineups::router())
        .merge(live::router())
        .merge(backtests::router())
        .merge(drivers::router())
        .merge(tracks::router())
        .merge(forecasts::router())
}

/// Its part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = Doc::openapi();
    doc.merge(race::Doc::openapi());
    doc.merge(projections::Doc::openapi());
    doc.merge(lineups::Doc::openapi());
    doc.merge(live::Doc::openapi());
    doc.merge(backtests::Doc::openapi());
    doc.merge(drivers::Doc::openapi());
    doc.merge(tracks::Doc::openapi());
    doc.merge(forecasts::Doc::openapi());
    doc
}

#[derive(OpenApi)]
#[openapi(paths(list))]
struct Doc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RaceStatus {
    Scheduled,
    Started,
    Finished,
    Cancelled,
}

impl RaceStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Started => "started",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only races of this season.
    season: Option<i16>,
    /// Only races at this track.
    #[param(value_type = Option<String>)]
    track: Option<Id>,
    /// scheduled, started, finished or cancelled.
    #[param(value_type = Option<String>)]
    status: Option<RaceStatus>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A race without its cars.
#[derive(Debug, Serialize, ToSchema)]
struct RaceListed {
    id: String,
    #[serde(flatten)]
    details: Details,
    status: String,
    cars: usize,
    /// Id of a driver.
    winner: Option<String>,
    corrections: usize,
    /// Projections that were sealed.
    sealed: usize,
}

impl From<Card> for RaceListed {
    fn from(card: Card) -> Self {
        let Card { id, details, status, cars, winner, corrections, sealed } = card;
        Self { id, details, status, cars, winner, corrections, sealed }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Races {
    /// Latest first.
    races: Vec<RaceListed>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The tenant's races, latest first.
#[utoipa::path(get, operation_id = "list_races", path = "/v1/races", tag = "Races", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Races)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Races>, Problem> {
    let (table, group) = match &filter.track {
        Some(track) => (BY_TRACK, track.0.as_str()),
        None => (CARDS, ""),
    };
    let season = filter.season.map_or("any".to_owned(), |season| season.to_string());
    let status = filter.status.map_or("any", RaceStatus::as_str);
    let list = List {
        projection: NAME,
        scope: &["races", reader.tenant.as_str(), group, &season, status],
        limit: limit(filter.limit, 100, MAX_LIMIT)?,
        cursor: filter.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|p| SortAfter { sort: p.sort.unwrap_or_default(), key: p.key });
        RowQuery::top(table, group, after, limit)
    };
    let keep = |row: &StoredRow| {
        let card: Card = parse(row)?;
        let wanted = filter.season.is_none_or(|season| season == card.details.season)
            && filter.status.is_none_or(|status| status.as_str() == card.status);
        Ok(wanted.then(|| card.into()))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Races { races: page.items, next: page.next }))
}

/// A race with how its track raced that day, read with other rows of the same
/// snapshot, whose queries come first.
struct Found {
    race: RaceRow,
    kind: Option<TrackKind>,
    names: Names,
}

/// Reads the race of this id; a race that is not there is not found.
async fn race(
    state: &ReadState,
    reader: &Reader,
    id: &str,
    more: &[RowQuery],
) -> Result<(Snapshot, Found), Problem> {
    let mut queries = vec![RowQuery::get(RACES, id)];
    queries.extend_from_slice(more);
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let race: RaceRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let found = complete(state, reader, &snapshot, race).await?;
    Ok((snapshot, found))
}

/// Adds what other tables know of a race.
async fn complete(
    state: &ReadState,
    reader: &Reader,
    snapshot: &Snapshot,
    race: RaceRow,
) -> Result<Found, Problem> {
    let details = race.race.details.as_ref().ok_or_else(Problem::not_found)?;
    let ids: BTreeSet<&str> = race.race.entries.iter().map(|e| e.driver.as_str()).collect();
    let mut queries = vec![RowQuery::get(TRACKS, &details.track)];
    queries.extend(ids.iter().map(|id| RowQuery::get(DRIVERS, id)));
    let rest = state.read(NAME, &reader.tenant, &AtLeast::after(snapshot), &queries).await?;
    let track: Option<TrackRow> = row_at(&rest, 0)?;
    let kind = track.and_then(|row| row.track.kind_on(day(details)));
    Ok(Found { kind, names: Names::of(&rest, 1)?, race })
}

/// The day of a race; the middle of the season where it is not known.
fn day(details: &Details) -> Date {
    day_of(details.date, details.season)
}

fn day_of(day: Option<Date>, season: i16) -> Date {
    day.unwrap_or(date(season.clamp(1, 9999), 7, 1))
}

/// What drivers are called.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// From the answers to queries of single drivers, from number `from` on.
    fn of(snapshot: &Snapshot, from: usize) -> Result<Self, Problem> {
        let rows = snapshot.results.iter().skip(from).flatten();
        let names = rows.map(|row| parse::<DriverRow>(row).map(|driver| (driver.id, driver.name)));
        names.collect::<Result<_, _>>().map(Self)
    }

    /// The id for a driver whom nobody has named.
    fn get(&self, driver: &str) -> String {
        self.0.get(driver).map_or(driver, String::as_str).to_owned()
    }
}

/// How tracks race, by id.
struct Tracks(BTreeMap<String, TrackRow>);

impl Tracks {
    fn query() -> RowQuery {
        RowQuery::prefix(TRACKS, "", MAX_TRACKS)
    }

    /// From the answer to that query.
    fn of(snapshot: &Snapshot, index: usize) -> Result<Self, Problem> {
        let rows = rows_at(snapshot, index).iter().map(parse::<TrackRow>);
        rows.map(|row| row.map(|row| (row.id.clone(), row))).collect::<Result<_, _>>().map(Self)
    }

    fn kind(&self, track: &str, day: Date) -> Option<TrackKind> {
        self.0.get(track).and_then(|row| row.track.kind_on(day))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    GraphMl,
}

/// What the client wants of what there is: by `?format=`, else by `Accept`.
fn format(asked: Option<&str>, headers: &HeaderMap, there: &[Format]) -> Result<Format, Problem> {
    let word = |f: &Format| match f {
        Format::Json => ("json", "application/json"),
        Format::Csv => ("csv", "text/csv"),
        Format::GraphMl => ("graphml", "application/graphml+xml"),
    };
    if let Some(asked) = asked {
        let found = there.iter().find(|f| word(f).0 == asked);
        let words: Vec<&str> = there.iter().map(|f| word(f).0).collect();
        let wrong = || Problem::parameter("format", format!("must be {}", words.join(" or ")));
        return found.copied().ok_or_else(wrong);
    }
    let accept = headers.get(axum::http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    for media in accept.split(',').map(|m| m.split(';').next().unwrap_or_default().trim()) {
        match there.iter().find(|f| word(f).1 == media) {
            Some(found) => return Ok(*found),
            None if matches!(media, "*/*" | "application/*" | "") => return Ok(Format::Json),
            None => {}
        }
    }
    let media: Vec<&str> = there.iter().map(|f| word(f).1).collect();
    Err(Problem::new(Kind::NotAcceptable, format!("There is {} here.", media.join(" and "))))
}

/// Which sealed projections are told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SealedFilter {
    /// Only of this site.
    #[param(value_type = Option<String>)]
    site: Option<Id>,
    /// Only of this model: name@version.
    model: Option<String>,
    /// json or csv; otherwise as `Accept` says.
    format: Option<String>,
}

impl SealedFilter {
    fn takes(&self, site: &str, model: &str) -> bool {
        self.site.as_ref().is_none_or(|asked| asked.0 == site)
            && self.model.as_ref().is_none_or(|asked| asked == model)
    }
}
