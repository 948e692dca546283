//! The peer: for every event it gets the rows, changes them, and writes them
//! and the checkpoint in one transaction. Fold, tables and store are ours; the
//! log is read in pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::rows::{Commit, GenerationId, RowKey, RowStore, RowsError};
use domain::tap;
use projections::tap_analytics::TapAnalytics;
use projections::working_set::{Bounds, Fetch};
use projections::{Projection, Rows};
use tokio::runtime::Handle;

const PAGE: usize = 1_000;

/// Events that it came to, and how many that was a second.
pub async fn run(log: &Arc<dyn EventLog>, rows: &Arc<dyn RowStore>, budget: Duration) -> Result<(u64, f64)> {
    let (log, rows, runtime) = (log.clone(), rows.clone(), Handle::current());
    tokio::task::spawn_blocking(move || fold(log.as_ref(), &rows, &runtime, budget)).await?
}

fn fold(
    log: &dyn EventLog,
    rows: &Arc<dyn RowStore>,
    runtime: &Handle,
    budget: Duration,
) -> Result<(u64, f64)> {
    let projection = TapAnalytics::default();
    let generation =
        runtime.block_on(rows.open(projection.name(), &projection.model(), projection.tables()))?;
    let lease = runtime.block_on(rows.acquire(&generation.id, "peer", Duration::from_secs(3_600)))?;
    let fetch =
        || GetRows { rows: rows.clone(), generation: generation.id.clone(), runtime: runtime.clone() };
    let filter = ReadFilter::types([tap::TAPPED, tap::PREVIEWED]);
    let (mut position, mut checkpoint, mut count) = (0, lease.position, 0_u64);
    let mut start = Instant::now();
    'time: loop {
        let page = runtime.block_on(log.read(position, PAGE, &filter))?;
        if count == 0 {
            // What stands before the first tap is not counted.
            start = Instant::now();
        }
        for event in page.events {
            let mut one = Rows::new(Box::new(fetch()), Bounds::default());
            projection.apply(&mut one, &event)?;
            let commit = Commit {
                lease: lease.clone(),
                from: checkpoint,
                to: event.position,
                changes: one.changes()?,
                parked: Vec::new(),
                unparked: Vec::new(),
            };
            runtime.block_on(rows.commit(commit)).context("the peer's commit")?;
            checkpoint = event.position;
            count += 1;
            if start.elapsed() >= budget {
                break 'time;
            }
        }
        if page.through == position {
            break;
        }
        position = page.through;
    }
    Ok((count, count as f64 / start.elapsed().as_secs_f64()))
}

struct GetRows {
    rows: Arc<dyn RowStore>,
    generation: GenerationId,
    runtime: Handle,
}

impl Fetch for GetRows {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        self.runtime.block_on(self.rows.fetch_many(&self.generation, table, keys))
    }
}
