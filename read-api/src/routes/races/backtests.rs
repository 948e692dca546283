//! The calibration record: how good sealed projections turned out to be.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::{Problem, Query};
use domain::ports::rows::Query as RowQuery;
use projections::dfs_projections::{NAME, Record, SCORES, ScoreRow, record};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{Format, SealedFilter, Tracks, format};
use crate::at_least::{Answer, reflect};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, csv, parse, rows_at};
use crate::state::ReadState;

/// Races by sites by models that are looked at.
const MAX_SCORES: usize = 5_000;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/backtests", get(backtests))
}

#[derive(OpenApi)]
#[openapi(paths(backtests))]
pub struct Doc;

/// One race's score.
#[derive(Debug, Serialize, ToSchema)]
struct Judged {
    race: String,
    season: i16,
    track: String,
    track_kind: &'static str,
    /// Where the projection stands in the log, and its hash.
    position: u64,
    sha256: String,
    cars: f64,
    /// Spearman's correlation with the finish; `grid` is that of the grid.
    rho: f64,
    grid: f64,
    /// Over pairs of cars.
    brier: f64,
    /// In places.
    crps: f64,
    /// Part of the finishes within the 80 % interval.
    within_80: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Backtest {
    site: String,
    model: String,
    /// Over all races, without superspeedways, by kind of track, by season;
    /// and pairs of cars by the chance that was said.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    record: Record,
    /// In the order of the seasons.
    races: Vec<Judged>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Backtests {
    backtests: Vec<Backtest>,
    /// False if there were more than 5,000 scores to look at.
    complete: bool,
}

/// How good sealed projections turned out to be, by site and model. Only what
/// was recorded before a green flag is judged, by the result as it is now.
#[utoipa::path(get, operation_id = "backtests", path = "/v1/backtests", tag = "Races", params(SealedFilter, GenerationParameter, ReadHeaders), responses((status = 200, body = Backtests)))]
async fn backtests(
    State(state): State<ReadState>,
    Query(filter): Query<SealedFilter>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = format(filter.format.as_deref(), &headers, &[Format::Json, Format::Csv])?;
    let queries = [Tracks::query(), RowQuery::prefix(SCORES, "", MAX_SCORES)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let mut of: BTreeMap<(String, String), Vec<ScoreRow>> = BTreeMap::new();
    for row in rows_at(&snapshot, 1) {
        let row: ScoreRow = parse(row)?;
        if filter.takes(&row.site, &row.model) {
            of.entry((row.site.clone(), row.model.clone())).or_default().push(row);
        }
    }
    let complete = rows_at(&snapshot, 1).len() < MAX_SCORES;
    let backtests: Vec<Backtest> = of
        .into_iter()
        .map(|((site, model), mut rows)| {
            rows.sort_by_key(|row| (row.score.season, row.number));
            Backtest { site, model, record: record(&rows), races: rows.into_iter().map(judged).collect() }
        })
        .collect();
    if format == Format::Csv {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, &snapshot);
        headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
        return Ok((headers, csv::rows(table(backtests))?).into_response());
    }
    Ok(Answer::new(&snapshot, Backtests { backtests, complete }).into_response())
}

fn judged(row: ScoreRow) -> Judged {
    let rounded = |number: f64| (number * 1e4).round() / 1e4;
    Judged {
        track_kind: row.score.kind.as_str(),
        season: row.score.season,
        cars: row.score.cars,
        rho: rounded(row.score.rho[0]),
        grid: rounded(row.score.rho[1]),
        brier: rounded(row.score.pairs.brier()),
        crps: rounded(row.score.crps / row.score.cars),
        within_80: rounded(row.score.within[1] / row.score.cars),
        race: row.race,
        track: row.track,
        position: row.position,
        sha256: row.sha256,
    }
}

fn table(backtests: Vec<Backtest>) -> impl Iterator<Item = [String; 13]> {
    let header = [
        "site",
        "model",
        "race",
        "season",
        "track",
        "track_kind",
        "cars",
        "rho",
        "grid",
        "brier",
        "crps",
        "within_80",
        "sha256",
    ];
    let rows = backtests.into_iter().flat_map(|of| {
        let (site, model) = (of.site, of.model);
        of.races.into_iter().map(move |r| {
            [
                site.clone(),
                model.clone(),
                r.race,
                r.season.to_string(),
                r.track,
                r.track_kind.to_owned(),
                r.cars.to_string(),
                r.rho.to_string(),
                r.grid.to_string(),
                r.brier.to_string(),
                r.crps.to_string(),
                r.within_80.to_string(),
                r.sha256,
            ]
        })
    });
    std::iter::once(header.map(str::to_owned)).chain(rows)
}
