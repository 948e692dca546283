//! Dropping from the log what the archive holds.

use domain::ports::archive::ArchiveError;
use domain::ports::log::{EventLog, LogKeeping};
use domain::registry::TRIMMABLE;

use crate::ArchiveStore;
use crate::seal::from_log;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    pub upto: u64,
    /// Facts dropped now.
    pub events: u64,
}

/// Reads back every segment that holds what will be dropped, then drops it from
/// the log. The event where the archive ends stays: it shows that the log goes
/// on from there.
pub async fn trim(
    store: &ArchiveStore,
    (log, keeping): (&dyn EventLog, &dyn LogKeeping),
    upto: Option<u64>,
) -> Result<Trimmed, ArchiveError> {
    let Some(manifest) = store.manifest_of(log).await? else {
        return Err(ArchiveError::Log("nothing is sealed, so nothing can be trimmed".to_owned()));
    };
    let upto = upto.unwrap_or(u64::MAX).min(manifest.through - 1);
    let after = keeping.trimmed().await.map_err(from_log)?;
    for segment in manifest.of_types(TRIMMABLE).filter(|s| s.last > after && s.first <= upto) {
        store.verify_segment(segment).await?;
    }
    let events = keeping.trim(upto).await.map_err(from_log)?;
    tracing::info!(upto, events, "trimmed the log");
    Ok(Trimmed { upto, events })
}
