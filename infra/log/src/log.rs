//! The port over a database: queue and writer thread for appends, the tip in
//! memory and the database's readers for everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply, wants_trimmable,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::LogOptions;
use crate::answers::{Answers, BATCHES};
use crate::asked::AskedHead;
use crate::backend::Backend;
use crate::keeping::{Keeps, stream_is_whole};
use crate::plan::Mark;
use crate::queue::{Job, Limits, Queue, Refused};
use crate::tip::Tip;
use crate::tree::Trees;
use crate::validate::check;
use crate::writer::Writer;

/// Payload bytes after which a page ends, however many events were asked for.
pub(crate) const PAGE_BYTES: usize = 16 << 20;
/// Before the head is looked up again where it had moved.
const AFTER_NEWS: Duration = Duration::from_millis(10);
/// Positions that one filtered read looks through at most.
const FILTER_WINDOW: u64 = 100_000;

/// What a database's reading side offers.
#[async_trait]
pub trait Reads: Keeps + Trees {
    /// Matching events of positions `after + 1..=upto`, at most `limit` of
    /// them and about [`PAGE_BYTES`].
    async fn events(
        &self,
        after: u64,
        upto: u64,
        limit: usize,
        filter: &ReadFilter,
    ) -> Result<Found, LogError>;
    /// At most `limit` versions from this one on, and about [`PAGE_BYTES`].
    async fn stream(&self, stream: &StreamId, from_version: u64, limit: usize) -> Result<Found, LogError>;
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError>;
    async fn reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError>;
    async fn head(&self) -> Result<Head, LogError>;
}

/// Events in position order. Not complete if they stop before `upto` because
/// there are many or they are large.
#[derive(Default)]
pub struct Found {
    pub events: Vec<RecordedEvent>,
    pub complete: bool,
}

/// [`crate::SqliteLog`] and [`crate::PostgresLog`].
pub struct DatabaseLog<R> {
    pub(crate) reads: Arc<R>,
    tip: Arc<Tip>,
    asked: AskedHead,
    queue: Arc<Queue>,
    batch: Limits,
    writer: std::sync::Mutex<Option<(JoinHandle<()>, tokio::task::JoinHandle<()>)>>,
    waker: Waker,
    _poller: AbortOnDropHandle<()>,
}

/// For who hears of new events from elsewhere.
#[derive(Clone)]
pub struct Waker {
    tip: Arc<Tip>,
    poll_ms: Arc<AtomicU64>,
}

impl Waker {
    /// Somebody has seen the log reach this position.
    pub fn reached(&self, position: u64) {
        self.tip.raise(position);
    }

    /// How often the head is looked up while somebody waits for it to move.
    pub fn poll_every(&self, pause: Duration) {
        self.poll_ms.store(pause.as_millis() as u64, Ordering::Relaxed);
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(self.poll_ms.load(Ordering::Relaxed))
    }
}

impl<R: Reads> DatabaseLog<R> {
    pub(crate) fn start<B>(reads: R, backend: B, head: Mark, options: LogOptions) -> Result<Self, LogError>
    where
        B: Backend + Send + 'static,
    {
        let reads = Arc::new(reads);
        let tip = Arc::new(Tip::new(options.tail_events, options.tail_bytes));
        tip.raise(head.position);
        let queue =
            Arc::new(Queue::new(Limits { appends: options.queue_appends, bytes: options.queue_bytes }));
        let batch = Limits { appends: options.batch_appends.max(1), bytes: options.batch_bytes };
        let poll = options.poll;
        let (tell, told) = mpsc::channel(BATCHES);
        let answers = tokio::spawn(Answers { tip: tip.clone(), reads: reads.clone() }.run(told));
        let writer = Writer::new(backend, options, queue.clone(), tip.clone(), tell);
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| LogError::Unavailable(e.to_string()))?;
        let poll_ms = Arc::new(AtomicU64::new(poll.as_millis() as u64));
        let waker = Waker { tip: tip.clone(), poll_ms };
        let poller = {
            let (waker, tip, reads) = (waker.clone(), tip.clone(), reads.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                let mut news = false;
                loop {
                    tip.someone_waits().await;
                    // Where others append, more follows as a rule.
                    let pause = if news { waker.pause().min(AFTER_NEWS) } else { waker.pause() };
                    tokio::time::sleep(pause).await;
                    metrics::counter!("daybook_log_polls_total").increment(1);
                    // Waiting goes on while the database is away.
                    let Ok(head) = reads.head().await else { continue };
                    news = head.position > tip.position();
                    tip.raise(head.position);
                }
            }))
        };
        let writer = std::sync::Mutex::new(Some((writer, answers)));
        let asked = AskedHead::new();
        Ok(Self { reads, tip, asked, queue, batch, writer, waker, _poller: poller })
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Refuses further appends and waits until those that wait are written.
    pub async fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        if let Some((writer, answers)) = writer {
            // One panicked if this fails; its callers have been told already.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
            let _ = answers.await;
        }
    }

    /// Queues appends that are within the limits and waits for their outcomes.
    async fn enqueue(&self, appends: Vec<Append>, bytes: usize) -> Vec<Result<Receipt, AppendError>> {
        let count = appends.len();
        let all = |error: AppendError| vec![Err(error); count];
        let closed = |unknown| AppendError::Unavailable { reason: "the log is closed".to_owned(), unknown };
        let (reply, answer) = oneshot::channel();
        match self.queue.push(Job { appends, bytes, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| all(closed(true))),
            Err(Refused::Full) => {
                metrics::counter!("daybook_log_queue_full_total").increment(count as u64);
                all(AppendError::QueueFull)
            }
            Err(Refused::Closed) => all(closed(false)),
        }
    }

    /// Where a read may go up to: a position known to exist, or `after`.
    async fn reachable(&self, after: u64) -> Result<u64, LogError> {
        let known = self.tip.position();
        if known > after {
            return Ok(known);
        }
        let ask = async { self.reads.head().await.map(|head| head.position) };
        let head = self.asked.head(ask).await?;
        self.tip.raise(head);
        Ok(head)
    }

    /// Without a filter every position must be there.
    async fn check_dense(&self, after: u64, upto: u64, found: &Found) -> Result<u64, LogError> {
        let missing = |position| LogError::Damaged { position, reason: "it is missing".to_owned() };
        let mut through = after;
        for event in &found.events {
            if event.position != through + 1 {
                return Err(missing(through + 1));
            }
            through = event.position;
        }
        // A head that was known and is gone: a standby took over that lacked
        // the end of the log. What is there is all there is.
        if found.complete && through < upto && self.reads.head().await?.position > through {
            return Err(missing(through + 1));
        }
        Ok(through)
    }
}

