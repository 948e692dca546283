//! One owner's work on one generation: read, fold, commit, from the stored
//! checkpoint on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::RecordedEvent;
use domain::ports::log::{EventLog, Page, ReadFilter};
use domain::ports::rows::{Commit, DeadLetter, GenerationId, Lease, ParkedEvent, RowKey, RowStore};
use domain::ports::rows::{RowsError, TableChanges};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::fold::{Folded, fold, refold};
use super::gauges::Gauges;
use super::left_out::LeftOut;
use super::{Halt, Options, Projector};
use crate::board::Progress;
use crate::projection::Projection;
use crate::working_set::{Fetch, Rows};

/// How long to wait for news before looking at what else there is to do.
const WAIT: Duration = Duration::from_secs(1);
/// How long to leave a generation alone that is held where it is.
const HELD: Duration = Duration::from_millis(50);
/// How long the checkpoint may stay behind events that say nothing to the
/// projection. Each commit of a checkpoint alone takes the store's writer from
/// those that have rows.
const UNSTORED: Duration = Duration::from_millis(50);
/// Dead letters applied in one transaction of a retry.
const RETRY_CHUNK: usize = 1_000;

pub struct Session {
    log: Arc<dyn EventLog>,
    rows: Arc<dyn RowStore>,
    projection: Arc<dyn Projection>,
    progress: Arc<Progress>,
    options: Options,
    lease: Lease,
    filter: ReadFilter,
    /// Read up to here.
    position: u64,
    /// The store's checkpoint; between it and `position` nothing changes a row.
    stored: u64,
    /// Since when they differ.
    behind: Option<Instant>,
    /// Partitions with dead letters.
    parked: HashSet<String>,
    left_out: LeftOut,
    /// The store let no commit past this when it was last tried.
    held: Option<u64>,
    /// `None` while a blocking thread folds.
    working: Option<Rows>,
    gauges: Gauges,
    retries_seen: Instant,
}

impl Session {
    pub async fn open(
        projector: &Projector,
        projection: Arc<dyn Projection>,
        progress: Arc<Progress>,
        lease: Lease,
    ) -> Result<Self, Halt> {
        // Going on would leave out what the log records up to there.
        let head = projector.log.head().await?.position;
        if lease.position > head {
            return Err(Halt::Ahead { position: lease.position, head });
        }
        let parked = projector.rows.parked_partitions(&lease.generation).await?;
        let fetch = StoreFetch {
            rows: projector.rows.clone(),
            generation: lease.generation.clone(),
            runtime: Handle::current(),
        };
        progress.moved(lease.position);
        Ok(Self {
            log: projector.log.clone(),
            rows: projector.rows.clone(),
            filter: ReadFilter::types(projection.event_types().iter().copied()),
            gauges: Gauges::new(projection.name(), lease.generation.number, progress.clone(), lease.position),
            left_out: LeftOut::read(&*projector.log, &lease.generation).await?,
            held: None,
            position: lease.position,
            stored: lease.position,
            behind: None,
            parked: parked.into_iter().map(|(partition, _)| partition).collect(),
            working: Some(Rows::new(Box::new(fetch), projector.options.memory)),
            options: projector.options.clone(),
            projection,
            progress,
            lease,
            retries_seen: Instant::now(),
        })
    }

    pub async fn follow(&mut self, cancel: &CancellationToken) -> Result<(), Halt> {
        self.retry_requested(cancel).await?;
        let mut ahead: Option<Page> = None;
        while !cancel.is_cancelled() {
            match self.step(ahead.take(), cancel).await {
                Ok(next) => ahead = next,
                Err(Halt::Rows(RowsError::Held { position })) => self.stay_behind(position),
                Err(error) => {
                    // What was passed before it is passed.
                    if matches!(error, Halt::Log(_) | Halt::Fold(_))
                        && let Err(unstored) = self.store_checkpoint().await
                    {
                        tracing::debug!(%unstored, "the checkpoint stays where it is");
                    }
                    return Err(error);
                }
            }
        }
        match self.store_checkpoint().await {
            Err(Halt::Rows(RowsError::Held { .. })) => Ok(()),
            stored => stored,
        }
    }

