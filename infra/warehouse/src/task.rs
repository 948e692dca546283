//! The warehouse at work beside a server: a batch whenever one is due.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::WarehouseError;
use crate::write::Warehouse;

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Deleting waits until this many steps are done, or nothing is due.
const SWEEP_EVERY: u32 = 120;

impl Warehouse {
    /// Works until told to stop. Failures are told and tried again: whatever
    /// went wrong, the next step starts from the newest manifest.
    pub async fn run(&self, stop: CancellationToken) {
        let look = LOOK.min(self.settings.flush_after / 4).max(Duration::from_millis(10));
        let (mut pause, mut round) = (look, 0_u32);
        loop {
            match self.step(round).await {
                Ok(true) => pause = Duration::ZERO,
                Ok(false) => pause = look,
                Err(WarehouseError::Overtaken) => {
                    tracing::info!("another process writes the warehouse");
                    pause = LONGEST_PAUSE;
                }
                Err(error) => {
                    metrics::counter!("daybook_warehouse_failures_total").increment(1);
                    pause = (pause.max(look) * 2).min(LONGEST_PAUSE);
                    tracing::warn!(%error, retry_seconds = pause.as_secs(), "writing the warehouse failed");
                }
            }
            round = round.wrapping_add(1);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether there may be more to do at once.
    async fn step(&self, round: u32) -> Result<bool, WarehouseError> {
        if let Some(flushed) = self.flush(false).await? {
            return Ok(flushed.more);
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            self.sweep().await?;
        }
        Ok(self.compact().await?.is_some())
    }
}
