//! What the promoted model says of each race from the races before it, and how
//! good that is. A forecast is made again whenever its past changes; what has to
//! stay is sealed.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::problem::Kind;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{Query as RowQuery, Snapshot};
use projections::dfs_projections::{
    Accuracy, DfsProjections, FORECAST_GROUPS, FORECAST_RACES, FORECAST_RECORD, FORECASTS, ForecastRace,
    ForecastRow, NAME,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{Format, format};
use crate::at_least::{Answer, reflect};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, csv, parse, rows_at};
use crate::state::ReadState;

/// Races, and cars of one race, that are looked at.
const MAX_RACES: usize = 1_000;
const MAX_CARS: usize = 100;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/races/{id}/forecast", get(one)).route("/v1/forecasts", get(record))
}

#[derive(OpenApi)]
#[openapi(paths(one, record))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// json or csv; otherwise as `Accept` says.
    format: Option<String>,
}

/// What is said of one driver, and the place that it was.
#[derive(Debug, Serialize, ToSchema)]
struct ForecastDriver {
    driver: String,
    name: String,
    start: Option<u32>,
    /// A is ahead of B with chance 1 / (1 + e^(strength B − strength A)).
    strength: f64,
    /// Expected place.
    expected: f64,
    /// Of the place, at 10, 25, 50, 75 and 90 %.
    quantiles: [f64; 5],
    win: f64,
    top5: f64,
    top10: f64,
    dnf: f64,
    /// Expected points by site.
    points: BTreeMap<String, f64>,
    finish: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Forecast {
    race: String,
    model: String,
    /// Of the model.
    #[schema(value_type = Object)]
    parameters: Value,
    /// Best expected place first; none while fewer than 20 races were learned.
    drivers: Vec<ForecastDriver>,
}

/// What the model says of a race from the races before it, in the light of
/// everything that is known of those by now.
#[utoipa::path(get, operation_id = "race_forecast", path = "/v1/races/{id}/forecast", tag = "Races", params(("id" = String, Path), Asked, GenerationParameter, ReadHeaders), responses((status = 200, body = Forecast)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = format(asked.format.as_deref(), &headers, &[Format::Json, Format::Csv])?;
    forecasts(&state, &reader).await?;
    let queries = [RowQuery::prefix(FORECASTS, &format!("{}/", id.0), MAX_CARS)];
    let (snapshot, found) = super::race(&state, &reader, &id, &queries).await?;
    let driver = |row| {
        let row: ForecastRow = parse(row)?;
        Ok(ForecastDriver {
            name: found.names.get(&row.driver),
            driver: row.driver,
            start: row.start,
            strength: row.strength,
            expected: row.expected,
            quantiles: [row.q10, row.q25, row.median, row.q75, row.q90],
            win: row.win,
            top5: row.top5,
            top10: row.top10,
            dnf: row.dnf,
            points: row.points,
            finish: row.finish,
        })
    };
    let mut drivers = rows_at(&snapshot, 1).iter().map(driver).collect::<Result<Vec<_>, Problem>>()?;
    drivers.sort_by(|a, b| a.expected.total_cmp(&b.expected));
    if format == Format::Csv {
        let mut headers = HeaderMap::new();
        reflect(&mut headers, &snapshot);
        headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
        return Ok((headers, csv::rows(table(drivers))?).into_response());
    }
    let model = &snapshot.model;
    let (model, parameters) = (model.to_string(), model.parameters.clone());
    Ok(Answer::new(&snapshot, Forecast { race: id.0, model, parameters, drivers }).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
struct ForecastRecord {
    model: String,
    /// Of the model.
    #[schema(value_type = Object)]
    parameters: Value,
    /// Over all races; by kind of track, season, and without superspeedways.
    #[schema(value_type = Object)]
    all: Option<Accuracy>,
    #[schema(value_type = Object)]
    groups: BTreeMap<String, Accuracy>,
    /// Newest first; judged once there is a result.
    #[schema(value_type = Vec<Object>)]
    races: Vec<ForecastRace>,
}

/// How good the model's forecasts are over all races, each made from earlier
/// races only.
#[utoipa::path(get, operation_id = "forecast_record", path = "/v1/forecasts", tag = "Races", params(GenerationParameter, ReadHeaders), responses((status = 200, body = ForecastRecord)))]
async fn record(State(state): State<ReadState>, reader: Reader) -> Result<Answer<ForecastRecord>, Problem> {
    forecasts(&state, &reader).await?;
    let queries = [
        RowQuery::prefix(FORECAST_RECORD, "", 1),
        RowQuery::prefix(FORECAST_GROUPS, "", MAX_RACES),
        RowQuery::top(FORECAST_RACES, "", None, MAX_RACES),
    ];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let all = rows_at(&snapshot, 0).first().map(parse).transpose()?;
    let group = |row: &domain::ports::rows::StoredRow| Ok((row.key.to_string(), parse(row)?));
    let groups = rows_at(&snapshot, 1).iter().map(group).collect::<Result<_, Problem>>()?;
    let races = rows_at(&snapshot, 2).iter().map(parse).collect::<Result<_, _>>()?;
    let (model, parameters) = (snapshot.model.to_string(), snapshot.model.parameters.clone());
    Ok(Answer::new(&snapshot, ForecastRecord { model, parameters, all, groups, races }))
}

/// Rows of the fold without forecasts have none.
async fn forecasts(state: &ReadState, reader: &Reader) -> Result<Snapshot, Problem> {
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &[]).await?;
    if snapshot.model == DfsProjections::plain_model() {
        let detail = "This generation was built without forecasts; build and promote another.";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok(snapshot)
}

fn table(drivers: Vec<ForecastDriver>) -> impl Iterator<Item = [String; 13]> {
    let header = [
        "driver", "name", "start", "strength", "expected", "q10", "median", "q90", "win", "top5", "top10",
        "dnf", "finish",
    ];
    let rows = drivers.into_iter().map(|d| {
        let whole = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        let [q10, _, median, _, q90] = d.quantiles.map(|q| q.to_string());
        let [strength, expected, win, top5, top10, dnf] =
            [d.strength, d.expected, d.win, d.top5, d.top10, d.dnf].map(|n| n.to_string());
        let (start, finish) = (whole(d.start), whole(d.finish));
        [d.driver, d.name, start, strength, expected, q10, median, q90, win, top5, top10, dnf, finish]
    });
    std::iter::once(header.map(str::to_owned)).chain(rows)
}
