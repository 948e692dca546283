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
use super::{Halt, Options, Projector};
use crate::board::Progress;
use crate::projection::Projection;
use crate::working_set::{Fetch, Rows};

/// How long to wait for news before looking at what else there is to do.
const WAIT: Duration = Duration::from_secs(1);
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
    position: u64,
    /// Partitions with dead letters.
    parked: HashSet<String>,
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
            gauges: Gauges::new(projection.name(), progress.clone(), lease.position),
            position: lease.position,
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
            let page = match ahead.take() {
                Some(page) => page,
                None => self.log.read(self.position, self.options.batch, &self.filter).await?,
            };
            if self.gauges.due() {
                let head = self.log.head().await?.position;
                self.gauges.measure(self.position, head);
            }
            if !self.parked.is_empty() && self.retries_seen.elapsed() >= WAIT {
                self.retry_requested(cancel).await?;
            }
            if page.through == self.position {
                self.wait(cancel).await?;
            } else if page.events.len() >= self.options.batch {
                ahead = Some(self.batch_and_read_on(page).await?);
            } else {
                self.batch(page).await?;
                self.linger(cancel).await;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, cancel: &CancellationToken) -> Result<(), Halt> {
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            // No news is no failure.
            news = tokio::time::timeout(WAIT, self.log.changed(self.position)) => match news {
                Ok(Err(error)) => Err(error.into()),
                _ => Ok(()),
            },
        }
    }

    async fn linger(&mut self, cancel: &CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(self.options.linger) => {}
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

    async fn batch(&mut self, page: Page) -> Result<(), Halt> {
        let (projection, parked) = (self.projection.clone(), self.parked.clone());
        let count = page.events.len();
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

    async fn commit(
        &mut self,
        to: u64,
        changes: Vec<TableChanges>,
        parked: Vec<DeadLetter>,
        unparked: Vec<u64>,
    ) -> Result<(), Halt> {
        let lease = self.lease.clone();
        let commit = Commit { lease, from: self.position, to, changes, parked, unparked };
        self.rows.commit(commit).await?;
        if let Some(rows) = &mut self.working {
            rows.committed();
        }
        self.position = to;
        self.progress.moved(to);
        Ok(())
    }

    /// Applies the sequences that somebody asked to be tried again.
    async fn retry_requested(&mut self, cancel: &CancellationToken) -> Result<(), Halt> {
        self.retries_seen = Instant::now();
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
        let events = self.parked_events(&sequence).await?;
        let projection = self.projection.clone();
        let (applied, changes, error) =
            self.blocking(move |rows| refold(projection.as_ref(), rows, &events)).await?;
        let unparked = sequence[..applied].iter().map(|p| p.letter.position).collect();
        let failed = error.is_some();
        let parked = match sequence.into_iter().nth(applied) {
            Some(next) if failed => vec![DeadLetter { error, ..next.letter }],
            _ => Vec::new(),
        };
        self.commit(self.position, changes, parked, unparked).await?;
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
