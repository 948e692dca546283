//! What was sealed before a race, beside what happened.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::Query as RowQuery;
use domain::racing::race::{Said, Spread};
use jiff::Timestamp;
use projections::dfs_projections::{SEALED, SealedRow, paid};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{Format, Found, SealedFilter, format};
use crate::at_least::{Answer, reflect};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, csv, parse, rows_at};
use crate::state::ReadState;

/// Sites and models of one race.
const MAX_SEALED: usize = 200;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/races/{id}/projections", get(sealed))
}

#[derive(OpenApi)]
#[openapi(paths(sealed))]
pub struct Doc;

/// A number's spread.
#[derive(Debug, Serialize, ToSchema)]
struct Range {
    mean: f64,
    deviation: f64,
    median: f64,
    /// The 10 % quantile.
    floor: f64,
    /// The 90 % quantile.
    ceiling: f64,
    /// At 5, 10, 25, 50, 75, 90 and 95 %.
    quantiles: [f64; 7],
}

impl Range {
    fn of(spread: &Spread, bad_is_high: bool) -> Self {
        let q = spread.quantiles;
        let (floor, ceiling) = if bad_is_high { (q[5], q[1]) } else { (q[1], q[5]) };
        Self { mean: spread.mean, deviation: spread.deviation, median: q[3], floor, ceiling, quantiles: q }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Actual {
    finish: u32,
    /// Before a correction, where one changed it.
    first_finish: Option<u32>,
    status: String,
    /// By the rules that the projection was counted by.
    points: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProjectedDriver {
    driver: String,
    name: String,
    start: Option<u32>,
    /// Dollars, as the site had said it by then.
    salary: Option<u32>,
    /// Place; the floor is the worse end.
    finish: Range,
    points: Range,
    /// Expected points for each $1,000.
    value: Option<f64>,
    win: f64,
    top5: f64,
    top10: f64,
    dnf: f64,
    laps_led: f64,
    fastest_laps: f64,
    /// Once there is a result.
    actual: Option<Actual>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SealedBody {
    site: String,
    model: String,
    /// Of the model, those that are not as it has them.
    parameters: BTreeMap<String, f64>,
    /// Where the fact stands that it was said.
    position: u64,
    #[schema(value_type = String)]
    sealed_at: Timestamp,
    /// Of the numbers as they were recorded.
    sha256: String,
    /// Position of the last fact that was known to it.
    through: u64,
    seed: u64,
    runs: u32,
    /// Races that the model had learned from.
    learned: u32,
    /// RaceProjections of this site and model for this race; this is the last.
    sealed: u32,
    /// Most expected points first.
    drivers: Vec<ProjectedDriver>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RaceProjections {
    race: String,
    projections: Vec<SealedBody>,
}

/// What was sealed before the green flag, by site and model, beside what
/// happened. The last one of each counts.
#[utoipa::path(get, operation_id = "race_projections", path = "/v1/races/{id}/projections", tag = "Races", params(("id" = String, Path), SealedFilter, GenerationParameter, ReadHeaders), responses((status = 200, body = RaceProjections)))]
async fn sealed(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(filter): Query<SealedFilter>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = format(filter.format.as_deref(), &headers, &[Format::Json, Format::Csv])?;
    let queries = [RowQuery::prefix(SEALED, &format!("{}/", id.0), MAX_SEALED)];
    let (snapshot, found) = super::race(&state, &reader, &id, &queries).await?;
    let mut projections = Vec::new();
    for row in rows_at(&snapshot, 1) {
        let row: SealedRow = parse(row)?;
        if filter.takes(&row.sealed.site, &row.sealed.model) {
            projections.push(body(row, &found));
        }
    }
    if format == Format::Csv {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, &snapshot);
        headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
        return Ok((headers, csv::rows(table(projections))?).into_response());
    }
    Ok(Answer::new(&snapshot, RaceProjections { race: id.0, projections }).into_response())
}

fn body(row: SealedRow, found: &Found) -> SealedBody {
    let SealedRow { position, recorded_at, count, sealed, .. } = row;
    let rules = projections::races::site_rules(&sealed.site, &sealed.rules);
    let projected = |said: &Said| {
        let race = &found.race.race;
        let actual = race.results.get(&said.driver).map(|placed| Actual {
            finish: placed.finish,
            first_finish: race.first_results.get(&said.driver).map(|first| first.finish),
            status: placed.status.clone(),
            points: rules.as_ref().and_then(|rules| paid(race, &said.driver, rules)).map(rounded),
        });
        ProjectedDriver {
            name: found.names.get(&said.driver),
            driver: said.driver.clone(),
            start: said.start,
            salary: said.salary,
            finish: Range::of(&said.finish, true),
            points: Range::of(&said.points, false),
            value: said.salary.map(|salary| rounded(said.points.mean / f64::from(salary) * 1_000.0)),
            win: said.win,
            top5: said.top5,
            top10: said.top10,
            dnf: said.dnf,
            laps_led: said.laps_led,
            fastest_laps: said.fastest_laps,
            actual,
        }
    };
    let mut drivers: Vec<ProjectedDriver> = sealed.drivers.iter().map(projected).collect();
    drivers.sort_by(|a, b| b.points.mean.total_cmp(&a.points.mean));
    SealedBody {
        site: sealed.site,
        model: sealed.model,
        parameters: sealed.parameters,
        position,
        sealed_at: recorded_at,
        sha256: sealed.sha256,
        through: sealed.through,
        seed: sealed.seed,
        runs: sealed.runs,
        learned: sealed.learned,
        sealed: count,
        drivers,
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn table(projections: Vec<SealedBody>) -> impl Iterator<Item = [String; 18]> {
    let header = [
        "site",
        "model",
        "driver",
        "name",
        "start",
        "salary",
        "points",
        "floor",
        "ceiling",
        "value",
        "finish",
        "win",
        "top5",
        "top10",
        "dnf",
        "actual_finish",
        "actual_points",
        "sha256",
    ];
    let rows = projections.into_iter().flat_map(|of| {
        let (site, model, sha256) = (of.site, of.model, of.sha256);
        of.drivers.into_iter().map(move |d| {
            let text = |n: Option<f64>| n.map(|n| n.to_string()).unwrap_or_default();
            let whole = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
            [
                site.clone(),
                model.clone(),
                d.driver,
                d.name,
                whole(d.start),
                whole(d.salary),
                d.points.mean.to_string(),
                d.points.floor.to_string(),
                d.points.ceiling.to_string(),
                text(d.value),
                d.finish.mean.to_string(),
                d.win.to_string(),
                d.top5.to_string(),
                d.top10.to_string(),
                d.dnf.to_string(),
                whole(d.actual.as_ref().map(|a| a.finish)),
                text(d.actual.as_ref().and_then(|a| a.points)),
                sha256.clone(),
            ]
        })
    });
    std::iter::once(header.map(str::to_owned)).chain(rows)
}
