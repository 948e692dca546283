//! What runs beside the requests: the hub's followers, the drainer, the
//! projectors.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use commands::Services;
use domain::ports::clock::Ids;
use domain::ports::journal::TapJournal;
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use infra_journal::{DiskJournal, Options as JournalOptions};
use infra_runtime::config::{HubAck, Role};
use infra_runtime::{Config, RandomIds};
use read_api::hub::{self, Ack, Hub, HubConfig, HubTable, Proxies, Seed, Visitors};
use replays::{Engine, Runner};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use workers::reactions::{Parts, Shelf};
use workers::{Drainer, DrainerConfig, DriftWatch, Reactor, Vitals};

/// How long a server that starts waits for the hub's table.
const TABLE_PATIENCE: Duration = Duration::from_secs(60);

/// Tasks by how they end.
#[derive(Default)]
pub struct Tasks {
    serving: JoinSet<()>,
    working: JoinSet<()>,
    background: Vec<Background>,
}

/// Ended with its owner.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tasks {
    /// Ends by itself once the server is told to stop serving.
    pub fn serving(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.serving.spawn(task);
    }

    /// Ends by itself, finishing its work, once told to.
    pub fn working(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.working.spawn(task);
    }

    /// Has nothing to finish.
    pub fn background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.push(Background(tokio::spawn(task)));
    }

    pub async fn served(&mut self) {
        finished(&mut self.serving).await;
    }

    pub async fn worked(&mut self) {
        finished(&mut self.working).await;
    }
}

async fn finished(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task ended with a panic");
        }
    }
}

/// The journal that lies here. Fails with [`ResourceBusy`](std::io::ErrorKind)
/// if another process has it.
pub fn open_journal(config: &Config) -> std::io::Result<Arc<DiskJournal>> {
    let options = JournalOptions {
        segment_bytes: config.hub.journal_segment_bytes,
        max_bytes: config.hub.journal_max_bytes,
        ..JournalOptions::default()
    };
    DiskJournal::open(&config.hub.journal_dir, options).map(Arc::new)
}

/// What takes taps here.
#[derive(Default)]
pub struct Taps {
    pub hub: Option<Arc<Hub>>,
    /// The journal, if it is emptied here, too.
    pub emptied: Option<Arc<dyn TapJournal>>,
}

/// The journal, its drainer, and the hub over its table in memory. A process
/// with only the role `drainer` empties a journal that no hub writes any more.
pub async fn hub(
    config: &Config,
    services: &Services,
    rows: &dyn RowStore,
    stop: &CancellationToken,
    tasks: &mut Tasks,
) -> Result<Taps> {
    let (serves, drains) = (config.roles.has(Role::Hub), config.roles.has(Role::Drainer));
    if !serves && !drains {
        return Ok(Taps::default());
    }
    let directory = &config.hub.journal_dir;
    let journal = open_journal(config);
    let journal = journal.with_context(|| format!("opening the journal {}", directory.display()))?;
    workers::align(&*journal, &*services.log).await.context("asking the log for the journal's place")?;
    let mut taps = Taps::default();
    if drains {
        taps.emptied = Some(journal.clone());
        let Services { log, clock, ids, .. } = services.clone();
        let pace = DrainerConfig { per_second: config.hub.drain_per_second, ..DrainerConfig::default() };
        let drainer = Drainer::new(journal.clone(), log, clock, ids, pace);
        tasks.working(drainer.run(stop.clone()));
    }
    if !serves {
        return Ok(taps);
    }
    let mut seed = hub::seed(rows).await.context("reading the hub's rows")?;
    let head = services.log.head().await?.position;
    if seed.position > head {
        tracing::error!(
            rows = seed.position,
            head,
            alert = true,
            "hub: the rows are ahead of the log, one of them is an old copy; the table is built from the log"
        );
        seed = Seed::default();
    }
    let table = Arc::new(HubTable::new(seed));
    tasks.working(hub::follow(table.clone(), services.log.clone(), stop.clone()));
    caught_up(&table, head).await;
    let now = services.clock.now();
    let salt = config.data_dir.join("visitor-salt");
    let visitors = Visitors::open(&salt, now).with_context(|| format!("opening {}", salt.display()))?;
    let parts = hub::Parts {
        table,
        journal,
        log: services.log.clone(),
        clock: services.clock.clone(),
        ids: services.ids.clone(),
        visitors,
    };
    taps.hub = Some(Arc::new(Hub::new(hub_config(config)?, parts)));
    Ok(taps)
}

/// Before the first tap is answered the table knows what the log knows.
async fn caught_up(table: &HubTable, head: u64) {
    let mut position = table.watch();
    let reached = position.wait_for(|p| *p >= head);
    if tokio::time::timeout(TABLE_PATIENCE, reached).await.is_err() {
        tracing::warn!(head, position = table.position(), "hub: serving with a table that is behind");
    }
}

fn hub_config(config: &Config) -> Result<HubConfig> {
    let settings = &config.hub;
    let trusted = super::http::proxies(config)?;
    let country_header = match settings.country_header.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|e| config.invalid("hub.country_header", e))?),
    };
    Ok(HubConfig {
        ack: match settings.ack {
            HubAck::Journal => Ack::Journal,
            HubAck::Log => Ack::Log,
            HubAck::None => Ack::None,
        },
        hosts: settings.hosts.clone().into_iter().collect(),
        default_tenant: settings.default_tenant.clone(),
        proxies: Proxies { trusted, country_header },
    })
}

/// One task for each generation, all under one owner's name.
pub fn projectors(engine: Engine, stop: &CancellationToken, tasks: &mut Tasks) {
    let owner = format!("{}-{}", std::process::id(), RandomIds.next());
    tasks.working(Runner::new(engine, &owner).run(stop.clone()));
}

/// Opens as soon as the log answers.
pub async fn reactor(services: Services, folder: PathBuf, stop: CancellationToken) {
    const PAUSE: Duration = Duration::from_secs(1);
    let Services { log, clock, ids, .. } = services;
    let parts = Parts { log, clock, ids, shelf: Some(Shelf::new(folder.join("reactor.state"))) };
    loop {
        match Reactor::open(parts.clone()).await {
            Ok(reactor) => return reactor.run(stop).await,
            Err(error) => tracing::warn!(%error, "reactor: cannot begin yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Unless it is off.
pub fn vitals(config: &Config, services: &Services, rows: &Arc<dyn RowStore>) -> Option<Vitals> {
    let settings = &config.vitals;
    let Services { log, clock, ids, .. } = services.clone();
    let every = Duration::from_secs(settings.every_seconds.into());
    let (rows, tenant) = (rows.clone(), settings.tenant.clone());
    (!every.is_zero()).then_some(Vitals { log, rows, clock, ids, tenant, every, counted: 0 })
}

/// Opens as soon as the log answers.
pub async fn drift_watch(
    (log, rows, ids): (Arc<dyn EventLog>, Arc<dyn RowStore>, Arc<dyn Ids>),
    stop: CancellationToken,
) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        match DriftWatch::open(log.clone(), rows.clone(), ids.clone()).await {
            Ok(watch) => return watch.run(stop).await,
            Err(error) => tracing::warn!(%error, "style: changes cannot be looked for yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
