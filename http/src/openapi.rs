//! The API's document (`/openapi.json`, OpenAPI 3.1) and a page to browse it
//! (`/docs`) that loads nothing from elsewhere.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response as ResponseDoc,
    ResponseBuilder, SecurityRequirement,
};

const PAGE: &str = include_str!("../assets/docs.html");
const SCRIPT: &str = include_str!("../assets/docs.js");
const STYLE: &str = include_str!("../assets/docs.css");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(paths(
    crate::health::live,
    crate::health::ready,
    crate::health::health,
    crate::health::metrics,
    crate::problem_pages::list,
    crate::problem_pages::show,
))]
struct OwnPaths;

/// One document of several crates' parts. Operations need a key unless they
/// say otherwise (`security(())`), and each may answer with a problem. They are
/// named after their method and path: handlers of different files share names.
pub fn document(version: &str, description: &str, parts: Vec<OpenApi>) -> OpenApi {
    let info = InfoBuilder::new().title("Daybook").version(version).description(Some(description)).build();
    let mut whole = OpenApiBuilder::new().info(info).build();
    for part in parts.into_iter().chain([<OwnPaths as utoipa::OpenApi>::openapi()]) {
        whole.merge(part);
    }
    let components = whole.components.get_or_insert_with(Components::new);
    components
        .add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.schemas.insert("Problem".into(), RefOr::T(problem_schema()));
    components.responses.insert("Problem".into(), RefOr::T(problem_response()));
    let none: [&str; 0] = [];
    whole.security =
        Some(vec![SecurityRequirement::new("key", none), SecurityRequirement::new("bearer", none)]);
    for (path, item) in &mut whole.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            let responses = &mut operation.responses.responses;
            for (status, response) in responses.iter_mut() {
                // A description is required.
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = if status == "304" { "Not changed" } else { "Done" }.into();
                }
            }
            responses
                .entry("default".into())
                .or_insert_with(|| RefOr::Ref(Ref::from_response_name("Problem")));
        }
    }
    whole
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("head", &mut item.head),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_events_id` of `GET /v1/events/{id}`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn problem_schema() -> Schema {
    let text = |about: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let fault = ObjectBuilder::new()
        .property("pointer", text("JSON pointer into the body."))
        .property("parameter", text("Query or path parameter."))
        .property("header", text("Request header."))
        .property("detail", text("What is wrong there."))
        .required("detail");
    ObjectBuilder::new()
        .description(Some("A problem document of RFC 9457."))
        .property("type", text("Stable relative reference; leads to an explanation."))
        .property("title", text("What kind of problem this is."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .property("detail", text("What is wrong with this request."))
        .property("request_id", text("Names the request in the server's log."))
        .property("errors", utoipa::openapi::schema::ArrayBuilder::new().items(fault))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .into()
}

fn problem_response() -> ResponseDoc {
    let example = json!({
        "type": "/problems/invalid-field",
        "title": "A field is not acceptable",
        "status": 422,
        "detail": "/starts_at is missing",
        "errors": [{"pointer": "/starts_at", "detail": "is missing"}],
        "request_id": "0197c0de-0000-7000-8000-000000000001"
    });
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(example)).build();
    ResponseBuilder::new().description("A problem").content("application/problem+json", content).build()
}

/// Serves the document and the page.
pub fn routes(document: &OpenApi) -> Result<Router, serde_json::Error> {
    let json = document.to_json()?;
    Ok(Router::new()
        .route("/openapi.json", get(move || asset("application/json", json.clone())))
        .route("/docs", get(|| asset("text/html; charset=utf-8", PAGE)))
        .route("/docs/docs.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/docs/docs.css", get(|| asset("text/css; charset=utf-8", STYLE))))
}

async fn asset(kind: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
