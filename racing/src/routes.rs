//! Projections and lineups over HTTP. Drawing races and looking for lineups is
//! done beside the threads that serve, few at a time and not for long.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use commands::caller::{ProblemBody, problem};
use commands::execute::{Call, RequestKey, Services, execute};
use daybook_http::headers::POSITION;
use daybook_http::{Id, Json, JsonBody, Kind, Path, Principal, Problem};
use domain::TenantId;
use domain::api_key::Role;
use domain::decide::Decide;
use domain::ports::log::EventLog;
use domain::ports::rows::{RowStore, RowsError, Source};
use domain::racing::lineups::{self, Kept, Lineups};
use domain::racing::race::{self, Race, hash};
use domain::racing::scoring::{self, Scoring};
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use models_fantasy::lineups::contest::Objective;
use models_fantasy::lineups::{Contest, Limits, Wrong};
use models_fantasy::parameters::Parameters;
use models_fantasy::scoring::{Site, all};
use projections::dfs_projections::{DfsProjections, NAME, Settings};
use projections::instantiate;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{OpenApi, ToSchema};

use crate::draw::{Drawn, Task, Undrawn, model_under, seed};
use crate::facts::{Facts, FactsError};
use crate::pick::{Unpicked, Wanted, keyed, objective, pick};
use crate::seal::{definition, sealed};
use crate::sealer::{ACTOR, Once};

/// How long a request waits for a slot, and its work may take.
const PATIENCE: Duration = Duration::from_secs(10);
const TIME: Duration = Duration::from_secs(20);
/// Drawn races that are kept for the next question; some megabytes each.
const DRAWN: usize = 4;
const RUNS: std::ops::RangeInclusive<u32> = 1_000..=50_000;

/// What these routes share.
#[derive(Clone)]
pub struct Racing {
    services: Services,
    facts: Arc<Facts>,
    slots: Arc<Semaphore>,
    drawn: Arc<Mutex<Remembered>>,
    /// Where it stands which model was promoted.
    rows: Arc<dyn RowStore>,
    patience: Duration,
    time: Duration,
}

/// The newest first.
type Remembered = VecDeque<(Key, Arc<Drawn>)>;

/// Whose race, for what was known at a position, drawn how often by which
/// model.
type Key = (TenantId, String, u64, u32, String);

/// A race as it is known, and drawn.
struct Ready {
    race: Race,
    drawn: Arc<Drawn>,
    through: u64,
    seed: u64,
}

impl Racing {
    /// So many races are drawn at once at most.
    pub fn new(services: Services, rows: Arc<dyn RowStore>, slots: usize) -> Self {
        let slots = Arc::new(Semaphore::new(slots.max(1)));
        let (facts, drawn) = (Arc::default(), Arc::default());
        Self { services, facts, slots, drawn, rows, patience: PATIENCE, time: TIME }
    }

    /// For callers whom nobody waits for: work may take so long, and a slot too.
    #[must_use]
    pub fn patient(self, time: Duration) -> Self {
        Self { patience: time, time, ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    pub(crate) fn log(&self) -> &dyn EventLog {
        &*self.services.log
    }

    /// Of the model whose forecasts readers get.
    async fn promoted(&self, tenant: &TenantId) -> Result<Parameters, Problem> {
        let live = self.rows.read(&Source::live(NAME), tenant, &[]).await.map_err(unread)?.model;
        if live == DfsProjections::plain_model() {
            return Ok(Parameters::default());
        }
        let known = instantiate(NAME, &live).is_ok();
        let settings = Settings::parse(&live.parameters).ok().filter(|_| known);
        let unknown = || Problem::new(Kind::Conflict, format!("This build has no code for {live}."));
        settings.map(|settings| settings.parameters).ok_or_else(unknown)
    }

    /// Draws the race from what the log holds now. `may` is asked before.
    async fn ready(
        &self,
        principal: &Principal,
        id: &str,
        runs: u32,
        may: impl FnOnce(&Race) -> Result<(), Problem>,
    ) -> Result<Ready, Problem> {
        self.rules(principal).await?;
        let parameters = self.promoted(&principal.tenant).await?;
        let folded = self.facts.now(&*self.services.log, &principal.tenant).await.map_err(unfolded)?;
        let race = folded.races.race(id).cloned().ok_or_else(Problem::not_found)?;
        may(&race)?;
        let through = folded.through;
        let seed = seed(id, through);
        let key = (principal.tenant.clone(), id.to_owned(), through, runs, model_under(&parameters));
        if let Some(drawn) = self.kept(&key) {
            return Ok(Ready { race, drawn, through, seed });
        }
        let task = Task::new(&folded.races, id, (seed, runs as usize), parameters).map_err(undrawn)?;
        drop(folded);
        let drawn = Arc::new(self.work(move || task.draw()).await?);
        let mut kept = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(DRAWN - 1);
        kept.push_front((key, drawn.clone()));
        drop(kept);
        Ok(Ready { race, drawn, through, seed })
    }

    fn kept(&self, key: &Key) -> Option<Arc<Drawn>> {
        let kept = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, _)| of == key).map(|(_, drawn)| drawn.clone())
    }

