//! Where a batch ends and how its files are made, written down before any of
//! them: the clock and the settings of whoever goes on make no difference.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::encode::Codec;
use crate::error::WarehouseError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Position of the last signal of the batch.
    pub last: u64,
    /// How many signals it has.
    pub signals: usize,
    pub codec: Codec,
    pub row_group_rows: usize,
}

impl Plan {
    pub fn to_text(&self) -> Result<Bytes, WarehouseError> {
        let text = serde_json::to_string(self).map_err(|e| WarehouseError::Unwritable(e.to_string()))?;
        Ok(Bytes::from(text + "\n"))
    }

    pub fn parse(path: &str, text: &[u8]) -> Result<Self, WarehouseError> {
        serde_json::from_slice(text)
            .map_err(|e| WarehouseError::Damaged { object: path.to_owned(), reason: e.to_string() })
    }
}
