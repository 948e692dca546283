//! `/v1/replays` and `/v1/models`. Role operator.

mod bodies;
mod caller;
mod differences;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daybook_http::auth::Role;
use daybook_http::{Json, JsonBody, Path, Principal, Problem};
use domain::TenantId;
use serde_json::Value;
use utoipa::OpenApi;

use crate::compare::{Comparison, MAX_TOP, RowDifference};
use crate::comparing::Ask;
use crate::decisions::Decided;
use crate::engine::{At, Engine};
use crate::models::{ModelBody, model_id};
use crate::status::{ReplayStatus, VerifiedBody};
use bodies::{
    Build, Compare, Models, NoFields, OfGeneration, OneGeneration, Promote, Prune, Pruned, Replays, Retried,
    Set, Skip,
};
use caller::{Caller, Headers, problem};

/// How long a promotion waits for the rows unless told.
const WAIT: Duration = Duration::from_secs(10);
const MAX_WAIT_SECONDS: u32 = 300;
/// Rows that a comparison tells unless told.
const TOP: usize = 20;

pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/v1/replays", get(list))
        .route("/v1/replays/{projection}", get(one))
        .route("/v1/replays/{projection}/build", post(build))
        .route("/v1/replays/{projection}/pause", post(pause))
        .route("/v1/replays/{projection}/resume", post(resume))
        .route("/v1/replays/{projection}/abort", post(abort))
        .route("/v1/replays/{projection}/compare", post(compare))
        .route("/v1/replays/{projection}/promote", post(promote))
        .route("/v1/replays/{projection}/rollback", post(rollback))
        .route("/v1/replays/{projection}/prune", post(prune))
        .route("/v1/replays/{projection}/verify", post(verify))
        .route("/v1/replays/{projection}/skip", post(skip))
        .route("/v1/replays/{projection}/retry", post(retry))
        .route("/v1/models", get(models))
        .route("/v1/models/{projection}", get(model).post(set_model))
        .with_state(engine)
}

#[derive(OpenApi)]
#[openapi(paths(
    list, one, build, pause, resume, abort, compare, promote, rollback, prune, verify, skip, retry, models,
    model, set_model
))]
pub struct Doc;

/// Every projection's generations.
#[utoipa::path(get, path = "/v1/replays", tag = "Replays", responses((status = 200, body = Replays)))]
async fn list(State(engine): State<Engine>, principal: Principal) -> Result<Json<Replays>, Problem> {
    principal.require(Role::Operator)?;
    Ok(Json(Replays { replays: engine.all_status().await.map_err(problem)? }))
}

/// One projection's generations, with progress of what is built.
#[utoipa::path(get, path = "/v1/replays/{projection}", tag = "Replays", params(("projection" = String, Path)), responses((status = 200, body = ReplayStatus)))]
async fn one(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    principal: Principal,
) -> Result<Json<ReplayStatus>, Problem> {
    principal.require(Role::Operator)?;
    Ok(Json(engine.status(&projection).await.map_err(problem)?))
}

/// Begin to build a generation beside the live one. The answer comes at once;
/// the status tells how far it is.
#[utoipa::path(post, path = "/v1/replays/{projection}/build", tag = "Replays", params(("projection" = String, Path), Headers), request_body = Build, responses((status = 202, body = Decided)))]
async fn build(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<Build>,
) -> Result<Response, Problem> {
    let by = caller.by(body.hash)?;
    let Build { model, parameters, at } = body.value;
    let model = match model {
        Some(text) => {
            let wrong = || Problem::field("/model", "must be name@version, such as bots@2");
            Some(model_id(&text, parameters.unwrap_or(Value::Null)).ok_or_else(wrong)?)
        }
        None if parameters.is_some() => {
            return Err(Problem::field("/model", "is needed where parameters are given"));
        }
        None => None,
    };
    let at: Option<At> =
        at.map(|text| text.parse()).transpose().map_err(|e: String| Problem::field("/at", e))?;
    let decided = engine.build(&projection, model, at, &by).await.map_err(problem)?;
    Ok((StatusCode::ACCEPTED, Json(decided)).into_response())
}

