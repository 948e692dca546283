//! `/v1/repricings` and `/v1/models/pricing`: runs priced again by another model,
//! compared, promoted and rolled back. Role operator; a tenant's own.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use commands::NoFields;
use commands::caller::{Caller, CommandHeaders, ProblemBody};
use commands::execute::Call;
use daybook_http::{Json, JsonBody, Principal, Problem};
use domain::api_key::Role;
use domain::target_url::UrlPolicy;
use models_pricing::model::Model;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::Desk;
use crate::repricing::{
    CompareAsked, Comparison, Decided, MAX_TOP, ModelBody, PRICING, Status, TOP, refused,
};

pub fn router() -> Router<Desk> {
    Router::new()
        .route("/v1/models/pricing", get(model).post(set_model))
        .route("/v1/repricings", get(status))
        .route("/v1/repricings/build", post(build))
        .route("/v1/repricings/resume", post(resume))
        .route("/v1/repricings/abort", post(abort))
        .route("/v1/repricings/compare", post(compare))
        .route("/v1/repricings/promote", post(promote))
        .route("/v1/repricings/rollback", post(rollback))
}

#[derive(OpenApi)]
#[openapi(paths(model, set_model, status, build, resume, abort, compare, promote, rollback))]
pub struct Doc;

fn call(caller: Caller, hash: [u8; 32]) -> Result<Call, Problem> {
    caller.principal.require(Role::Operator)?;
    Ok(caller.call(Role::Operator, PRICING, hash, UrlPolicy::default()))
}

/// The model by which the tenant's runs are priced again next, and the one in
/// force.
#[utoipa::path(get, path = "/v1/models/pricing", tag = "Repricings", responses((status = 200, body = ModelBody), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn model(State(desk): State<Desk>, principal: Principal) -> Result<Json<ModelBody>, Problem> {
    principal.require(Role::Operator)?;
    desk.model_choice(&principal.tenant).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetPricing {
    /// `name@version`.
    #[schema(example = "pricing@2")]
    model: String,
    /// What is left out is as the version has it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Value,
}

/// Define the model of the next build. Results, and what new runs are priced by,
/// stay as they are.
#[utoipa::path(post, path = "/v1/models/pricing", tag = "Repricings", params(CommandHeaders), request_body = SetPricing, responses((status = 200, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn set_model(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<SetPricing>,
) -> Result<Json<Decided>, Problem> {
    let call = call(caller, body.hash)?;
    let SetPricing { model, parameters } = body.value;
    let model =
        Model::read(&model, &parameters).map_err(|e| refused(&e, &parameters, "/model", "/parameters"))?;
    desk.define(call, &model).await.map(Json)
}

/// All generations: models, runs and where they stand, what was compared, what is
/// promoted.
#[utoipa::path(get, path = "/v1/repricings", tag = "Repricings", responses((status = 200, body = Status), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn status(State(desk): State<Desk>, principal: Principal) -> Result<Json<Status>, Problem> {
    principal.require(Role::Operator)?;
    desk.repricing_status(&principal.tenant).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BuildRuns {
    /// Completed runs; at most 200.
    runs: Vec<String>,
    /// `name@version`; the defined one unless told.
    #[schema(example = "pricing@2")]
    model: Option<String>,
    /// With `model` only.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Value,
}

/// Price runs again by another model, from what each of them pinned, beside the
/// results in force. The answer comes at once; workers do the rest.
#[utoipa::path(post, path = "/v1/repricings/build", tag = "Repricings", params(CommandHeaders), request_body = BuildRuns, responses((status = 202, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn build(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<BuildRuns>,
) -> Result<Response, Problem> {
    let call = call(caller, body.hash)?;
    let BuildRuns { mut runs, model, parameters } = body.value;
    let model = match &model {
        Some(name) => {
            let read = Model::read(name, &parameters);
            Some(read.map_err(|e| refused(&e, &parameters, "/model", "/parameters"))?)
        }
        None if !parameters.is_null() => {
            return Err(Problem::field("/model", "is needed where parameters are given"));
        }
        None => None,
    };
    let most = domain::valuation::repricing::MAX_RUNS;
    if runs.is_empty() || runs.len() > most {
        return Err(Problem::field("/runs", format!("must be 1 to {most}")));
    }
    runs.sort_unstable();
    runs.dedup();
    let decided = desk.build(call, &runs, model).await?;
    Ok((StatusCode::ACCEPTED, Json(decided)).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TheGeneration {
    generation: u32,
}

/// Start those runs of a generation that are `MISSING`, as the process that built
/// it died.
#[utoipa::path(post, path = "/v1/repricings/resume", tag = "Repricings", params(CommandHeaders), request_body = TheGeneration, responses((status = 200, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn resume(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<TheGeneration>,
) -> Result<Json<Decided>, Problem> {
    let call = call(caller, body.hash)?;
    desk.resume(&call, body.value.generation).await.map(Json)
}

/// Give a generation up. Its runs that are not over are cancelled.
#[utoipa::path(post, path = "/v1/repricings/abort", tag = "Repricings", params(CommandHeaders), request_body = TheGeneration, responses((status = 200, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn abort(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<TheGeneration>,
) -> Result<Json<Decided>, Problem> {
    let call = call(caller, body.hash)?;
    desk.abort(call, body.value.generation).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompareRuns {
    /// The newest unless told.
    generation: Option<u32>,
    /// What readers get unless told; 1 is what runs made themselves.
    against: Option<u32>,
    /// Positions told of each run: 20 unless told, 1,000 at most.
    top: Option<usize>,
}

/// Say what a generation would change: by position, product and curve, the
/// largest differences first.
#[utoipa::path(post, path = "/v1/repricings/compare", tag = "Repricings", params(CommandHeaders), request_body = CompareRuns, responses((status = 200, body = Comparison), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn compare(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<CompareRuns>,
) -> Result<Json<Comparison>, Problem> {
    // Comparing again tells the same; what is kept is the newest.
    let call = Call { idempotency: None, ..call(caller, body.hash)? };
    let CompareRuns { generation, against, top } = body.value;
    let top = top.unwrap_or(TOP);
    if top > MAX_TOP {
        return Err(Problem::field("/top", format!("must be at most {MAX_TOP}")));
    }
    desk.compare_generation(call, CompareAsked { generation, against, top }).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PromoteRuns {
    /// The newest unless told.
    generation: Option<u32>,
}

/// Show a generation to readers of its runs: each request is answered by the old
/// results or by the new ones. New runs are priced by its model.
#[utoipa::path(post, path = "/v1/repricings/promote", tag = "Repricings", params(CommandHeaders), request_body = PromoteRuns, responses((status = 200, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn promote(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<PromoteRuns>,
) -> Result<Json<Decided>, Problem> {
    let call = call(caller, body.hash)?;
    desk.promote(call, body.value.generation).await.map(Json)
}

/// Take the last promotion away, at once.
#[utoipa::path(post, path = "/v1/repricings/rollback", tag = "Repricings", params(CommandHeaders), request_body = NoFields, responses((status = 200, body = Decided), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn rollback(
    State(desk): State<Desk>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Json<Decided>, Problem> {
    let call = call(caller, body.hash)?;
    desk.roll_back(call).await.map(Json)
}
