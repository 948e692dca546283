//! `GET /problems` and `/problems/{slug}`: what each problem type means.

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::extract::{Json, Path};
use crate::problem::{Kind, Problem};

pub fn routes() -> Router {
    Router::new().route("/problems", get(list)).route("/problems/{slug}", get(show))
}

#[utoipa::path(
    get,
    path = "/problems",
    tag = "Server",
    summary = "All problem types",
    security(()),
    responses((status = 200, description = "The list")),
)]
pub(crate) async fn list() -> Json<Value> {
    Json(json!({ "items": Kind::ALL.map(describe) }))
}

#[utoipa::path(
    get,
    path = "/problems/{slug}",
    tag = "Server",
    summary = "What a problem type means",
    params(("slug" = String, Path, description = "Last part of a problem's `type`")),
    security(()),
    responses((status = 200, description = "The explanation, as JSON or as a page")),
)]
pub(crate) async fn show(Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let kind = Kind::from_slug(&slug).ok_or_else(Problem::not_found)?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // Browsers ask for HTML by name; everything else gets JSON.
    if accept.contains("text/html") {
        return Ok(Html(page(kind)).into_response());
    }
    Ok(Json(describe(kind)).into_response())
}

fn describe(kind: Kind) -> Value {
    json!({
        "type": kind.type_uri(),
        "title": kind.title(),
        "status": kind.status().as_u16(),
        "explanation": kind.explanation(),
    })
}

/// All of it is fixed text of ours.
fn page(kind: Kind) -> String {
    let (slug, title, explanation) = (kind.slug(), kind.title(), kind.explanation());
    let status = kind.status();
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <h1>{title}</h1><p><code>{slug}</code>, HTTP {status}</p><p>{explanation}</p>\n"
    )
}
