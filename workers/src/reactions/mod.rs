//! Follows signals and rules and records what matches, and what is unusual in
//! the series that rules watch (role `reactor`).
//!
//! Each match is a stream that must not exist yet, and each change of a window
//! has a stream and a version that follow from the log, so looking at a signal a
//! second time, or in two processes, records nothing twice. How far the signals
//! were looked at is a fact now and then; what lies between that and the end is
//! looked at again after a restart.
//!
//! What is known of rules and series is kept in a file now and then ([`Shelf`])
//! and gone on with after a restart. Without the file it is folded again, from
//! where the oldest of the rules in force that watch something began.
//!
//! Where a rule asks for it, the reactor records that time has passed
//! ([`Reactor::tick`]): the only thing that it reads a clock for. What follows
//! from that fact follows from the log.

mod append;
mod engine;
mod known;
mod rebuild;
mod shelf;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod tests;
mod watching;
#[cfg(test)]
mod windows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::registry::{self, DecodeError};
use domain::rule_match::{ADVANCED, Advanced, CURSOR_KIND, TICKED, TICKS_ID, Ticked};
use domain::{RecordedEvent, StreamId, TenantId, rule};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use engine::{Engine, Found, Tick};
pub use shelf::Shelf;
use shelf::{Mark, Stored};
pub use watching::Finding;

const PAGE: usize = 1_000;
/// Events looked at before that is written down.
const CURSOR_EVERY: u64 = 10_000;
/// While there is news, what is due is looked at this often.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// Nothing is due.
const IDLE: Duration = Duration::from_secs(60);
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ReactError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
}

/// What a reactor works with.
#[derive(Clone)]
pub struct Parts {
    pub log: Arc<dyn EventLog>,
    pub ids: Arc<dyn Ids>,
    pub clock: Arc<dyn Clock>,
    /// Without it every start begins with history.
    pub shelf: Option<Shelf>,
}

pub struct Reactor {
    parts: Parts,
    engine: Engine,
    /// Everything up to here was looked at.
    position: u64,
    /// What is found up to here was recorded before.
    recorded: u64,
    /// What was last written down of that.
    kept: u64,
    looked_at: u64,
    /// When it was last looked at which ticks are due.
    ticked: Option<Instant>,
}

impl Reactor {
    /// With the rules that are in force where it goes on.
    pub async fn open(parts: Parts) -> Result<Self, ReactError> {
        let kept = match parts.log.last(&cursor()?).await? {
            Some(event) => registry::decode_payload::<Advanced>(&event)?.to,
            None => 0,
        };
        let stored = stored(&parts).await?;
        let found = stored.is_some();
        let (engine, position) = match stored {
            Some(Stored { engine, position, .. }) => (engine, position),
            None => (rebuild::engine(&*parts.log, kept).await?, kept),
        };
        tracing::info!(position, recorded = kept, found, rules = engine.rules(), "reactor: going on");
        let mut reactor = Self { parts, engine, position, recorded: kept, kept, looked_at: 0, ticked: None };
        if !found && kept > 0 {
            reactor.shelve().await;
        }
        Ok(reactor)
    }

    /// Until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = MIN_BACKOFF;
        // The engine may be past what was recorded.
        let mut stale = false;
        while !stop.is_cancelled() {
            let stepped = match stale {
                true => Self::open(self.parts.clone()).await.map(|again| {
                    (self, stale) = (again, false);
                    (true, Duration::ZERO)
                }),
                false => self.turn().await,
            };
            match stepped {
                Ok((true, _)) => backoff = MIN_BACKOFF,
                Ok((false, next)) => {
                    backoff = MIN_BACKOFF;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(next) => {}
                        changed = self.parts.log.changed(self.position) => if let Err(error) = changed {
                            tracing::warn!(%error, "reactor: the log cannot be watched");
                            tokio::time::sleep(backoff).await;
                        },
                    }
                }
                Err(error) => {
                    metrics::counter!("daybook_reactor_failures_total").increment(1);
                    tracing::warn!(%error, "reactor: signals were not looked at");
                    stale = true;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(backoff) => {}
                    }
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        // What is known may be past what was recorded.
        if stale {
            return;
        }
        if let Err(error) = self.keep().await {
            tracing::debug!(%error, "reactor: its place was not written down");
        }
        self.shelve().await;
    }

