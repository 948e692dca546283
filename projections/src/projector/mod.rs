//! The projector: follows the log with one projection and keeps the rows of
//! one generation of it.
//!
//! One owner at a time works on a generation, under a lease with an epoch that
//! every commit checks. Whatever fails, the next attempt starts from the
//! stored checkpoint; nothing in memory is trusted across it.

mod fold;
mod gauges;
mod lease;
mod left_out;
mod session;

pub use fold::{Failure, Folded, attempt, changes, fold, letter, prefetch};
pub use gauges::Gauges;
pub use lease::Renewal;
pub use left_out::LeftOut;

use std::sync::Arc;
use std::time::Duration;

use domain::ports::log::{EventLog, LogError};
use domain::ports::rows::{GenerationId, RowStore, RowsError};
use tokio_util::sync::CancellationToken;

use crate::board::{Backoff, Board, Progress};
use crate::projection::Projection;
use crate::working_set::Bounds;
use session::Session;

#[derive(Debug, Clone)]
pub struct Options {
    /// Differs for every start of every process.
    pub owner: String,
    pub lease: Duration,
    /// Events folded and committed together while catching up.
    pub batch: usize,
    /// How long to gather events after a batch that was not full.
    pub linger: Duration,
    pub memory: Bounds,
}

impl Options {
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            lease: Duration::from_secs(10),
            batch: 10_000,
            linger: Duration::from_millis(5),
            memory: Bounds::default(),
        }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the rows are at {position}, the log ends at {head}: one of them is an old copy")]
    Ahead { position: u64, head: u64 },
    #[error("the fold broke off: {0}")]
    Fold(String),
}

#[derive(Clone)]
pub struct Projector {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub board: Arc<Board>,
    pub options: Options,
}

impl Projector {
    /// Keeps the projection's live rows, which are made if there are none. Only
    /// for projections that have one generation.
    pub async fn run(&self, projection: Arc<dyn Projection>, cancel: CancellationToken) {
        let mut pause = backoff();
        while !cancel.is_cancelled() {
            match self.rows.open(projection.name(), &projection.model(), projection.tables()).await {
                Ok(generation) => {
                    self.board.live(&generation.id);
                    return self.keep(generation.id, projection, cancel).await;
                }
                Err(error) => {
                    tracing::warn!(projection = projection.name(), %error, "rows not opened; trying again");
                    tokio::time::sleep(pause.delay()).await;
                }
            }
        }
    }

    /// Keeps a generation's rows by the projection that built it, until it is
    /// cancelled or the generation is dropped; then it finishes the batch it
    /// is at.
    pub async fn keep(
        &self,
        generation: GenerationId,
        projection: Arc<dyn Projection>,
        cancel: CancellationToken,
    ) {
        let progress = self.board.generation(&generation);
        let mut pause = backoff();
        while !cancel.is_cancelled() {
            let before = progress.position();
            let ended = self.lead(&generation, &projection, &progress, &cancel).await;
            progress.set(|a| a.leading = false);
            if progress.position() != before {
                pause = backoff();
            }
            let delay = match ended {
                Ok(()) => return,
                Err(Halt::Rows(RowsError::LeaseHeld { remaining, .. })) => {
                    progress.set(|a| a.error = None);
                    remaining.clamp(Duration::from_millis(10), Duration::from_secs(1))
                }
                Err(Halt::Rows(RowsError::UnknownGeneration(_))) => return,
                Err(error @ Halt::Ahead { .. }) => {
                    // The log will grow past it, and what it held before would
                    // be left out: that is for a person to decide.
                    tracing::error!(%generation, %error, alert = true, "projector stopped");
                    progress.set(|a| a.error = Some(error.to_string()));
                    return cancel.cancelled().await;
                }
                Err(error) => {
                    tracing::warn!(%generation, %error, "projector stopped; trying again");
                    progress.set(|a| a.error = Some(error.to_string()));
                    pause.delay()
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Takes the lease and works until it is cancelled or something fails.
    async fn lead(
        &self,
        generation: &GenerationId,
        projection: &Arc<dyn Projection>,
        progress: &Arc<Progress>,
        cancel: &CancellationToken,
    ) -> Result<(), Halt> {
        let lease = self.rows.acquire(generation, &self.options.owner, self.options.lease).await?;
        let renewal = Renewal::start(self.rows.clone(), lease.clone(), self.options.lease);
        let mut session = Session::open(self, projection.clone(), progress.clone(), lease.clone()).await?;
        progress.set(|a| a.leading = true);
        let ended = tokio::select! {
            // A batch that is being committed is finished or rolled back by
            // the store; the session's memory is thrown away either way.
            () = renewal.lost.cancelled() => Err(RowsError::LeaseLost.into()),
            ended = session.follow(cancel) => ended,
        };
        drop(renewal);
        if let Err(error) = self.rows.release(&lease).await {
            tracing::debug!(%generation, %error, "lease not released");
        }
        ended
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The composition root spawns it.
    #[allow(dead_code, reason = "compiling is the test")]
    fn the_run_can_be_spawned(projector: Projector, projection: Arc<dyn Projection>) -> impl Send {
        async move { projector.run(projection, CancellationToken::new()).await }
    }
}
