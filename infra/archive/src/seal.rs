//! The archiver: what the log has gained becomes segments, then a manifest.
//!
//! Every step ends with a manifest or leaves nothing that counts. What an
//! interrupted step has written is written again by the next one: the same
//! positions make the same names and the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use domain::ports::clock::Clock;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use jiff::Timestamp;

use crate::encode::{Encoded, Encoder};
use crate::manifest::{FORMAT, Manifest, Segment};
use crate::tree::Signed;
use crate::{ArchiveStore, names};

/// Events read from the log at once.
const PAGE: usize = 5_000;
/// How often the size of what was gathered is looked at, in positions.
const SIZE_EVERY: u64 = 1_024;
/// Bytes that an event takes in a segment, as long as nothing is sealed.
const EVENT_BYTES: u64 = 150;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Sealed at the latest when this much is new.
    pub segment_bytes: u64,
    /// Sealed at the latest when something new is this old.
    pub seal_after: Duration,
    /// Files below this size are merged.
    pub merge_bytes: u64,
    /// How long a file that was merged into another is kept for its readers.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 128 << 20,
            seal_after: Duration::from_secs(15 * 60),
            merge_bytes: 64 << 20,
            grace: Duration::from_secs(24 * 3600),
        }
    }
}

pub struct Archiver {
    pub(crate) store: ArchiveStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    log: Arc<dyn EventLog>,
    pub(crate) signed: Option<Signed>,
    /// Whether leftovers of an interrupted step were looked for.
    looked: AtomicBool,
}

/// What one step sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub first: u64,
    pub through: u64,
    pub segments: usize,
    pub bytes: u64,
    /// Whether the size ended it, so that there is more.
    pub more: bool,
}

pub(crate) fn from_log(error: LogError) -> ArchiveError {
    match error {
        LogError::Unavailable(reason) => ArchiveError::Unavailable(format!("the log: {reason}")),
        other => ArchiveError::Log(other.to_string()),
    }
}

/// Whether this log goes on where the archive ends.
pub async fn check_continues(manifest: &Manifest, log: &dyn EventLog) -> Result<(), ArchiveError> {
    let through = manifest.through;
    let head = log.head().await.map_err(from_log)?.position;
    if head < through {
        return Err(ArchiveError::Foreign(format!(
            "the log ends at position {head}, the archive at {through}; restore the log from it"
        )));
    }
    let page = log.read(through - 1, 1, &ReadFilter::default()).await.map_err(from_log)?;
    match page.events.first() {
        Some(event) if hex::encode(event.leaf) == manifest.through_leaf => Ok(()),
        _ => Err(ArchiveError::Foreign(format!(
            "another event than the archive's stands at position {through}"
        ))),
    }
}

impl ArchiveStore {
    /// The newest manifest, if it is of this log.
    pub async fn manifest_of(&self, log: &dyn EventLog) -> Result<Option<Manifest>, ArchiveError> {
        let manifest = self.manifest().await?;
        if let Some(manifest) = &manifest {
            check_continues(manifest, log).await?;
        }
        Ok(manifest)
    }
}

impl Archiver {
    pub fn new(
        store: ArchiveStore,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self { store, log, clock, settings, signed: None, looked: AtomicBool::new(false) }
    }

    /// Archives tree and checkpoints, too.
    pub fn with_tree(mut self, signed: Signed) -> Self {
        self.signed = Some(signed);
        self
    }

    pub fn store(&self) -> &ArchiveStore {
        &self.store
    }

    /// Seals what is due, or with `all` whatever there is. `None`: nothing was.
    pub async fn seal(&self, all: bool) -> Result<Option<Sealed>, ArchiveError> {
        let manifest = self.store.manifest_of(&*self.log).await?;
        let head = self.log.head().await.map_err(from_log)?;
        let through = manifest.as_ref().map_or(0, |m| m.through);
        metrics::gauge!("daybook_archive_lag_positions").set((head.position - through) as f64);
        if head.position == through {
            return Ok(None);
        }
        let upto = match self.interrupted(through, head.position).await? {
            Some(upto) => upto,
            None if all || self.due(manifest.as_ref(), through, head.position).await? => head.position,
            None => return Ok(None),
        };
        let gathered = self.gather(through, upto).await?;
        self.finish(manifest, gathered, upto).await.map(Some)
    }

    async fn due(&self, manifest: Option<&Manifest>, through: u64, head: u64) -> Result<bool, ArchiveError> {
        let event_bytes = manifest.map_or(EVENT_BYTES, |m| m.bytes() / m.through.max(1));
        if (head - through).saturating_mul(event_bytes.max(1)) >= self.settings.segment_bytes {
            return Ok(true);
        }
        let page = self.log.read(through, 1, &ReadFilter::default()).await.map_err(from_log)?;
        let age = page.events.first().map(|e| self.clock.now().duration_since(e.recorded_at));
        // A clock that was set back must not stop the archive for long: then
        // what is new is «older» than now by a negative age.
        Ok(age.is_some_and(|age| age.unsigned_abs() >= self.settings.seal_after))
    }

    /// Where a step ended that got to its segments and not to its manifest.
    /// Files are looked for, but only to do the same again.
    async fn interrupted(&self, through: u64, head: u64) -> Result<Option<u64>, ArchiveError> {
        if self.looked.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let listed = match self.store.list(names::SEGMENTS).await {
            Ok(listed) => listed,
            Err(error) => {
                self.looked.store(false, Ordering::Relaxed);
                return Err(error);
            }
        };
        let ranges = listed.iter().filter_map(|o| names::range_of(o.location.as_ref()));
        Ok(ranges.filter(|(first, last)| *first == through + 1 && *last <= head).map(|(_, last)| last).max())
    }