/// Let a build rest. What it has folded is committed.
#[utoipa::path(post, path = "/v1/replays/{projection}/pause", tag = "Replays", params(("projection" = String, Path), Headers), request_body = OneGeneration, responses((status = 200, body = Decided)))]
async fn pause(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<OneGeneration>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    Ok(Json(engine.pause(&projection, body.value.generation, &by).await.map_err(problem)?))
}

/// Go on with a build.
#[utoipa::path(post, path = "/v1/replays/{projection}/resume", tag = "Replays", params(("projection" = String, Path), Headers), request_body = OneGeneration, responses((status = 200, body = Decided)))]
async fn resume(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<OneGeneration>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    Ok(Json(engine.resume(&projection, body.value.generation, &by).await.map_err(problem)?))
}

/// Give a build up. Its rows stay until they are pruned.
#[utoipa::path(post, path = "/v1/replays/{projection}/abort", tag = "Replays", params(("projection" = String, Path), Headers), request_body = OneGeneration, responses((status = 200, body = Decided)))]
async fn abort(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<OneGeneration>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    Ok(Json(engine.abort(&projection, body.value.generation, &by).await.map_err(problem)?))
}

fn wait(seconds: Option<u32>) -> Result<Duration, Problem> {
    match seconds {
        Some(seconds) if seconds > MAX_WAIT_SECONDS => {
            Err(Problem::field("/wait_seconds", format!("must be at most {MAX_WAIT_SECONDS}")))
        }
        Some(seconds) => Ok(Duration::from_secs(seconds.into())),
        None => Ok(WAIT),
    }
}

/// Say what a generation would change, both read at one position. Rows are told
/// of the key's own tenant; of others it says how many differ. If it takes
/// longer than a request may, the status tells what came of it. Asked for
/// `application/x-ndjson` it tells every row that differs in a line, then
/// `{"comparison": …}` or, if it broke off, `{"problem": …}`.
#[utoipa::path(
    post,
    path = "/v1/replays/{projection}/compare",
    tag = "Replays",
    params(("projection" = String, Path), Headers),
    request_body = Compare,
    responses((status = 200, content(
        (Comparison = "application/json"),
        (RowDifference = "application/x-ndjson"),
    ))),
)]
async fn compare(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    headers: HeaderMap,
    caller: Caller,
    body: JsonBody<Compare>,
) -> Result<Response, Problem> {
    let tenant = caller.may_see();
    let by = caller.without_key()?;
    let Compare { generation, against, top, explain, wait_seconds } = body.value;
    let top = top.unwrap_or(TOP);
    if top > MAX_TOP {
        return Err(Problem::field("/top", format!("must be at most {MAX_TOP}")));
    }
    let wait = wait(wait_seconds)?;
    let mut ask = Ask { generation, against, top, explain, lines: None, wait, tenant };
    let every = differences::wanted(&headers).then(differences::lines);
    let every = every.map(|(lines, taken)| {
        ask.lines = Some(Box::new(lines));
        taken
    });
    // Goes on if the client leaves, so that no generation stays held.
    let running = tokio::spawn(async move { engine.compare(&projection, ask, &by).await });
    match every {
        Some(taken) => differences::answer(running, taken).await,
        None => Ok(Json(running.await.map_err(Problem::internal)?.map_err(problem)?).into_response()),
    }
}

/// Make a generation live, once it reflects all that the log holds now. A
/// reader sees the old rows or the new ones, never some of each.
#[utoipa::path(post, path = "/v1/replays/{projection}/promote", tag = "Replays", params(("projection" = String, Path), Headers), request_body = Promote, responses((status = 200, body = Decided)))]
async fn promote(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<Promote>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    let wait = wait(body.value.wait_seconds)?;
    Ok(Json(engine.promote(&projection, body.value.generation, wait, &by).await.map_err(problem)?))
}

/// Back to what was live before, at once.
#[utoipa::path(post, path = "/v1/replays/{projection}/rollback", tag = "Replays", params(("projection" = String, Path), Headers), request_body = NoFields, responses((status = 200, body = Decided)))]
async fn rollback(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    Ok(Json(engine.roll_back(&projection, &by).await.map_err(problem)?))
}

