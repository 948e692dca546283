//! The writer thread: takes what waits, plans it, writes it, has it answered.
//!
//! **Why positions stay dense when several processes append.** A plan is made
//! for one state of the log, named by its newest event (`base`). The write
//! goes through only if that event is still there and nobody has taken the
//! next position, so whatever was read or remembered to make the plan was the
//! newest state. Otherwise nothing is written, everything remembered is
//! dropped, and the batch is planned again under a lock that every writer
//! takes; that one cannot lose, so a batch is planned twice at most. The tree
//! that the plan was made for is part of that state, and moved with the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::StreamId;
use domain::ports::log::{Append, AppendError, ExpectedVersion};
use hashlink::LruCache;
use tokio::sync::mpsc;

use crate::LogOptions;
use crate::answers::{Told, reply};
use crate::backend::{Backend, Guesses, KEYS_AT_ONCE, StoreError, Want, WriteError};
use crate::plan::{Known, Mark, Plan, plan};
use crate::queue::{Job, Limits, Queue, Taken};
use crate::tip::Tip;
use crate::tree::grow;

/// Batches planned under the lock after somebody else was seen to append.
const CAREFUL_BATCHES: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the thread waits for work before it looks after old keys.
const IDLE: Duration = Duration::from_secs(1);
const KEYS_EVERY: Duration = Duration::from_secs(600);
/// The same while there are more of them than are removed at once.
const MORE_KEYS_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Writer<B> {
    backend: B,
    options: LogOptions,
    queue: Arc<Queue>,
    tip: Arc<Tip>,
    answers: mpsc::Sender<Told>,
    /// Newest versions of streams as of `base`.
    versions: LruCache<StreamId, u64>,
    base: Option<Mark>,
    careful: u32,
    outage: Option<Outage>,
    keys_due: Instant,
}

/// The database has not answered since.
struct Outage {
    reason: String,
    pause: Duration,
    retry_at: Instant,
}

impl<B: Backend> Writer<B> {
    pub fn new(
        backend: B,
        options: LogOptions,
        queue: Arc<Queue>,
        tip: Arc<Tip>,
        answers: mpsc::Sender<Told>,
    ) -> Self {
        let versions = LruCache::new(options.cached_streams);
        let (base, careful, outage, keys_due) = (None, 0, None, Instant::now());
        Self { backend, options, queue, tip, answers, versions, base, careful, outage, keys_due }
    }

    /// Serves until the queue is closed and drained.
    pub fn run(mut self) {
        let batch = Limits { appends: self.options.batch_appends, bytes: self.options.batch_bytes };
        loop {
            match self.queue.take(batch, IDLE) {
                Taken::Jobs(jobs) => self.serve(jobs),
                Taken::Idle => {}
                Taken::Closed => return,
            }
            self.forget_old_keys();
        }
    }

    fn serve(&mut self, jobs: Vec<Job>) {
        let batch: Vec<&Append> = jobs.iter().flat_map(|job| &job.appends).collect();
        metrics::histogram!("daybook_log_batch_appends").record(batch.len() as f64);
        match self.commit(&batch) {
            Ok(plan) => {
                self.remember(&plan);
                let plan = Box::new(plan.without_keys());
                self.tell(Told::Committed(jobs, plan));
            }
            Err(error) => {
                let outcomes = batch.iter().map(|_| Err(error.clone())).collect();
                reply(jobs, outcomes);
            }
        }
    }

    /// Nobody can be answered any more if this fails; the callers learn that
    /// by their jobs being dropped.
    fn tell(&self, news: Told) {
        if self.answers.blocking_send(news).is_err() {
            self.queue.close();
        }
    }

