//! The archiver at work beside a server: a step whenever one is due.

use std::time::Duration;

use domain::ports::archive::ArchiveError;
use tokio_util::sync::CancellationToken;

use crate::seal::Archiver;

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Merging and deleting wait until this many steps are done, or nothing is due.
const SWEEP_EVERY: u32 = 60;

impl Archiver {
    /// Works until told to stop. Failures are told and tried again: whatever
    /// went wrong, the next step starts from the newest manifest.
    pub async fn run(&self, stop: CancellationToken) {
        let look = LOOK.min(self.settings.seal_after / 4).max(Duration::from_millis(10));
        let (mut pause, mut round) = (look, 0_u32);
        loop {
            match self.step(round).await {
                Ok(true) => pause = Duration::ZERO,
                Ok(false) => pause = look,
                Err(ArchiveError::Overtaken) => {
                    tracing::info!("another archiver is at work");
                    pause = LONGEST_PAUSE;
                }
                Err(error) => {
                    metrics::counter!("daybook_archive_failures_total").increment(1);
                    pause = (pause.max(look) * 2).min(LONGEST_PAUSE);
                    tracing::warn!(%error, retry_seconds = pause.as_secs(), "archiving failed");
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
    async fn step(&self, round: u32) -> Result<bool, ArchiveError> {
        if let Some(sealed) = self.seal(false).await? {
            return Ok(sealed.more);
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            self.sweep().await?;
        }
        Ok(self.merge().await?.is_some())
    }
}