    /// The sites' rules that this build knows, where the tenant has none.
    async fn rules(&self, principal: &Principal) -> Result<(), Problem> {
        let folded = self.facts.now(&*self.services.log, &principal.tenant).await.map_err(unfolded)?;
        let known = !folded.races.rules().is_empty();
        drop(folded);
        for rules in all().into_iter().filter(|_| !known) {
            let command = scoring::Command::Define(definition(&rules));
            self.execute::<Scoring>(principal, rules.site.as_str(), command).await?;
        }
        Ok(())
    }

    /// Draws the race from what the log holds and records what is said of it.
    pub(crate) async fn seal(
        &self,
        principal: &Principal,
        id: &str,
        runs: u32,
        once: Option<&Once>,
    ) -> Result<ProjectionsSealed, Problem> {
        let now = self.services.clock.now();
        let may = |race: &Race| {
            if let Some(once) = once {
                once.holds(race)?;
            }
            race.sealable(now).map_err(Problem::from)
        };
        let Ready { race, drawn, through, seed } = self.ready(principal, id, runs, may).await?;
        let mut sites = Vec::new();
        for sealed in sealed(&drawn, &race.salaries, (through, seed)) {
            let (site, sha256) = (sealed.site.clone(), hash(&sealed.drivers));
            let key = once.map(|once| once.key(id, &site));
            if self.answered(principal, key.as_ref()).await? {
                continue;
            }
            let command = race::Command::Seal(Box::new(sealed));
            let outcome = self.execute_once::<Race>(principal, id, command, key).await?;
            let recorded = !outcome.events.is_empty();
            sites.push(SealedSite { site, sha256, position: outcome.position, recorded });
        }
        Ok(ProjectionsSealed {
            race: id.to_owned(),
            model: model_under(&drawn.parameters),
            through,
            seed,
            runs,
            learned: drawn.learned,
            sealed: sites,
        })
    }

    /// Whether it was done under this key.
    pub(crate) async fn answered(
        &self,
        principal: &Principal,
        key: Option<&RequestKey>,
    ) -> Result<bool, Problem> {
        let Some(key) = key else { return Ok(false) };
        Ok(self.services.log.stored_reply(&principal.tenant, &key.key).await?.is_some())
    }

    /// Beside the threads that serve. What takes too long is answered so, and
    /// holds its slot until it ends.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let slot = tokio::time::timeout(self.patience, self.slots.clone().acquire_owned()).await;
        let busy = || Problem::new(Kind::Overloaded, "Too many races are being drawn.").retry_after(5);
        let slot = slot.ok().and_then(Result::ok).ok_or_else(busy)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(slot);
            done
        });
        match tokio::time::timeout(self.time, working).await {
            Ok(done) => done.map_err(Problem::internal),
            Err(_) => {
                let detail = format!("No answer was found in {} seconds; ask for less.", self.time.as_secs());
                Err(Problem::new(Kind::RequestTimeout, detail))
            }
        }
    }

    async fn execute<A>(
        &self,
        principal: &Principal,
        id: &str,
        command: A::Command,
    ) -> Result<commands::Outcome, Problem>
    where
        A: Decide<Command: Clone>,
    {
        self.execute_once::<A>(principal, id, command, None).await
    }

    /// What was done under a key is not done again.
    async fn execute_once<A>(
        &self,
        principal: &Principal,
        id: &str,
        command: A::Command,
        idempotency: Option<RequestKey>,
    ) -> Result<commands::Outcome, Problem>
    where
        A: Decide<Command: Clone>,
    {
        let call = Call {
            // Nobody but the sealer has keys of its own here.
            actor: if idempotency.is_some() { ACTOR.into() } else { principal.actor() },
            principal: principal.clone(),
            role: Role::Writer,
            id: id.to_owned(),
            if_match: None,
            idempotency,
            correlation_id: None,
            urls: UrlPolicy::default(),
        };
        execute::<A>(&self.services, &call, command).await.map_err(|refusal| problem(refusal, false))
    }
}

