//! Results of runs: summaries, cubes, risk, explanations, comparisons.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use commands::caller::ProblemBody;
use daybook_http::{Id, Json, Path, Principal, Problem, Query};
use domain::TenantId;
use domain::api_key::Role;
use domain::ports::results::TableFormat;
use domain::valuation::run::Run;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::slices::{self, Format};
use super::tables;
use crate::cube::{Comparison, Explained, Risk, RiskAsked, Row, SliceAsked, Summary};
use crate::repricing::InForce;
use crate::{Desk, inputs, on_a_thread};

pub fn router() -> Router<Desk> {
    Router::new()
        .route("/v1/results/{run}/summary", get(summary))
        .route("/v1/results/{run}/cube", get(cube))
        .route("/v1/results/{run}/risk", get(risk))
        .route("/v1/results/{run}/explain", get(explain))
        .route("/v1/results/{run}/compare", get(compare))
}

#[derive(OpenApi)]
#[openapi(paths(summary, cube, risk, explain, compare))]
pub struct Doc;

/// What the run has of present values: in the base currency if it was computed.
async fn pv_of(desk: &Desk, tenant: &TenantId, of: &InForce) -> Result<Option<String>, Problem> {
    let run: Run = inputs::state(desk, tenant, &of.stored).await?;
    let plan = run.plan.ok_or_else(Problem::not_found)?;
    let has = |name: &str| plan.measures.iter().any(|measure| measure == name).then(|| name.to_owned());
    Ok(has("PV").or_else(|| has("PV_BASE")))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SummaryOf {
    /// `json`, `csv`, `arrow` or `parquet`; as `Accept` says unless told.
    format: Option<String>,
    /// A generation that priced the run again, 1 for the run itself; what is
    /// promoted unless told.
    generation: Option<u32>,
}

/// What a run came to: status, sums, flags.
#[utoipa::path(get, path = "/v1/results/{run}/summary", tag = "Results", params(("run" = String, Path), SummaryOf), responses((status = 200, content((Summary = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn summary(
    State(desk): State<Desk>,
    Path(run): Path<Id>,
    Query(of): Query<SummaryOf>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let format = Format::asked(of.format.as_deref(), &headers)?;
    let shown = desk.in_force(&principal.tenant, &run, of.generation).await?;
    let measure = pv_of(&desk, &principal.tenant, &shown).await?;
    let measures: Vec<String> = measure.iter().cloned().collect();
    let cube = desk.cube(&principal.tenant, &shown, &measures).await?;
    let body = on_a_thread(move || cube.summary(measure.as_deref())).await??;
    tables::answer(&desk, body, format, tables::summary).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CubeOf {
    /// Measures of the run, comma-separated; `PV` unless told.
    measure: Option<String>,
    /// Up to four of `position`, `book`, `book:<level>`, `product`, `currency`,
    /// `instrument`, `tag.<name>`, comma-separated; one sum unless told.
    #[serde(default)]
    by: String,
    /// Scenarios, comma-separated, or their beginning and `*`; the run's first
    /// unless told.
    #[serde(alias = "scenario_id")]
    scenario: Option<String>,
    /// `dimension:value|value`, comma-separated; a book stands for all below it.
    #[serde(default)]
    filter: String,
    /// `base` (unless told) or `trade`.
    currency: Option<String>,
    /// Sums of books with all below them.
    #[serde(default)]
    rollup: bool,
    /// 1 to 10,000 and 1,000 unless told; of Arrow and Parquet 1 to 500,000 and
    /// all of them unless told.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// `json`, `csv`, `arrow` or `parquet`; as `Accept` says unless told.
    format: Option<String>,
    /// A generation that priced the run again, 1 for the run itself; what is
    /// promoted unless told.
    generation: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CubeBody {
    run_id: String,
    /// Whose results they are; 1 is the run itself.
    generation: u32,
    model: String,
    /// Over all results, once the run is completed.
    sha256: Option<String>,
    /// Whether every task has a result.
    complete: bool,
    base_currency: Option<String>,
    /// Of one scenario the largest first, of several scenario by scenario.
    rows: Vec<Row>,
    total: usize,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Sums of measures by dimensions and scenarios. Cells without a number are
/// counted, and are in no sum.
#[utoipa::path(get, path = "/v1/results/{run}/cube", tag = "Results", params(("run" = String, Path), CubeOf), responses((status = 200, content((CubeBody = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn cube(
    State(desk): State<Desk>,
    Path(run): Path<Id>,
    Query(of): Query<CubeOf>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let format = Format::asked(of.format.as_deref(), &headers)?;
    let limit = format.limit(of.limit)?;
    let trade_currency = match of.currency.as_deref() {
        None | Some("base") => false,
        Some("trade") => true,
        Some(_) => return Err(Problem::parameter("currency", "must be base or trade")),
    };
    let names = of.measure.as_deref().unwrap_or("PV").split(',').map(|name| name.trim().to_ascii_uppercase());
    let mut measures: Vec<String> = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if !measures.contains(&name) {
            measures.push(name);
        }
    }
    let shown = desk.in_force(&principal.tenant, &run, of.generation).await?;
    let cube = desk.cube(&principal.tenant, &shown, &measures).await?;
    let asked = SliceAsked {
        measures,
        by: of.by,
        scenario: of.scenario,
        filter: of.filter,
        trade_currency,
        roll_up: of.rollup,
    };
    let list = list_of(&run, &cube.run, &asked);
    let start = of.cursor.as_deref().map_or(Ok(0), |cursor| place(&list, cursor))?;
    let (sha256, base_currency) = (cube.run.sealed.clone(), cube.plan.base_currency.clone());
    let model = cube.plan.model.clone();
    let complete = cube.missing_tasks().is_empty();
    let slice = on_a_thread(move || cube.slice(&asked)).await??;
    let total = slice.rows.len();
    let rows: Vec<Row> = slice.rows.into_iter().skip(start).take(limit).collect();
    let end = start + rows.len();
    let next = (end < total).then(|| format!("{end:x}-{list}"));
    let columns = match format {
        Format::Json => None,
        Format::Csv => return slices::csv(&rows, next.as_deref()),
        Format::Arrow => Some(TableFormat::Arrow),
        Format::Parquet => Some(TableFormat::Parquet),
    };
    if let Some(format) = columns {
        let facts = [
            ("run_id", Some(run.to_string())),
            ("generation", Some(shown.generation.to_string())),
            ("model", Some(model)),
            ("sha256", sha256),
            ("base_currency", base_currency),
        ];
        let facts = facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect();
        return slices::columns(&desk, rows, facts, format, next.as_deref()).await;
    }
    let body = CubeBody {
        run_id: run.to_string(),
        generation: shown.generation,
        model,
        sha256,
        complete,
        base_currency,
        rows,
        total,
        next,
    };
    Ok(Json(body).into_response())
}

/// What a cursor belongs to: the question, and the results that it was asked of.
fn list_of(run: &str, state: &Run, asked: &SliceAsked) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{run} {asked:?}"));
    for (id, cells) in state.results() {
        hash.update(format!("{id} {}", cells.sha256));
    }
    hex::encode(&hash.finalize()[..8])
}

