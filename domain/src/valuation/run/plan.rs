//! What a run is made of, and the check of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decide::Rejection;
use crate::valuation::check_name;
use crate::valuation::parts::MAX_TEXT_BYTES;

pub const MAX_TASKS: usize = 4_000;
pub const MAX_HASH_MOD: u32 = 1_024;

/// Positions of a product whose ids fall into a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `SWAP/0003`.
    pub id: String,
    pub product_type: String,
    pub bucket: u32,
    pub positions: u32,
}

impl Task {
    pub fn new(product_type: &str, bucket: u32, positions: u32) -> Self {
        let id = format!("{product_type}/{bucket:04}");
        Self { id, product_type: product_type.to_owned(), bucket, positions }
    }
}

/// A run, and the generation that this is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reprices {
    pub run_id: String,
    pub generation: u32,
}

/// All inputs, pinned, and the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `EOD_OFFICIAL`, `INTRADAY` or `SANDBOX`.
    pub run_type: String,
    /// SHA-256 of what was asked: the same request again is the same run.
    pub request_sha256: String,
    pub as_of: String,
    /// The snapshot's id.
    pub market_snapshot: String,
    /// Positions are those of the log up to here.
    pub at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_snapshot: Option<String>,
    /// Only these books and those below them; all if there are none.
    pub books: Vec<String>,
    /// Name and version, such as `pricing@1`.
    pub model: String,
    /// Of the model: all of them; `null` if it has none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
    /// What this prices again by another model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reprices: Option<Reprices>,
    pub measures: Vec<String>,
    /// How many scenarios the parts before make.
    pub scenarios: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_currency: Option<String>,
    /// Buckets: SHA-256 of a position's id modulo this.
    pub hash_mod: u32,
    pub lease_seconds: u32,
    pub max_attempts: u32,
    pub positions: u64,
    /// Positions that had no price when the run was asked for.
    pub unpriced: u64,
    /// In the order of their ids.
    pub tasks: Vec<Task>,
}

/// Starts a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub plan: Plan,
    /// The scenarios as JSON.
    pub scenarios: String,
}

impl Start {
    pub(super) fn check(&self) -> Result<(), Rejection> {
        let plan = &self.plan;
        if !matches!(plan.run_type.as_str(), "EOD_OFFICIAL" | "INTRADAY" | "SANDBOX") {
            return Err(Rejection::field("/run_type", "must be EOD_OFFICIAL, INTRADAY or SANDBOX"));
        }
        check_name("/market_snapshot_id", &plan.market_snapshot)?;
        if plan.measures.is_empty() {
            return Err(Rejection::field("/measures", "must name at least one"));
        }
        if plan.scenarios == 0 || self.scenarios.len() > MAX_TEXT_BYTES {
            let reason = format!("must be at least one, and at most {MAX_TEXT_BYTES} bytes in all");
            return Err(Rejection::field("/scenarios", reason));
        }
        if !(1..=MAX_HASH_MOD).contains(&plan.hash_mod) {
            return Err(Rejection::field("/execution/hash_mod", format!("must be 1 to {MAX_HASH_MOD}")));
        }
        if plan.lease_seconds == 0 || plan.max_attempts == 0 {
            return Err(Rejection::field("/execution", "leases and attempts must be at least 1"));
        }
        if plan.tasks.is_empty() {
            return Err(Rejection::field("/portfolio_scope", "there is no open position in it"));
        }
        if plan.tasks.len() > MAX_TASKS {
            let reason = format!("makes {} tasks; at most {MAX_TASKS} are allowed", plan.tasks.len());
            return Err(Rejection::field("/execution/hash_mod", reason));
        }
        match plan.tasks.windows(2).all(|pair| pair[0].id < pair[1].id) {
            true => Ok(()),
            false => Err(Rejection::field("/tasks", "must rise")),
        }
    }
}
