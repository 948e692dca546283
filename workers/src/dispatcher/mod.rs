//! Follows the log and tells endpoints of what concerns them (role
//! `dispatcher`).
//!
//! That something is to be delivered, each attempt and how it ended are facts.
//! What is due is folded from them, so a dispatcher that was killed goes on
//! where the log ends; what it had sent and not yet recorded is sent again
//! under the same `webhook-id`. A lease keeps two dispatchers from sending at
//! once, and the expected version of each append keeps both from recording.
//! Building read models anew sends nothing, since nothing is sent from there;
//! a log that was restored says from which position on it is live.

mod book;
mod ledger;
mod message;
mod queue;
mod record;
#[cfg(test)]
mod tests;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{ADVANCED, Attempt, CURSOR_ID, CURSOR_KIND, Place, Schedule};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::ports::rows::{Lease, ModelId, RowStore, RowsError};
use domain::ports::webhooks::Sender;
use domain::registry::{self, DecodeError};
use domain::{StreamId, TenantId};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use book::Book;
pub use ledger::{CAUSES, Ledger, SETTING_TYPES, state_types};

/// Of its lease in the row store.
pub use domain::ports::rows::DISPATCHER as NAME;

const PAGE: usize = 1_000;
/// Events looked at before that is written down.
const CURSOR_EVERY: u64 = 10_000;
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(5);
/// How long what was begun may take once it is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
    #[error("a delivery was not recorded: {0}")]
    Decided(String),
    #[error("an attempt ended with a panic: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

#[derive(Debug, Clone)]
pub struct DispatcherConfig {
    /// Differs for every start of every process.
    pub owner: String,
    pub schedule: Schedule,
    /// Requests at once, over all endpoints.
    pub concurrency: usize,
    /// An endpoint where everything failed for so long is disabled.
    pub disable_after: Duration,
}

/// What a dispatcher works with.
#[derive(Clone)]
pub struct Parts {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub sender: Arc<dyn Sender>,
}