    /// One page of the log. Returns the next one if it has been read already.
    async fn step(&mut self, ahead: Option<Page>, cancel: &CancellationToken) -> Result<Option<Page>, Halt> {
        if self.gauges.due() {
            let head = self.log.head().await?.position;
            self.gauges.measure(self.stored, head);
            self.left_out.refresh(&*self.log).await?;
        }
        if !self.parked.is_empty() && self.retries_seen.elapsed() >= WAIT {
            self.retry_requested(cancel).await?;
        }
        if let Some(held) = self.held.take() {
            if held <= self.position {
                sleep(HELD, cancel).await;
            } else {
                let mut page = self.page().await?;
                page.events.retain(|e| e.position <= held);
                page.through = page.through.min(held);
                self.batch(page).await?;
                self.store_checkpoint().await?;
            }
            return Ok(None);
        }
        let page = match ahead {
            Some(page) => page,
            None => self.page().await?,
        };
        if page.through == self.position {
            self.wait(cancel).await?;
        } else if page.events.len() >= self.options.batch {
            return self.batch_and_read_on(page).await.map(Some);
        } else {
            self.batch(page).await?;
            sleep(self.options.linger, cancel).await;
            // Only if there is news the log is worth asking.
            self.wait(cancel).await?;
        }
        Ok(None)
    }

    /// The store keeps the generation at this position for somebody who
    /// compares it; what was folded past it is forgotten.
    fn stay_behind(&mut self, position: u64) {
        self.held = Some(position);
        (self.position, self.behind) = (self.stored, None);
        if let Some(rows) = &mut self.working {
            rows.discard();
        }
    }

