//! Events that operators decided to leave out of a generation.

use std::collections::BTreeSet;

use domain::decide::Decide;
use domain::ports::log::{EventLog, LogError};
use domain::ports::rows::GenerationId;
use domain::replay::{self, Replay};
use domain::{StreamId, TenantId, registry};

const PAGE: usize = 1_000;

/// Positions that a generation leaves out, as far as the log has been read.
pub struct LeftOut {
    generation: GenerationId,
    replay: Replay,
    version: u64,
    positions: BTreeSet<u64>,
}

impl LeftOut {
    pub async fn read(log: &dyn EventLog, generation: &GenerationId) -> Result<Self, LogError> {
        let mut new = Self {
            generation: generation.clone(),
            replay: Replay::default(),
            version: 0,
            positions: BTreeSet::new(),
        };
        new.refresh(log).await?;
        Ok(new)
    }

    /// Reads what has been decided since.
    pub async fn refresh(&mut self, log: &dyn EventLog) -> Result<(), LogError> {
        // A projection whose name makes no stream has no decisions.
        let projection = &self.generation.projection;
        let Ok(stream) = StreamId::new(&TenantId::system(), replay::KIND, projection) else { return Ok(()) };
        let before = self.version;
        loop {
            let page = log.read_stream(&stream, self.version + 1, PAGE).await?;
            for event in &page {
                let decoded = registry::decode(event)
                    .map_err(|e| LogError::Damaged { position: event.position, reason: e.to_string() })?;
                self.replay.evolve(decoded);
                self.version = event.version;
            }
            if page.len() < PAGE {
                break;
            }
        }
        if self.version != before {
            self.positions = self.replay.left_out(self.generation.number);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    pub fn positions(&self) -> &BTreeSet<u64> {
        &self.positions
    }

    pub fn contains(&self, position: u64) -> bool {
        self.positions.contains(&position)
    }
}
