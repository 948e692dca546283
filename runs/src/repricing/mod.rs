//! Runs priced again by another model, beside what readers get, and which of
//! both they get.

mod compare;
mod status;

use commands::caller::problem;
use commands::execute::{Call, Refusal, execute, load};
use daybook_http::{Kind, Problem};
use domain::TenantId;
use domain::decide::{Rejection, stream_of};
use domain::model_choice::{Define, ModelChoice};
use domain::ports::rows::ModelId;
use domain::registry::decode;
use domain::valuation::market_snapshot::content_hash;
use domain::valuation::repricing::{Chosen, Command, Event, FIRST, Repricing, repriced_id};
use domain::valuation::run::{self, Plan, Reprices, Run, RunStatus, Start};
use models_pricing::model::{self, Model, ModelError};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{Desk, inputs};

pub use compare::{Asked as CompareAsked, Comparison, MAX_TOP, TOP};
pub use status::{GenerationBody, RepricedRun, Status};

/// The id of the streams that are about the pricing model.
pub const PRICING: &str = model::NAME;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Decided {
    /// The generation that it is about.
    pub generation: Option<u32>,
    /// False if it was so already.
    pub changed: bool,
    /// Of the newest decision.
    pub position: u64,
}

/// What readers of a run get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub run_id: String,
    pub generation: u32,
    /// The run that has the results.
    pub stored: String,
}

/// The model of the next build.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelBody {
    /// `pricing`, in the place of a projection's name.
    pub projection: String,
    /// `name@version`.
    #[schema(example = "pricing@2")]
    pub model: String,
    /// All of them.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Whether an operator defined it; else it is that of a new installation.
    pub defined: bool,
    /// What this build has code for.
    pub known: Vec<String>,
    /// What new runs are priced by, unless they name a model.
    pub in_force: String,
    #[schema(value_type = Object)]
    pub in_force_parameters: Value,
}

/// Names the member that does not hold.
pub fn refused(error: &ModelError, given: &Value, model: &str, parameters: &str) -> Problem {
    let of_model = error.pointer.is_empty() && (given.is_null() || given.is_object());
    let pointer = if of_model { model.to_owned() } else { format!("{parameters}{}", error.pointer) };
    Problem::field(pointer, &error.reason)
}

fn id_of(model: &Model) -> ModelId {
    ModelId { parameters: model.parameters(), ..ModelId::new(model::NAME, model.version()) }
}

/// A recorded model, if this build has code for it.
fn recorded(id: &ModelId) -> Result<Model, Problem> {
    Model::read(&id.to_string(), &id.parameters)
        .map_err(|e| Problem::new(Kind::Unavailable, format!("This needs code for {id}: {}", e.reason)))
}

fn in_force_of(repricing: &Repricing) -> Result<Model, Problem> {
    repricing.model_in_force().map_or_else(|| Ok(Model::default()), recorded)
}

impl Desk {
    /// Generations and promotions; nothing if there never were any.
    pub async fn repricing(&self, tenant: &TenantId) -> Result<Repricing, Problem> {
        let stream = stream_of::<Repricing>(tenant, PRICING).map_err(Problem::internal)?;
        Ok(load::<Repricing>(&self.services, &stream).await.map_err(|e| problem(e, false))?.state)
    }

    /// What new runs are priced by.
    pub async fn model_in_force(&self, tenant: &TenantId) -> Result<Model, Problem> {
        in_force_of(&self.repricing(tenant).await?)
    }

    /// Where a run's results are: those in force, or of a generation that is
    /// named.
    pub async fn in_force(
        &self,
        tenant: &TenantId,
        run: &str,
        generation: Option<u32>,
    ) -> Result<InForce, Problem> {
        let repricing = self.repricing(tenant).await?;
        let generation = match generation {
            None => repricing.in_force(run),
            Some(named) if named == FIRST || repricing.has(named, run) => named,
            Some(_) => return Err(Problem::parameter("generation", "has not priced this run")),
        };
        Ok(InForce { run_id: run.to_owned(), generation, stored: stored(run, generation) })
    }

    async fn defined(&self, tenant: &TenantId) -> Result<Option<Model>, Problem> {
        let stream = stream_of::<ModelChoice>(tenant, PRICING).map_err(Problem::internal)?;
        let choice = load::<ModelChoice>(&self.services, &stream).await.map_err(|e| problem(e, false))?;
        choice.state.model.as_ref().map(recorded).transpose()
    }

    /// The model of the next build.
    pub async fn model_choice(&self, tenant: &TenantId) -> Result<ModelBody, Problem> {
        let defined = self.defined(tenant).await?;
        let in_force = self.model_in_force(tenant).await?;
        let next = defined.as_ref().unwrap_or(&in_force);
        Ok(ModelBody {
            projection: PRICING.into(),
            model: next.name(),
            parameters: next.parameters(),
            defined: defined.is_some(),
            known: model::VERSIONS.iter().map(|version| format!("{}@{version}", model::NAME)).collect(),
            in_force: in_force.name(),
            in_force_parameters: in_force.parameters(),
        })
    }

