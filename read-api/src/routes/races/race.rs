//! One race, and its result.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::StreamId;
use domain::ports::rows::Snapshot;
use domain::racing::race::{self as facts, Details, Entry, Placed, Race, Seal, Session};
use domain::racing::track::TrackKind;
use jiff::Timestamp;
use projections::as_of::stream_until;
use projections::dfs_projections::{Correction, DfsProjections, NAME, RACES, RaceRow, crashed, status};
use projections::testing::fold;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{Format, Found, Names, complete, format, graph};
use crate::at_least::{Answer, AtLeast, reflect};
use crate::lens::{self, At};
use crate::routes::csv;
use crate::routes::{GenerationParameter, PastParameter, PastReader, ReadHeaders, Reader};
use crate::state::ReadState;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/races/{id}", get(one)).route("/v1/races/{id}/results", get(results))
}

#[derive(OpenApi)]
#[openapi(paths(one, results))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OneFormat {
    /// json or graphml; otherwise as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResultsFormat {
    /// json or csv; otherwise as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EnteredDriver {
    #[serde(flatten)]
    entry: Entry,
    name: String,
    /// Dollars by site.
    salaries: BTreeMap<String, u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RaceBody {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    #[serde(flatten)]
    details: Details,
    status: &'static str,
    /// How the track races on that day.
    #[schema(value_type = Option<String>)]
    track_kind: Option<TrackKind>,
    #[schema(value_type = Option<String>)]
    started_at: Option<Timestamp>,
    cancelled_because: Option<String>,
    entries: Vec<EnteredDriver>,
    /// Drivers by team.
    teams: BTreeMap<String, Vec<String>>,
    /// Drivers by make, in the order of their finish, else of the grid.
    makes: BTreeMap<String, Vec<String>>,
    /// Drivers who dropped out by an accident within a lap of each other.
    accidents: Vec<BTreeSet<String>>,
    /// Practice and qualifying.
    sessions: Vec<Session>,
    #[schema(value_type = Vec<Object>)]
    corrections: Vec<Correction>,
    /// What was sealed, oldest first.
    #[schema(value_type = Vec<Object>)]
    sealed: Vec<Seal>,
}

fn body(found: Found) -> Result<RaceBody, Problem> {
    let Found { race: row, kind, names } = found;
    let RaceRow { id, version, race, cancelled_because, corrections } = row;
    let status = status(&race);
    let (teams, makes, accidents) = groups(&race);
    let salaries = |driver: &str| {
        let of = |(site, list): (&String, &BTreeMap<String, u32>)| Some((site.clone(), *list.get(driver)?));
        race.salaries.iter().filter_map(of).collect()
    };
    let entries = race.entries.iter().map(|entry| EnteredDriver {
        name: names.get(&entry.driver),
        salaries: salaries(&entry.driver),
        entry: entry.clone(),
    });
    Ok(RaceBody {
        id,
        version,
        status,
        track_kind: kind,
        started_at: race.started_at,
        cancelled_because,
        entries: entries.collect(),
        teams,
        makes,
        accidents,
        sessions: race.sessions.values().cloned().collect(),
        corrections,
        sealed: race.seals.clone(),
        details: race.details.ok_or_else(Problem::not_found)?,
    })
}

type Lists = BTreeMap<String, Vec<String>>;

fn groups(race: &Race) -> (Lists, Lists, Vec<BTreeSet<String>>) {
    let place = |e: &&Entry| race.results.get(&e.driver).map_or(e.start.unwrap_or(u32::MAX), |r| r.finish);
    let mut entries: Vec<&Entry> = race.entries.iter().collect();
    entries.sort_by_key(place);
    let (mut teams, mut makes) = (Lists::new(), Lists::new());
    for entry in entries {
        for (name, lists) in [(&entry.team, &mut teams), (&entry.make, &mut makes)] {
            if let Some(name) = name {
                lists.entry(name.clone()).or_default().push(entry.driver.clone());
            }
        }
    }
    (teams, makes, accidents(race))
}

/// As the rows of the drivers have them: chains of cars within a lap.
fn accidents(race: &Race) -> Vec<BTreeSet<String>> {
    let mut out: Vec<&Placed> = race.results.values().filter(|placed| crashed(placed)).collect();
    out.sort_by_key(|r| (r.laps, r.finish));
    let mut chains: Vec<(u32, BTreeSet<String>)> = Vec::new();
    for placed in out {
        match chains.last_mut() {
            Some((laps, chain)) if placed.laps - *laps <= 1 => {
                *laps = placed.laps;
                chain.insert(placed.driver.clone());
            }
            _ => chains.push((placed.laps, BTreeSet::from([placed.driver.clone()]))),
        }
    }
    chains.into_iter().map(|(_, chain)| chain).filter(|chain| chain.len() > 1).collect()
}

