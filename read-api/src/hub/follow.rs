//! Keeps the table at the log's head.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::log::{EventLog, LogError, ReadFilter};
use projections::hub::EVENT_TYPES;
use tokio_util::sync::CancellationToken;

use super::table::HubTable;

const PAGE: usize = 2_000;
/// Most appends are taps, which don't concern the table: after one that did
/// not, the log is left alone for so long.
const QUIET: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_millis(500);

/// Follows the log until `stop`. The table answers from what it has while the
/// log is away.
pub async fn follow(table: Arc<HubTable>, log: Arc<dyn EventLog>, stop: CancellationToken) {
    let filter = ReadFilter::types(EVENT_TYPES.iter().copied());
    let following = async {
        loop {
            if let Err(error) = catch_up(&table, &*log, &filter).await {
                tracing::warn!(%error, "hub: the log cannot be followed");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
    }
}

/// Applies everything up to the head and waits for more.
async fn catch_up(table: &HubTable, log: &dyn EventLog, filter: &ReadFilter) -> Result<(), LogError> {
    let page = log.read(table.position(), PAGE, filter).await?;
    for event in &page.events {
        table.apply(event);
    }
    let nothing_newer = page.through == table.position();
    table.moved_to(page.through);
    if nothing_newer {
        log.changed(page.through).await?;
    } else if page.events.is_empty() {
        tokio::time::sleep(QUIET).await;
    }
    Ok(())
}