    /// Defines the model of the next build; results stay as they are.
    pub async fn define(&self, call: Call, model: &Model) -> Result<Decided, Problem> {
        let call = Call { id: PRICING.into(), ..call };
        let outcome = execute::<ModelChoice>(&self.services, &call, Define(id_of(model))).await;
        let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
        Ok(Decided { generation: None, changed: !outcome.events.is_empty(), position: outcome.position })
    }

    /// Asks for a generation and starts its runs. Without a model, the defined
    /// one.
    pub async fn build(&self, call: Call, runs: &[String], model: Option<Model>) -> Result<Decided, Problem> {
        let tenant = call.principal.tenant.clone();
        let model = match model {
            Some(model) => model,
            None => self
                .defined(&tenant)
                .await?
                .ok_or_else(|| Problem::field("/model", "is needed, as none is defined"))?,
        };
        let mut chosen = Vec::with_capacity(runs.len());
        for (at, run) in runs.iter().enumerate() {
            chosen.push(self.chosen(&tenant, run, &model, &format!("/runs/{at}")).await?);
        }
        let call = Call { id: PRICING.into(), ..call };
        let command = Command::Request { model: id_of(&model), runs: chosen };
        let outcome = execute::<Repricing>(&self.services, &call, command).await;
        let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
        let state = self.repricing(&tenant).await?;
        let made = state.generations.iter().find(|(_, known)| known.version == outcome.version);
        let generation = made.map(|(generation, _)| *generation);
        let generation = generation.ok_or_else(|| Problem::internal("the generation is not there"))?;
        self.start_runs(&call, &state, generation).await?;
        Ok(Decided { generation: Some(generation), changed: true, position: outcome.position })
    }

    /// A run that can be priced again: it is completed, and its market can be
    /// built by the model.
    async fn chosen(
        &self,
        tenant: &TenantId,
        run: &str,
        model: &Model,
        field: &str,
    ) -> Result<Chosen, Problem> {
        let state: Run = match inputs::state(self, tenant, run).await {
            Err(problem) if problem.kind() == Kind::NotFound => {
                return Err(Problem::field(field, "names no run"));
            }
            other => other?,
        };
        let (Some(sha256), Some(plan)) = (state.sealed, state.plan) else {
            return Err(Problem::field(field, format!("{run} is not completed")));
        };
        self.market(tenant, &plan.market_snapshot, model).await.map_err(|problem| {
            let detail = problem.detail().to_owned();
            match problem.kind() {
                Kind::InvalidField => {
                    Problem::field("/model", format!("makes no market of what {run} pinned: {detail}"))
                }
                _ => problem,
            }
        })?;
        Ok(Chosen { run_id: run.to_owned(), sha256 })
    }

    /// Starts what is not started of a generation's runs. Doing it again changes
    /// nothing.
    async fn start_runs(&self, call: &Call, state: &Repricing, generation: u32) -> Result<(), Problem> {
        let Some(known) = state.generations.get(&generation) else { return Err(Problem::not_found()) };
        if known.aborted {
            return Err(Problem::new(Kind::Conflict, format!("Generation {generation} is aborted.")));
        }
        for chosen in &known.runs {
            let source: Run = inputs::state(self, &call.principal.tenant, &chosen.run_id).await?;
            let plan = source.plan.ok_or_else(Problem::not_found)?;
            let of = json!({"run": plan.request_sha256, "model": known.model, "generation": generation});
            let plan = Plan {
                request_sha256: content_hash(&of),
                model: known.model.to_string(),
                parameters: known.model.parameters.clone(),
                reprices: Some(Reprices { run_id: chosen.run_id.clone(), generation }),
                ..plan
            };
            let call = part_of(call, repriced_id(&chosen.run_id, generation));
            let command = run::Command::Start(Box::new(Start { plan, scenarios: source.scenarios }));
            execute::<Run>(&self.services, &call, command).await.map_err(|e| problem(e, false))?;
        }
        Ok(())
    }

    /// Starts runs of a generation that a process which died did not get to.
    pub async fn resume(&self, call: &Call, generation: u32) -> Result<Decided, Problem> {
        let state = self.repricing(&call.principal.tenant).await?;
        let before = self.services.log.head().await?.position;
        self.start_runs(call, &state, generation).await?;
        let position = self.services.log.head().await?.position;
        Ok(Decided { generation: Some(generation), changed: position > before, position })
    }