/// Runs dispatchers until `stop`, one after the other where one fails.
pub async fn run(parts: Parts, config: DispatcherConfig, stop: CancellationToken) {
    let mut backoff = MIN_BACKOFF;
    while !stop.is_cancelled() {
        let delay = match lead(&parts, &config, &stop).await {
            Ok(()) => return,
            Err(DispatchError::Rows(RowsError::LeaseHeld { remaining, .. })) => {
                backoff = MIN_BACKOFF;
                remaining.clamp(Duration::from_millis(10), Duration::from_secs(1))
            }
            Err(error) => {
                metrics::counter!("daybook_dispatcher_failures_total").increment(1);
                tracing::warn!(%error, "dispatcher: stopped; trying again");
                backoff = (backoff * 2).min(MAX_BACKOFF);
                backoff
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn lead(
    parts: &Parts,
    config: &DispatcherConfig,
    stop: &CancellationToken,
) -> Result<(), DispatchError> {
    let generation = parts.rows.open(NAME, &ModelId::new(NAME, 1), &[]).await?;
    let lease = parts.rows.acquire(&generation.id, &config.owner, LEASE).await?;
    let book = match Book::open(parts.rows.clone(), &config.owner).await {
        Ok(book) => book,
        Err(error) => {
            release(&*parts.rows, &[lease]).await;
            return Err(error.into());
        }
    };
    let leases = [lease, book.lease.clone()];
    let led = async { Dispatcher::open(parts.clone(), config.clone(), book).await?.follow(stop).await };
    let ended = tokio::select! {
        () = keep(&*parts.rows, &leases) => Err(RowsError::LeaseLost.into()),
        ended = led => ended,
    };
    release(&*parts.rows, &leases).await;
    ended
}

async fn release(rows: &dyn RowStore, leases: &[Lease]) {
    for lease in leases {
        if let Err(error) = rows.release(lease).await {
            tracing::debug!(%error, "dispatcher: lease not released");
        }
    }
}

/// Renews the leases until one is lost.
async fn keep(rows: &dyn RowStore, leases: &[Lease]) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        for lease in leases {
            // A store that does not answer says nothing about the lease.
            if let Err(RowsError::LeaseLost) = rows.renew(lease, LEASE).await {
                return;
            }
        }
    }
}

/// An attempt that has ended.
struct Done {
    endpoint: ledger::EndpointKey,
    id: Arc<str>,
    /// `None` where it could not be made now.
    tried: Option<Tried>,
}

enum Tried {
    Attempt(Attempt),
    Erased,
}

pub struct Dispatcher {
    parts: Parts,
    config: DispatcherConfig,
    ledger: Ledger,
    book: Book,
    queue: queue::Queue,
    under_way: JoinSet<Done>,
    /// Everything up to here was looked at.
    position: u64,
    /// What was last written down of that.
    kept: u64,
    looked_at: u64,
    /// When the newest event was recorded: later than now, if the clock was set
    /// back.
    newest: Timestamp,
}

impl Dispatcher {
    /// With the endpoints and rules, and what is open of deliveries, where it
    /// goes on.
    pub async fn open(parts: Parts, config: DispatcherConfig, book: Book) -> Result<Self, DispatchError> {
        let kept = last_place(&*parts.log).await?;
        let head = parts.log.head().await?;
        let mut new = Self {
            queue: queue::Queue::new(config.concurrency),
            ledger: Ledger::default(),
            under_way: JoinSet::new(),
            position: 0,
            looked_at: 0,
            newest: head.recorded_at.unwrap_or(Timestamp::MIN),
            parts,
            config,
            book,
            kept,
        };
        let known = stood_at(&*new.parts.log, new.book.position).await?;
        if new.book.is_of(head.position, known) {
            new.position = new.book.position;
            new.fold(SETTING_TYPES.iter().copied()).await?;
            if new.book.load(&mut new.ledger).await? {
                return Ok(new);
            }
            new.ledger = Ledger::default();
        }
        new.position = kept;
        new.fold(state_types()).await?;
        // The rows have to hold those, too: nobody reads them from the log again.
        new.revive().await?;
        new.book.save(&mut new.ledger, kept).await?;
        Ok(new)
    }

    /// Takes in what is recorded up to where it goes on.
    async fn fold(&mut self, types: impl Iterator<Item = &'static str>) -> Result<(), DispatchError> {
        let (filter, upto) = (ReadFilter::types(types), self.position);
        let mut after = 0;
        while after < upto {
            let page = self.parts.log.read(after, PAGE, &filter).await?;
            for event in page.events.iter().filter(|e| e.position <= upto) {
                apply(&mut self.ledger, event);
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(())
    }

    async fn follow(mut self, stop: &CancellationToken) -> Result<(), DispatchError> {
        // Nothing is sent before all that is recorded is known.
        let known = self.parts.log.head().await?.position;
        while self.position < known && !stop.is_cancelled() && self.step().await? {}
        let mut behind = true;
        while !stop.is_cancelled() {
            let next = self.send_due();
            let mut ended = Vec::new();
            // Signals may come as fast as they are taken in: there is no waiting for an end.
            if !behind {
                let sleep = next.map_or(Duration::from_secs(60), |at| until(at, self.parts.clock.now()));
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(done) = self.under_way.join_next() => ended.push(done?),
                    changed = self.parts.log.changed(self.position) => { changed?; }
                    () = tokio::time::sleep(sleep) => {}
                }
            }
            while let Some(done) = self.under_way.try_join_next() {
                ended.push(done?);
            }
            if !ended.is_empty() {
                self.record(ended).await?;
            }
            behind = self.step().await?;
        }
        self.finish().await
    }

    /// Now, or when the newest event was recorded if that is later.
    fn latest(&self) -> Timestamp {
        self.parts.clock.now().max(self.newest)
    }

    /// Waits a little for what is under way, so that it is recorded.
    async fn finish(mut self) -> Result<(), DispatchError> {
        let mut all = Vec::new();
        let ended = async {
            while let Some(done) = self.under_way.join_next().await {
                all.extend(done);
            }
        };
        // What takes longer is sent again by the next one.
        tokio::time::timeout(DRAIN, ended).await.ok();
        match tokio::time::timeout(DRAIN, self.record(all)).await {
            Ok(recorded) => recorded?,
            Err(_) => tracing::warn!("dispatcher: attempts were not recorded and will be made again"),
        }
        self.keep().await
    }

    /// Looks at one page: takes in what is known and schedules what is due.
    /// False if there was nothing new.
    pub async fn step(&mut self) -> Result<bool, DispatchError> {
        let types = state_types().chain(CAUSES.iter().copied());
        let page = self.parts.log.read(self.position, PAGE, &ReadFilter::types(types)).await?;
        if page.through <= self.position {
            return Ok(false);
        }
        let mut wanted = Vec::new();
        for event in &page.events {
            self.newest = self.newest.max(event.recorded_at);
            apply(&mut self.ledger, event);
            let concerned = self.ledger.concerned(event).unwrap_or_else(|error| {
                tracing::error!(position = event.position, %error, "dispatcher: an event is unreadable");
                Vec::new()
            });
            if !concerned.is_empty() {
                wanted.push((event, concerned));
            }
        }
        self.schedule(wanted).await?;
        self.revive().await?;
        self.give_up().await?;
        self.looked_at += page.events.len() as u64;
        self.position = page.through;
        metrics::gauge!("daybook_dispatcher_position").set(self.position as f64);
        if self.looked_at >= CURSOR_EVERY {
            self.keep().await?;
        }
        Ok(true)
    }

    /// Writes down how far the log was looked through.
    async fn keep(&mut self) -> Result<(), DispatchError> {
        if self.looked_at == 0 || self.position <= self.kept {
            return Ok(());
        }
        let place = place_event(ADVANCED, self.position, self.parts.ids.next());
        let append = as_append(&*self.parts.ids, vec![place], None)?;
        self.parts.log.append(vec![append]).await.into_iter().try_for_each(|o| o.map(|_| ()))?;
        (self.kept, self.looked_at) = (self.position, 0);
        self.book.save(&mut self.ledger, self.position).await
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// An event that does not decode concerns nobody and holds nobody up.
fn apply(ledger: &mut Ledger, event: &domain::RecordedEvent) {
    if let Err(error) = ledger.apply(event) {
        tracing::error!(position = event.position, %error, "dispatcher: an event is unreadable");
    }
}

fn cursor() -> Result<StreamId, domain::ids::InvalidId> {
    StreamId::new(&TenantId::system(), CURSOR_KIND, CURSOR_ID)
}

async fn last_place(log: &dyn EventLog) -> Result<u64, DispatchError> {
    let last = log.last(&cursor()?).await?;
    Ok(last.map(|event| registry::decode_payload::<Place>(&event)).transpose()?.map_or(0, |p| p.position))
}

/// Whether it was ever written down that the log was looked through to here. The
/// newest are looked at first.
async fn stood_at(log: &dyn EventLog, position: u64) -> Result<bool, DispatchError> {
    let stream = cursor()?;
    let mut before = log.last(&stream).await?.map_or(1, |event| event.version + 1);
    while position > 0 && before > 1 {
        let from = before.saturating_sub(PAGE as u64).max(1);
        let page = log.read_stream(&stream, from, PAGE).await?;
        for event in page.iter().filter(|event| event.version < before) {
            if registry::decode_payload::<Place>(event)?.position == position {
                return Ok(true);
            }
        }
        before = from;
    }
    Ok(false)
}

fn place_event(event_type: &str, position: u64, event_id: Uuid) -> NewEvent {
    NewEvent {
        event_id,
        event_type: event_type.into(),
        schema: registry::schema_of(event_type),
        occurred_at: None,
        payload: format!(r#"{{"position":{position}}}"#),
    }
}

fn as_append(
    ids: &dyn Ids,
    events: Vec<NewEvent>,
    causation_id: Option<Uuid>,
) -> Result<Append, DispatchError> {
    let command_id = ids.next();
    let metadata = Metadata {
        actor: "worker:dispatcher".into(),
        command_id,
        correlation_id: command_id.to_string().into(),
        causation_id,
    };
    let writes = vec![StreamWrite { stream: cursor()?, expected: ExpectedVersion::Any, events }];
    Ok(Append { writes, metadata, idempotency: None })
}

/// Says that nothing recorded so far is to be sent any more, for a log that was
/// restored. Records nothing where nothing ever could be sent.
pub async fn live_from_here(log: &dyn EventLog, ids: &dyn Ids) -> Result<Option<u64>, DispatchError> {
    let endpoints = log.read(0, 1, &ReadFilter::types([domain::endpoint::CREATED])).await?;
    if endpoints.events.is_empty() {
        return Ok(None);
    }
    let head = log.head().await?.position;
    let place = place_event(domain::delivery::LIVE_FROM, head, ids.next());
    let append = as_append(ids, vec![place], None)?;
    log.append(vec![append]).await.into_iter().try_for_each(|o| o.map(|_| ()))?;
    Ok(Some(head))
}