fn place(list: &str, cursor: &str) -> Result<usize, Problem> {
    let wrong = || Problem::parameter("cursor", "is not one that this list gave out");
    let (place, of) = cursor.split_once('-').ok_or_else(wrong)?;
    if of != list || place.len() > 8 {
        return Err(wrong());
    }
    usize::from_str_radix(place, 16).map_err(|_| wrong())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RiskOf {
    /// Levels, comma-separated; `0.95,0.99` unless told.
    level: Option<String>,
    /// As of the cube; the whole alone unless told.
    #[serde(default)]
    by: String,
    #[serde(default)]
    filter: String,
    /// The scenarios of the distribution; all but the base unless told.
    scenario: Option<String>,
    /// The scenario that profit and loss is measured from; `BASE` unless told.
    base: Option<String>,
    /// `historical` (unless told) or `parametric`.
    method: Option<String>,
    /// `json`, `csv`, `arrow` or `parquet`; as `Accept` says unless told.
    format: Option<String>,
    /// A generation that priced the run again, 1 for the run itself; what is
    /// promoted unless told.
    generation: Option<u32>,
}

/// Value at risk and expected shortfall by level and group, with component and
/// marginal contributions, on the sums of the groups' P&L vectors.
#[utoipa::path(get, path = "/v1/results/{run}/risk", tag = "Results", params(("run" = String, Path), RiskOf), responses((status = 200, content((Risk = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn risk(
    State(desk): State<Desk>,
    Path(run): Path<Id>,
    Query(of): Query<RiskOf>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let format = Format::asked(of.format.as_deref(), &headers)?;
    let shown = desk.in_force(&principal.tenant, &run, of.generation).await?;
    let measure = pv_of(&desk, &principal.tenant, &shown).await?;
    let none = || Problem::new(daybook_http::Kind::Conflict, "The run has neither PV nor PV_BASE.");
    let measure = measure.ok_or_else(none)?;
    let parametric = match of.method.as_deref() {
        None | Some("historical") => false,
        Some("parametric") => true,
        Some(_) => return Err(Problem::parameter("method", "must be historical or parametric")),
    };
    let levels = of.level.as_deref().unwrap_or("0.95,0.99").split(',').map(|level| level.trim().parse());
    let levels = levels.collect::<Result<Vec<f64>, _>>();
    let levels = levels.map_err(|_| Problem::parameter("level", "must be numbers such as 0.95,0.99"))?;
    let cube = desk.cube(&principal.tenant, &shown, std::slice::from_ref(&measure)).await?;
    let base = of.base.unwrap_or_else(|| "BASE".into());
    let asked =
        RiskAsked { measure, by: of.by, filter: of.filter, scenario: of.scenario, base, levels, parametric };
    let body = on_a_thread(move || cube.risk(&asked)).await??;
    tables::answer(&desk, body, format, tables::risk).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExplainOf {
    position: String,
    /// The run's first unless told.
    scenario: Option<String>,
    /// `json`, or its cash flows as `csv`, `arrow` or `parquet`; as `Accept` says
    /// unless told.
    format: Option<String>,
    /// A generation that priced the run again, 1 for the run itself; what is
    /// promoted unless told.
    generation: Option<u32>,
}

/// What a position's numbers are made of: terms, curves, quotes, cash flows,
/// model; and whether they come out the same again.
#[utoipa::path(get, path = "/v1/results/{run}/explain", tag = "Results", params(("run" = String, Path), ExplainOf), responses((status = 200, content((Explained = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn explain(
    State(desk): State<Desk>,
    Path(run): Path<Id>,
    Query(of): Query<ExplainOf>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let format = Format::asked(of.format.as_deref(), &headers)?;
    let shown = desk.in_force(&principal.tenant, &run, of.generation).await?;
    let body = desk.explain(&principal.tenant, &shown, &of.position, of.scenario.as_deref()).await?;
    tables::answer(&desk, body, format, tables::explanation).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CompareOf {
    /// The later run.
    other: String,
    /// `json`, or its positions as `csv`, `arrow` or `parquet`; as `Accept` says
    /// unless told.
    format: Option<String>,
}

/// What is different in another run: by position, and by cause (time, market,
/// positions, model), which add up to the whole.
#[utoipa::path(get, path = "/v1/results/{run}/compare", tag = "Results", params(("run" = String, Path), CompareOf), responses((status = 200, content((Comparison = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "4XX", content_type = "application/problem+json", body = ProblemBody)))]
async fn compare(
    State(desk): State<Desk>,
    Path(run): Path<Id>,
    Query(of): Query<CompareOf>,
    headers: HeaderMap,
    principal: Principal,
) -> Result<Response, Problem> {
    principal.require(Role::Reader)?;
    let format = Format::asked(of.format.as_deref(), &headers)?;
    let body = desk.compare(&principal.tenant, &run, &of.other).await?;
    tables::answer(&desk, body, format, tables::comparison).await
}
