//! From the archive back into a log, and the comparison of the two.

use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use domain::ports::log::{EventLog, LogKeeping, ReadFilter, RestoreError};
use jiff::Timestamp;

use crate::ArchiveStore;
use crate::history::EventScan;
use crate::manifest::Manifest;
use crate::seal::from_log;

/// Events written in one transaction.
const BATCH: usize = 10_000;
const BATCH_BYTES: usize = 16 << 20;
/// Differing positions that are named.
const NAMED: usize = 20;

/// How much of the archive is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    pub position: Option<u64>,
    /// Events recorded later are left out.
    pub time: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Events written now.
    pub events: u64,
    /// The log's head after it.
    pub through: u64,
}

fn refused(error: RestoreError) -> ArchiveError {
    match error {
        RestoreError::Unavailable(reason) => ArchiveError::Unavailable(format!("the log: {reason}")),
        other => ArchiveError::Log(other.to_string()),
    }
}

/// Writes the archive's events into an empty log. One that holds the beginning
/// of this archive, from a restore that was interrupted, is gone on with.
pub async fn restore(
    store: &ArchiveStore,
    manifest: &Manifest,
    (log, keeping): (&dyn EventLog, &dyn LogKeeping),
    until: Until,
    mut progress: impl FnMut(u64),
) -> Result<Restored, ArchiveError> {
    let head = log.head().await.map_err(from_log)?.position;
    if head > 0 {
        check_same(store, manifest, log, head).await?;
    }
    let last = until.position.unwrap_or(u64::MAX).min(manifest.through);
    let mut scan = EventScan::new(store, manifest, head, &[]);
    let (mut batch, mut bytes, mut through): (Vec<RecordedEvent>, usize, u64) = (Vec::new(), 0, head);
    loop {
        let next = scan.next().await?.filter(|event| {
            event.position <= last && until.time.is_none_or(|time| event.recorded_at <= time)
        });
        let ends = next.is_none();
        if let Some(event) = next {
            bytes += event.payload.len();
            batch.push(event);
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES || (ends && !batch.is_empty()) {
            keeping.restore(&batch).await.map_err(refused)?;
            through = batch[batch.len() - 1].position;
            progress(through);
            batch.clear();
            bytes = 0;
        }
        if ends {
            return Ok(Restored { events: through - head, through });
        }
    }
}

/// A log that isn't empty must end in an event of this archive.
async fn check_same(
    store: &ArchiveStore,
    manifest: &Manifest,
    log: &dyn EventLog,
    head: u64,
) -> Result<(), ArchiveError> {
    let foreign = || ArchiveError::Foreign(format!("the log is not empty: it ends at position {head}"));
    if head > manifest.through {
        return Err(foreign());
    }
    let there = log.read(head - 1, 1, &ReadFilter::default()).await.map_err(from_log)?;
    let sealed = EventScan::new(store, manifest, head - 1, &[]).next().await?;
    match (there.events.first(), sealed) {
        (Some(there), Some(sealed)) if there.leaf == sealed.leaf => Ok(()),
        _ => Err(foreign()),
    }
}

/// What comparing a log with the archive found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Events that both have and that are the same.
    pub same: u64,
    /// Positions, at most some, where they are not.
    pub differing: Vec<u64>,
}

/// Compares every event past `after` that is sealed and in the log: what the
/// log holds is hashed again.
pub async fn compare(
    store: &ArchiveStore,
    manifest: &Manifest,
    log: &dyn EventLog,
    after: u64,
) -> Result<Comparison, ArchiveError> {
    let mut scan = EventScan::new(store, manifest, after, &[]);
    let (mut found, mut position) = (Comparison::default(), after);
    let upto = log.head().await.map_err(from_log)?.position.min(manifest.through);
    while position < upto {
        let page = log.read(position, BATCH, &ReadFilter::default()).await.map_err(from_log)?;
        if page.events.is_empty() {
            return Err(ArchiveError::Log(format!("there is nothing after position {position}")));
        }
        for event in page.events.into_iter().filter(|e| e.position <= upto) {
            position = event.position;
            let sealed = scan.next().await?;
            if sealed.is_some_and(|sealed| sealed.leaf == event.compute_leaf() && sealed == event) {
                found.same += 1;
            } else if found.differing.len() < NAMED {
                found.differing.push(position);
            }
        }
    }
    Ok(found)
}
