//! What a task of a run makes: cells in columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a position is, for grouping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimensions {
    pub position_id: String,
    pub book: String,
    pub product_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_id: Option<String>,
    /// Of its amounts; `None` if it could not be priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Cells of a column that have a reason instead of a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flagged {
    pub from: usize,
    /// One past the last.
    pub to: usize,
    pub code: String,
    pub reason: String,
}

/// What currency a measure's numbers are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The position's; can be converted and summed.
    Trade,
    /// The run's base currency.
    Base,
    /// None: a price, a rate, a number of units.
    Plain,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub measure: String,
    pub unit: Unit,
    /// Of each position's numbers: `ok`, `interpolated`, `proxy`, `stale`, `missing`.
    pub qualities: Vec<String>,
    pub flagged: Vec<Flagged>,
    /// Parts of the numbers in the first scenario, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<usize, String>,
    /// Position by position, scenarios next to each other; `NaN` where flagged.
    #[serde(skip)]
    pub values: Vec<f64>,
}

/// Units of the base currency for one of a currency, by scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    pub currency: String,
    /// `None` where there is no rate.
    pub to_base: Vec<Option<f64>>,
}

/// All cells of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskCells {
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_currency: Option<String>,
    /// In the order of their ids.
    pub positions: Vec<Dimensions>,
    pub scenarios: Vec<String>,
    pub rates: Vec<Rates>,
    pub columns: Vec<Column>,
}

impl TaskCells {
    pub fn rows(&self) -> u64 {
        (self.positions.len() * self.scenarios.len() * self.columns.len()) as u64
    }

    pub fn flagged(&self) -> u64 {
        self.columns.iter().flat_map(|c| &c.flagged).map(|f| (f.to - f.from) as u64).sum()
    }

    /// Rates to the base currency, by scenario.
    pub fn rates_of(&self, currency: &str) -> Option<&[Option<f64>]> {
        self.rates.iter().find(|rates| rates.currency == currency).map(|rates| rates.to_base.as_slice())
    }

    pub fn column(&self, measure: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.measure == measure)
    }
}
