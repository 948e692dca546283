//! Commands of races, and of the tracks, drivers and rules that they need.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use daybook_http::{Id, JsonBody, Path, Problem};
use domain::api_key::Role;
use domain::racing::driver::{self, Driver};
use domain::racing::live::{self, LiveRace, Observed};
use domain::racing::race::{Command, Details, Entry, Measured, Placed, Race, Session};
use domain::racing::scoring::{self, Scoring};
use domain::racing::track::{self, Track};
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::write;
use crate::caller::{Caller, CommandAnswers, CommandHeaders, problem};
use crate::execute::{Call, Services, execute};
use crate::reply::Outcome;

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Enter {
    entries: Vec<Entry>,
    /// A complete list, from the series: who is not on it is withdrawn.
    #[serde(default = "yes")]
    official: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartOrder {
    /// Ids of drivers from the pole back.
    order: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Salaries {
    #[schema(example = "draftkings")]
    site: String,
    /// Dollars by driver: all of the site's from now on.
    salaries: BTreeMap<String, u32>,
    /// What the site calls the drivers, for its upload files.
    #[serde(default)]
    ids: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Finish {
    /// Of every car that took part.
    results: Vec<Placed>,
    /// From the series. What is not replaces nothing that is.
    #[serde(default = "yes")]
    official: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Correct {
    /// Of every car that took part, as they are now.
    results: Vec<Placed>,
    reason: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Disqualify {
    driver: String,
    reason: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Measure {
    /// The whole loop data of the race.
    cars: Vec<Measured>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// When the green flag was shown.
    #[schema(value_type = String, example = "2023-11-05T20:07:00Z")]
    at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Postpone {
    #[schema(value_type = String, example = "2023-11-06")]
    date: Date,
    #[schema(value_type = Option<String>, example = "2023-11-06T20:00:00Z")]
    starts_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelRace {
    reason: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

pub fn router() -> Router<Services> {
    Router::new()
        .route("/v1/tracks/{id}/define", post(define_track))
        .route("/v1/drivers/{id}/name", post(name_driver))
        .route("/v1/scoring/{id}/define", post(define_scoring))
        .route("/v1/races/{id}/schedule", post(schedule))
        .route("/v1/races/{id}/enter", post(enter))
        .route("/v1/races/{id}/set-start-order", post(set_start_order))
        .route("/v1/races/{id}/set-salaries", post(set_salaries))
        .route("/v1/races/{id}/start", post(start))
        .route("/v1/races/{id}/observe", post(observe))
        .route("/v1/races/{id}/finish", post(finish))
        .route("/v1/races/{id}/measure", post(measure))
        .route("/v1/races/{id}/record-session", post(record_session))
        .route("/v1/races/{id}/correct", post(correct))
        .route("/v1/races/{id}/disqualify", post(disqualify))
        .route("/v1/races/{id}/postpone", post(postpone))
        .route("/v1/races/{id}/cancel", post(cancel))
}

#[derive(OpenApi)]
#[openapi(paths(
    define_track,
    name_driver,
    define_scoring,
    schedule,
    enter,
    set_start_order,
    set_salaries,
    start,
    observe,
    finish,
    measure,
    record_session,
    correct,
    disqualify,
    postpone,
    cancel
))]
pub struct Doc;

async fn race(
    services: &Services,
    caller: Caller,
    id: &str,
    body_hash: [u8; 32],
    command: Command,
) -> Result<Outcome, Problem> {
    write::<Race>(services, caller, id, body_hash, UrlPolicy::default(), command).await
}

/// Say how a track races, from a day on where it was rebuilt.
#[utoipa::path(post, path = "/v1/tracks/{id}/define", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = track::Definition, responses(CommandAnswers))]
async fn define_track(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<track::Definition>,
) -> Result<Outcome, Problem> {
    let (hash, policy) = (body.hash, UrlPolicy::default());
    write::<Track>(&services, caller, &id, hash, policy, track::Command::Define(body.value)).await
}

/// Register a driver, or another spelling of the name.
#[utoipa::path(post, path = "/v1/drivers/{id}/name", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Name, responses(CommandAnswers))]
async fn name_driver(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Name>,
) -> Result<Outcome, Problem> {
    let (hash, policy) = (body.hash, UrlPolicy::default());
    write::<Driver>(&services, caller, &id, hash, policy, driver::Command::Name { name: body.value.name })
        .await
}

/// Define a version of the rules that a site pays by; a version never changes.
#[utoipa::path(post, path = "/v1/scoring/{id}/define", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = scoring::Definition, responses(CommandAnswers))]
async fn define_scoring(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<scoring::Definition>,
) -> Result<Outcome, Problem> {
    let (hash, policy) = (body.hash, UrlPolicy::default());
    write::<Scoring>(&services, caller, &id, hash, policy, scoring::Command::Define(body.value)).await
}

/// Schedule a race, or change its details. The track must be defined.
#[utoipa::path(post, path = "/v1/races/{id}/schedule", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Details, responses(CommandAnswers))]
async fn schedule(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Details>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::Schedule(body.value)).await
}

/// Set or fill up the entry list. Members that are left out keep what is known.
#[utoipa::path(post, path = "/v1/races/{id}/enter", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Enter, responses(CommandAnswers))]
async fn enter(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Enter>,
) -> Result<Outcome, Problem> {
    race(
        &services,
        caller,
        &id,
        body.hash,
        Command::Enter { entries: body.value.entries, official: body.value.official },
    )
    .await
}

/// Set the grid.
#[utoipa::path(post, path = "/v1/races/{id}/set-start-order", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = StartOrder, responses(CommandAnswers))]
async fn set_start_order(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<StartOrder>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::SetStartOrder { order: body.value.order }).await
}

/// Set what the drivers cost on a site.
#[utoipa::path(post, path = "/v1/races/{id}/set-salaries", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Salaries, responses(CommandAnswers))]
async fn set_salaries(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Salaries>,
) -> Result<Outcome, Problem> {
    race(
        &services,
        caller,
        &id,
        body.hash,
        Command::SetSalaries { site: body.value.site, salaries: body.value.salaries, ids: body.value.ids },
    )
    .await
}

/// Record the green flag. From here on no projection is sealed.
#[utoipa::path(post, path = "/v1/races/{id}/start", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Start, responses(CommandAnswers))]
async fn start(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Start>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::Start { at: body.value.at }).await
}

/// Record the result; of a race that has one, a correction.
#[utoipa::path(post, path = "/v1/races/{id}/finish", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Finish, responses(CommandAnswers))]
async fn finish(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Finish>,
) -> Result<Outcome, Problem> {
    let Finish { results, official } = body.value;
    let command = Command::Finish { results, official, reason: "official results".into() };
    race(&services, caller, &id, body.hash, command).await
}

/// Record the loop data.
#[utoipa::path(post, path = "/v1/races/{id}/measure", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Measure, responses(CommandAnswers))]
async fn measure(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Measure>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::Measure { cars: body.value.cars }).await
}

/// Record a practice or qualifying session; the same one again replaces it.
#[utoipa::path(post, path = "/v1/races/{id}/record-session", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Session, responses(CommandAnswers))]
async fn record_session(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Session>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::RecordSession(body.value)).await
}

/// Correct the result. What was before stays in the log.
#[utoipa::path(post, path = "/v1/races/{id}/correct", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Correct, responses(CommandAnswers))]
async fn correct(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Correct>,
) -> Result<Outcome, Problem> {
    let Correct { results, reason } = body.value;
    race(&services, caller, &id, body.hash, Command::Correct { results, reason }).await
}

/// Take a car out of the result: it is last, and who was behind it moves up.
#[utoipa::path(post, path = "/v1/races/{id}/disqualify", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Disqualify, responses(CommandAnswers))]
async fn disqualify(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Disqualify>,
) -> Result<Outcome, Problem> {
    race(
        &services,
        caller,
        &id,
        body.hash,
        Command::Disqualify { driver: body.value.driver, reason: body.value.reason },
    )
    .await
}

/// Move the race to another day.
#[utoipa::path(post, path = "/v1/races/{id}/postpone", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Postpone, responses(CommandAnswers))]
async fn postpone(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Postpone>,
) -> Result<Outcome, Problem> {
    race(
        &services,
        caller,
        &id,
        body.hash,
        Command::Postpone { date: body.value.date, starts_at: body.value.starts_at },
    )
    .await
}

/// Cancel the race for good.
#[utoipa::path(post, path = "/v1/races/{id}/cancel", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = CancelRace, responses(CommandAnswers))]
async fn cancel(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<CancelRace>,
) -> Result<Outcome, Problem> {
    race(&services, caller, &id, body.hash, Command::Cancel { reason: body.value.reason }).await
}

/// Record where the cars are. The first lap is the green flag: from there on no
/// projection is sealed. Each lap is recorded once, and none goes back.
#[utoipa::path(post, path = "/v1/races/{id}/observe", tag = "Races", params(("id" = String, Path), CommandHeaders), request_body = Observed, responses(CommandAnswers))]
async fn observe(
    State(services): State<Services>,
    Path(id): Path<Id>,
    caller: Caller,
    body: JsonBody<Observed>,
) -> Result<Outcome, Problem> {
    let started = Call {
        actor: caller.principal.actor(),
        principal: caller.principal.clone(),
        role: Role::Writer,
        id: id.0.clone(),
        if_match: None,
        idempotency: None,
        correlation_id: caller.correlation_id.clone(),
        urls: UrlPolicy::default(),
    };
    let start = Command::Start { at: body.value.at };
    execute::<Race>(&services, &started, start).await.map_err(|e| problem(e, false))?;
    let observed = live::Command::Observe(Box::new(body.value));
    write::<LiveRace>(&services, caller, &id, body.hash, UrlPolicy::default(), observed).await
}
