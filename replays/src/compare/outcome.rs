//! What a comparison finds, as it is reported.

use domain::ports::rows::{Generation, GenerationStatus, ModelId};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use utoipa::ToSchema;

use crate::checksum::Checksum;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    pub projection: String,
    pub old: Side,
    pub new: Side,
    /// Every row is the same on both sides, those elsewhere included.
    pub same: bool,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Rows that are not counted above and not told: other tenants'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    pub tables: Vec<TableDifference>,
    /// Rows that differ, those with the largest difference of a number first.
    pub rows: Vec<RowDifference>,
    /// More rows differ than are told here.
    pub rows_left_out: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Charted>,
}

/// How many rows of other tenants differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Elsewhere {
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
}

impl Elsewhere {
    pub fn total(self) -> u64 {
        self.added + self.removed + self.changed
    }

    pub fn count(&mut self, kind: Option<Kind>) {
        match kind {
            Some(Kind::Added) => self.added += 1,
            Some(Kind::Removed) => self.removed += 1,
            Some(Kind::Changed) => self.changed += 1,
            None => {}
        }
    }
}

/// Of all tenants' rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Side {
    pub generation: u32,
    #[schema(value_type = Object)]
    pub model: ModelId,
    #[schema(value_type = String, example = "ready")]
    pub status: GenerationStatus,
    pub position: u64,
    pub dead_letters: u64,
    pub rows: u64,
    /// Independent of the rows' order.
    pub checksum: String,
}

impl Side {
    pub fn new(generation: &Generation, checksum: &Checksum) -> Self {
        Self {
            generation: generation.id.number,
            model: generation.model.clone(),
            status: generation.status,
            position: generation.position,
            dead_letters: generation.dead_letters,
            rows: checksum.total(),
            checksum: checksum.hex(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TableDifference {
    pub table: String,
    pub old_rows: u64,
    pub new_rows: u64,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Members that differ in a row that is on both sides, or whose total
    /// differs; the largest difference of a total first.
    pub fields: Vec<FieldDifference>,
}

impl TableDifference {
    pub fn differing(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// A member of a table's documents, by its path: `modes.live`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldDifference {
    pub field: String,
    /// Rows on both sides in which it differs.
    pub changed: u64,
    /// If it is a number anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Total>,
    /// The largest differences of numbers, in rows on both sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub largest: Vec<Example>,
    /// Some of the changes of what is not a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// Over all rows, those on one side only included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Total {
    #[schema(value_type = f64)]
    pub old: Number,
    #[schema(value_type = f64)]
    pub new: Number,
    #[schema(value_type = f64)]
    pub difference: Number,
    /// Of the old total; none if that is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Example {
    pub tenant: String,
    pub key: String,
    #[serde(flatten)]
    pub change: Change,
}

/// A value that differs. One that was or is missing is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    #[schema(required = false)]
    pub old: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    #[schema(required = false)]
    pub new: Option<Value>,
    /// Of numbers, one that is missing being zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub difference: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RowDifference {
    pub table: String,
    pub tenant: String,
    pub key: String,
    pub change: Kind,
    /// Largest difference of a number first.
    pub fields: Vec<FieldChange>,
    /// More members differ than are told here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fields_left_out: u64,
    /// The events behind the row, if they were looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Behind>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    pub field: String,
    #[serde(flatten)]
    pub change: Change,
}

/// Positions of the events that changed a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Behind {
    /// The first of them.
    pub positions: Vec<u64>,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Charted {
    pub title: String,
    /// What `y` is called.
    pub y: String,
    /// The x values are seconds since 1970.
    pub time: bool,
    /// Those that differ most first.
    pub series: Vec<Series>,
    pub series_left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    pub tenant: String,
    pub name: String,
    /// How far apart two points are at least.
    pub step: f64,
    /// x, old y, new y; ascending in x.
    #[schema(value_type = Vec<[f64; 3]>)]
    pub points: Vec<(f64, f64, f64)>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A JSON null that is there is not the same as nothing.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub fn serialize<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}
