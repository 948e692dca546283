//! What a run came to, in one page.

use std::collections::BTreeMap;

use daybook_http::Problem;
use models_pricing::money;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Cube, flag_of, in_base};

const MAX_FLAGS: usize = 100;

/// Positions without a number for the same reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Flagged {
    pub code: String,
    pub reason: String,
    pub positions: u64,
    /// The first of them.
    pub position_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    pub run_id: String,
    /// Whose results they are; 1 is the run itself.
    pub generation: u32,
    pub model: String,
    pub status: String,
    /// Over all results, once the run is completed.
    pub sha256: Option<String>,
    /// Whether every task has a result.
    pub complete: bool,
    pub missing_tasks: Vec<String>,
    /// Cells.
    pub rows: u64,
    pub flagged_rows: u64,
    pub positions: u64,
    pub scenarios: usize,
    pub measures: Vec<String>,
    pub base_currency: Option<String>,
    /// Of the first scenario, in the base currency; `null` without PV.
    pub pv_sum: Option<f64>,
    pub pv_sum_rounded: Option<String>,
    #[schema(value_type = Object)]
    pub pv_by_product: BTreeMap<String, f64>,
    /// How many positions' PV rests on what quality.
    #[schema(value_type = Object)]
    pub positions_by_quality: BTreeMap<String, u64>,
    /// Of the first scenario's PV.
    pub flags: Vec<Flagged>,
}

impl Cube {
    /// Of a measure that is `PV` or stands for it.
    pub fn summary(&self, measure: Option<&str>) -> Result<Summary, Problem> {
        let mut by_product: BTreeMap<String, f64> = BTreeMap::new();
        let mut by_quality: BTreeMap<String, u64> = BTreeMap::new();
        let mut flags: BTreeMap<(String, String), Flagged> = BTreeMap::new();
        let (mut sum, mut valued) = (0.0, 0_u64);
        for part in &self.parts {
            let Some(column) = measure.and_then(|measure| part.column(measure)) else { continue };
            for (at, position) in part.positions.iter().enumerate() {
                if let Some(value) = in_base(part, column, at, 0) {
                    sum += value;
                    valued += 1;
                    *by_product.entry(position.product_type.clone()).or_default() += value;
                    *by_quality.entry(column.qualities[at].clone()).or_default() += 1;
                    continue;
                }
                let none = ("missing_rate", "there is no exchange rate to the base currency");
                let (code, reason) = flag_of(column, at * part.scenarios.len()).unwrap_or(none);
                let flagged = flags.entry((code.to_owned(), reason.to_owned())).or_insert_with(|| Flagged {
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                    positions: 0,
                    position_id: position.position_id.clone(),
                });
                flagged.positions += 1;
            }
        }
        let missing_tasks = self.missing_tasks();
        let pv_sum = (valued > 0).then_some(sum);
        let mut flags: Vec<Flagged> = flags.into_values().collect();
        flags.sort_by(|a, b| b.positions.cmp(&a.positions).then_with(|| a.reason.cmp(&b.reason)));
        flags.truncate(MAX_FLAGS);
        Ok(Summary {
            run_id: self.run_id.clone(),
            generation: self.generation,
            model: self.plan.model.clone(),
            status: self.run.status().name().to_owned(),
            sha256: self.run.sealed.clone(),
            complete: missing_tasks.is_empty(),
            missing_tasks,
            rows: self.run.results().map(|(_, cells)| cells.rows).sum(),
            flagged_rows: self.run.results().map(|(_, cells)| cells.flagged).sum(),
            positions: self.plan.positions,
            scenarios: self.plan.scenarios as usize,
            measures: self.plan.measures.clone(),
            base_currency: self.plan.base_currency.clone(),
            pv_sum_rounded: pv_sum.zip(self.plan.base_currency.as_ref()).map(|(v, c)| money::rounded(v, c)),
            pv_sum,
            pv_by_product: by_product,
            positions_by_quality: by_quality,
            flags,
        })
    }
}
