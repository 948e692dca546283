//! What the log has gained becomes files, then a manifest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::RecordedEvent;
use domain::ports::clock::Clock;
use domain::ports::log::{EventLog, ReadFilter};
use domain::signal::{RECEIVED, Signal, UNKNOWN_APP};
use tokio::sync::Mutex;

use crate::cells::{Rows, signal_of};
use crate::columns::schema;
use crate::encode::{Codec, Encoder};
use crate::error::{WarehouseError, died};
use crate::hash;
use crate::manifest::{File, Manifest};
use crate::names::{self, Hour};
use crate::plan::Plan;
use crate::store::WarehouseStore;

/// Signals read from the log at once.
const PAGE: usize = 2_000;
/// Payload bytes after which a batch ends before its signals.
const BATCH_BYTES: usize = 64 << 20;

#[derive(Debug, Clone)]
pub struct Settings {
    /// A batch ends with so many signals,
    pub max_signals: usize,
    /// or when its first signal is this old.
    pub flush_after: Duration,
    pub codec: Codec,
    pub row_group_rows: usize,
    /// Files below this size are merged,
    pub small_bytes: u64,
    /// into files that are not larger than this, about.
    pub large_bytes: u64,
    /// How long after its end an hour's files are merged although they are not
    /// enough for a large one.
    pub closed_after: Duration,
    /// How long a file that was merged into another is kept for its readers.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_signals: 10_000,
            flush_after: Duration::from_secs(300),
            codec: Codec::Zstd,
            row_group_rows: 131_072,
            small_bytes: 128 << 20,
            large_bytes: 512 << 20,
            closed_after: Duration::from_secs(3_600),
            grace: Duration::from_secs(24 * 3_600),
        }
    }
}

pub struct Warehouse {
    pub(crate) store: WarehouseStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    log: Arc<dyn EventLog>,
    /// What was read and is not due yet.
    waiting: Mutex<Waiting>,
}

/// What one batch wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    pub signals: usize,
    pub files: usize,
    pub through: u64,
    /// Whether there may be another batch at once.
    pub more: bool,
}

/// Signals past `after` that no file has.
#[derive(Default)]
struct Waiting {
    after: u64,
    /// Every position up to here was looked at.
    seen: u64,
    signals: Vec<RecordedEvent>,
    bytes: usize,
}

impl Waiting {
    fn past(after: u64) -> Self {
        Self { after, seen: after, ..Self::default() }
    }
}

impl Warehouse {
    pub fn new(
        store: WarehouseStore,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self { store, log, clock, settings, waiting: Mutex::default() }
    }

    pub fn store(&self) -> &WarehouseStore {
        &self.store
    }

    /// Writes the next batch if it is due, or with `all` whatever there is.
    /// `None`: nothing was.
    pub async fn flush(&self, all: bool) -> Result<Option<Flushed>, WarehouseError> {
        let mut waiting = self.waiting.lock().await;
        let manifest = self.store.manifest().await?;
        let after = manifest.as_ref().map_or(0, |m| m.through);
        if waiting.after != after || waiting.seen < after {
            *waiting = Waiting::past(after);
        }
        if waiting.signals.is_empty() {
            self.check_continues(manifest.as_ref()).await?;
        }
        let (plan, more) = match self.store.planned(after).await? {
            Some(plan) => (plan, true),
            None => match self.cut(&mut waiting, all).await? {
                Some((plan, more)) => (self.store.plan(after, plan).await?, more),
                None => return Ok(None),
            },
        };
        // The plan may be another's, who had seen more or less.
        let signals = match waiting.signals.last().is_some_and(|s| s.position == plan.last) {
            true => std::mem::take(&mut waiting.signals),
            false => self.planned_signals(after, &plan).await?,
        };
        *waiting = Waiting::past(after);
        let done = self.write(manifest, signals, &plan).await?;
        Ok(Some(Flushed { more, ..done }))
    }

    /// Whether this log has the signal that the warehouse ends with.
    async fn check_continues(&self, manifest: Option<&Manifest>) -> Result<(), WarehouseError> {
        let Some(manifest) = manifest else { return Ok(()) };
        let at = manifest.through;
        let page = self.log.read(at - 1, 1, &signals_only()).await?;
        match page.events.first() {
            Some(event) if event.position == at && hex::encode(event.leaf) == manifest.through_leaf => Ok(()),
            _ => Err(WarehouseError::Foreign(format!(
                "another event than the warehouse's last signal stands at position {at}"
            ))),
        }
    }

    /// Where the next batch ends, if one is due, and whether more may follow.
    async fn cut(&self, waiting: &mut Waiting, all: bool) -> Result<Option<(Plan, bool)>, WarehouseError> {
        let full = self.fill(waiting).await?;
        let (Some(first), Some(last)) = (waiting.signals.first(), waiting.signals.last()) else {
            return Ok(None);
        };
        // A clock that was set back must not hold a batch for long.
        let age = self.clock.now().duration_since(first.recorded_at).unsigned_abs();
        if !full && !all && age < self.settings.flush_after {
            return Ok(None);
        }
        let Settings { codec, row_group_rows, .. } = self.settings;
        let plan = Plan { last: last.position, signals: waiting.signals.len(), codec, row_group_rows };
        Ok(Some((plan, full)))
    }

