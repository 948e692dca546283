//! What the routes of the read side share.

use std::sync::Arc;
use std::time::Duration;

use daybook_http::{Kind, Problem};
use domain::TenantId;
use domain::ports::log::EventLog;
use domain::ports::rows::{GenerationId, Query, RowStore, RowsError, Snapshot, Source};
use projections::board::{Backoff, Board};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::at_least::AtLeast;

#[derive(Clone)]
pub struct ReadState {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub board: Arc<Board>,
    /// Open streams end when this is cancelled.
    pub stop: CancellationToken,
}

impl ReadState {
    /// Answers the queries from one snapshot of the projection's live rows,
    /// once they reflect what the client asks for.
    pub async fn read(
        &self,
        projection: &str,
        tenant: &TenantId,
        at_least: &AtLeast,
        queries: &[Query],
    ) -> Result<Snapshot, Problem> {
        let source = source(projection, at_least);
        let snapshot = self.rows.read(&source, tenant, queries).await;
        let snapshot = snapshot.map_err(|error| absent(&source, error))?;
        if snapshot.position >= at_least.position {
            return Ok(snapshot);
        }
        self.wait(projection, tenant, at_least).await?;
        self.rows.read(&source, tenant, queries).await.map_err(problem)
    }

    /// Woken by the projector of this process, if it runs here; else, or if it
    /// runs elsewhere, it asks the store now and then.
    async fn wait(&self, projection: &str, tenant: &TenantId, at_least: &AtLeast) -> Result<(), Problem> {
        let deadline = Instant::now() + at_least.wait;
        let mut moved = self.board.of(projection).watch();
        let mut pause = Backoff::new(Duration::from_millis(10), Duration::from_millis(250));
        let source = source(projection, at_least);
        loop {
            let reached = self.rows.read(&source, tenant, &[]).await.map_err(problem)?.position;
            if reached >= at_least.position {
                return Ok(());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(behind(at_least.position, reached));
            }
            let pause = pause.delay().min(deadline - now);
            let woken = moved.wait_for(|p| *p >= at_least.position);
            // Either way the store is asked again: it is what readers see.
            let _ = tokio::time::timeout(pause, woken).await;
        }
    }
}

/// A generation that a client names need not be there.
fn absent(source: &Source, error: RowsError) -> Problem {
    match (source, error) {
        (Source::Generation(_), RowsError::UnknownProjection(_) | RowsError::UnknownGeneration(_)) => {
            Problem::not_found()
        }
        (_, error) => problem(error),
    }
}

fn source(projection: &str, at_least: &AtLeast) -> Source {
    match at_least.generation {
        Some(number) => Source::Generation(GenerationId { projection: projection.into(), number }),
        None => Source::live(projection),
    }
}

pub(crate) fn behind(wanted: u64, reached: u64) -> Problem {
    let detail = format!("The rows reflect position {reached} and not {wanted} yet.");
    Problem::new(Kind::NotCaughtUp, detail).with("position", reached).retry_after(1)
}

/// What a client may know of a row store's failure.
pub fn problem(error: RowsError) -> Problem {
    match error {
        RowsError::UnknownProjection(name) => {
            let detail = format!("The projection {name} has no rows yet.");
            Problem::new(Kind::Unavailable, detail).retry_after(1)
        }
        // Pruned between two reads of one answer.
        RowsError::UnknownGeneration(_) => {
            Problem::new(Kind::Unavailable, "The rows were replaced meanwhile.").retry_after(1)
        }
        RowsError::Unavailable(reason) => {
            tracing::error!(%reason, "rows cannot be read");
            Problem::new(Kind::Unavailable, "The rows cannot be read at the moment.").retry_after(2)
        }
        other => Problem::internal(other),
    }
}