    /// One page, and the ticks that are due where there was nothing new, or now
    /// and then: a tick stands behind all that was recorded before it, looked at
    /// or not. Whether there was news, and else how long until the next tick.
    async fn turn(&mut self) -> Result<(bool, Duration), ReactError> {
        let news = self.step().await?;
        if news && self.ticked.is_some_and(|at| at.elapsed() < TICK_EVERY) {
            return Ok((news, Duration::ZERO));
        }
        self.ticked = Some(Instant::now());
        Ok((news, self.tick().await?))
    }

    /// Looks at one page. False if there was nothing new.
    pub async fn step(&mut self) -> Result<bool, ReactError> {
        let types = self.engine.types();
        let mut page = rebuild::page(&*self.parts.log, self.position, &types).await?;
        if page.through <= self.position {
            return Ok(false);
        }
        let mut appends = Vec::new();
        for event in &page.events {
            let found = feed(&mut self.engine, event);
            self.looked_at += 1;
            if event.position > self.recorded {
                if !found.matches.is_empty() {
                    appends.push(append::matches(&*self.parts.ids, event, &found.matches)?);
                }
                append::windows(&*self.parts.ids, event, &found.windows, &mut appends)?;
            }
            // A rule may want to see more than this page was read for.
            if &*event.stream.kind == rule::KIND && self.engine.types() != types {
                page.through = event.position;
                break;
            }
        }
        self.record(appends).await?;
        self.position = page.through;
        metrics::gauge!("daybook_reactor_position").set(self.position as f64);
        if self.looked_at >= CURSOR_EVERY {
            self.keep().await?;
            if self.parts.shelf.as_ref().is_some_and(Shelf::is_due) {
                self.shelve().await;
            }
        }
        Ok(true)
    }

    /// Records the ticks that are due, and says how long there is until the next.
    pub async fn tick(&mut self) -> Result<Duration, ReactError> {
        let now = self.parts.clock.now();
        let mut next = IDLE;
        let mut appends = Vec::new();
        for tick in self.engine.ticks() {
            match Duration::try_from(tick.due.duration_since(now)).ok().filter(|wait| !wait.is_zero()) {
                Some(wait) => next = next.min(wait),
                None => appends.push(self.ticked(&tick)?),
            }
        }
        // Its own tick is news.
        self.record(appends).await?;
        Ok(next)
    }

    fn ticked(&self, tick: &Tick) -> Result<Append, ReactError> {
        let stream = StreamId::new(&tick.tenant, CURSOR_KIND, TICKS_ID)?;
        let expected = match tick.after {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(version),
        };
        Ok(self.fact(stream, expected, TICKED, &Ticked { every_seconds: tick.every_seconds }))
    }

