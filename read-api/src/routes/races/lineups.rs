//! Lineups that were kept, and the files that sites take.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_http::problem::Kind;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{KeyRange, Query as RowQuery};
use domain::racing::lineups::Kept;
use jiff::Timestamp;
use projections::dfs_projections::{LINEUPS, LineupsRow, lineups_key};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{Format, Names, format};
use crate::at_least::{Answer, reflect};
use crate::routes::{GenerationParameter, ReadHeaders, Reader, csv, limit, parse, rows_at};
use crate::state::ReadState;

const MAX_LIMIT: usize = 20;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/races/{id}/lineups", get(kept))
}

#[derive(OpenApi)]
#[openapi(paths(kept))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only this one.
    set: Option<u64>,
    /// 1 to 20; 5 unless told.
    limit: Option<usize>,
    /// json, or csv for the file that the site takes, of one set; otherwise as `Accept` says.
    format: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LineupSet {
    set: u64,
    /// Where the fact stands.
    position: u64,
    #[schema(value_type = String)]
    kept_at: Timestamp,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    kept: Kept,
}

#[derive(Debug, Serialize, ToSchema)]
struct LineupSets {
    race: String,
    /// Newest first.
    lineups: Vec<LineupSet>,
}

/// Lineups that were picked for the race, newest first.
#[utoipa::path(get, operation_id = "race_lineups", path = "/v1/races/{id}/lineups", tag = "Races", params(("id" = String, Path), Filter, GenerationParameter, ReadHeaders), responses((status = 200, body = LineupSets)))]
async fn kept(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let format = format(filter.format.as_deref(), &headers, &[Format::Json, Format::Csv])?;
    let limit = limit(filter.limit, 5, MAX_LIMIT)?;
    let query = match filter.set {
        Some(set) => RowQuery::get(LINEUPS, &lineups_key(&id, set)),
        None => {
            let limit = if format == Format::Csv { 1 } else { limit };
            let range =
                KeyRange { prefix: format!("{}/", id.0), descending: true, limit, ..KeyRange::default() };
            RowQuery::range(LINEUPS, range)
        }
    };
    let (snapshot, found) = super::race(&state, &reader, &id, &[query]).await?;
    let sets = rows_at(&snapshot, 1).iter().map(|row| {
        let LineupsRow { set, position, recorded_at, kept } = parse(row)?;
        Ok(LineupSet { set, position, kept_at: recorded_at, kept })
    });
    let sets: Vec<LineupSet> = sets.collect::<Result<_, Problem>>()?;
    if sets.is_empty() && filter.set.is_some() {
        return Err(Problem::not_found());
    }
    if format == Format::Json {
        return Ok(Answer::new(&snapshot, LineupSets { race: id.0, lineups: sets }).into_response());
    }
    let set = sets.first().ok_or_else(Problem::not_found)?;
    let mut headers = HeaderMap::new();
    reflect(&mut headers, &snapshot);
    headers.insert(header::CONTENT_TYPE, csv::CONTENT_TYPE);
    Ok((headers, csv::wide(upload(&set.kept, &found.names)?)?).into_response())
}

/// A column for each spot, with what the site calls the drivers.
fn upload(kept: &Kept, names: &Names) -> Result<Vec<Vec<String>>, Problem> {
    let fanduel = kept.site == "fanduel";
    let spot = if fanduel { "Driver" } else { "D" };
    let mut lines = vec![vec![spot.to_owned(); kept.roster as usize]];
    for lineup in &kept.lineups {
        let cell = |at: &u8| {
            let pick =
                kept.drivers.get(usize::from(*at)).ok_or_else(|| Problem::internal("a lineup of nobody"))?;
            let name = names.get(&pick.driver);
            let unknown = || {
                let detail =
                    format!("What {} calls {name} is not known; give ids with set-salaries.", kept.site);
                Problem::new(Kind::Conflict, detail)
            };
            let id = pick.site_id.as_ref().ok_or_else(unknown)?;
            Ok(if fanduel { format!("{id}:{name}") } else { format!("{name} ({id})") })
        };
        lines.push(lineup.drivers.iter().map(cell).collect::<Result<_, Problem>>()?);
    }
    Ok(lines)
}
