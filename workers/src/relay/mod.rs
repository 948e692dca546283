//! The relay: copies the log to the bus, in order.
//!
//! The bus itself says how far it has come: its newest place is the position
//! to go on after, and each publish names the place that it must land on. So
//! whatever dies when, nothing is left out or published twice, and a relay
//! that was stopped, overtaken and continued is refused by the bus. The lease
//! in the row store only keeps two relays from doing the same work at once;
//! its checkpoint remembers what was acknowledged, so that a bus which lost
//! its end is noticed and filled again.

mod verify;

pub use verify::{Kind, Range, Verdict, VerifyError, verify};

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::RecordedEvent;
use domain::ports::bus::{self, Bell, Bus, BusError, Extent, Publisher, Ring};
use domain::ports::log::{EventLog, LogError, Page, ReadFilter};
use domain::ports::rows::{Commit, Lease, ModelId, RowStore, RowsError};
use tokio_util::sync::CancellationToken;

/// The relay's row in the registry of generations: a lease and a checkpoint
/// without tables.
pub const NAME: &str = bus::RELAY;

/// Newest messages that a relay without a checkpoint compares.
const LOOK_BACK: u64 = 10_000;

#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Differs for every start of every process.
    pub owner: String,
    pub lease: Duration,
    /// Events read and published at a time.
    pub batch: usize,
    /// How often the checkpoint is written, and the bell rung without news.
    pub beat: Duration,
    pub min_backoff: Duration,
    pub max_backoff: Duration,
}

impl RelayConfig {
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            lease: Duration::from_secs(10),
            batch: 2_000,
            beat: Duration::from_secs(1),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
        }
    }
}

/// Why a relay stopped; it tries again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(
        "the stream is at {stream}, the log ends at {head}: one of them is an old copy, or the stream \
         belongs to another log; `daybook bus refill` makes the stream anew"
    )]
    Ahead { stream: u64, head: u64 },
    #[error(
        "the stream holds another event at position {position} than the log; `daybook bus refill` makes \
         it anew"
    )]
    Differs { position: u64 },
}

impl From<VerifyError> for RelayError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Bus(error) => Self::Bus(error),
            VerifyError::Log(error) => Self::Log(error),
        }
    }
}

impl RelayError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Bus(error) => error.reason(),
            Self::Log(_) => "log",
            Self::Rows(_) => "rows",
            Self::Ahead { .. } => "ahead",
            Self::Differs { .. } => "differs",
        }
    }
}

#[derive(Clone)]
pub struct Relay {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub bus: Arc<dyn Bus>,
    pub bell: Arc<dyn Bell>,
    pub config: RelayConfig,
}

impl Relay {
    /// Relays until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = self.config.min_backoff;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let ended = self.lead(&stop).await;
            metrics::gauge!("daybook_relay_leading").set(0.0);
            if started.elapsed() > self.config.max_backoff {
                backoff = self.config.min_backoff;
            }
            let delay = match ended {
                Ok(()) => return,
                Err(RelayError::Rows(RowsError::LeaseHeld { remaining, .. })) => {
                    // Who holds it tells.
                    metrics::gauge!("daybook_relay_lag").set(0.0);
                    remaining.clamp(Duration::from_millis(10), Duration::from_secs(1))
                }
                Err(error) => {
                    metrics::counter!("daybook_relay_errors_total", "reason" => error.reason()).increment(1);
                    self.report().await;
                    tracing::warn!(%error, retry_ms = backoff.as_millis() as u64, "relay stopped; trying again");
                    let delay = backoff;
                    backoff = (backoff * 2).min(self.config.max_backoff);
                    delay
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Takes the lease and relays until it is told to stop or something fails.
    async fn lead(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        let generation = self.rows.open(NAME, &ModelId::new(NAME, 1), &[]).await?;
        let lease = self.rows.acquire(&generation.id, &self.config.owner, self.config.lease).await?;
        let relayed = async {
            let extent = open(&*self.log, &*self.bus, lease.position).await?;
            let publisher = self.bus.publisher(extent.last).await?;
            metrics::gauge!("daybook_relay_leading").set(1.0);
            let mut session = Session {
                relay: self,
                publisher,
                checkpoint: lease.position,
                lease: lease.clone(),
                sent: extent.last,
                acked: extent.last,
                newest: None,
                beaten: Instant::now(),
            };
            session.follow(stop).await
        };
        let ended = tokio::select! {
            () = self.keep(&lease) => Err(RowsError::LeaseLost.into()),
            ended = relayed => ended,
        };
        if let Err(error) = self.rows.release(&lease).await {
            tracing::debug!(%error, "relay: lease not released");
        }
        ended
    }

    /// The lag goes on growing while the bus is away.
    async fn report(&self) {
        let (head, known) = (self.log.head().await, self.rows.open(NAME, &ModelId::new(NAME, 1), &[]).await);
        if let (Ok(head), Ok(known)) = (head, known) {
            let lag = head.position.saturating_sub(known.position);
            metrics::gauge!("daybook_relay_lag").set(lag as f64);
        }
    }

    /// Renews the lease until it is lost.
    async fn keep(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(self.config.lease / 3).await;
            // A store that does not answer says nothing about the lease.
            if let Err(RowsError::LeaseLost) = self.rows.renew(lease, self.config.lease).await {
                return;
            }
        }
    }
}

/// Where the bus ends, once it is clear that it is a copy of this log.
pub async fn open(log: &dyn EventLog, bus: &dyn Bus, checkpoint: u64) -> Result<Extent, RelayError> {
    let extent = bus.open().await?;
    let head = log.head().await?.position;
    if extent.last > head {
        return Err(RelayError::Ahead { stream: extent.last, head });
    }
    // What has come since the checkpoint, and at least the newest, is looked
    // at: a stranger may have taken the place of an event. A message that was
    // taken away is for `bus verify` to tell.
    let known = if checkpoint == 0 { extent.last.saturating_sub(LOOK_BACK) } else { checkpoint };
    let from = (known + 1).min(extent.last.max(1));
    let verdict = verify(log, bus, from, extent.last).await?;
    if let Some(range) = verdict.ranges.iter().find(|r| r.kind == Kind::Different) {
        return Err(RelayError::Differs { position: range.first });
    }
    if extent.last < checkpoint {
        let lost = checkpoint - extent.last;
        metrics::counter!("daybook_relay_lost_by_bus_total").increment(lost);
        tracing::warn!(
            stream = extent.last,
            acknowledged = checkpoint,
            "relay: the bus lost messages that it had acknowledged; they are published again"
        );
    }
    Ok(extent)
}

struct Session<'a> {
    relay: &'a Relay,
    publisher: Box<dyn Publisher>,
    lease: Lease,
    checkpoint: u64,
    sent: u64,
    acked: u64,
    /// Position and leaf of the newest event read, for the bell.
    newest: Option<(u64, [u8; 32])>,
    beaten: Instant,
}