impl<R> Drop for DatabaseLog<R> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[async_trait]
impl<R: Reads> EventLog for DatabaseLog<R> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        let start = Instant::now();
        let mut outcomes: Vec<Option<Result<Receipt, AppendError>>> = Vec::with_capacity(batch.len());
        let mut slots = Vec::with_capacity(batch.len());
        let (mut part, mut bytes) = (Vec::with_capacity(batch.len()), 0);
        for (slot, append) in batch.into_iter().enumerate() {
            match check(&append) {
                Ok(weight) => {
                    outcomes.push(None);
                    slots.push(slot);
                    part.push(append);
                    bytes += weight;
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
            if part.len() >= self.batch.appends || bytes >= self.batch.bytes {
                let done = self.enqueue(std::mem::take(&mut part), std::mem::take(&mut bytes)).await;
                fill(&mut outcomes, &mut slots, done);
            }
        }
        if !part.is_empty() {
            let done = self.enqueue(part, bytes).await;
            fill(&mut outcomes, &mut slots, done);
        }
        metrics::histogram!("daybook_log_append_seconds").record(start.elapsed().as_secs_f64());
        let lost = || Err(AppendError::Unavailable { reason: "no outcome".to_owned(), unknown: true });
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect()
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        let nothing = Page { events: Vec::new(), through: after };
        if limit == 0 {
            return Ok(nothing);
        }
        if let Some(page) = self.tip.read(after, limit, PAGE_BYTES, filter) {
            return Ok(page);
        }
        let reachable = self.reachable(after).await?;
        if reachable <= after {
            return Ok(nothing);
        }
        let everything = *filter == ReadFilter::default();
        let window = if everything { limit as u64 } else { FILTER_WINDOW.max(limit as u64) };
        let upto = reachable.min(after.saturating_add(window));
        let found = self.reads.events(after, upto, limit, filter).await?;
        // Asked afterwards: a trim marks what it drops before it does.
        if wants_trimmable(filter) {
            let trimmed = self.reads.trimmed().await?;
            if after < trimmed {
                return Err(LogError::Trimmed { upto: trimmed });
            }
        }
        let through = if everything {
            self.check_dense(after, upto, &found).await?
        } else if found.complete {
            upto
        } else {
            found.events.last().map_or(after, |e| e.position)
        };
        Ok(Page { events: found.events, through })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        loop {
            let next = events.last().map_or(from_version, |e| e.version + 1);
            let found = self.reads.stream(stream, next, limit - events.len()).await?;
            if !stream_is_whole(&found.events, next) {
                return Err(LogError::Trimmed { upto: self.reads.trimmed().await? });
            }
            events.extend(found.events);
            if found.complete || events.len() >= limit {
                return Ok(events);
            }
        }
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        self.reads.last(stream).await
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        self.reads.reply(tenant, key).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.reads.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.tip.changed(after).await
    }
}

fn fill(
    outcomes: &mut [Option<Result<Receipt, AppendError>>],
    slots: &mut Vec<usize>,
    done: Vec<Result<Receipt, AppendError>>,
) {
    for (slot, outcome) in slots.drain(..).zip(done) {
        outcomes[slot] = Some(outcome);
    }
}
