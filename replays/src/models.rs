//! Models that operators define: checked by the code that they are for, then
//! kept as facts. They take effect with the next build.

use domain::model_choice::{Define, ModelChoice};
use domain::ports::rows::ModelId;
use projections::{instantiate, names, versions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::decisions::{Asked, By, Decided, PATIENT};
use crate::engine::Engine;
use crate::error::ReplayError;
use crate::facts::Facts;

/// The model of a projection's next generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelBody {
    pub projection: String,
    /// `name@version`.
    #[schema(example = "bots@2")]
    pub model: String,
    /// All of them.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Whether an operator defined it; else it is that of a new installation.
    pub defined: bool,
    /// What this build has code for.
    pub known: Vec<String>,
}

impl Engine {
    /// Checks the model with its own code and records it with all parameters.
    pub async fn define(&self, projection: &str, model: &ModelId, by: &By) -> Result<Decided, ReplayError> {
        let whole = instantiate(projection, model)?.model();
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let facts = Facts::<ModelChoice>::load(&*self.log, projection).await?;
        let command = Define(whole);
        self.decide(projection, Asked { facts, command, generation: None, by, attempts: PATIENT }).await
    }

    pub async fn model(&self, projection: &str) -> Result<ModelBody, ReplayError> {
        let known = versions(projection);
        let Some(default) = known.first() else {
            return Err(ReplayError::UnknownProjection(projection.into()));
        };
        let defined = crate::facts::defined_model(&*self.log, projection).await?;
        let model = defined.as_ref().unwrap_or(default);
        Ok(ModelBody {
            projection: projection.into(),
            model: model.to_string(),
            parameters: model.parameters.clone(),
            defined: defined.is_some(),
            known: known.iter().map(ToString::to_string).collect(),
        })
    }

    pub async fn models(&self) -> Result<Vec<ModelBody>, ReplayError> {
        let mut all = Vec::new();
        for name in names() {
            all.push(self.model(name).await?);
        }
        Ok(all)
    }
}

/// `bots@2` and parameters.
pub fn model_id(text: &str, parameters: Value) -> Option<ModelId> {
    let (name, version) = text.split_once('@')?;
    Some(ModelId { parameters, ..ModelId::new(name, version.parse().ok()?) })
}