fn unread(error: RowsError) -> Problem {
    match error {
        RowsError::Unavailable(reason) => {
            tracing::error!(%reason, "rows cannot be read");
            Problem::new(Kind::Unavailable, "The rows cannot be read at the moment.").retry_after(2)
        }
        other => Problem::internal(other),
    }
}

fn unfolded(error: FactsError) -> Problem {
    match error {
        FactsError::Log(error) => error.into(),
        FactsError::Decode(error) => Problem::internal(error),
    }
}

fn undrawn(error: Undrawn) -> Problem {
    Problem::new(Kind::Conflict, format!("The race cannot be drawn: {error}."))
}

fn unpicked(error: Unpicked) -> Problem {
    match error {
        Unpicked::Wrong(Wrong::Clash(clash)) => {
            let rules = clash.rules.clone();
            Problem::field("/limits", &clash).with("clash", rules).with("proved", clash.proved)
        }
        Unpicked::Wrong(wrong @ (Wrong::TooMany(_) | Wrong::Twice(_) | Wrong::Salary { .. })) => {
            Problem::new(Kind::Conflict, format!("The slate is wrong: {wrong}."))
        }
        Unpicked::Wrong(wrong) => Problem::field("/limits", wrong),
        Unpicked::MeanOnly => Problem::field("/objective", error),
        Unpicked::Contest => Problem::field("/contest", error),
        Unpicked::NoSalaries(_) | Unpicked::NoRules(_) => {
            Problem::new(Kind::Conflict, format!("There is no slate: {error}."))
        }
    }
}

/// The routes that need the role writer.
pub fn router(racing: Racing) -> Router {
    Router::new()
        .route("/v1/races/{id}/projections", post(project))
        .route("/v1/races/{id}/lineups", post(choose))
        .with_state(racing)
}

/// Their part of the API document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

#[derive(OpenApi)]
#[openapi(paths(project, choose))]
struct Doc;

