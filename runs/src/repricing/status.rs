//! Where generations stand.

use daybook_http::Problem;
use domain::TenantId;
use domain::valuation::repricing::{Compared, Generation, Repricing, repriced_id};
use domain::valuation::run::RunStatus;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{in_force_of, run_of};
use crate::Desk;

/// All generations.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// What new runs are priced by, unless they name a model.
    pub model_in_force: String,
    #[schema(value_type = Object)]
    pub parameters_in_force: Value,
    /// Promotions that hold, the last one at the end.
    pub promoted: Vec<u32>,
    /// The newest first. Generation 1 is what runs made themselves.
    pub generations: Vec<GenerationBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GenerationBody {
    pub generation: u32,
    /// `building`, `failed`, `ready`, `live` (readers of some run get it),
    /// `retired` (promoted, and others after it) or `aborted`.
    pub status: String,
    pub model: String,
    #[schema(value_type = Object)]
    pub parameters: Value,
    pub runs: Vec<RepricedRun>,
    /// What was compared last.
    #[schema(value_type = Object)]
    pub compared: Option<Compared>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RepricedRun {
    pub run_id: String,
    /// The run that prices it again; it can be watched and read as any.
    pub priced_as: String,
    /// As of a run; `MISSING` until it is started, and of what was aborted.
    pub status: String,
    /// Over its results, once it is completed.
    pub sha256: Option<String>,
    /// Over the run's own results.
    pub own_sha256: String,
    /// Whether readers of the run get it.
    pub live: bool,
}

impl Desk {
    pub async fn repricing_status(&self, tenant: &TenantId) -> Result<Status, Problem> {
        let state = self.repricing(tenant).await?;
        let model = in_force_of(&state)?;
        let mut generations = Vec::with_capacity(state.generations.len());
        for (generation, known) in state.generations.iter().rev() {
            generations.push(self.generation_body(tenant, &state, *generation, known).await?);
        }
        Ok(Status {
            model_in_force: model.name(),
            parameters_in_force: model.parameters(),
            promoted: state.promoted,
            generations,
        })
    }

    async fn generation_body(
        &self,
        tenant: &TenantId,
        state: &Repricing,
        generation: u32,
        known: &Generation,
    ) -> Result<GenerationBody, Problem> {
        let (mut runs, mut statuses) = (Vec::with_capacity(known.runs.len()), Vec::new());
        for chosen in &known.runs {
            let priced_as = repriced_id(&chosen.run_id, generation);
            let run = if known.aborted { None } else { run_of(self, tenant, &priced_as).await? };
            let status = run.as_ref().map(domain::valuation::run::Run::status);
            statuses.push(status);
            runs.push(RepricedRun {
                live: state.in_force(&chosen.run_id) == generation,
                run_id: chosen.run_id.clone(),
                priced_as,
                status: status.map_or("MISSING", RunStatus::name).to_owned(),
                sha256: run.and_then(|run| run.sealed),
                own_sha256: chosen.sha256.clone(),
            });
        }
        let failed =
            |status: &Option<RunStatus>| matches!(status, Some(RunStatus::Failed | RunStatus::Cancelled));
        let status = match () {
            () if known.aborted => "aborted",
            () if runs.iter().any(|run| run.live) => "live",
            () if state.promoted.contains(&generation) => "retired",
            () if statuses.iter().any(failed) => "failed",
            () if statuses.iter().all(|status| *status == Some(RunStatus::Completed)) => "ready",
            () => "building",
        };
        Ok(GenerationBody {
            generation,
            status: status.to_owned(),
            model: known.model.to_string(),
            parameters: known.model.parameters.clone(),
            runs,
            compared: known.compared.clone(),
        })
    }
}
