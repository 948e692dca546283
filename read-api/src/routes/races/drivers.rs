//! Drivers: what they did on which kind of track, and with whom.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::Query as RowQuery;
use domain::racing::track::TrackKind;
use projections::dfs_projections::{DRIVERS, DriverRow, NAME, STARTS, StartRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::graph::{self, Graph};
use super::{Format, Names, Tracks, day_of, format};
use crate::at_least::{Answer, AtLeast};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at, rows_at};
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;
/// Races of one driver that are looked at: more than any career has.
const MAX_STARTS: usize = 2_000;
/// Races that are told.
const SHOWN: usize = 100;
/// Drivers in races that are looked at for a list.
const MAX_LOOKED_AT: usize = 50_000;
/// Others that are told.
const MAX_OTHERS: usize = 100;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/drivers", get(list)).route("/v1/drivers/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
pub struct Doc;

/// What a driver did in a number of races.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
struct Tally {
    /// Races with a result.
    races: u32,
    wins: u32,
    top5: u32,
    top10: u32,
    /// Dropped out, for whatever reason.
    dnf: u32,
    laps_led: u64,
    fastest_laps: u64,
    /// Mean place; absent without a race.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_finish: Option<f64>,
    #[serde(skip)]
    sum: u64,
}

impl Tally {
    fn add(&mut self, start: &StartRow) {
        let Some(result) = &start.result else { return };
        self.races += 1;
        self.wins += u32::from(result.finish == 1);
        self.top5 += u32::from(result.finish <= 5);
        self.top10 += u32::from(result.finish <= 10);
        self.dnf += u32::from(!matches!(result.status.as_str(), "running" | "disqualified"));
        self.laps_led += u64::from(result.led);
        self.fastest_laps += u64::from(start.fastest_laps.unwrap_or(0));
        self.sum += u64::from(result.finish);
        let mean = self.sum as f64 / f64::from(self.races);
        self.average_finish = Some((mean * 100.0).round() / 100.0);
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only races on tracks that race so: superspeedway, intermediate, short, road or dirt.
    #[param(value_type = Option<String>)]
    kind: Option<TrackKind>,
    /// Only races of this season.
    season: Option<i16>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Ranked {
    id: String,
    name: String,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize, ToSchema)]
struct Drivers {
    /// Best mean place first.
    drivers: Vec<Ranked>,
    /// False if there were more than 50,000 starts to look at.
    complete: bool,
}

/// Drivers by what they did, on a kind of track or in a season if told.
#[utoipa::path(get, operation_id = "list_drivers", path = "/v1/drivers", tag = "Races", params(Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = Drivers)))]
async fn list(
    State(state): State<ReadState>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Answer<Drivers>, Problem> {
    let limit = limit(filter.limit, 100, MAX_LIMIT)?;
    let queries = [Tracks::query(), RowQuery::prefix(STARTS, "", MAX_LOOKED_AT)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let tracks = Tracks::of(&snapshot, 0)?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for row in rows_at(&snapshot, 1) {
        let start: StartRow = parse(row)?;
        let kind = || tracks.kind(&start.track, day_of(start.date, start.season));
        if filter.season.is_none_or(|s| s == start.season) && filter.kind.is_none_or(|k| kind() == Some(k)) {
            tallies.entry(start.entry.driver.clone()).or_default().add(&start);
        }
    }
    let mut ranked: Vec<(String, Tally)> = tallies.into_iter().filter(|(_, t)| t.races > 0).collect();
    ranked.sort_by(|(_, a), (_, b)| {
        a.average_finish.partial_cmp(&b.average_finish).unwrap_or(std::cmp::Ordering::Equal)
    });
    ranked.truncate(limit);
    let names: Vec<RowQuery> = ranked.iter().map(|(id, _)| RowQuery::get(DRIVERS, id)).collect();
    let named = state.read(NAME, &reader.tenant, &AtLeast::after(&snapshot), &names).await?;
    let names = Names::of(&named, 0)?;
    let drivers = ranked.into_iter().map(|(id, tally)| Ranked { name: names.get(&id), id, tally }).collect();
    let complete = rows_at(&snapshot, 1).len() < MAX_LOOKED_AT;
    Ok(Answer::new(&snapshot, Drivers { drivers, complete }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OneFormat {
    /// json or graphml; otherwise as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Other {
    driver: String,
    name: String,
    races: u32,
}

#[derive(Debug, Serialize, ToSchema)]
struct DriverBody {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    name: String,
    /// Other spellings.
    also: Vec<String>,
    all: Tally,
    by_track_kind: BTreeMap<String, Tally>,
    by_season: BTreeMap<i16, Tally>,
    /// Who was of the same team, most races first; at most 100.
    teammates: Vec<Other>,
    /// Who dropped out by an accident within a lap, most races first; at most 100.
    accidents_with: Vec<Other>,
    /// Latest first; at most 100.
    #[schema(value_type = Vec<Object>)]
    races: Vec<StartRow>,
}

/// A driver: record by kind of track and season, teammates, shared accidents.
#[utoipa::path(get, operation_id = "driver", path = "/v1/drivers/{id}", tag = "Races", params(("id" = String, Path), OneFormat, GenerationParameter, ReadHeaders), responses((status = 200, body = DriverBody)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(asked): Query<OneFormat>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = format(asked.format.as_deref(), &headers, &[Format::Json, Format::GraphMl])?;
    let queries =
        [RowQuery::get(DRIVERS, &id), RowQuery::top(STARTS, &id, None, MAX_STARTS), Tracks::query()];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: Option<DriverRow> = row_at(&snapshot, 0)?;
    let starts: Vec<StartRow> = rows_at(&snapshot, 1).iter().map(parse).collect::<Result<_, _>>()?;
    if row.is_none() && starts.is_empty() {
        return Err(Problem::not_found());
    }
    let named =
        row.unwrap_or_else(|| DriverRow { id: id.0.clone(), name: id.0.clone(), ..DriverRow::default() });
    let mut told = told(named, starts, &Tracks::of(&snapshot, 2)?);
    let others = told.teammates.iter().chain(&told.accidents_with);
    let names: Vec<RowQuery> = others.map(|other| RowQuery::get(DRIVERS, &other.driver)).collect();
    let names = Names::of(&state.read(NAME, &reader.tenant, &AtLeast::after(&snapshot), &names).await?, 0)?;
    for other in told.teammates.iter_mut().chain(&mut told.accidents_with) {
        other.name = names.get(&other.driver);
    }
    if format == Format::GraphMl {
        return Ok(graph::answer(&snapshot, &drawn(&told)));
    }
    let version = told.version;
    told.races.truncate(SHOWN);
    Ok(Answer::new(&snapshot, told).version(version).into_response())
}

fn told(row: DriverRow, starts: Vec<StartRow>, tracks: &Tracks) -> DriverBody {
    let mut all = Tally::default();
    let (mut kinds, mut seasons) = (BTreeMap::<String, Tally>::new(), BTreeMap::<i16, Tally>::new());
    let (mut mates, mut accidents) = (BTreeMap::new(), BTreeMap::new());
    for start in &starts {
        all.add(start);
        seasons.entry(start.season).or_default().add(start);
        if let Some(kind) = tracks.kind(&start.track, day_of(start.date, start.season)) {
            kinds.entry(word(kind).to_owned()).or_default().add(start);
        }
        for (others, counts) in [(&start.teammates, &mut mates), (&start.accident_with, &mut accidents)] {
            for other in others {
                *counts.entry(other.clone()).or_insert(0) += 1;
            }
        }
    }
    DriverBody {
        id: row.id,
        version: row.version,
        name: row.name,
        also: row.also.into_iter().collect(),
        all,
        by_track_kind: kinds,
        by_season: seasons,
        teammates: most(mates),
        accidents_with: most(accidents),
        races: starts,
    }
}

fn word(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Superspeedway => "superspeedway",
        TrackKind::Intermediate => "intermediate",
        TrackKind::Short => "short",
        TrackKind::Road => "road",
        TrackKind::Dirt => "dirt",
    }
}

fn most(counts: BTreeMap<String, u32>) -> Vec<Other> {
    let mut others: Vec<Other> =
        counts.into_iter().map(|(driver, races)| Other { name: String::new(), driver, races }).collect();
    others.sort_by_key(|other| std::cmp::Reverse(other.races));
    others.truncate(MAX_OTHERS);
    others
}

fn drawn(told: &DriverBody) -> Graph {
    let mut graph = Graph::default();
    let own = graph.node("driver", &told.id, &told.name);
    for start in &told.races {
        let race = graph.node("race", &start.race, &start.race);
        graph.season(&race, start.season);
        let mut data = Vec::new();
        data.extend(start.entry.start.map(|place| ("start", place.to_string())));
        if let Some(result) = &start.result {
            data.extend([("finish", result.finish.to_string()), ("status", result.status.clone())]);
        }
        graph.edge(&own, &race, "drove_in", data);
        let track = graph.node("track", &start.track, &start.track);
        graph.edge(&race, &track, "at", vec![]);
    }
    for (others, is) in [(&told.teammates, "teammate_of"), (&told.accidents_with, "accident_with")] {
        for other in others {
            let node = graph.node("driver", &other.driver, &other.name);
            graph.edge(&own, &node, is, vec![("races", other.races.to_string())]);
        }
    }
    graph
}