/// Drop one generation, or all that are retired or aborted.
#[utoipa::path(post, path = "/v1/replays/{projection}/prune", tag = "Replays", params(("projection" = String, Path), Headers), request_body = Prune, responses((status = 200, body = Pruned)))]
async fn prune(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<Prune>,
) -> Result<Json<Pruned>, Problem> {
    // Doing it again drops nothing more, so no key is needed.
    let by = caller.without_key()?;
    let generations = engine.prune(&projection, body.value.generation, &by).await.map_err(problem)?;
    Ok(Json(Pruned { projection, generations }))
}

/// Build a generation again and compare the checksums. The answer comes when
/// that is done, or, if it takes longer than a request may, in the status.
#[utoipa::path(post, path = "/v1/replays/{projection}/verify", tag = "Replays", params(("projection" = String, Path), Headers), request_body = OfGeneration, responses((status = 200, body = VerifiedBody)))]
async fn verify(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<OfGeneration>,
) -> Result<Json<VerifiedBody>, Problem> {
    let by = caller.without_key()?;
    // Goes on if the client leaves or the request's time is up.
    let running = tokio::spawn(async move { engine.verify(&projection, body.value.generation, &by).await });
    let verified = running.await.map_err(Problem::internal)?.map_err(problem)?;
    Ok(Json(verified.into()))
}

/// Leave an event out that does not fold, in every generation where it waits
/// and in all that are built from now on.
#[utoipa::path(post, path = "/v1/replays/{projection}/skip", tag = "Replays", params(("projection" = String, Path), Headers), request_body = Skip, responses((status = 200, body = Decided)))]
async fn skip(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<Skip>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    let Skip { position, reason } = body.value;
    Ok(Json(engine.skip(&projection, position, &reason, &by).await.map_err(problem)?))
}

/// Have a generation's dead letters tried again, of every tenant.
#[utoipa::path(post, path = "/v1/replays/{projection}/retry", tag = "Replays", params(("projection" = String, Path), Headers), request_body = OneGeneration, responses((status = 200, body = Retried)))]
async fn retry(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<OneGeneration>,
) -> Result<Json<Retried>, Problem> {
    caller.without_key()?;
    let all: Option<&TenantId> = None;
    let events = engine.retry(&projection, body.value.generation, all).await.map_err(problem)?;
    Ok(Json(Retried { projection, events }))
}

/// The model that each projection is built by next.
#[utoipa::path(get, path = "/v1/models", tag = "Replays", responses((status = 200, body = Models)))]
async fn models(State(engine): State<Engine>, principal: Principal) -> Result<Json<Models>, Problem> {
    principal.require(Role::Operator)?;
    Ok(Json(Models { models: engine.models().await.map_err(problem)? }))
}

/// The model that a projection is built by next, with all parameters.
#[utoipa::path(get, path = "/v1/models/{projection}", tag = "Replays", params(("projection" = String, Path)), responses((status = 200, body = ModelBody)))]
async fn model(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    principal: Principal,
) -> Result<Json<ModelBody>, Problem> {
    principal.require(Role::Operator)?;
    Ok(Json(engine.model(&projection).await.map_err(problem)?))
}

/// Define the model of the next build. Parameters that are left out are as the
/// model has them. Nothing changes for rows that there are.
#[utoipa::path(post, path = "/v1/models/{projection}", tag = "Replays", params(("projection" = String, Path), Headers), request_body = Set, responses((status = 200, body = Decided)))]
async fn set_model(
    State(engine): State<Engine>,
    Path(projection): Path<String>,
    caller: Caller,
    body: JsonBody<Set>,
) -> Result<Json<Decided>, Problem> {
    let by = caller.by(body.hash)?;
    let Set { model, parameters } = body.value;
    let wrong = || Problem::field("/model", "must be name@version, such as bots@2");
    let model = model_id(&model, parameters.unwrap_or(Value::Null)).ok_or_else(wrong)?;
    Ok(Json(engine.define(&projection, &model, &by).await.map_err(problem)?))
}
