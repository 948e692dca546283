//! Webhook endpoints, and what was delivered to them.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use daybook_http::{Id, Path, Problem, Query};
use domain::delivery::State as Ended;
use domain::ports::rows::{Query as RowQuery, StoredRow};
use projections::webhook_deliveries::{
    BY_ENDPOINT, DeliveryRow, ENDPOINTS, EndpointRow, IDS, IdRow, NAME, NEWEST, STATISTICS, StatisticsRow,
    by_endpoint,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::list::{List, range};
use super::{GenerationParameter, ReadHeaders, Reader, limit, parse, row_at};
use crate::at_least::Answer;
use crate::state::ReadState;

const MAX_LIMIT: usize = 1_000;

pub fn router() -> Router<ReadState> {
    Router::new()
        .route("/v1/webhooks/endpoints", get(endpoints))
        .route("/v1/webhooks/endpoints/{id}", get(endpoint))
        .route("/v1/webhooks/deliveries", get(deliveries))
        .route("/v1/webhooks/deliveries/{id}", get(delivery))
}

#[derive(OpenApi)]
#[openapi(paths(endpoints, endpoint, deliveries, delivery))]
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
struct Endpoints {
    /// In the order of their ids; without their secrets.
    #[schema(value_type = Vec<Object>)]
    endpoints: Vec<EndpointRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The tenant's webhook endpoints.
#[utoipa::path(get, path = "/v1/webhooks/endpoints", tag = "Webhooks", params(PageOf, GenerationParameter, ReadHeaders), responses((status = 200, body = Endpoints)))]
async fn endpoints(
    State(state): State<ReadState>,
    Query(page): Query<PageOf>,
    reader: Reader,
) -> Result<Answer<Endpoints>, Problem> {
    let list = List {
        projection: NAME,
        scope: &["endpoints", reader.tenant.as_str()],
        limit: limit(page.limit, 100, MAX_LIMIT)?,
        cursor: page.cursor.as_deref(),
    };
    let query = |after, limit| range(ENDPOINTS, "", after, limit);
    let page = list.page(&state, &reader, query, |row| parse(row).map(Some)).await?;
    Ok(Answer::new(&page.snapshot, Endpoints { endpoints: page.items, next: page.next }))
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = WebhookLatency)]
struct Latency {
    /// Half of the answers came within so many milliseconds.
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct OneEndpoint {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    endpoint: EndpointRow,
    scheduled: u64,
    delivered: u64,
    dead: u64,
    attempts: u64,
    failed_attempts: u64,
    /// Delivered of those that ended, 0 to 1; asked for again, one counts again.
    success_rate: Option<f64>,
    /// Of attempts that were answered.
    latency_ms: Latency,
}

/// One endpoint, and how well deliveries to it went. The ETag is its version.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}", tag = "Webhooks", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = OneEndpoint), (status = 304)))]
async fn endpoint(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let queries = [RowQuery::get(ENDPOINTS, &id), RowQuery::get(STATISTICS, &id)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let endpoint: EndpointRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let counts: StatisticsRow = row_at(&snapshot, 1)?.unwrap_or_default();
    let ended = counts.delivered + counts.dead;
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|part| counts.percentile(part));
    let version = endpoint.version;
    let one = OneEndpoint {
        endpoint,
        scheduled: counts.scheduled,
        delivered: counts.delivered,
        dead: counts.dead,
        attempts: counts.attempts,
        failed_attempts: counts.failed_attempts,
        success_rate: (ended > 0).then(|| counts.delivered as f64 / ended as f64),
        latency_ms: Latency { p50, p90, p99 },
    };
    Ok(Answer::new(&snapshot, one).version(version).unless_known(&headers))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only deliveries to this endpoint.
    endpoint: Option<String>,
    /// `due`, `delivered` or `dead`.
    #[param(value_type = Option<String>)]
    status: Option<Ended>,
    /// Only what this rule found.
    rule: Option<String>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Deliveries {
    /// Those of the newest events first. A page may have fewer than asked for
    /// and still have a next one.
    #[schema(value_type = Vec<Object>)]
    deliveries: Vec<DeliveryRow>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Deliveries with their attempts, those of the newest events first.
#[utoipa::path(get, path = "/v1/webhooks/deliveries", tag = "Webhooks", params(Which, GenerationParameter, ReadHeaders), responses((status = 200, body = Deliveries)))]
async fn deliveries(
    State(state): State<ReadState>,
    Query(which): Query<Which>,
    reader: Reader,
) -> Result<Answer<Deliveries>, Problem> {
    let status = which.status.map(|status| format!("{status:?}")).unwrap_or_default();
    let (endpoint, rule) = (which.endpoint.as_deref(), which.rule.as_deref());
    if let Some(endpoint) = endpoint {
        domain::ids::check_id(endpoint).map_err(|e| Problem::parameter("endpoint", e))?;
    }
    let list = List {
        projection: NAME,
        scope: &[
            "deliveries",
            reader.tenant.as_str(),
            endpoint.unwrap_or_default(),
            &status,
            rule.unwrap_or_default(),
        ],
        limit: limit(which.limit, 100, MAX_LIMIT)?,
        cursor: which.cursor.as_deref(),
    };
    let query = |after, limit| match endpoint {
        Some(endpoint) => range(BY_ENDPOINT, &format!("{endpoint}/"), after, limit),
        None => range(NEWEST, "", after, limit),
    };
    let keep = |row: &StoredRow| {
        let row: DeliveryRow = parse(row)?;
        let asked = which.status.is_none_or(|status| row.status == status)
            && rule.is_none_or(|rule| row.of.rule.as_deref() == Some(rule));
        Ok(asked.then_some(row))
    };
    let page = list.page(&state, &reader, query, keep).await?;
    Ok(Answer::new(&page.snapshot, Deliveries { deliveries: page.items, next: page.next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct OneDelivery {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    delivery: DeliveryRow,
}

/// One delivery with its newest 16 attempts. The ETag is its version.
#[utoipa::path(get, path = "/v1/webhooks/deliveries/{id}", tag = "Webhooks", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = OneDelivery), (status = 304)))]
async fn delivery(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Problem> {
    let known = state.read(NAME, &reader.tenant, &reader.at_least, &[RowQuery::get(IDS, &id)]).await?;
    let IdRow { endpoint, cause } = row_at(&known, 0)?.ok_or_else(Problem::not_found)?;
    let query = RowQuery::get(BY_ENDPOINT, &by_endpoint(&endpoint, cause));
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &[query]).await?;
    let row: DeliveryRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let version = row.version;
    Ok(Answer::new(&snapshot, OneDelivery { delivery: row }).version(version).unless_known(&headers))
}