    async fn gather(&self, through: u64, upto: u64) -> Result<Gathered, ArchiveError> {
        let mut gathered = Gathered { through, ..Gathered::default() };
        let limit = self.settings.segment_bytes;
        while gathered.through < upto && !gathered.full {
            let want = PAGE.min(usize::try_from(upto - gathered.through).unwrap_or(PAGE));
            let page = self.log.read(gathered.through, want, &ReadFilter::default()).await;
            let page = page.map_err(from_log)?;
            if page.events.is_empty() {
                let reason = format!("there is nothing after position {}", gathered.through);
                return Err(ArchiveError::Log(reason));
            }
            let encoded = tokio::task::spawn_blocking(move || {
                gathered.take(page.events, limit)?;
                Ok::<_, ArchiveError>(gathered)
            });
            gathered = encoded.await.map_err(|e| ArchiveError::Unavailable(e.to_string()))??;
        }
        Ok(gathered)
    }

    /// Puts segments, reads them back, and makes them count.
    async fn finish(
        &self,
        before: Option<Manifest>,
        gathered: Gathered,
        upto: u64,
    ) -> Result<Sealed, ArchiveError> {
        let first = before.as_ref().map_or(0, |m| m.through) + 1;
        let through = gathered.through;
        let Some(last) = gathered.last else {
            return Err(ArchiveError::Log("nothing was gathered".to_owned()));
        };
        let log = match (&before, gathered.first_leaf) {
            (Some(manifest), _) => manifest.log.clone(),
            (None, leaf) => hex::encode(leaf.unwrap_or_default()),
        };
        let encoded = tokio::task::spawn_blocking(move || gathered.finish(first)).await;
        let encoded = encoded.map_err(|e| ArchiveError::Unavailable(e.to_string()))??;
        let mut segments: Vec<Segment> = Vec::with_capacity(encoded.len());
        for Encoded { bytes, segment } in encoded {
            let segment = self.store.put_segment(segment, bytes).await?;
            self.store.verify_segment(&segment).await?;
            segments.push(segment);
        }
        let (count, bytes) = (segments.len(), segments.iter().map(|s| s.bytes).sum());
        let mut manifest = self.successor(before.as_ref(), log)?;
        manifest.checkpoint = self.put_tiles(before.as_ref(), through).await?;
        manifest.through = through;
        manifest.through_leaf = hex::encode(last.1);
        manifest.through_recorded_at = last.0;
        manifest.segments.extend(segments);
        manifest.segments.sort_by(|a, b| (&a.event_type, a.first).cmp(&(&b.event_type, b.first)));
        self.store.commit(&manifest).await?;
        if let Err(error) = self.publish(before.as_ref(), &manifest).await {
            tracing::warn!(%error, "the archive shows an older checkpoint than its manifest");
        }
        metrics::counter!("daybook_archive_sealed_events_total").increment(through + 1 - first);
        metrics::gauge!("daybook_archive_through_position").set(through as f64);
        tracing::info!(first, through, segments = count, bytes, "sealed");
        Ok(Sealed { first, through, segments: count, bytes, more: through < upto })
    }

    /// The manifest after this one, with the same content. Its time never goes
    /// back, whatever the clock does.
    pub(crate) fn successor(&self, before: Option<&Manifest>, log: String) -> Result<Manifest, ArchiveError> {
        let now = self.clock.now();
        Ok(match before {
            Some(before) => Manifest {
                number: before.number + 1,
                previous: Some(ArchiveStore::link(before)?),
                written_at: before.written_at.max(now),
                ..before.clone()
            },
            None => Manifest {
                format: FORMAT.to_owned(),
                number: 1,
                previous: None,
                log,
                through: 0,
                through_leaf: String::new(),
                through_recorded_at: now,
                checkpoint: None,
                written_at: now,
                segments: Vec::new(),
                retired: Vec::new(),
            },
        })
    }
}

/// Events on their way into segments.
#[derive(Default)]
struct Gathered {
    through: u64,
    encoders: BTreeMap<String, Encoder>,
    first_leaf: Option<[u8; 32]>,
    last: Option<(Timestamp, [u8; 32])>,
    full: bool,
}

impl Gathered {
    /// Where it ends when it is full depends on the events alone.
    fn take(&mut self, events: Vec<RecordedEvent>, limit: u64) -> Result<(), ArchiveError> {
        for event in events {
            if event.position != self.through + 1 {
                return Err(ArchiveError::Log(format!("position {} is missing", self.through + 1)));
            }
            if !self.encoders.contains_key(&*event.event_type) {
                self.encoders.insert(event.event_type.to_string(), Encoder::new(&event.event_type)?);
            }
            if let Some(encoder) = self.encoders.get_mut(&*event.event_type) {
                encoder.push(&event)?;
            }
            self.first_leaf.get_or_insert(event.leaf);
            self.last = Some((event.recorded_at, event.leaf));
            self.through = event.position;
            if self.through.is_multiple_of(SIZE_EVERY)
                && self.encoders.values().map(Encoder::size).sum::<u64>() >= limit
            {
                self.full = true;
                return Ok(());
            }
        }
        Ok(())
    }

    fn finish(self, first: u64) -> Result<Vec<Encoded>, ArchiveError> {
        let through = self.through;
        let encoders = self.encoders.into_values();
        encoders.filter_map(|encoder| encoder.finish(first, through).transpose()).collect()
    }
}
