//! Folding page by page, with commits in between.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use domain::RecordedEvent;
use domain::ports::log::{Page, ReadFilter};
use domain::ports::rows::{
    Commit, DeadLetter, GenerationId, Lease, RowKey, RowStore, RowsError, TableChanges,
};
use projections::board::Progress;
use projections::projector::{Failure, Folded, Gauges, LeftOut, attempt, changes, fold, letter, prefetch};
use projections::working_set::{Bounds, Fetch};
use projections::{Projection, Rows};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Builder;
use super::reader::Reader;
use crate::error::ReplayError;

/// Pages that are committed one by one after an event that failed.
const CAREFUL_PAGES: usize = 16;
/// A build this close to the head is ready; the projector does the rest.
const NEAR: u64 = 10_000;

pub struct Folding<'a> {
    builder: &'a Builder,
    projection: Arc<dyn Projection>,
    progress: Arc<Progress>,
    lease: Lease,
    filter: ReadFilter,
    left_out: LeftOut,
    parked: HashSet<String>,
    /// `None` while another thread folds.
    rows: Option<Rows>,
    /// Every row that there is is in memory.
    complete: Arc<AtomicBool>,
    /// Committed up to here.
    pub position: u64,
    /// Folded up to here.
    through: u64,
    /// Set aside since the last commit.
    waiting: Vec<DeadLetter>,
    careful: usize,
    committed: Instant,
    pub events: u64,
    gauges: Gauges,
}

/// What became of a page.
enum Came {
    Done(Vec<DeadLetter>),
    Failed(String),
}

impl<'a> Folding<'a> {
    pub async fn open(
        builder: &'a Builder,
        projection: Arc<dyn Projection>,
        progress: Arc<Progress>,
        lease: Lease,
    ) -> Result<Self, ReplayError> {
        let complete = Arc::new(AtomicBool::new(lease.position == 0));
        let fetch = StoreFetch {
            rows: builder.rows.clone(),
            generation: lease.generation.clone(),
            runtime: Handle::current(),
            complete: complete.clone(),
        };
        let parked = builder.rows.parked_partitions(&lease.generation).await?;
        let number = lease.generation.number;
        // The texts of a commit take about half as much again.
        let bounds = Bounds { rows: usize::MAX, bytes: builder.options.memory / 2 };
        progress.moved(lease.position);
        Ok(Self {
            filter: ReadFilter::types(projection.event_types().iter().copied()),
            left_out: {
                let of = builder.options.left_out_of.as_ref().unwrap_or(&lease.generation);
                LeftOut::read(&*builder.log, of).await?
            },
            parked: parked.into_iter().map(|(partition, _)| partition).collect(),
            rows: Some(Rows::new(Box::new(fetch), bounds)),
            gauges: Gauges::new(projection.name(), number, progress.clone(), lease.position),
            position: lease.position,
            through: lease.position,
            waiting: Vec::new(),
            careful: 0,
            committed: Instant::now(),
            events: 0,
            builder,
            projection,
            progress,
            lease,
            complete,
        })
    }

    /// False if it was stopped on the way.
    pub async fn through_history(
        &mut self,
        at: Option<u64>,
        stop: &CancellationToken,
    ) -> Result<bool, ReplayError> {
        loop {
            let head = self.builder.log.head().await?.position;
            if self.position > head {
                let reason = format!("the rows are at {}, the log ends at {head}", self.position);
                return Err(ReplayError::Fold(reason));
            }
            let target = at.unwrap_or(head).min(head);
            if self.position >= target
                || (at.is_none() && target - self.position <= NEAR && self.position > 0)
            {
                return Ok(true);
            }
            self.progress.set(|a| a.target = Some(target));
            if !self.up_to(target, stop).await? {
                return Ok(false);
            }
        }
    }