    /// Gives a generation up; its runs that are not over are cancelled.
    pub async fn abort(&self, call: Call, generation: u32) -> Result<Decided, Problem> {
        let call = Call { id: PRICING.into(), ..call };
        let decided = self.decide(&call, generation, Command::Abort { generation }).await?;
        let state = self.repricing(&call.principal.tenant).await?;
        let runs = state.generations.get(&generation).map_or(&[][..], |known| &known.runs);
        for chosen in runs {
            let call = part_of(&call, repriced_id(&chosen.run_id, generation));
            let reason = Some(format!("generation {generation} is aborted"));
            let done = execute::<Run>(&self.services, &call, run::Command::Cancel { reason }).await;
            match done {
                // It is completed, or was never started.
                Ok(_) | Err(Refusal::Rejected(Rejection::State(_) | Rejection::NotFound)) => {}
                Err(refusal) => return Err(problem(refusal, false)),
            }
        }
        Ok(decided)
    }

    /// From now on readers of the generation's runs get what it has: all of it or
    /// nothing of it.
    pub async fn promote(&self, call: Call, generation: Option<u32>) -> Result<Decided, Problem> {
        let call = Call { id: PRICING.into(), ..call };
        let tenant = &call.principal.tenant;
        let state = self.repricing(tenant).await?;
        let generation = named_or_newest(&state, generation)?;
        let known = state.generations.get(&generation).ok_or_else(Problem::not_found)?;
        let mut sealed = Vec::new();
        for chosen in &known.runs {
            let run_id = repriced_id(&chosen.run_id, generation);
            match inputs::state::<Run>(self, tenant, &run_id).await {
                Ok(run) => sealed.extend(run.sealed.map(|sha256| Chosen { run_id, sha256 })),
                Err(problem) if problem.kind() == Kind::NotFound => {}
                Err(problem) => return Err(problem),
            }
        }
        let command = Command::Promote { generation, sealed };
        let outcome = execute::<Repricing>(&self.services, &call, command).await;
        let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
        let changed = !outcome.events.is_empty();
        let decided = Decided { generation: Some(generation), changed, position: outcome.position };
        if !changed {
            return Ok(decided);
        }
        // A request that is repeated is told what was promoted then.
        let stream = stream_of::<Repricing>(tenant, PRICING).map_err(Problem::internal)?;
        let recorded = self.services.log.read_stream(&stream, outcome.version, 1).await?;
        match recorded.first().map(decode) {
            Some(Ok(Event::Promoted { generation, .. })) => {
                Ok(Decided { generation: Some(generation), ..decided })
            }
            Some(Err(error)) => Err(Problem::internal(error)),
            _ => Ok(decided),
        }
    }

    /// Takes the last promotion away.
    pub async fn roll_back(&self, call: Call) -> Result<Decided, Problem> {
        let call = Call { id: PRICING.into(), ..call };
        let outcome = execute::<Repricing>(&self.services, &call, Command::RollBack).await;
        let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
        let state = self.repricing(&call.principal.tenant).await?;
        let generation = Some(state.promoted.last().copied().unwrap_or(FIRST));
        Ok(Decided { generation, changed: true, position: outcome.position })
    }

    async fn decide(&self, call: &Call, generation: u32, command: Command) -> Result<Decided, Problem> {
        let outcome = execute::<Repricing>(&self.services, call, command).await;
        let outcome = outcome.map_err(|e| problem(e, call.names_version()))?;
        let changed = !outcome.events.is_empty();
        Ok(Decided { generation: Some(generation), changed, position: outcome.position })
    }
}

/// The run that has a generation's results.
pub(crate) fn stored(run: &str, generation: u32) -> String {
    match generation {
        FIRST => run.to_owned(),
        other => repriced_id(run, other),
    }
}

/// Another stream that the same request writes to.
fn part_of(call: &Call, id: String) -> Call {
    Call { id, if_match: None, idempotency: None, ..call.clone() }
}

pub(crate) fn named_or_newest(state: &Repricing, named: Option<u32>) -> Result<u32, Problem> {
    match named.or_else(|| state.newest()) {
        Some(generation) if state.generations.contains_key(&generation) => Ok(generation),
        Some(_) => Err(Problem::not_found()),
        None => Err(Problem::new(Kind::Conflict, "Nothing was priced again yet.")),
    }
}

/// What a run of a generation is; `None` if it was not started.
pub(crate) async fn run_of(desk: &Desk, tenant: &TenantId, id: &str) -> Result<Option<Run>, Problem> {
    match inputs::state::<Run>(desk, tenant, id).await {
        Ok(run) => Ok(Some(run)),
        Err(problem) if problem.kind() == Kind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

pub(crate) fn is_completed(run: Option<&Run>) -> bool {
    run.is_some_and(|run| run.status() == RunStatus::Completed)
}
