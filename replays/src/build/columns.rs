//! History folded from columns: what is sealed from those of the archive, what
//! follows it in the log from columns that are decoded on all cores.
//!
//! Nothing is written before all of it is folded, except in histories so long
//! that they are folded in parts. A build that dies in here begins again: this
//! is the fast part. What columns cannot fold is left to events, one by one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::RecordedEvent;
use domain::ports::log::ReadFilter;
use domain::ports::rows::{Commit, DeadLetter, Lease, RowsError, TableChanges};
use projections::board::Progress;
use projections::bulk::{Batches, Bulk, Columns, Extent, Wants};
use projections::projector::{LeftOut, attempt, letter};
use projections::working_set::{Bounds, Fetch};
use projections::{ApplyError, Projection, Rows};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Builder;
use super::decode::Decoder;
use crate::error::ReplayError;

/// Batches that wait to be folded, and chunks of rows that wait to be written.
const AHEAD: usize = 2;
const PAGE: usize = 10_000;
/// Rows that are removed at once.
const REMOVED: usize = 1_000;
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

/// Positions that are folded.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// From the archive up to here,
    sealed: u64,
    /// from the log up to here.
    through: u64,
}

pub struct FromColumns<'a> {
    pub builder: &'a Builder,
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
    /// More bytes than it may take.
    Memory(usize),
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
    /// Folds what is sealed and what follows it, up to `at` if that comes first.
    pub async fn run(&self, at: Option<u64>) -> Result<Ended, ReplayError> {
        if self.lease.position > 0 {
            return Ok(Ended::Skipped);
        }
        let (extent, reach) = self.reach(at).await?;
        let events = extent.events + (reach.through - reach.sealed);
        if events < self.builder.options.columns_from {
            return Ok(Ended::Skipped);
        }
        let Some(bulk) = self.projection.bulk(events) else { return Ok(Ended::Skipped) };
        self.progress.set(|a| a.target = Some(reach.through));
        match self.fold(bulk, reach).await {
            Ok(events) => Ok(Ended::At { position: reach.through, events }),
            Err(Halted::Stop) => Ok(Ended::Stopped),
            Err(Halted::Error(error)) => Err(error),
            Err(Halted::Memory(bytes)) => {
                self.skip(&format!("{bytes} bytes are more than it may take")).await
            }
            Err(Halted::Unfit(reason)) => self.skip(&reason).await,
        }
    }

    async fn skip(&self, reason: &str) -> Result<Ended, ReplayError> {
        tracing::info!(generation = %self.lease.generation, reason, "folding events instead of columns");
        self.clear().await?;
        Ok(Ended::Skipped)
    }

    /// What there is to fold.
    async fn reach(&self, at: Option<u64>) -> Result<(Extent, Reach), ReplayError> {
        let extent = match &self.builder.sealed {
            None => Extent::default(),
            Some(sealed) => match sealed.extent(self.projection.event_types()).await {
                Ok(extent) => extent,
                Err(error) => {
                    tracing::warn!(generation = %self.lease.generation, %error, "the archive is not to be read");
                    Extent::default()
                }
            },
        };
        let head = self.builder.log.head().await?.position;
        let target = at.unwrap_or(head).min(head);
        let sealed = extent.through.min(target);
        let all = target - sealed <= self.builder.options.columns_of_log;
        Ok((extent, Reach { sealed, through: if all { target } else { sealed } }))
    }

    async fn fold(&self, bulk: Box<dyn Bulk>, reach: Reach) -> Result<u64, Halted> {
        let left_out = {
            let of = self.builder.options.left_out_of.as_ref().unwrap_or(&self.lease.generation);
            LeftOut::read(&*self.builder.log, of).await?
        };
        let bulk = Arc::new(Mutex::new(bulk));
        let _freed = Freed(bulk.clone());
        loop {
            match self.passes(&bulk, reach, &left_out).await {
                Err(Halted::Memory(bytes)) => {
                    let memory = self.builder.options.memory;
                    let split = blocking(&bulk, move |bulk| Ok(bulk.split(memory).then(|| bulk.passes())));
                    let Some(passes) = split.await? else { return Err(Halted::Memory(bytes)) };
                    tracing::info!(generation = %self.lease.generation, bytes, passes, "folding in smaller parts");
                    self.progress.set(|a| a.events = 0);
                }
                ended => return ended,
            }
        }
    }

    async fn passes(&self, bulk: &Held, reach: Reach, left_out: &LeftOut) -> Result<u64, Halted> {
        self.clear().await?;
        let (mut events, mut broken) = (0, Vec::new());
        let (passes, wants) = {
            let bulk = locked(bulk);
            (bulk.passes(), bulk.wants())
        };
        for pass in 0..passes {
            for wants in wants {
                let (count, failed) = self.columns(bulk, *wants, reach.sealed, left_out).await?;
                events += if pass == 0 { count } else { 0 };
                broken.extend(failed);
            }
            if pass == 0 {
                events += self.events(bulk, wants, reach.sealed, left_out).await?;
            }
            let (count, failed) = self.log(bulk, wants, reach, left_out, pass == 0).await?;
            events += if pass == 0 { count } else { 0 };
            broken.extend(failed);
            if broken.len() > MAX_FAILURES {
                return Err(Halted::Unfit("many events fail".into()));
            }
            self.write(bulk).await?;
        }
        broken.sort_unstable();
        let parked = self.letters(&broken).await?;
        self.commit(reach.through, Vec::new(), parked).await?;
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
        let Some(sealed) = self.builder.sealed.as_ref().filter(|_| through > 0) else {
            return Ok((0, Vec::new()));
        };
        let mut batches = ahead(sealed.read(wants, through).await?)?;
        let (mut events, mut broken) = (0, Vec::new());
        while let Some(batch) = batches.recv().await {
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
            self.folded(last, count, memory)?;
        }
        Ok((events, broken))
    }

    /// What follows the archive.
    async fn log(
        &self,
        bulk: &Held,
        wants: &'static [Wants],
        reach: Reach,
        left_out: &LeftOut,
        others: bool,
    ) -> Result<(u64, Vec<u64>), Halted> {
        let types = self.projection.event_types().iter().copied();
        let filter = ReadFilter::types(types.filter(|t| others || wants.iter().any(|w| w.event_type == *t)));
        let (range, page) = ((reach.sealed, reach.through), self.builder.options.page);
        let out = left_out.positions().clone();
        let leave_out = move |position| out.contains(&position);
        let mut pages = Decoder::start(self.builder.log.clone(), filter, range, page, wants, leave_out);
        let (mut events, mut broken, mut end) = (0, Vec::new(), reach.sealed);
        while let Some(page) = pages.next().await? {
            if self.stop.is_cancelled() {
                return Err(Halted::Stop);
            }
            end = page.through;
            let count = (page.columns.iter().map(Columns::len).sum::<usize>() + page.events.len()) as u64;
            let (failed, memory) = blocking(bulk, move |bulk| {
                let mut failed = Vec::new();
                for columns in page.columns.into_iter().filter(|c| !c.is_empty()) {
                    failed.extend(bulk.fold(columns)?);
                }
                page.events.iter().try_for_each(|e| bulk.event(e))?;
                Ok((failed, bulk.memory()))
            })
            .await?;
            events += count;
            broken.extend(failed);
            self.folded(Some(end), count, memory)?;
        }
        if end < reach.through {
            // Another server of the database answers, which is not as far.
            return Err(Halted::Unfit(format!("the log was read up to {end}, not up to {}", reach.through)));
        }
        Ok((events, broken))
    }

    fn folded(&self, last: Option<u64>, count: u64, memory: usize) -> Result<(), Halted> {
        self.progress.set(|a| {
            a.folded = last.or(a.folded);
            a.events += count;
            a.memory = memory as u64;
        });
        if memory > self.builder.options.memory { Err(Halted::Memory(memory)) } else { Ok(()) }
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
        let Some(sealed) = &self.builder.sealed else { return Ok(0) };
        let (log, mut position, mut count) = (sealed.events(), 0, 0);
        while position < through && !filter.event_types.is_empty() {
            if self.stop.is_cancelled() {
                return Err(Halted::Stop);
            }
            let page = log.read(position, PAGE, &filter).await;
            let mut page = page.map_err(|e| Halted::Unfit(e.to_string()))?;
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
        let held = bulk.clone();
        let end = move || {
            locked(&held).end_pass(&mut |changes| {
                let gone = |_| ApplyError::Event("the rows are not wanted any more".into());
                give.blocking_send(changes).map_err(gone)
            })
        };
        let ending = background::alone("rows out", background::Share::Least, end);
        // Ending early drops the receiver, which ends the pass.
        let writing = async move {
            while let Some(changes) = rows.recv().await {
                self.commit(0, vec![changes], Vec::new()).await?;
            }
            Ok::<_, ReplayError>(())
        };
        let (written, ended) = tokio::join!(writing, ending);
        written?;
        ended?.map_err(|e| Halted::Unfit(e.to_string()))
    }

    async fn commit(
        &self,
        to: u64,
        changes: Vec<TableChanges>,
        parked: Vec<DeadLetter>,
    ) -> Result<(), ReplayError> {
        let lease = self.lease.clone();
        let commit = Commit { lease, from: 0, to, changes, parked, unparked: Vec::new() };
        Ok(self.builder.rows.commit_built(commit).await?)
    }

    /// Removes what a build left that died in here.
    async fn clear(&self) -> Result<(), ReplayError> {
        let mut snapshot = self.builder.generations.snapshot(&self.lease.generation).await?;
        for table in snapshot.tables().to_vec() {
            let mut after = None;
            loop {
                let rows = snapshot.scan(&table, after.as_ref(), REMOVED).await?;
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

/// Reads while the batches before are folded, on a thread that yields to
/// others: putting columns together takes long.
fn ahead(mut batches: Box<dyn Batches>) -> Result<mpsc::Receiver<Batch>, ReplayError> {
    let (give, receiver) = mpsc::channel(AHEAD);
    let read = async move {
        while let Some(batch) = batches.next().await.transpose() {
            let failed = batch.is_err();
            if give.send(batch).await.is_err() || failed {
                return;
            }
        }
    };
    let runtime = Handle::current();
    background::spawn("columns", background::Share::Least, move || runtime.block_on(read))
        .map_err(|e| ReplayError::Fold(format!("no thread to read on: {e}")))?;
    Ok(receiver)
}

type Held = Arc<Mutex<Box<dyn Bulk>>>;

/// Frees it on another thread: it is large where a fold did not end.
struct Freed(Held);

impl Drop for Freed {
    fn drop(&mut self) {
        background::free(self.0.clone());
    }
}

/// Only a fold that panicked leaves it poisoned, and that ends the build.
fn locked(bulk: &Held) -> MutexGuard<'_, Box<dyn Bulk>> {
    bulk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Folds on a thread that may compute for long.
async fn blocking<T: Send + 'static>(
    bulk: &Held,
    work: impl FnOnce(&mut dyn Bulk) -> Result<T, ApplyError> + Send + 'static,
) -> Result<T, Halted> {
    let held = bulk.clone();
    let done = background::run(move || work(&mut **locked(&held))).await?;
    done.map_err(|e| Halted::Unfit(e.to_string()))
}