fn runs_within(runs: Option<u32>) -> Result<u32, Problem> {
    let runs = runs.unwrap_or(10_000);
    if RUNS.contains(&runs) {
        return Ok(runs);
    }
    Err(Problem::field("/runs", format!("must be {} to {}", RUNS.start(), RUNS.end())))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Project {
    /// Races drawn, 1,000 to 50,000; 10,000 unless told.
    runs: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SealedSite {
    pub site: String,
    /// Of the numbers.
    pub sha256: String,
    /// Where the fact stands.
    pub position: u64,
    /// False if the same was sealed before.
    pub recorded: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectionsSealed {
    race: String,
    model: String,
    /// Position of the last fact that was known to it.
    through: u64,
    /// From race and position.
    seed: u64,
    runs: u32,
    /// Races that the model learned from, all before this one.
    learned: u32,
    pub sealed: Vec<SealedSite>,
}

/// Compute projections of the race from what the log holds, and seal them.
/// Refused after the green flag. The same facts give the same numbers, which
/// are recorded once. Role writer.
#[utoipa::path(
    post, operation_id = "seal_projections", path = "/v1/races/{id}/projections", tag = "Races", params(("id" = String, Path)), request_body = Project,
    responses((status = 200, body = ProjectionsSealed), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn project(
    State(racing): State<Racing>,
    Path(id): Path<Id>,
    principal: Principal,
    body: JsonBody<Project>,
) -> Result<Response, Problem> {
    principal.require(Role::Writer)?;
    let runs = runs_within(body.value.runs)?;
    let sealed = racing.seal(&principal, &id, runs, None).await?;
    let position = sealed.sealed.iter().map(|site| site.position).max().unwrap_or_default();
    Ok(([(POSITION, HeaderValue::from(position))], Json(sealed)).into_response())
}

fn draftkings() -> String {
    Site::DraftKings.as_str().to_owned()
}

fn mean() -> String {
    "mean".to_owned()
}

fn twenty() -> usize {
    20
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Choose {
    /// draftkings or fanduel.
    #[serde(default = "draftkings")]
    site: String,
    /// 1 to 500; 20 unless told.
    #[serde(default = "twenty")]
    count: usize,
    /// mean, win, payout, quantile:P or tail:P of a lineup's points.
    #[serde(default = "mean")]
    objective: String,
    /// With payout: {"entries", "entry_fee", "prizes": [{"from", "to", "amount"}]}.
    #[schema(value_type = Option<Object>)]
    contest: Option<Contest>,
    /// Every driver's value is changed at random by about this part of it.
    #[serde(default)]
    randomness: f64,
    /// Races drawn, 1,000 to 50,000; 10,000 unless told.
    runs: Option<u32>,
    /// Locks, groups, stacks, exposures.
    #[serde(default)]
    #[schema(value_type = Object)]
    limits: Limits,
}

#[derive(Debug, Serialize, ToSchema)]
struct Chosen {
    race: String,
    /// Number of these lineups among those of the race.
    set: u64,
    /// Where the fact stands.
    position: u64,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    kept: Kept,
}

/// The best lineups by what the log holds now, within limits; they are kept.
/// Limits that cannot hold together are named. Role writer.
#[utoipa::path(
    post, operation_id = "choose_lineups", path = "/v1/races/{id}/lineups", tag = "Races", params(("id" = String, Path)), request_body = Choose,
    responses((status = 200, body = Chosen), (status = "4XX", content_type = "application/problem+json", body = ProblemBody))
)]
async fn choose(
    State(racing): State<Racing>,
    Path(id): Path<Id>,
    principal: Principal,
    body: JsonBody<Choose>,
) -> Result<Response, Problem> {
    principal.require(Role::Writer)?;
    let runs = runs_within(body.value.runs)?;
    let wanted = wanted(body.value)?;
    let ready = racing.ready(&principal, &id, runs, |_| Ok(())).await?;
    let Ready { race, drawn, through, seed } = ready;
    let kept = racing.work(move || pick(&race, &drawn, &wanted, (through, seed))).await?.map_err(unpicked)?;
    let keep = lineups::Command::Keep(Box::new(kept.clone()));
    let outcome = racing.execute::<Lineups>(&principal, &id, keep).await?;
    let body = Chosen { race: id.0, set: outcome.version, position: outcome.position, kept };
    Ok(([(POSITION, HeaderValue::from(outcome.position))], Json(body)).into_response())
}

fn wanted(asked: Choose) -> Result<Wanted, Problem> {
    let site =
        Site::parse(&asked.site).ok_or_else(|| Problem::field("/site", "must be draftkings or fanduel"))?;
    let wrong = "must be mean, win, payout, quantile:P or tail:P with P between 0 and 1";
    let objective = objective(&asked.objective).ok_or_else(|| Problem::field("/objective", wrong))?;
    if matches!(objective, Objective::Payout(_)) != asked.contest.is_some() {
        return Err(Problem::field("/contest", Unpicked::Contest));
    }
    if let Some(Err(bad)) = asked.contest.as_ref().map(Contest::check) {
        return Err(Problem::field(format!("/contest{}", bad.pointer), bad.reason));
    }
    if asked.count == 0 || asked.count > lineups::MAX_LINEUPS {
        return Err(Problem::field("/count", format!("must be 1 to {}", lineups::MAX_LINEUPS)));
    }
    if !(0.0..=1.0).contains(&asked.randomness) {
        return Err(Problem::field("/randomness", "must be 0 to 1"));
    }
    let written = serde_json::to_value(&asked.limits).map_err(Problem::internal)?;
    Ok(Wanted {
        site,
        count: asked.count,
        objective,
        objective_word: asked.objective,
        contest: asked.contest,
        randomness: asked.randomness,
        limits: keyed(asked.limits),
        asked: written,
    })
}