    async fn wait(&mut self, cancel: &CancellationToken) -> Result<(), Halt> {
        let pause = self.behind.map_or(WAIT, |since| UNSTORED.saturating_sub(since.elapsed()));
        let news = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            news = tokio::time::timeout(pause, self.log.changed(self.position)) => news,
        };
        match news {
            Ok(news) => Ok(news.map(drop)?),
            // No news is no failure.
            Err(_) => self.store_checkpoint().await,
        }
    }

    /// Reads the next page while this one is folded and committed.
    async fn batch_and_read_on(&mut self, page: Page) -> Result<Page, Halt> {
        let (log, filter) = (self.log.clone(), self.filter.clone());
        let (through, limit) = (page.through, self.options.batch);
        let next = async { log.read(through, limit, &filter).await };
        let (done, next) = tokio::join!(self.batch(page), next);
        done?;
        // A batch with many failures ends early; then the page is not the next.
        if self.position == through { Ok(next?) } else { Ok(self.page().await?) }
    }

    async fn page(&mut self) -> Result<Page, Halt> {
        Ok(self.log.read(self.position, self.options.batch, &self.filter).await?)
    }

    async fn batch(&mut self, mut page: Page) -> Result<(), Halt> {
        let (projection, parked) = (self.projection.clone(), self.parked.clone());
        let count = page.events.len();
        if !self.left_out.is_empty() {
            page.events.retain(|e| !self.left_out.contains(e.position));
        }
        if page.events.is_empty() {
            return self.pass(page.through).await;
        }
        let folded = self
            .blocking(move |rows| fold(projection.as_ref(), rows, &parked, &page.events, page.through))
            .await?;
        let Folded { changes, parked, through } = folded;
        let partitions: Vec<String> = parked.iter().map(|l| l.partition.clone()).collect();
        for letter in parked.iter().filter(|l| l.error.is_some()) {
            tracing::error!(
                projection = self.projection.name(),
                position = letter.position,
                partition = letter.partition,
                error = letter.error,
                "event failed; its partition waits"
            );
        }
        self.gauges.batch(count, parked.len());
        self.commit(through, changes, parked, Vec::new()).await?;
        self.parked.extend(partitions);
        Ok(())
    }

    /// Nothing up to there changes a row.
    async fn pass(&mut self, through: u64) -> Result<(), Halt> {
        self.position = through;
        let since = *self.behind.get_or_insert_with(Instant::now);
        if since.elapsed() >= UNSTORED { self.store_checkpoint().await } else { Ok(()) }
    }

    async fn store_checkpoint(&mut self) -> Result<(), Halt> {
        match self.stored < self.position {
            true => self.commit(self.position, Vec::new(), Vec::new(), Vec::new()).await,
            false => Ok(()),
        }
    }

    async fn commit(
        &mut self,
        to: u64,
        changes: Vec<TableChanges>,
        parked: Vec<DeadLetter>,
        unparked: Vec<u64>,
    ) -> Result<(), Halt> {
        let lease = self.lease.clone();
        let commit = Commit { lease, from: self.stored, to, changes, parked, unparked };
        self.rows.commit(commit).await?;
        if let Some(rows) = &mut self.working {
            rows.committed();
        }
        (self.position, self.stored, self.behind) = (to, to, None);
        self.progress.moved(to);
        Ok(())
    }

    /// Applies the sequences that somebody asked to be tried again.
    async fn retry_requested(&mut self, cancel: &CancellationToken) -> Result<(), Halt> {
        self.retries_seen = Instant::now();
        self.left_out.refresh(&*self.log).await?;
        let partitions = self.rows.parked_partitions(&self.lease.generation).await?;
        for (partition, _) in partitions.iter().filter(|(_, requested)| *requested) {
            while !cancel.is_cancelled() && self.retry(partition).await? {}
        }
        Ok(())
    }

    /// Applies the partition's next dead letters in order. True if there may be
    /// more to apply.
    async fn retry(&mut self, partition: &str) -> Result<bool, Halt> {
        let sequence = self.rows.parked_sequence(&self.lease.generation, partition, RETRY_CHUNK).await?;
        if sequence.is_empty() {
            self.parked.remove(partition);
            return Ok(false);
        }
        let (gone, sequence): (Vec<_>, Vec<_>) =
            sequence.into_iter().partition(|p| self.left_out.contains(p.letter.position));
        let events = self.parked_events(&sequence).await?;
        let projection = self.projection.clone();
        let (applied, changes, error) =
            self.blocking(move |rows| refold(projection.as_ref(), rows, &events)).await?;
        let done = gone.iter().chain(&sequence[..applied]);
        let unparked = done.map(|p| p.letter.position).collect();
        let failed = error.is_some();
        let parked = match sequence.into_iter().nth(applied) {
            Some(next) if failed => vec![DeadLetter { error, ..next.letter }],
            _ => Vec::new(),
        };
        // A generation that is held may be retried, where it is.
        self.commit(self.stored, changes, parked, unparked).await?;
        Ok(!failed)
    }

    async fn parked_events(&mut self, sequence: &[ParkedEvent]) -> Result<Vec<RecordedEvent>, Halt> {
        let mut events = Vec::with_capacity(sequence.len());
        for parked in sequence {
            let position = parked.letter.position;
            let page = self.log.read(position - 1, 1, &ReadFilter::default()).await?;
            let event = page.events.into_iter().find(|e| e.position == position);
            events.push(event.ok_or_else(|| Halt::Fold(format!("position {position} is not in the log")))?);
        }
        Ok(events)
    }

    /// Runs on a blocking thread, where rows may be fetched synchronously.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Rows) -> Result<T, RowsError> + Send + 'static,
    ) -> Result<T, Halt> {
        let mut rows = self.working.take().ok_or_else(|| Halt::Fold("an earlier fold did not end".into()))?;
        let folding = tokio::task::spawn_blocking(move || {
            let done = work(&mut rows);
            (rows, done)
        });
        let (rows, done) = folding.await.map_err(|e| Halt::Fold(e.to_string()))?;
        self.working = Some(rows);
        Ok(done?)
    }
}

struct StoreFetch {
    rows: Arc<dyn RowStore>,
    generation: GenerationId,
    runtime: Handle,
}

impl Fetch for StoreFetch {
    fn fetch(&self, table: &str, keys: &[RowKey]) -> Result<Vec<Option<String>>, RowsError> {
        self.runtime.block_on(self.rows.fetch_many(&self.generation, table, keys))
    }
}

async fn sleep(time: Duration, cancel: &CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