    async fn up_to(&mut self, target: u64, stop: &CancellationToken) -> Result<bool, ReplayError> {
        let mut reader = self.reader(target);
        loop {
            let page = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.commit_folded().await?;
                    return Ok(false);
                }
                page = reader.next() => page,
            };
            let Some(page) = page else { break };
            if !self.page(page?).await? {
                reader = self.reader(target);
            }
            self.tell(target).await?;
        }
        self.commit_folded().await?;
        Ok(true)
    }

    fn reader(&self, target: u64) -> Reader {
        let (log, page) = (self.builder.log.clone(), self.builder.options.page);
        Reader::start(log, self.filter.clone(), self.through, target, page)
    }

    /// False if the next page is not the one that follows this one.
    async fn page(&mut self, mut page: Page) -> Result<bool, ReplayError> {
        if !self.left_out.is_empty() {
            page.events.retain(|e| !self.left_out.contains(e.position));
        }
        if self.careful > 0 {
            self.careful -= 1;
            return self.alone(page).await;
        }
        let (count, through) = (page.events.len(), page.through);
        let (projection, parked) = (self.projection.clone(), self.parked.clone());
        let complete = self.complete.load(Ordering::Relaxed);
        let done = self
            .blocking(move |rows| {
                if !complete {
                    prefetch(projection.as_ref(), rows, &page.events)?;
                }
                let waits = |_: usize, event: &RecordedEvent| waits(&*projection, &parked, event);
                let done = match attempt(projection.as_ref(), rows, &page.events, waits)? {
                    Ok(letters) => Came::Done(letters),
                    Err(Failure { error, .. }) => Came::Failed(error),
                };
                rows.weigh();
                Ok(done)
            })
            .await?;
        match done {
            Came::Done(letters) => {
                self.waiting.extend(letters);
                self.through = through;
                self.events += count as u64;
                self.gauges.batch(count, 0);
            }
            Came::Failed(error) => {
                tracing::debug!(generation = %self.lease.generation, error, "an event failed; going back");
                self.go_back().await?;
                return Ok(false);
            }
        }
        let bytes = self.rows.as_ref().map_or(0, Rows::bytes);
        if bytes >= self.builder.options.memory / 2
            || self.committed.elapsed() >= self.builder.options.checkpoint
        {
            self.commit_folded().await?;
        }
        Ok(true)
    }

    /// To the last commit, and carefully from there.
    async fn go_back(&mut self) -> Result<(), ReplayError> {
        self.waiting.clear();
        self.through = self.position;
        self.careful = CAREFUL_PAGES;
        self.complete.store(false, Ordering::Relaxed);
        self.blocking(|rows| {
            rows.discard();
            Ok(())
        })
        .await
    }

    /// One page with a commit of its own; events that fail are set aside.
    async fn alone(&mut self, page: Page) -> Result<bool, ReplayError> {
        let (projection, parked) = (self.projection.clone(), self.parked.clone());
        let (count, end) = (page.events.len(), page.through);
        let folded = self
            .blocking(move |rows| fold(projection.as_ref(), rows, &parked, &page.events, page.through))
            .await?;
        let Folded { changes, parked, through } = folded;
        for letter in parked.iter().filter(|l| l.error.is_some()) {
            tracing::warn!(generation = %self.lease.generation, position = letter.position,
                error = letter.error, "event failed; its partition waits");
        }
        self.gauges.batch(count, parked.len());
        self.events += count as u64;
        self.through = through;
        let partitions: Vec<String> = parked.iter().map(|l| l.partition.clone()).collect();
        self.commit(changes, parked).await?;
        self.parked.extend(partitions);
        Ok(through == end)
    }

    async fn commit_folded(&mut self) -> Result<(), ReplayError> {
        if self.through == self.position {
            return Ok(());
        }
        let projection = self.projection.clone();
        let changes = self.blocking(move |rows| changes(projection.as_ref(), rows)).await?;
        let waiting = std::mem::take(&mut self.waiting);
        self.commit(changes, waiting).await
    }

    async fn commit(
        &mut self,
        changes: Vec<TableChanges>,
        parked: Vec<DeadLetter>,
    ) -> Result<(), ReplayError> {
        let (lease, from, to) = (self.lease.clone(), self.position, self.through);
        self.builder
            .rows
            .commit_built(Commit { lease, from, to, changes, parked, unparked: Vec::new() })
            .await?;
        self.position = to;
        let forgot = self.blocking(|rows| {
            rows.committed();
            Ok(rows.forgot())
        });
        if forgot.await? {
            self.complete.store(false, Ordering::Relaxed);
        }
        self.committed = Instant::now();
        self.progress.moved(to);
        Ok(())
    }

    async fn tell(&mut self, target: u64) -> Result<(), ReplayError> {
        if !self.gauges.due() {
            return Ok(());
        }
        self.gauges.measure(self.through, target);
        let through = self.through;
        let (events, memory) = (self.events, self.rows.as_ref().map_or(0, Rows::bytes) as u64);
        self.progress.set(|a| {
            a.events = events;
            a.memory = memory;
            a.folded = Some(through);
        });
        metrics::gauge!("daybook_replay_memory_bytes", "projection" => self.projection.name())
            .set(memory as f64);
        Ok(self.left_out.refresh(&*self.builder.log).await?)
    }

    /// Runs on a thread where rows may be fetched synchronously.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Rows) -> Result<T, RowsError> + Send + 'static,
    ) -> Result<T, ReplayError> {
        let broken = || ReplayError::Fold("an earlier fold did not end".into());
        let mut rows = self.rows.take().ok_or_else(broken)?;
        let folding = background::run(move || {
            let done = work(&mut rows);
            (rows, done)
        });
        let (rows, done) = folding.await?;
        self.rows = Some(rows);
        Ok(done?)
    }
}

impl Drop for Folding<'_> {
    fn drop(&mut self) {
        background::free(self.rows.take());
    }
}

fn waits(projection: &dyn Projection, parked: &HashSet<String>, event: &RecordedEvent) -> Option<DeadLetter> {
    if parked.is_empty() {
        return None;
    }
    let partition = projection.partition(event);
    parked.contains(&partition).then(|| letter(event, partition, None))
}

struct StoreFetch {
    rows: Arc<dyn RowStore>,
    generation: GenerationId,
    runtime: Handle,
    complete: Arc<AtomicBool>,
}

impl Fetch for StoreFetch {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        if self.complete.load(Ordering::Relaxed) {
            return Ok(vec![None; keys.len()]);
        }
        // The store may start threads for it, which are to be like any other.
        let (rows, generation) = (self.rows.clone(), self.generation.clone());
        let (table, keys) = (table.to_owned(), keys.to_vec());
        let fetching = self.runtime.spawn(async move { rows.fetch_many(&generation, &table, &keys).await });
        let fetched = self.runtime.block_on(fetching);
        fetched.unwrap_or_else(|e| Err(RowsError::Unavailable(e.to_string())))
    }
}