/// A race: entry list, salaries, who belongs together, corrections, what was
/// sealed. The ETag is its version.
#[utoipa::path(get, operation_id = "race", path = "/v1/races/{id}", tag = "Races", params(("id" = String, Path), OneFormat, PastParameter, GenerationParameter, ReadHeaders), responses((status = 200, body = RaceBody), (status = 304)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(asked): Query<OneFormat>,
    headers: HeaderMap,
    PastReader { reader, at }: PastReader,
) -> Result<Response, Problem> {
    let format = format(asked.format.as_deref(), &headers, &[Format::Json, Format::GraphMl])?;
    let (snapshot, found) = found(&state, &reader, &id, at).await?;
    if format == Format::GraphMl {
        let (_, _, accidents) = groups(&found.race.race);
        return Ok(graph::answer(&snapshot, &graph::of_race(&found, &accidents)));
    }
    let version = found.race.version;
    Ok(Answer::new(&snapshot, body(found)?).version(version).unless_known(&headers))
}

/// As it is, or as its stream had it.
async fn found(
    state: &ReadState,
    reader: &Reader,
    id: &str,
    at: Option<At>,
) -> Result<(Snapshot, Found), Problem> {
    let Some(at) = at else { return super::race(state, reader, id, &[]).await };
    let position = at.position(&*state.log).await?;
    let stream = StreamId::new(&reader.tenant, facts::KIND, id).map_err(Problem::internal)?;
    let events = stream_until(&*state.log, &stream, position).await?;
    let rows = fold(&DfsProjections::plain(), &events, events.len()).map_err(Problem::internal)?;
    let race: RaceRow = rows.get(RACES, &reader.tenant, id).ok_or_else(Problem::not_found)?;
    // Names and kinds of tracks are those of now.
    let now = state.read(NAME, &reader.tenant, &AtLeast::default(), &[]).await?;
    let found = complete(state, reader, &now, race).await?;
    Ok((lens::past(NAME, DfsProjections::plain_model(), position), found))
}

#[derive(Debug, Serialize, ToSchema)]
struct ResultLine {
    #[serde(flatten)]
    placed: Placed,
    name: String,
    start: Option<u32>,
    team: Option<String>,
    car: Option<String>,
    make: Option<String>,
    fastest_laps: Option<u32>,
    /// The place before a correction, where one changed it.
    first_finish: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RaceResults {
    race: String,
    /// From the series.
    official: bool,
    /// In the order of their finish; empty until there is a result.
    results: Vec<ResultLine>,
    #[schema(value_type = Vec<Object>)]
    corrections: Vec<Correction>,
}

fn listed(race: &Race, names: &Names) -> Vec<ResultLine> {
    let mut results: Vec<ResultLine> = race
        .results
        .values()
        .map(|placed| {
            let entry = race.entries.iter().find(|e| e.driver == placed.driver);
            ResultLine {
                name: names.get(&placed.driver),
                start: entry.and_then(|e| e.start),
                team: entry.and_then(|e| e.team.clone()),
                car: entry.and_then(|e| e.car.clone()),
                make: entry.and_then(|e| e.make.clone()),
                fastest_laps: race.measured.get(&placed.driver).and_then(|m| m.fastest),
                first_finish: race.first_results.get(&placed.driver).map(|first| first.finish),
                placed: placed.clone(),
            }
        })
        .collect();
    results.sort_by_key(|r| r.placed.finish);
    results
}

/// The result as it is known by now, with what corrections changed.
#[utoipa::path(get, operation_id = "race_results", path = "/v1/races/{id}/results", tag = "Races", params(("id" = String, Path), ResultsFormat, PastParameter, GenerationParameter, ReadHeaders), responses((status = 200, body = RaceResults)))]
async fn results(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(asked): Query<ResultsFormat>,
    headers: HeaderMap,
    PastReader { reader, at }: PastReader,
) -> Result<Response, Problem> {
    let format = format(asked.format.as_deref(), &headers, &[Format::Json, Format::Csv])?;
    let (snapshot, found) = found(&state, &reader, &id, at).await?;
    let results = listed(&found.race.race, &found.names);
    if format == Format::Csv {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, &snapshot);
        headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
        return Ok((headers, csv::rows(table(results))?).into_response());
    }
    let Found { race: row, .. } = found;
    let body = RaceResults {
        race: row.id,
        official: row.race.official_results,
        results,
        corrections: row.corrections,
    };
    Ok(Answer::new(&snapshot, body).into_response())
}

fn table(results: Vec<ResultLine>) -> impl Iterator<Item = [String; 13]> {
    let header = [
        "finish",
        "driver",
        "name",
        "start",
        "car",
        "team",
        "make",
        "laps",
        "led",
        "fastest_laps",
        "status",
        "rating",
        "first_finish",
    ];
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let rows = results.into_iter().map(move |r| {
        [
            r.placed.finish.to_string(),
            r.placed.driver,
            r.name,
            number(r.start),
            r.car.unwrap_or_default(),
            r.team.unwrap_or_default(),
            r.make.unwrap_or_default(),
            r.placed.laps.to_string(),
            r.placed.led.to_string(),
            number(r.fastest_laps),
            r.placed.status,
            r.placed.rating.map(|rating| rating.to_string()).unwrap_or_default(),
            number(r.first_finish),
        ]
    });
    std::iter::once(header.map(str::to_owned)).chain(rows)
}