    /// Tries until the batch is in or the patience is used up.
    fn commit<'a>(&mut self, batch: &[&'a Append]) -> Result<Plan<'a>, AppendError> {
        let start = Instant::now();
        let give_up = match &self.outage {
            Some(outage) if start < outage.retry_at => return Err(unavailable(&outage.reason, false)),
            Some(_) => start,
            None => start + self.options.patience,
        };
        let mut in_doubt = Vec::new();
        loop {
            match self.attempt(batch, &mut in_doubt) {
                Ok(plan) => {
                    self.outage = None;
                    return Ok(plan);
                }
                Err(WriteError::Lost) => {
                    metrics::counter!("daybook_log_lost_races_total").increment(1);
                    self.forget();
                    self.careful = CAREFUL_BATCHES;
                }
                Err(WriteError::Failed { reason, .. }) => {
                    if !self.pause(&reason, give_up) {
                        return Err(unavailable(&reason, !in_doubt.is_empty()));
                    }
                }
            }
        }
    }

    /// Waits before the next attempt; false if there is no time for it.
    fn pause(&mut self, reason: &str, give_up: Instant) -> bool {
        tracing::warn!(reason, "the log's database failed");
        self.backend.disconnect();
        self.forget();
        let pause = self.outage.as_ref().map_or(FIRST_PAUSE, |o| (o.pause * 2).min(LONGEST_PAUSE));
        let retry_at = Instant::now() + pause;
        self.outage = Some(Outage { reason: reason.to_owned(), pause, retry_at });
        if retry_at > give_up {
            return false;
        }
        std::thread::sleep(pause);
        true
    }

    /// Plans and writes once. A plan that may or may not have been written
    /// goes to `in_doubt`. While there is one, the batch is planned under the
    /// lock: then either that plan is found in the log, or it never gets there,
    /// because what is written now takes its position.
    fn attempt<'a>(
        &mut self,
        batch: &[&'a Append],
        in_doubt: &mut Vec<Plan<'a>>,
    ) -> Result<Plan<'a>, WriteError> {
        let mut locked = B::LOCK_IS_FREE || self.careful > 0 || !in_doubt.is_empty();
        loop {
            let base = self.base(locked)?;
            if let Some(index) = self.find_written(in_doubt)? {
                self.backend.unlock()?;
                // The cache and the tail start afresh after it.
                self.forget();
                return Ok(in_doubt.swap_remove(index));
            }
            let (known, guesses) = self.known(batch, locked)?;
            let mut plan = plan(batch, known, base, self.options.clock.now());
            if self.options.grows_tree() {
                plan.nodes = grow(&mut plan.frontier, &plan.events);
            }
            if !locked && plan.needs_lock(batch) {
                locked = true;
                continue;
            }
            if !plan.writes() {
                if locked {
                    self.backend.unlock()?;
                }
                return Ok(plan);
            }
            return match self.backend.write(&plan, &guesses) {
                Ok(()) => Ok(plan),
                Err(WriteError::Lost) if locked => {
                    let reason = "the log changed under the writer's lock".to_owned();
                    Err(WriteError::Failed { reason, unknown: false })
                }
                Err(WriteError::Failed { reason, unknown: true }) => {
                    in_doubt.push(plan);
                    Err(WriteError::Failed { reason, unknown: true })
                }
                Err(error) => Err(error),
            };
        }
    }

    /// The newest event, remembered or read again.
    fn base(&mut self, locked: bool) -> Result<Mark, StoreError> {
        let head = match self.base {
            _ if locked => self.backend.lock()?,
            Some(ref base) => return Ok(base.clone()),
            None => self.backend.head()?,
        };
        if self.base.as_ref() == Some(&head) {
            self.careful = self.careful.saturating_sub(1);
        } else {
            if self.base.is_some() {
                self.careful = CAREFUL_BATCHES;
            }
            self.forget();
            self.tip.raise(head.position);
            self.base = Some(head.clone());
        }
        Ok(head)
    }

    fn find_written(&mut self, in_doubt: &[Plan<'_>]) -> Result<Option<usize>, StoreError> {
        for (index, plan) in in_doubt.iter().enumerate() {
            let Some(last) = plan.events.last() else { continue };
            if self.backend.leaf_at(last.position)? == Some(last.leaf) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// What the batch needs to know: remembered, guessed or looked up. Without
    /// the lock a caller's exact expectation is taken for the truth and a key
    /// for new, which the write checks; that saves the round trip.
    fn known<'a>(
        &mut self,
        batch: &[&'a Append],
        locked: bool,
    ) -> Result<(Known<'a>, Guesses<'a>), StoreError> {
        let (mut known, mut want, mut guesses) = (Known::default(), Want::default(), Vec::new());
        let mut unknown = std::collections::HashMap::<&StreamId, Option<u64>>::new();
        for append in batch {
            for write in &append.writes {
                if let Some(version) = self.versions.get(&write.stream) {
                    known.versions.insert(&write.stream, *version);
                    continue;
                }
                // Later expectations build on the first one, so that one counts.
                let guess = match write.expected {
                    ExpectedVersion::NoStream if !locked => Some(0),
                    ExpectedVersion::Exact(version) if !locked => Some(version),
                    _ => None,
                };
                unknown.entry(&write.stream).or_insert(guess);
            }
            if let Some(idempotency) = &append.idempotency
                && locked
            {
                want.keys.push((&idempotency.tenant, &idempotency.key));
            }
        }
        for (stream, guess) in unknown {
            match guess {
                Some(version) => {
                    known.versions.insert(stream, version);
                    guesses.push((stream, version));
                }
                None => want.streams.push(stream),
            }
        }
        if !want.is_empty() {
            self.backend.lookup(&want, &mut known)?;
            for stream in want.streams {
                let version = known.versions.get(stream).copied().unwrap_or(0);
                self.versions.insert(stream.clone(), version);
            }
        }
        Ok((known, guesses))
    }

    /// The plan is in the log.
    fn remember(&mut self, plan: &Plan<'_>) {
        if let Some(end) = plan.end() {
            self.base = Some(end);
            for event in &plan.events {
                self.versions.insert(event.stream.clone(), event.version);
            }
        }
    }

    fn forget(&mut self) {
        self.base = None;
        self.versions.clear();
        self.tell(Told::Forget);
    }

    fn forget_old_keys(&mut self) {
        let now = Instant::now();
        if now < self.keys_due || self.outage.is_some() {
            return;
        }
        self.keys_due = now + KEYS_EVERY;
        let keep = i64::try_from(self.options.keep_keys.as_micros()).unwrap_or(i64::MAX);
        let before = self.options.clock.now().as_microsecond().saturating_sub(keep);
        match self.backend.forget_keys(before) {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "forgot old idempotency keys");
                if count >= KEYS_AT_ONCE {
                    self.keys_due = now + MORE_KEYS_EVERY;
                }
            }
            Err(error) => {
                let reason = error.reason();
                tracing::warn!(reason, "old idempotency keys could not be removed");
                self.backend.disconnect();
                self.forget();
            }
        }
    }
}

/// Serving has ended. After a panic nobody must wait for an outcome any more.
impl<B> Drop for Writer<B> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

fn unavailable(reason: &str, unknown: bool) -> AppendError {
    AppendError::Unavailable { reason: reason.to_owned(), unknown }
}