    /// Reads on until a batch is full or the log ends; says which.
    async fn fill(&self, waiting: &mut Waiting) -> Result<bool, WarehouseError> {
        loop {
            let room = self.settings.max_signals.saturating_sub(waiting.signals.len());
            if room == 0 || waiting.bytes >= BATCH_BYTES {
                return Ok(true);
            }
            let page = self.log.read(waiting.seen, room.min(PAGE), &signals_only()).await?;
            if page.through <= waiting.seen {
                return Ok(false);
            }
            waiting.seen = page.through;
            for event in page.events {
                waiting.bytes += event.payload.len();
                waiting.seen = event.position;
                waiting.signals.push(event);
                if waiting.bytes >= BATCH_BYTES {
                    break;
                }
            }
            if waiting.bytes < BATCH_BYTES {
                waiting.seen = page.through;
            }
        }
    }

    async fn planned_signals(&self, after: u64, plan: &Plan) -> Result<Vec<RecordedEvent>, WarehouseError> {
        let (mut signals, mut seen) = (Vec::new(), after);
        while seen < plan.last {
            let page = self.log.read(seen, PAGE, &signals_only()).await?;
            if page.through <= seen {
                break;
            }
            seen = page.through;
            signals.extend(page.events.into_iter().filter(|e| e.position <= plan.last));
        }
        let fits = signals.len() == plan.signals && signals.last().is_some_and(|s| s.position == plan.last);
        match fits {
            true => Ok(signals),
            false => Err(WarehouseError::Foreign(format!(
                "a batch of {} signals up to position {} was begun, and the log does not hold them",
                plan.signals, plan.last
            ))),
        }
    }

    async fn write(
        &self,
        before: Option<Manifest>,
        signals: Vec<RecordedEvent>,
        plan: &Plan,
    ) -> Result<Flushed, WarehouseError> {
        let count = signals.len();
        let leaf = signals.last().map_or_else(String::new, |s| hex::encode(s.leaf));
        let plan_is = plan.clone();
        let encoded =
            tokio::task::spawn_blocking(move || encode(signals, &plan_is)).await.map_err(died)??;
        let mut files = Vec::with_capacity(encoded.len());
        for (file, bytes) in encoded {
            files.push(self.store.put(file, bytes).await?);
        }
        let after = before.as_ref().map_or(0, |m| m.through);
        let mut manifest = Manifest::successor(before.as_ref(), self.clock.now())?;
        (manifest.through, manifest.through_leaf) = (plan.last, leaf);
        manifest.files.extend(files.iter().cloned());
        manifest.sort();
        self.store.commit(&manifest).await?;
        let mut tenants: Vec<&str> = files.iter().map(|f| &*f.tenant).collect();
        tenants.dedup();
        for tenant in tenants {
            self.store.publish(&manifest, tenant).await?;
        }
        self.store.objects.delete_object(&names::plan(after)).await?;
        metrics::counter!("daybook_warehouse_signals_total").increment(count as u64);
        metrics::counter!("daybook_warehouse_files_total").increment(files.len() as u64);
        metrics::gauge!("daybook_warehouse_through_position").set(plan.last as f64);
        tracing::info!(signals = count, files = files.len(), through = plan.last, "written");
        Ok(Flushed { signals: count, files: files.len(), through: plan.last, more: false })
    }
}

pub(crate) fn signals_only() -> ReadFilter {
    ReadFilter::types([RECEIVED])
}

type Partition = (String, String, Hour);
type Content = Vec<(RecordedEvent, Option<Signal>)>;

/// One file for each tenant, app and hour.
fn encode(signals: Vec<RecordedEvent>, plan: &Plan) -> Result<Vec<(File, bytes::Bytes)>, WarehouseError> {
    let mut partitions: BTreeMap<Partition, Content> = BTreeMap::new();
    for event in signals {
        let signal = signal_of(&event);
        let app = signal.as_ref().map_or(UNKNOWN_APP, |s| &s.app).to_owned();
        let partition = (event.stream.tenant.as_str().to_owned(), app, Hour::of(event.at()));
        partitions.entry(partition).or_default().push((event, signal));
    }
    partitions.into_iter().map(|(partition, content)| encode_one(partition, content, plan)).collect()
}

fn encode_one(
    (tenant, app, hour): Partition,
    content: Content,
    plan: &Plan,
) -> Result<(File, bytes::Bytes), WarehouseError> {
    let mut encoder = Encoder::new(schema(), plan.codec, plan.row_group_rows)?;
    let (mut rows, count) = (Rows::new(), content.len() as u64);
    let ends = content.first().zip(content.last());
    let (first, last) = ends.map_or((0, 0), |(first, last)| (first.0.position, last.0.position));
    for (event, signal) in content {
        rows.push(&event, signal);
        if rows.is_full() {
            encoder.write(&rows.take()?)?;
        }
    }
    if !rows.is_empty() {
        encoder.write(&rows.take()?)?;
    }
    let bytes = encoder.finish()?;
    let file = File {
        path: names::file(&tenant, &app, &hour, first, last),
        tenant,
        app,
        hour,
        first,
        last,
        rows: count,
        bytes: bytes.len() as u64,
        sha256: hash(&bytes),
    };
    Ok((file, bytes))
}
