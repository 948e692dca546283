//! Rules, and what they matched.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::ports::rows::{Query as RowQuery, StoredRow};
use projections::rules::{COUNTS, CountRow, MATCHES, MatchRow, NAME, RULES, RuleRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, range};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at};
use crate::at_least::Answer;
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/rules", get(list))
        .route("/v1/rules/{id}", get(one))
        .route("/v1/rules/{id}/matches", get(matches))
}

#[derive(OpenApi)]
#[openapi(paths(list, one, matches))]
pub struct Doc;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageOf {
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rules {
    /// In the order of their ids.
    #[schema(value_type = Vec<Object>)]
    rules: Vec<RuleRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The tenant's rules.
#[utoipa::path(get, path = "/v1/rules", tag = "Rules", params(PageOf, GenerationParameter, ReadHeaders), responses((status = 200, body = Rules)))]
async fn list(
    State(state): State<ReadState>,
    Query(page): Query<PageOf>,
    reader: Reader,
) -> Result<Answer<Rules>, Problem> {
    let list = List {
        projection: NAME,
        scope: &["rules", reader.tenant.as_str()],
        limit: limit(page.limit, 100, MAX_LIMIT)?,
        cursor: page.cursor.as_deref(),
    };
    let query = |after, limit| range(RULES, "", after, limit);
    let page = list.page(&state, &reader, query, |row| parse(row).map(Some)).await?;
    Ok(Answer::new(&page.snapshot, Rules { rules: page.items, next: page.next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct OneRule {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rule: RuleRow,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    counts: CountRow,
}

/// One rule with how often it matched. The ETag is its version.
#[utoipa::path(get, path = "/v1/rules/{id}", tag = "Rules", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = OneRule), (status = 304)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let queries = [RowQuery::get(RULES, &id), RowQuery::get(COUNTS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let rule: RuleRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let counts = row_at(&snapshot, 1)?.unwrap_or_default();
    let version = rule.version;
    Ok(Answer::new(&snapshot, OneRule { rule, counts }).version(version).unless_known(&headers))
}

#[derive(Debug, Serialize, ToSchema)]
struct Matches {
    /// Newest first. `/v1/signals/{signal}` is the signal.
    #[schema(value_type = Vec<Object>)]
    matches: Vec<MatchRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// What a rule matched, newest first.
#[utoipa::path(get, path = "/v1/rules/{id}/matches", tag = "Rules", params(("id" = String, Path), PageOf, GenerationParameter, ReadHeaders), responses((status = 200, body = Matches)))]
async fn matches(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    Query(page): Query<PageOf>,
    reader: Reader,
) -> Result<Answer<Matches>, Problem> {
    let prefix = format!("{id}/");
    let list = List {
        projection: NAME,
        scope: &["matches", reader.tenant.as_str(), &id],
        limit: limit(page.limit, 100, MAX_LIMIT)?,
        cursor: page.cursor.as_deref(),
    };
    let query = |after, limit| range(MATCHES, &prefix, after, limit);
    let keep = |row: &StoredRow| parse(row).map(Some);
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Matches { matches: page.items, next: page.next }))
}