impl Session<'_> {
    async fn follow(&mut self, stop: &CancellationToken) -> Result<(), RelayError> {
        let mut page = self.read(self.sent).await?;
        while !stop.is_cancelled() {
            if page.events.is_empty() {
                self.beat(true).await?;
                page = tokio::select! {
                    () = stop.cancelled() => break,
                    next = self.wait() => next?,
                };
                continue;
            }
            self.seen(&page.events).await;
            // The next page is read while this one is sent.
            let full = page.events.len() >= self.relay.config.batch;
            let through = page.through;
            let next = full.then(|| {
                let (log, batch) = (self.relay.log.clone(), self.relay.config.batch);
                tokio::spawn(async move { log.read(through, batch, &ReadFilter::default()).await })
            });
            let acked = self.publisher.send(&page.events).await?;
            self.sent = through;
            self.acknowledged(acked);
            if self.beaten.elapsed() >= self.relay.config.beat {
                self.beat(false).await?;
            }
            page = match next {
                Some(next) => next.await.map_err(|e| LogError::Unavailable(e.to_string()))??,
                None => {
                    let acked = self.publisher.flush().await?;
                    self.acknowledged(acked);
                    self.read(self.sent).await?
                }
            };
        }
        let acked = self.publisher.flush().await?;
        self.acknowledged(acked);
        self.save().await
    }

    async fn read(&self, after: u64) -> Result<Page, LogError> {
        self.relay.log.read(after, self.relay.config.batch, &ReadFilter::default()).await
    }

    /// The next page once there is one, or an empty one when it is time for
    /// the next beat.
    async fn wait(&self) -> Result<Page, LogError> {
        let changed = self.relay.log.changed(self.sent);
        match tokio::time::timeout(self.relay.config.beat, changed).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => self.read(self.sent).await,
            Err(_) => Ok(Page { events: Vec::new(), through: self.sent }),
        }
    }

    /// Those who listen can read now, whether or not the bus takes the events.
    async fn seen(&mut self, events: &[RecordedEvent]) {
        if let Some(last) = events.last() {
            self.newest = Some((last.position, last.leaf));
            self.ring().await;
        }
    }

    async fn ring(&self) {
        if let Some((position, leaf)) = self.newest {
            let ring = Ring { topic: bus::LOG.to_owned(), position, leaf: Some(leaf) };
            if let Err(error) = self.relay.bell.ring(ring).await {
                tracing::debug!(%error, "relay: the bell did not ring");
            }
        }
    }

    fn acknowledged(&mut self, position: u64) {
        let more = position.saturating_sub(self.acked);
        self.acked += more;
        metrics::counter!("daybook_relay_published_total").increment(more);
        metrics::gauge!("daybook_relay_position").set(self.acked as f64);
    }

    /// Once in a while: the checkpoint, the lag, a sign of life.
    async fn beat(&mut self, idle: bool) -> Result<(), RelayError> {
        if self.beaten.elapsed() < self.relay.config.beat && self.newest.is_some() {
            return Ok(());
        }
        self.beaten = Instant::now();
        if idle {
            self.look().await?;
        }
        self.save().await?;
        let head = self.relay.log.head().await?.position;
        metrics::gauge!("daybook_relay_lag").set(head.saturating_sub(self.acked) as f64);
        if self.newest.is_none() && self.sent > 0 {
            let page = self.relay.log.read(self.sent - 1, 1, &ReadFilter::default()).await?;
            self.newest = page.events.first().map(|e| (e.position, e.leaf));
        }
        self.ring().await;
        Ok(())
    }

    /// Without news nothing is published that would show that the stream is
    /// gone, or another one.
    async fn look(&self) -> Result<(), BusError> {
        let extent = self.relay.bus.extent().await?;
        if extent.last == self.acked { Ok(()) } else { Err(BusError::Moved) }
    }

    /// Moves the checkpoint, which also shows whether the lease is still ours.
    async fn save(&mut self) -> Result<(), RelayError> {
        if self.acked <= self.checkpoint {
            return Ok(());
        }
        let commit = Commit {
            lease: self.lease.clone(),
            from: self.checkpoint,
            to: self.acked,
            changes: Vec::new(),
            parked: Vec::new(),
            unparked: Vec::new(),
        };
        self.relay.rows.commit(commit).await?;
        self.checkpoint = self.acked;
        Ok(())
    }
}
