//! Moves the hub's journal into the log, in order and exactly once.
//!
//! One append holds a batch of taps and a `journal.drained` event that says how
//! far the journal has come, with an exact expected version. So the batch and
//! the knowledge that it went in are one fact: whatever happens in between, the
//! newest `journal.drained` says where to go on, and a batch that is tried
//! twice conflicts with itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::envelope::{Metadata, NewEvent};
use domain::journal_cursor::{DRAINED, Drained, KIND};
use domain::ports::clock::{Clock, Ids};
use domain::ports::journal::{Batch, JournalEntry, JournalError, TapJournal};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, StreamWrite};
use domain::registry::{self, DecodeError};
use domain::{StreamId, TenantId, tap};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainerConfig {
    /// Most taps in one append.
    pub batch: usize,
    /// Most taps moved in a second; 0: no limit. A burst waits in the journal,
    /// so that commands and redirects keep their pace.
    pub per_second: u32,
    /// How long taps gather before they are moved.
    pub linger: Duration,
    /// First wait after a failure; doubled up to `max_backoff`.
    pub min_backoff: Duration,
    pub max_backoff: Duration,
    /// How long draining may go on after the stop signal.
    pub stop_within: Duration,
}

impl Default for DrainerConfig {
    fn default() -> Self {
        Self {
            batch: 2_000,
            per_second: 10_000,
            linger: Duration::from_millis(20),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            stop_within: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the journal's stream does not read: {0}")]
    Cursor(#[from] DecodeError),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing was waiting.
    Idle,
    /// This many taps are in the log now.
    Moved(usize),
}

/// What the log says about the journal.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// Of the journal's stream; 0 before the first batch.
    version: u64,
    /// The next offset to move.
    next: u64,
}

pub struct Drainer {
    journal: Arc<dyn TapJournal>,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    config: DrainerConfig,
    /// `None` when in doubt: the log is asked before the next batch.
    cursor: Option<Cursor>,
    /// Smaller than the configured batch after the log refused one.
    limit: usize,
    /// When the oldest tap happened that was read and not moved.
    oldest: Option<Timestamp>,
}

/// To be called before the first tap: from then on the journal hands out no
/// offset that the log takes for drained, also if an old copy of the journal
/// has been put back.
pub async fn align(journal: &dyn TapJournal, log: &dyn EventLog) -> Result<(), DrainError> {
    let (durable, cursor) = (journal.stats().durable, find_cursor(journal, log).await?);
    if cursor.next > durable {
        tracing::warn!(
            journal = journal.id(),
            durable,
            drained = cursor.next,
            alert = true,
            "the log has taken more from this journal than it holds; is it an old copy?"
        );
    }
    Ok(())
}

async fn find_cursor(journal: &dyn TapJournal, log: &dyn EventLog) -> Result<Cursor, DrainError> {
    let cursor = match log.last(&stream(journal)?).await? {
        Some(event) => {
            let drained: Drained = registry::decode_payload(&event)?;
            Cursor { version: event.version, next: drained.to }
        }
        None => Cursor { version: 0, next: 0 },
    };
    journal.mark_drained(cursor.next).await?;
    Ok(cursor)
}

fn stream(journal: &dyn TapJournal) -> Result<StreamId, domain::ids::InvalidId> {
    StreamId::new(&TenantId::system(), KIND, journal.id())
}

impl Drainer {
    pub fn new(
        journal: Arc<dyn TapJournal>,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        config: DrainerConfig,
    ) -> Self {
        Self { journal, log, clock, ids, config, cursor: None, limit: config.batch, oldest: None }
    }

    /// Drains until `stop`, then what is left as long as it goes well.
    pub async fn run(mut self, stop: CancellationToken) {
        let limit = self.config.stop_within;
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(limit).await;
        };
        tokio::select! {
            () = self.drain(&stop) => {}
            () = overdue => tracing::warn!("drainer: stopped before the journal was empty"),
        }
    }

    async fn drain(&mut self, stop: &CancellationToken) {
        let mut backoff = self.config.min_backoff;
        while !stop.is_cancelled() {
            let started = Instant::now();
            match self.step().await {
                Ok(Step::Moved(taps)) if taps >= self.limit => {
                    backoff = self.config.min_backoff;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(self.pace(taps, started.elapsed())) => {}
                    }
                }
                Ok(_) => {
                    backoff = self.config.min_backoff;
                    let more = async {
                        let from = self.cursor.map_or(0, |c| c.next);
                        let grown = self.journal.grown(from).await;
                        tokio::time::sleep(self.config.linger).await;
                        grown
                    };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        grown = more => if let Err(error) = grown {
                            return tracing::error!(%error, "drainer: the journal is gone");
                        },
                    }
                }
                Err(error) => {
                    metrics::counter!("daybook_drainer_failures_total").increment(1);
                    tracing::warn!(%error, retry_ms = backoff.as_millis() as u64, "drainer: a batch did not go through");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(backoff) => {}
                    }
                    backoff = (backoff * 2).min(self.config.max_backoff);
                }
            }
        }
        while let Ok(Step::Moved(_)) = self.step().await {}
    }

    /// What is left of the time that this many taps may take.
    fn pace(&self, taps: usize, taken: Duration) -> Duration {
        match self.config.per_second {
            0 => Duration::ZERO,
            limit => Duration::from_secs_f64(taps as f64 / f64::from(limit)).saturating_sub(taken),
        }
    }

    /// Moves one batch. After an error nothing is taken for granted: the next
    /// step asks the log how far the journal has come.
    pub async fn step(&mut self) -> Result<Step, DrainError> {
        let done = self.move_batch().await;
        if done.is_err() {
            // What waits goes on growing while the log is away.
            self.report();
        }
        done
    }

    async fn move_batch(&mut self) -> Result<Step, DrainError> {
        let cursor = self.cursor().await?;
        let batch = self.journal.read(cursor.next, self.limit).await?;
        self.oldest = batch.entries.first().map(|(_, entry)| entry.occurred_at);
        self.report();
        if batch.next == cursor.next {
            return Ok(Step::Idle);
        }
        match self.append(cursor, &batch.entries, batch.next).await {
            Ok(()) => {
                self.limit = (self.limit * 2).min(self.config.batch);
                self.advance(cursor, &batch).await
            }
            Err(AppendError::Invalid(reason)) => self.refused(cursor, batch, reason).await,
            Err(error) => {
                self.cursor = None;
                Err(error.into())
            }
        }
    }

    async fn cursor(&mut self) -> Result<Cursor, DrainError> {
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => find_cursor(&*self.journal, &*self.log).await?,
        };
        self.cursor = Some(cursor);
        Ok(cursor)
    }

    async fn append(
        &self,
        cursor: Cursor,
        entries: &[(u64, JournalEntry)],
        to: u64,
    ) -> Result<(), AppendError> {
        let invalid = |e: domain::ids::InvalidId| AppendError::Invalid(e.to_string());
        let mut taps: BTreeMap<&TenantId, Vec<NewEvent>> = BTreeMap::new();
        for (_, entry) in entries {
            taps.entry(&entry.tenant).or_default().push(self.tap(entry));
        }
        let mut writes = Vec::with_capacity(taps.len() + 1);
        for (tenant, events) in taps {
            let stream = StreamId::new(tenant, tap::KIND, self.journal.id()).map_err(invalid)?;
            writes.push(StreamWrite { stream, expected: ExpectedVersion::Any, events });
        }
        let drained = NewEvent {
            event_id: self.ids.next(),
            event_type: Arc::from(DRAINED),
            schema: registry::schema_of(DRAINED),
            occurred_at: None,
            payload: format!(r#"{{"from":{},"to":{to}}}"#, cursor.next),
        };
        let expected = match cursor.version {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(version),
        };
        writes.push(StreamWrite {
            stream: stream(&*self.journal).map_err(invalid)?,
            expected,
            events: vec![drained],
        });
        let command_id = self.ids.next();
        let metadata = Metadata {
            actor: Arc::from("hub"),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let outcomes = self.log.append(vec![Append { writes, metadata, idempotency: None }]).await;
        let unanswered = || AppendError::Unavailable { reason: "no outcome".into(), unknown: true };
        outcomes.into_iter().next().unwrap_or_else(|| Err(unanswered())).map(|_| ())
    }

    fn tap(&self, entry: &JournalEntry) -> NewEvent {
        NewEvent {
            event_id: self.ids.next(),
            event_type: Arc::from(entry.kind.event_type()),
            schema: registry::schema_of(entry.kind.event_type()),
            occurred_at: Some(entry.occurred_at),
            payload: entry.payload.clone(),
        }
    }

    async fn advance(&mut self, cursor: Cursor, batch: &Batch) -> Result<Step, DrainError> {
        self.cursor = Some(Cursor { version: cursor.version + 1, next: batch.next });
        metrics::counter!("daybook_drainer_moved_total").increment(batch.entries.len() as u64);
        // The batch is in the log; if the journal cannot delete it now, it can
        // after a later one.
        if let Err(error) = self.journal.mark_drained(batch.next).await {
            tracing::warn!(%error, "drainer: drained segments could not be deleted");
        }
        Ok(Step::Moved(batch.entries.len()))
    }

    /// The log takes none of a batch if it refuses one of its taps: smaller
    /// batches find out which, and that one is left out loudly, so that it
    /// does not hold up all others for ever.
    async fn refused(&mut self, cursor: Cursor, batch: Batch, reason: String) -> Result<Step, DrainError> {
        let [(offset, entry)] = batch.entries.as_slice() else {
            self.limit = (batch.entries.len() / 2).max(1);
            return Err(AppendError::Invalid(reason).into());
        };
        metrics::counter!("daybook_drainer_refused_total").increment(1);
        // Not the payload: a log of a program is no place for personal data.
        tracing::error!(reason, offset, tenant = %entry.tenant, bytes = entry.payload.len(), alert = true,
            "drainer: the log refuses this tap; it is left out");
        if let Err(error) = self.append(cursor, &[], batch.next).await {
            self.cursor = None;
            return Err(error.into());
        }
        self.advance(cursor, &Batch { entries: Vec::new(), next: batch.next }).await
    }

    fn report(&self) {
        metrics::gauge!("daybook_drainer_lag_entries").set(self.journal.stats().waiting() as f64);
        let age =
            self.oldest.map_or(0.0, |oldest| self.clock.now().duration_since(oldest).as_secs_f64().max(0.0));
        metrics::gauge!("daybook_drainer_oldest_seconds").set(age);
    }
}
