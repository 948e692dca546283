//! The bus: who relays to it and who listens to its bell.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::ports::bus::{Bell, BusError, LOG, Ring};
use domain::ports::clock::Ids;
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::rows::RowStore;
use infra_bus::{BusOptions, NatsBus};
use infra_log::Waker;
use infra_runtime::config::Role;
use infra_runtime::{Config, RandomIds};
use projections::board::Board;
use tokio_util::sync::CancellationToken;
use workers::{Relay, RelayConfig};

use super::stores::OpenLog;
use super::tasks::Tasks;

/// How often the log's head is looked up by itself: while the bell is heard,
/// and otherwise.
const CALM: Duration = Duration::from_secs(1);
const ALERT: Duration = Duration::from_millis(100);
/// A relay rings at least once a second. After so long without, the bell is
/// not relied on.
const SILENCE: Duration = Duration::from_millis(2_500);
/// Rings about rows are at least this far apart.
const COALESCE: Duration = Duration::from_millis(5);
const RETRY: Duration = Duration::from_secs(1);

/// The configured bus; nothing is connected yet.
pub fn connect(config: &Config) -> Result<Option<NatsBus>> {
    let settings = &config.nats;
    if !settings.is_set() {
        return Ok(None);
    }
    let options = BusOptions {
        url: settings.url.clone(),
        credentials_file: settings.credentials_file.clone(),
        stream: settings.stream.clone(),
        subjects: settings.subjects.clone(),
        replicas: settings.replicas,
        max_age: Duration::from_secs(settings.max_age_seconds.into()),
        max_bytes: settings.max_bytes,
        max_messages: settings.max_messages,
        duplicate_window: Duration::from_secs(settings.duplicate_window_seconds.into()),
        in_flight: settings.in_flight,
        live: settings.live,
        ..BusOptions::new("")
    };
    Ok(Some(NatsBus::new(options).map_err(|e| config.invalid("nats.url", e))?))
}

pub fn start(
    config: &Config,
    bus: NatsBus,
    (log, history): (&OpenLog, Arc<dyn EventLog>),
    rows: &Arc<dyn RowStore>,
    board: &Arc<Board>,
    stop: &CancellationToken,
    tasks: &mut Tasks,
) {
    let bus = Arc::new(bus);
    if config.roles.has(Role::Relay) {
        let owner = format!("{}-{}", std::process::id(), RandomIds.next());
        let relay = Relay {
            log: history,
            rows: rows.clone(),
            bus: bus.clone(),
            bell: bus.clone(),
            config: RelayConfig::new(owner),
        };
        tasks.working(relay.run(stop.clone()));
    }
    // Only a database that other processes share needs a bell.
    let Some(waker) = log.waker() else { return };
    if config.roles.has(Role::Projector) {
        for projection in projections::all() {
            tasks.background(tell(bus.clone(), board.clone(), projection.name()));
        }
    }
    let listener = Listener { log: log.log.clone(), waker, board: board.clone(), trusted: false };
    tasks.background(listener.run(bus));
}

/// Tells other processes how far this one's rows are.
async fn tell(bell: Arc<NatsBus>, board: Arc<Board>, projection: &'static str) {
    let progress = board.of(projection);
    let mut moved = progress.watch();
    while moved.changed().await.is_ok() {
        let position = *moved.borrow_and_update();
        // What was heard from elsewhere is not told again.
        if progress.activity().leading {
            let ring = Ring { topic: projection.to_owned(), position, leaf: None };
            if let Err(error) = bell.ring(ring).await {
                tracing::debug!(%error, projection, "the bell did not ring");
            }
        }
        tokio::time::sleep(COALESCE).await;
    }
}

/// Wakes who waits for the log or for rows in this process. Whatever is heard
/// only makes them look; when nothing is heard they look by themselves.
struct Listener {
    log: Arc<dyn EventLog>,
    waker: Waker,
    board: Arc<Board>,
    /// Whether the bell was found to be this log's.
    trusted: bool,
}

impl Listener {
    async fn run(mut self, bell: Arc<NatsBus>) {
        loop {
            if let Err(error) = self.listen(&*bell).await {
                tracing::debug!(%error, "the bell cannot be heard");
            }
            self.doubt();
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen(&mut self, bell: &dyn Bell) -> Result<(), BusError> {
        let mut rings = bell.listen().await?;
        loop {
            match tokio::time::timeout(SILENCE, rings.next()).await {
                Ok(Some(ring)) => self.heard(ring).await,
                Ok(None) => return Ok(()),
                Err(_) => self.doubt(),
            }
        }
    }

    fn doubt(&mut self) {
        self.trusted = false;
        self.waker.poll_every(ALERT);
    }

    async fn heard(&mut self, ring: Ring) {
        metrics::counter!("daybook_bell_rings_total").increment(1);
        if ring.topic != LOG {
            if self.trusted {
                let progress = self.board.of(&ring.topic);
                if !progress.activity().leading {
                    progress.moved(ring.position);
                }
            }
            return;
        }
        if !self.trusted {
            self.trusted = self.is_ours(&ring).await;
        }
        if self.trusted {
            self.waker.poll_every(CALM);
            self.waker.reached(ring.position);
        }
    }

    /// The bell of another installation on the same NATS would wake for
    /// positions that do not exist here.
    async fn is_ours(&self, ring: &Ring) -> bool {
        let page = self.log.read(ring.position.saturating_sub(1), 1, &ReadFilter::default()).await;
        let ours = page.ok().and_then(|p| p.events.first().map(|e| (e.position, e.leaf)));
        let same = ours.is_some_and(|(position, leaf)| position == ring.position && ring.leaf == Some(leaf));
        if let (false, Some(_)) = (same, ours) {
            tracing::warn!(position = ring.position, "the bell of another log is heard and left alone");
        }
        same
    }
}
