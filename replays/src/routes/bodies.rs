//! What is asked and answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::models::ModelBody;
use crate::status::ReplayStatus;

#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// `name@version`; the defined one unless told, else that of the live rows.
    #[schema(example = "bots@2")]
    pub model: Option<String>,
    /// With `model` only.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    /// A position, or an RFC 3339 time: the past up to there, not followed
    /// further.
    pub at: Option<String>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneGeneration {
    pub generation: u32,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfGeneration {
    /// The live one unless told.
    pub generation: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The newest that is ready unless told.
    pub generation: Option<u32>,
    /// The live one unless told.
    pub against: Option<u32>,
    /// Rows told, those with the largest differences: 20 unless told, 1,000 at
    /// most.
    pub top: Option<usize>,
    /// Name the positions of the events behind these rows.
    #[serde(default)]
    pub explain: bool,
    /// How long to wait for the rows to get to one position: 10 unless told,
    /// 300 at most.
    pub wait_seconds: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The newest that is ready unless told.
    pub generation: Option<u32>,
    /// How long to wait for its rows: 10 unless told, 300 at most.
    pub wait_seconds: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// All that are retired or aborted unless told.
    pub generation: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    pub position: u64,
    /// Kept with the decision.
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// `name@version`.
    #[schema(example = "bots@2")]
    pub model: String,
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Replays {
    pub replays: Vec<ReplayStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Models {
    pub models: Vec<ModelBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    pub projection: String,
    /// Those that were dropped.
    pub generations: Vec<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    pub projection: String,
    /// Events that are going to be applied again.
    pub events: u64,
}
