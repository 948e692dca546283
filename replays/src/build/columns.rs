//! The sealed part of history, folded from columns.
//!
//! Nothing is written before all of it is folded, except in histories so long
//! that they are folded in parts. A build that dies in here begins again: this
//! is the fast part. What columns cannot fold is left to events, one by one.

use std::sync::{Arc, Mutex, PoisonError};

use domain::RecordedEvent;
use domain::ports::log::ReadFilter;
use domain::ports::rows::{Commit, DeadLetter, Lease, RowsError, TableChanges};
use projections::board::Progress;
use projections::bulk::{Batches, Bulk, Columns, Sealed, Wants};
use projections::projector::{LeftOut, attempt, letter};
use projections::working_set::{Bounds, Fetch};
use projections::{ApplyError, Projection, Rows};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Builder;
use crate::error::ReplayError;

/// Batches that wait to be folded, and chunks of rows that wait to be written.
const AHEAD: usize = 2;
const PAGE: usize = 10_000;
/// More failures than this are better parked one by one.
const MAX_FAILURES: usize = 1_000;

/// How the sealed part ended.
pub enum Ended {
    /// Rows and checkpoint are there.
    At {
        position: u64,
        events: u64,
    },
    /// There is nothing to gain; nothing was written.
    Skipped,
    Stopped,
}

pub struct FromColumns<'a> {
    pub builder: &'a Builder,
    pub source: &'a dyn Sealed,
    pub projection: Arc<dyn Projection>,
    pub progress: Arc<Progress>,
    pub lease: Lease,
    pub stop: &'a CancellationToken,
}

/// What made the columns' fold give up.
enum Halted {
    Stop,
    /// Events have to decide; the reason is for the log.
    Unfit(String),
    Error(ReplayError),
}

impl<E: Into<ReplayError>> From<E> for Halted {
    fn from(error: E) -> Self {
        match error.into() {
            // The log may have what the archive lost.
            ReplayError::Archive(error) => Self::Unfit(error.to_string()),
            error => Self::Error(error),
        }
    }
}