    fn fact(
        &self,
        stream: StreamId,
        expected: ExpectedVersion,
        name: &str,
        payload: &impl Serialize,
    ) -> Append {
        let event = NewEvent {
            event_id: self.parts.ids.next(),
            event_type: name.into(),
            schema: registry::schema_of(name),
            occurred_at: None,
            // A struct of numbers always serialises.
            payload: serde_json::to_string(payload).unwrap_or_default(),
        };
        let command_id = self.parts.ids.next();
        let metadata = Metadata {
            actor: "worker:reactor".into(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let writes = vec![StreamWrite { stream, expected, events: vec![event] }];
        Append { writes, metadata, idempotency: None }
    }

    async fn record(&self, appends: Vec<Append>) -> Result<(), ReactError> {
        if appends.is_empty() {
            return Ok(());
        }
        for outcome in self.parts.log.append(appends).await {
            match outcome {
                Ok(receipt) => append::count(&receipt),
                // Was recorded before.
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes down how far the signals were looked at.
    async fn keep(&mut self) -> Result<(), ReactError> {
        if self.looked_at == 0 || self.position <= self.kept {
            return Ok(());
        }
        let append = self.fact(cursor()?, ExpectedVersion::Any, ADVANCED, &Advanced { to: self.position });
        let outcomes = self.parts.log.append(vec![append]).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(|_| ()))?;
        (self.kept, self.looked_at) = (self.position, 0);
        Ok(())
    }

    /// Keeps what is known, for the next start. Where that fails the next start
    /// takes longer.
    async fn shelve(&mut self) {
        let Some(shelf) = &mut self.parts.shelf else { return };
        let saved = match mark(&*self.parts.log, self.position).await {
            // What can't be told from what another log gave is not kept.
            Ok(None) if self.position > 0 => return,
            Ok(mark) => shelf.save(self.position, mark, &self.engine).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = saved {
            metrics::counter!("daybook_reactor_shelf_failures_total").increment(1);
            tracing::warn!(%error, path = %shelf.path().display(), "reactor: what is known was not kept");
        }
    }
}

/// The event that stands where the log was looked through to, of whatever type:
/// of two logs that were one once, it tells which. `None` where it was trimmed.
async fn mark(log: &dyn EventLog, position: u64) -> Result<Option<Mark>, LogError> {
    if position == 0 {
        return Ok(None);
    }
    match log.read(position - 1, 1, &ReadFilter::default()).await {
        Ok(page) => {
            let event = page.events.first().filter(|event| event.position == position);
            Ok(event.map(|event| Mark { position, leaf: event.leaf }))
        }
        Err(LogError::Trimmed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was kept, if it is of this log.
async fn stored(parts: &Parts) -> Result<Option<Stored>, ReactError> {
    let Some(shelf) = parts.shelf.clone() else { return Ok(None) };
    let path = shelf.path().display().to_string();
    let stored = match tokio::task::spawn_blocking(move || shelf.load()).await {
        Ok(Ok(Some(stored))) => stored,
        Ok(Ok(None)) => return Ok(None),
        Ok(Err(error)) => {
            tracing::warn!(%error, path, "reactor: what was kept is not used");
            return Ok(None);
        }
        Err(error) => {
            tracing::warn!(%error, path, "reactor: what was kept cannot be read");
            return Ok(None);
        }
    };
    if stored.position > parts.log.head().await?.position {
        tracing::warn!(path, "reactor: what was kept is ahead of the log and not used");
        return Ok(None);
    }
    let Some(mark) = stored.mark else { return Ok((stored.position == 0).then_some(stored)) };
    let page = parts.log.read(mark.position.saturating_sub(1), 1, &ReadFilter::default()).await;
    let known = match page {
        Ok(page) => page.events.first().is_some_and(|event| event.leaf == mark.leaf),
        // A tap that is not there any more says nothing against it.
        Err(LogError::Trimmed { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    if !known {
        tracing::warn!(path, "reactor: what was kept is of another log and not used");
    }
    Ok(known.then_some(stored))
}

/// An event that does not decode matches nothing and holds nobody up.
fn feed(engine: &mut Engine, event: &RecordedEvent) -> Found {
    engine.apply(event).unwrap_or_else(|error| {
        unreadable(event, &error);
        Found::default()
    })
}

fn unreadable(event: &RecordedEvent, error: &DecodeError) {
    tracing::error!(position = event.position, %error, "reactor: an event is unreadable");
}

fn cursor() -> Result<StreamId, domain::ids::InvalidId> {
    StreamId::new(&TenantId::system(), CURSOR_KIND, "rules")
}
