//! Valuation runs, in a list.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::{Problem, Query};
use domain::ports::rows::{KeyRange, Query as RowQuery};
use projections::valuation_runs::{NAME, RUNS, RunRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, Place};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse};
use crate::at_least::Answer;
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/runs", get(list))
}

#[derive(OpenApi)]
#[openapi(paths(list))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsOf {
    /// Only runs with this status: QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED.
    status: Option<String>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Runs {
    /// In the order of their ids.
    #[schema(value_type = Vec<Object>)]
    runs: Vec<RunRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The tenant's runs with status and progress.
#[utoipa::path(get, path = "/v1/runs", tag = "Runs", params(RunsOf, GenerationParameter, ReadHeaders), responses((status = 200, body = Runs)))]
async fn list(
    State(state): State<ReadState>,
    Query(of): Query<RunsOf>,
    reader: Reader,
) -> Result<Answer<Runs>, Problem> {
    let wanted = of.status.as_deref().map(str::to_ascii_uppercase);
    let known = ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];
    if wanted.as_deref().is_some_and(|status| !known.contains(&status)) {
        return Err(Problem::parameter("status", format!("must be one of {}", known.join(", "))));
    }
    let list = List {
        projection: NAME,
        scope: &["runs", reader.tenant.as_str(), wanted.as_deref().unwrap_or_default()],
        limit: limit(of.limit, 100, MAX_LIMIT)?,
        cursor: of.cursor.as_deref(),
    };
    let query = |after: Option<Place>, limit| {
        let after = after.map(|place| place.key);
        RowQuery::range(RUNS, KeyRange { after, limit, ..KeyRange::default() })
    };
    let keep = |row: &_| {
        let row: RunRow = parse(row)?;
        Ok(wanted.as_ref().is_none_or(|status| *status == row.status).then_some(row))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Runs { runs: page.items, next: page.next }))
}
