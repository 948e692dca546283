//! The composition root: technology is plugged into ports here and nowhere else.

mod archive;
pub mod audit;
pub mod bus;
mod columns;
mod erasing;
pub mod exports;
mod http;
mod keys;
mod language;
pub mod log_keys;
mod opened;
mod replaying;
mod results;
#[cfg(feature = "sql")]
pub mod sql;
mod stores;
mod tasks;
mod texts;
mod warehouse;
pub mod webhooks;
pub mod witnesses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::poller::Poller;
use ::audit::recording::Recorder;
use anyhow::{Context, Result};
use commands::Services;
use daybook_http::auth::{KeyRing, parse_static};
use daybook_http::health::Health;
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use domain::registry;
use infra_runtime::config::Role;
use infra_runtime::telemetry::Metrics;
use infra_runtime::{Config, RandomIds, SystemClock};
use racing::{Racing, Sealer};
use read_api::ReadState;
use read_api::hub::server::{self, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use archive::{archiver, open_archive, open_archive_at};
pub use columns::ArchiveColumns;
pub use erasing::{Journal, eraser};
pub use keys::{Privacy, new_kek};
pub use replaying::{engine, history, open_generations, sealed_history};
pub use results::{desk, worker_name};
pub use stores::{OpenLog, OpenRows, open_log, open_rows, scratch_log};
use tasks::Tasks;
pub use tasks::open_journal;
pub use warehouse::{open_warehouse, warehouse};

/// How long the sealer may draw a race: nobody waits for an answer.
const SEALING: Duration = Duration::from_secs(600);

/// A server that runs until it is told to stop.
pub struct Running {
    pub address: SocketAddr,
    pub services: Services,
    pub rows: Arc<dyn RowStore>,
    pub replays: replays::Engine,
    health: Arc<Health>,
    stop: Stop,
    tasks: Tasks,
    log: OpenLog,
}

/// What is told to stop, in this order: first what lets work in, then what
/// finishes it.
#[derive(Clone, Default)]
struct Stop {
    serving: CancellationToken,
    working: CancellationToken,
}

/// Opens the stores, starts the roles of the configuration and serves.
pub async fn start(config: &Config) -> Result<Running> {
    registry::check().map_err(anyhow::Error::msg).context("the event registry")?;
    let metrics = Metrics::install()?;
    let clock = Arc::new(SystemClock);
    let ids = Arc::new(RandomIds);
    let log = stores::await_log(config, clock.clone()).await?;
    let stores = open_rows(config).await?;
    open_generations(&*log.log, &stores).await?;
    let rows = stores.rows.clone();
    let privacy = Privacy::open(config, clock.clone()).await?;
    // Whole, and as it is recorded: for who copies facts or checks leaves.
    let recorded = history(config, log.log.clone())?;
    let engine = engine(config, log.log.clone(), &privacy, &stores, clock.clone(), ids.clone())?;
    let board = engine.board.clone();
    let services =
        Services { log: privacy.over(log.log.clone()), clock, ids, bulk: http::bulk_limits(config) };
    let stop = Stop::default();
    let mut tasks = Tasks::default();

    let keys = parse_static(config.auth.api_keys.reveal(), &config.hub.default_tenant)
        .map_err(|e| config.invalid("auth.api_keys", e))?;
    let (ring, used) = KeyRing::new(keys);
    ring.catch_up(&*log.log).await.context("reading API keys")?;
    tasks.background(daybook_http::auth::follow(ring.clone(), log.log.clone()));
    tasks.background(commands::record_uses(services.clone(), used));
    tasks.background(metrics.clone().upkeep());
    tasks.background(privacy.ring.clone().expire());

    let taps = tasks::hub(config, &services, &*rows, &stop.working, &mut tasks).await?;
    let hub = taps.hub;
    if config.roles.has(Role::Projector) {
        tasks::projectors(engine.clone(), &stop.working, &mut tasks);
    }
    erasing::start(config, (&log, &privacy, &engine), taps.emptied, &stop.working, &mut tasks)?;
    if let Some(bus) = bus::connect(config)? {
        bus::start(config, bus, (&log, recorded.clone()), &rows, &board, &stop.working, &mut tasks);
    }
    let keys = audit::signing_keys(config)?;
    let origin = audit::origin(config, &keys);
    let shown = witnesses::shown(config, &log.tree)?;
    if config.roles.has(Role::Archiver) {
        let signed = (shown.clone(), origin.clone());
        let archiver = archiver(config, open_archive(config)?, &log, services.clock.clone(), signed);
        let stop = stop.working.clone();
        tasks.working(async move { archiver.run(stop).await });
    }
    if config.roles.has(Role::Warehouse) && config.warehouse.is_set() {
        let (warehouse, stop) =
            (warehouse(config, log.log.clone(), services.clock.clone())?, stop.working.clone());
        tasks.working(async move { warehouse.run(stop).await });
    }
    let signer = match config.roles.has(Role::Signer) {
        true => {
            // What an embedded server makes for itself is never another.
            if !config.audit.signing_keys.is_empty() {
                log_keys::added(&*log.log, &*services.ids, &keys).await?;
            }
            audit::signer(config, &log, keys, services.clock.clone())?
        }
        false => None,
    };
    if config.roles.has(Role::Reactor) {
        let folder = config.data_dir.clone();
        tasks.working(tasks::reactor(services.clone(), folder, stop.working.clone()));
        if let Some(vitals) = tasks::vitals(config, &services, &rows) {
            tasks.working(vitals.run(stop.working.clone()));
        }
        let watch = (log.log.clone(), rows.clone(), services.ids.clone());
        tasks.working(tasks::drift_watch(watch, stop.working.clone()));
    }
    let sender = language::sender(config, &services)?;
    if let Some(sender) = sender.clone().filter(|_| config.roles.has(Role::Reactor)) {
        tasks.working(language::rewriter(sender, rows.clone(), stop.working.clone()));
    }
    if config.roles.has(Role::Dispatcher) {
        let stop = stop.working.clone();
        tasks.working(webhooks::dispatcher(config, &services, rows.clone(), stop)?);
    }
    if config.roles.has(Role::Poller)
        && let Some(poller) = Poller::open(config, services.clone())?
    {
        tasks.working(poller.run(stop.working.clone()));
    }
    if config.roles.has(Role::Worker) && config.seal.before_seconds > 0 {
        let before = Duration::from_secs(config.seal.before_seconds.into());
        let racing = Racing::new(services.clone(), rows.clone(), 1).patient(SEALING);
        tasks.working(Sealer::new(racing, before, config.seal.runs).run(stop.working.clone()));
    }
    let tree = audit::tree_state(recorded, shown, origin);
    let state = ReadState { log: engine.log.clone(), rows: rows.clone(), board, stop: stop.serving.clone() };
    let health = http::health(&log.log, &state, hub.as_deref(), signer.as_deref(), metrics);
    if let Some(signer) = signer {
        for witness in witnesses::asked(config)? {
            tasks.working(signer.clone().follow(witness, stop.working.clone()));
        }
        tasks.working(signer.run(stop.working.clone()));
    }
    #[cfg(feature = "sql")]
    let sql = Some(sql::served(config, &log)?);
    #[cfg(not(feature = "sql"))]
    let sql = None;
    let desk = results::served(config, &services)?;
    if let Some(desk) = desk.as_ref().filter(|_| config.roles.has(Role::Worker)) {
        results::workers(config, desk, &stop.working, &mut tasks);
    }
    let subjects = erasing::subjects(&services, &privacy, &engine);
    let recorder = Recorder::new(log.log.clone(), services.clock.clone(), services.ids.clone());
    tasks.working(recorder.clone().run(stop.working.clone()));
    let exports = exports::served(config, &services)?;
    let history = (engine.clone(), exports, recorder);
    let router =
        http::router(config, &subjects, (state, tree), history, (sql, desk, sender), ring, health.clone())?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("listening on {}", config.http.listen))?;
    let address = listener.local_addr()?;
    let server = ServerConfig {
        max_connections: config.http.max_connections,
        head_timeout: Duration::from_secs(config.http.head_timeout_seconds.into()),
        drain: config.http.drain(),
        ..ServerConfig::default()
    };
    tasks.serving(server::serve(listener, hub, router, server, stop.serving.clone()));
    tracing::info!(%address, database = log.kind, "serving");
    Ok(Running { address, services, rows, replays: engine, health, stop, tasks, log })
}

impl Running {
    /// The log as it is recorded, with what is personal sealed.
    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.log.clone()
    }

    /// Lets no more work in, finishes what is there, and closes the log.
    pub async fn stop(mut self) {
        self.health.drain();
        self.stop.serving.cancel();
        self.tasks.served().await;
        self.stop.working.cancel();
        self.tasks.worked().await;
        self.log.close().await;
    }
}
