//! Questions in SQL about the recorded facts.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daybook_http::auth::Role;
use daybook_http::{Json, Kind, Principal, Problem};
use domain::ports::sql::{Sql, SqlAnswer, SqlError, SqlFormat, SqlQuery};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use daybook_http::headers::POSITION;

pub const ARROW: &str = "application/vnd.apache.arrow.stream";
pub const TRUNCATED: HeaderName = HeaderName::from_static("daybook-truncated");

/// Seconds after which a query that found no slot may be tried again.
const RETRY_AFTER: u32 = 1;

pub fn router(sql: Arc<dyn Sql>) -> Router {
    Router::new().route("/v1/sql", post(query)).with_state(sql)
}

#[derive(OpenApi)]
#[openapi(paths(query))]
struct Doc;

/// Its part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryBody {
    /// One SELECT, EXPLAIN of one, DESCRIBE or SHOW TABLES.
    query: String,
    /// The position that is the end of the log for this query; the newest
    /// unless told.
    at: Option<u64>,
    /// Rows of the answer: 1 to 100,000, 10,000 unless told or configured.
    limit: Option<usize>,
}

/// As it is sent; made by whoever runs the query.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "documents the answer")]
struct Rows {
    /// What the query ran at.
    position: u64,
    columns: Vec<Column>,
    /// A list for each row. Numbers and truths as JSON has them; instants, and
    /// bytes in hexadecimal, as text.
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Vec<Vec<serde_json::Value>>,
    row_count: usize,
    /// There was more than the limits let through.
    truncated: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "documents the answer")]
struct Column {
    name: String,
    /// text, integer, number, boolean, timestamp, binary or another type's name.
    #[serde(rename = "type")]
    kind: String,
}

/// Answers a query about the tenant's events, in the archive and in the log, as
/// of one position. Tables: `events`, and one for each event type (`band.tapped`
/// is `band_tapped`); `SHOW TABLES` lists them. `Daybook-Position` is the
/// position that the answer reflects, `Daybook-Truncated` says whether there was
/// more.
#[utoipa::path(post, path = "/v1/sql", tag = "Audit", request_body = QueryBody, responses(
    (status = 200, content((Rows = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream")))
))]
async fn query(
    State(sql): State<Arc<dyn Sql>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<QueryBody>,
) -> Result<Response, Problem> {
    principal.require(Role::Auditor)?;
    let format = wanted(&headers)?;
    let QueryBody { query: text, at, limit } = body;
    let query = SqlQuery { text, tenant: Some(principal.tenant), at, limit, format };
    sql.run(query).await.map(|answer| response(answer, format)).map_err(problem)
}

fn response(answer: SqlAnswer, format: SqlFormat) -> Response {
    let media = match format {
        SqlFormat::Json => "application/json",
        SqlFormat::Csv => "text/csv; charset=utf-8",
        SqlFormat::Arrow => ARROW,
        SqlFormat::Text => "text/plain; charset=utf-8",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (POSITION, HeaderValue::from(answer.at)),
        (TRUNCATED, HeaderValue::from_static(if answer.truncated { "true" } else { "false" })),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, answer.body).into_response()
}

fn wanted(headers: &HeaderMap) -> Result<SqlFormat, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    for media in accept.split(',').map(|m| m.split(';').next().unwrap_or_default().trim()) {
        match media {
            "application/json" | "application/*" | "*/*" | "" => return Ok(SqlFormat::Json),
            "text/csv" => return Ok(SqlFormat::Csv),
            ARROW => return Ok(SqlFormat::Arrow),
            _ => {}
        }
    }
    let detail = format!("There is application/json, text/csv and {ARROW} here.");
    Err(Problem::new(Kind::NotAcceptable, detail))
}

fn problem(error: SqlError) -> Problem {
    let detail = error.to_string();
    match error {
        SqlError::NotAllowed(_) => Problem::new(Kind::QueryNotAllowed, detail),
        SqlError::Invalid(_) => Problem::new(Kind::InvalidQuery, detail),
        SqlError::TooLong { limit } => {
            Problem::field("/query", format!("must have at most {limit} bytes")).with("limit_bytes", limit)
        }
        SqlError::TooManyRows { limit } => {
            Problem::field("/limit", format!("must be 1 to {limit}")).with("limit_rows", limit)
        }
        SqlError::NotThere { head } => {
            Problem::field("/at", format!("must not be past the head, which is {head}"))
                .with("position", head)
        }
        SqlError::Time(limit) => {
            let detail = format!("The query was stopped after {} s.", limit.as_secs_f64());
            Problem::new(Kind::QueryLimit, detail).with("limit_seconds", limit.as_secs_f64())
        }
        SqlError::Memory { limit } => {
            let detail = format!("The query needs more than {limit} bytes of memory to sort, group or join.");
            Problem::new(Kind::QueryLimit, detail).with("limit_bytes", limit)
        }
        SqlError::Busy { limit } => {
            let detail = format!("{limit} queries run already.");
            Problem::new(Kind::TooManyQueries, detail).retry_after(RETRY_AFTER)
        }
        SqlError::Unavailable(reason) => {
            tracing::error!(%reason, "a query cannot read events");
            Problem::new(Kind::Unavailable, "The events cannot be read at the moment.").retry_after(2)
        }
        SqlError::Internal(reason) => Problem::internal(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_negotiated() {
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            wanted(&headers).map_err(|p| p.kind())
        };
        assert_eq!(accept("*/*"), Ok(SqlFormat::Json));
        assert_eq!(accept("text/html, text/csv;q=0.5"), Ok(SqlFormat::Csv));
        assert_eq!(accept(ARROW), Ok(SqlFormat::Arrow));
        assert_eq!(accept("image/png"), Err(Kind::NotAcceptable));
        assert_eq!(wanted(&HeaderMap::new()).map_err(|p| p.kind()), Ok(SqlFormat::Json));
    }
}
