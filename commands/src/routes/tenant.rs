//! Settings of a tenant.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{JsonBody, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use domain::tenant::{Configure, Tenant};
use utoipa::OpenApi;

use crate::caller::{Caller, CommandAnswers, CommandHeaders, problem};
use crate::execute::{Services, execute};
use crate::reply::Outcome;

pub fn router() -> Router<Services> {
    Router::new().route("/v1/tenant/configure", post(configure))
}

#[derive(OpenApi)]
#[openapi(paths(configure))]
pub struct Doc;

/// Set the tenant's fallback URL and the hosts that redirects may lead to; the
/// body holds all settings. Role admin.
#[utoipa::path(post, path = "/v1/tenant/configure", tag = "Tenant", params(CommandHeaders), request_body = Configure, responses(CommandAnswers))]
async fn configure(
    State(services): State<Services>,
    caller: Caller,
    body: JsonBody<Configure>,
) -> Result<Outcome, Problem> {
    let id = caller.principal.tenant.to_string();
    let call = caller.call(Role::Admin, &id, body.hash, UrlPolicy::default());
    execute::<Tenant>(&services, &call, body.value).await.map_err(|e| problem(e, call.names_version()))
}
