//! What there is to say about a projection's generations.

use domain::ports::rows::{Generation, GenerationStatus, Source};
use domain::replay::{Compared, Known, Stage, Verified};
use projections::instantiate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::error::ReplayError;
use crate::facts::defined_model;

/// Failing events that a status names.
const MAX_FAILING: usize = 20;
const LETTERS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReplayStatus {
    pub projection: String,
    /// The newest position of the log.
    pub head: u64,
    pub live: Option<u32>,
    /// Where a rollback leads.
    pub previous: Option<u32>,
    /// What the next build uses, if an operator defined it.
    pub defined_model: Option<String>,
    /// By number.
    pub generations: Vec<GenerationStatusBody>,
    /// Events that are left out.
    pub skipped: Vec<Skipped>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GenerationStatusBody {
    pub generation: u32,
    /// `name@version`.
    pub model: String,
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// building, paused, aborted, ready, live or retired.
    pub status: String,
    /// Every event up to here is in the rows or among the dead letters.
    pub position: u64,
    pub lag: u64,
    /// The past that it shows, if it is not followed further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Positions a second, if this process works on it.
    pub rate: Option<f64>,
    /// Until it is where it is going, at this rate.
    pub eta_seconds: Option<f64>,
    /// Where the build that runs in this process ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// Folded up to here, and not committed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<u64>,
    /// Bytes that this build holds in memory, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// When it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<BuiltBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparedBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedBody>,
    pub dead_letters: u64,
    /// The first events that failed.
    pub failing: Vec<Failing>,
    /// Why it does not move, if it does not.
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuiltBody {
    pub position: u64,
    pub rows: u64,
    pub checksum: String,
    /// Folded since it was begun, or went on after a stop.
    pub events: u64,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedBody {
    pub against: u32,
    pub position: u64,
    pub same: bool,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
}

/// Rows as stored, beside rows built again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedBody {
    pub generation: u32,
    pub position: u64,
    pub same: bool,
    pub checksum: String,
    pub rebuilt: String,
}

impl From<Verified> for VerifiedBody {
    fn from(v: Verified) -> Self {
        let Verified { generation, position, same, checksum, rebuilt } = v;
        Self { generation, position, same, checksum, rebuilt }
    }
}

impl From<Compared> for ComparedBody {
    fn from(c: Compared) -> Self {
        let Compared { against, position, same, added, removed, changed, .. } = c;
        Self { against, position, same, added, removed, changed }
    }
}

/// An event that does not fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failing {
    pub position: u64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub tenant: String,
    pub partition: String,
    pub error: String,
    pub attempts: u32,
    pub retry_requested: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Skipped {
    pub position: u64,
    pub reason: String,
    /// Generations that have it in their rows: it did not fail there.
    pub kept_by: Vec<u32>,
}

impl Engine {
    pub async fn status(&self, projection: &str) -> Result<ReplayStatus, ReplayError> {
        let there = self.of(projection).await?;
        let facts = self.facts(projection).await?;
        let head = self.log.head().await?.position;
        let mut generations = Vec::new();
        for generation in &there {
            let known = facts.state.generations.get(&generation.id.number);
            generations.push(self.describe(generation, known, head).await?);
        }
        let built = there.iter().filter(|g| g.status != GenerationStatus::Building);
        let skipped = facts.state.skips.iter().map(|(position, skip)| Skipped {
            position: *position,
            reason: skip.reason.clone(),
            kept_by: skip.kept_by.iter().copied().collect(),
        });
        Ok(ReplayStatus {
            projection: projection.into(),
            head,
            live: there.iter().find(|g| g.status == GenerationStatus::Live).map(|g| g.id.number),
            previous: facts.state.previous(&built.map(|g| g.id.number).collect()),
            defined_model: defined_model(&*self.log, projection).await?.map(|m| m.to_string()),
            skipped: skipped.collect(),
            generations,
        })
    }

    /// Of every projection that there is.
    pub async fn all_status(&self) -> Result<Vec<ReplayStatus>, ReplayError> {
        let mut all = Vec::new();
        for name in projections::names() {
            all.push(self.status(name).await?);
        }
        Ok(all)
    }

    async fn describe(
        &self,
        generation: &Generation,
        known: Option<&Known>,
        head: u64,
    ) -> Result<GenerationStatusBody, ReplayError> {
        let activity = self.board.generation(&generation.id).activity();
        let at = known.and_then(|k| k.at);
        let end = activity.target.or(at).unwrap_or(head);
        let lag = at.unwrap_or(head).saturating_sub(generation.position);
        let rate = activity.leading.then_some(activity.rate);
        let eta_seconds = match rate {
            _ if lag == 0 => Some(0.0),
            Some(rate) if rate > 0.0 => {
                Some(end.saturating_sub(activity.folded.unwrap_or(generation.position)) as f64 / rate)
            }
            _ => None,
        };
        // Said where nobody works on it either.
        let unknown = instantiate(&generation.id.projection, &generation.model).err();
        let built = known.and_then(|k| k.built.clone()).map(|b| BuiltBody {
            position: b.position,
            rows: b.rows,
            checksum: b.checksum,
            events: b.events,
            seconds: b.seconds,
        });
        Ok(GenerationStatusBody {
            generation: generation.id.number,
            model: generation.model.to_string(),
            parameters: generation.model.parameters.clone(),
            status: word(generation.status, known.map(|k| k.stage)).into(),
            position: generation.position,
            lag,
            at,
            rate,
            eta_seconds,
            target: activity.target,
            folded: activity.target.and(activity.folded),
            memory: activity.target.map(|_| activity.memory),
            built,
            compared: known.and_then(|k| k.compared.clone()).map(Into::into),
            verified: known.and_then(|k| k.verified.clone()).map(Into::into),
            dead_letters: generation.dead_letters,
            failing: self.failing(generation).await?,
            error: unknown.map(|e| e.to_string()).or(activity.error),
        })
    }

    async fn failing(&self, generation: &Generation) -> Result<Vec<Failing>, ReplayError> {
        if generation.dead_letters == 0 {
            return Ok(Vec::new());
        }
        let source = Source::Generation(generation.id.clone());
        let letters = self.rows.dead_letters(&source, None, 0, LETTERS).await?;
        let failed = letters.into_iter().filter_map(|parked| {
            let error = parked.letter.error?;
            Some(Failing {
                position: parked.letter.position,
                event_type: parked.letter.event_type,
                tenant: parked.letter.tenant.to_string(),
                partition: parked.letter.partition,
                error,
                attempts: parked.attempts,
                retry_requested: parked.retry_requested,
            })
        });
        Ok(failed.take(MAX_FAILING).collect())
    }
}

fn word(status: GenerationStatus, stage: Option<Stage>) -> &'static str {
    match (status, stage) {
        (GenerationStatus::Building, Some(Stage::Paused)) => "paused",
        (GenerationStatus::Building | GenerationStatus::Ready, Some(Stage::Aborted)) => "aborted",
        // Its last figures are still being taken.
        (GenerationStatus::Ready, Some(Stage::Building)) | (GenerationStatus::Building, _) => "building",
        (GenerationStatus::Ready, _) => "ready",
        (GenerationStatus::Live, _) => "live",
        (GenerationStatus::Retired, _) => "retired",
    }
}