impl FromColumns<'_> {
    /// Folds what is sealed, up to `at` if that comes first.
    pub async fn run(&self, at: Option<u64>) -> Result<Ended, ReplayError> {
        let extent = match self.source.extent(self.projection.event_types()).await {
            Ok(extent) => extent,
            Err(error) => {
                tracing::warn!(generation = %self.lease.generation, %error, "the archive is not to be read");
                return Ok(Ended::Skipped);
            }
        };
        let through = at.unwrap_or(u64::MAX).min(extent.through);
        if extent.events < self.builder.options.columns_from || self.lease.position > 0 {
            return Ok(Ended::Skipped);
        }
        let Some(bulk) = self.projection.bulk(extent.events) else { return Ok(Ended::Skipped) };
        self.progress.set(|a| a.target = Some(through));
        match self.fold(bulk, through).await {
            Ok(events) => Ok(Ended::At { position: through, events }),
            Err(Halted::Stop) => Ok(Ended::Stopped),
            Err(Halted::Error(error)) => Err(error),
            Err(Halted::Unfit(reason)) => {
                tracing::info!(generation = %self.lease.generation, reason, "folding events instead of columns");
                self.clear().await?;
                Ok(Ended::Skipped)
            }
        }
    }

    async fn fold(&self, bulk: Box<dyn Bulk>, through: u64) -> Result<u64, Halted> {
        self.clear().await?;
        let left_out = {
            let of = self.builder.options.left_out_of.as_ref().unwrap_or(&self.lease.generation);
            LeftOut::read(&*self.builder.log, of).await?
        };
        let (mut events, mut broken) = (0, Vec::new());
        let (passes, wants) = (bulk.passes(), bulk.wants());
        let bulk = Arc::new(Mutex::new(bulk));
        for pass in 0..passes {
            for wants in wants {
                let (count, failed) = self.columns(&bulk, *wants, through, &left_out).await?;
                events += if pass == 0 { count } else { 0 };
                broken.extend(failed);
                if broken.len() > MAX_FAILURES {
                    return Err(Halted::Unfit("many events fail".into()));
                }
            }
            if pass == 0 {
                events += self.events(&bulk, wants, through, &left_out).await?;
            }
            self.write(&bulk).await?;
        }
        let parked = self.letters(&broken).await?;
        self.commit(through, Vec::new(), parked).await?;
        Ok(events)
    }

    /// All facts of one type. Returns how many there were, and which failed.
    async fn columns(
        &self,
        bulk: &Held,
        wants: Wants,
        through: u64,
        left_out: &LeftOut,
    ) -> Result<(u64, Vec<u64>), Halted> {
        let mut batches = ahead(self.source.read(wants, through).await?);
        let (mut events, mut broken) = (0, Vec::new());
        while let Some(batch) = batches.0.recv().await {
            let mut batch = batch?;
            if self.stop.is_cancelled() {
                return Err(Halted::Stop);
            }
            if !left_out.is_empty() {
                let keep: Vec<bool> = batch.positions.iter().map(|p| !left_out.contains(*p)).collect();
                batch.retain(&keep);
            }
            let (count, last) = (batch.len() as u64, batch.positions.last().copied());
            let (failed, memory) = blocking(bulk, move |bulk| Ok((bulk.fold(batch)?, bulk.memory()))).await?;
            events += count;
            broken.extend(failed);
            self.progress.set(|a| {
                a.folded = last.or(a.folded);
                a.events += count;
                a.memory = memory as u64;
            });
            if memory > self.builder.options.memory {
                return Err(Halted::Unfit(format!("{memory} bytes are more than it may take")));
            }
        }
        Ok((events, broken))
    }

    /// The few facts that are folded one by one.
    async fn events(
        &self,
        bulk: &Held,
        wants: &[Wants],
        through: u64,
        left_out: &LeftOut,
    ) -> Result<u64, Halted> {
        let as_columns = |t: &&str| wants.iter().any(|w| w.event_type == *t);
        let types = self.projection.event_types().iter().copied().filter(|t| !as_columns(t));
        let filter = ReadFilter::types(types);
        let (mut position, mut count) = (0, 0);
        while position < through && !filter.event_types.is_empty() {
            if self.stop.is_cancelled() {
                return Err(Halted::Stop);
            }
            let mut page = self.builder.log.read(position, PAGE, &filter).await?;
            page.events.retain(|e| e.position <= through && !left_out.contains(e.position));
            count += page.events.len() as u64;
            let next = page.through;
            blocking(bulk, move |bulk| page.events.iter().try_for_each(|e| bulk.event(e))).await?;
            if next <= position {
                break;
            }
            position = next;
        }
        Ok(count)
    }

    /// Ends a pass and writes the rows that it made.
    async fn write(&self, bulk: &Held) -> Result<(), Halted> {
        let (give, mut rows) = mpsc::channel::<TableChanges>(AHEAD);
        let ending = blocking(bulk, move |bulk| {
            bulk.end_pass(&mut |changes| {
                let gone = |_| ApplyError::Event("the rows are not wanted any more".into());
                give.blocking_send(changes).map_err(gone)
            })
        });
        // Ending early drops the receiver, which ends the pass.
        let writing = async move {
            while let Some(changes) = rows.recv().await {
                self.commit(0, vec![changes], Vec::new()).await?;
            }
            Ok::<_, ReplayError>(())
        };
        let (written, ended) = tokio::join!(writing, ending);
        written?;
        ended
    }

    async fn commit(
        &self,
        to: u64,
        changes: Vec<TableChanges>,
        parked: Vec<DeadLetter>,
    ) -> Result<(), ReplayError> {
        let lease = self.lease.clone();
        let commit = Commit { lease, from: 0, to, changes, parked, unparked: Vec::new() };
        Ok(self.builder.rows.commit(commit).await?)
    }

    /// Removes what a build left that died in here.
    async fn clear(&self) -> Result<(), ReplayError> {
        let mut snapshot = self.builder.generations.snapshot(&self.lease.generation).await?;
        for table in snapshot.tables().to_vec() {
            let mut after = None;
            loop {
                let rows = snapshot.scan(&table, after.as_ref(), PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.row.clone());
                let deletes = rows.into_iter().map(|r| r.row).collect();
                let changes = TableChanges { table: table.as_str().into(), puts: Vec::new(), deletes };
                self.commit(0, vec![changes], Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Why each of these events fails, found out by folding it alone.
    async fn letters(&self, positions: &[u64]) -> Result<Vec<DeadLetter>, Halted> {
        let mut letters = Vec::new();
        for position in positions {
            let page = self.builder.log.read(position - 1, 1, &ReadFilter::default()).await?;
            let event = page.events.into_iter().find(|e| e.position == *position);
            let event =
                event.ok_or_else(|| Halted::Unfit(format!("position {position} is not to be read")))?;
            match self.failure(&event)? {
                Some(error) => letters.push(letter(&event, self.projection.partition(&event), Some(error))),
                None => return Err(Halted::Unfit(format!("position {position} folds as an event"))),
            }
        }
        Ok(letters)
    }

    fn failure(&self, event: &RecordedEvent) -> Result<Option<String>, RowsError> {
        let mut rows = Rows::new(Box::new(Empty), Bounds::default());
        let events = std::slice::from_ref(event);
        Ok(attempt(&*self.projection, &mut rows, events, |_, _| None)?.err().map(|failure| failure.error))
    }
}

/// A store without rows.
struct Empty;

impl Fetch for Empty {
    fn fetch(&self, _: &str, keys: &[domain::ports::rows::RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        Ok(vec![None; keys.len()])
    }
}

type Batch = Result<Columns, domain::ports::archive::ArchiveError>;

/// Reads while the batches before are folded.
fn ahead(mut batches: Box<dyn Batches>) -> (mpsc::Receiver<Batch>, AbortOnDropHandle<()>) {
    let (give, receiver) = mpsc::channel(AHEAD);
    let task = tokio::spawn(async move {
        while let Some(batch) = batches.next().await.transpose() {
            let failed = batch.is_err();
            if give.send(batch).await.is_err() || failed {
                return;
            }
        }
    });
    (receiver, AbortOnDropHandle::new(task))
}

type Held = Arc<Mutex<Box<dyn Bulk>>>;

/// Folds on a thread that may compute for long.
async fn blocking<T: Send + 'static>(
    bulk: &Held,
    work: impl FnOnce(&mut dyn Bulk) -> Result<T, ApplyError> + Send + 'static,
) -> Result<T, Halted> {
    let held = bulk.clone();
    let working = tokio::task::spawn_blocking(move || {
        // Only a fold that panicked leaves it poisoned, and that ends the build.
        work(&mut **held.lock().unwrap_or_else(PoisonError::into_inner))
    });
    let done = working.await.map_err(|e| ReplayError::Fold(e.to_string()))?;
    done.map_err(|e| Halted::Unfit(e.to_string()))
}
