//! `relay`: messages a second from a log to JetStream, beside a publisher of
//! async-nats alone that sends the same messages, made beforehand, with as
//! many of them under way. Each run has an empty server of its own.

mod bare;
mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use domain::RecordedEvent;
use domain::ports::bus::Bus;
use domain::ports::log::{EventLog, ReadFilter};
use infra_bus::{BusOptions, NatsBus};
use infra_log::{LogOptions, MemoryLog, PostgresLog, SqliteLog};
use infra_rows::MemoryRows;
use infra_runtime::SystemClock;
use tokio_util::sync::CancellationToken;
use workers::{Relay, RelayConfig};

use crate::append::{Case, with_database};
use crate::catch_up::facts;
use crate::table::{Line, median, print};
use server::Nats;

#[derive(clap::Args)]
pub struct Arguments {
    /// Events in the log.
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Messages that wait for their acknowledgement.
    #[arg(long, default_value_t = 4096)]
    in_flight: usize,
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these: memory, sqlite, postgres.
    #[arg(long)]
    only: Option<String>,
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let options = || LogOptions::new(Arc::new(SystemClock));
    let mut lines = Vec::new();
    if wanted("memory") {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
        lines.push(runtime.block_on(compare("memory", log, &arguments))?);
    }
    if wanted("sqlite") {
        let folder = tempfile::tempdir()?;
        let log = runtime.block_on(SqliteLog::open(folder.path().join("log.db"), options()))?;
        lines.push(runtime.block_on(compare("SQLite", Arc::new(log), &arguments))?);
    }
    if wanted("postgres") && arguments.postgres.is_some() {
        let postgres = arguments.postgres.clone();
        let (writers, duration) = (1, Duration::ZERO);
        let (tree, sealed, signed) = (true, false, false);
        let case = Case { writers, duration, postgres, unconditional: false, tree, sealed, signed };
        let found = Mutex::new(None);
        let (found, arguments) = (&found, &arguments);
        runtime.block_on(with_database(&case, |url| async move {
            let log = PostgresLog::connect(&url, options()).await?;
            let line = compare("PostgreSQL", Arc::new(log), arguments).await?;
            let ours = line.ours;
            found.lock().map_err(|e| anyhow!("{e}"))?.replace(line);
            Ok(ours)
        }))?;
        lines.extend(found.lock().map_err(|e| anyhow!("{e}"))?.take());
    }
    print(&lines, json);
    Ok(())
}

async fn compare(name: &str, log: Arc<dyn EventLog>, arguments: &Arguments) -> Result<Line> {
    facts::write(&*log, 100, 1, arguments.events).await?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        peers.push(bare::run(&events(&*log).await?, arguments.in_flight).await?);
        ours.push(relay(&log, arguments.in_flight).await?);
    }
    Ok(Line {
        bench: "relay",
        case: format!("log in {name}, {} in flight", arguments.in_flight),
        ours: median(&ours),
        peer: "async-nats alone",
        peer_value: median(&peers),
        unit: "messages/s",
        runs: arguments.runs,
    })
}

async fn events(log: &dyn EventLog) -> Result<Vec<RecordedEvent>> {
    let mut all = Vec::new();
    loop {
        let page = log.read(all.len() as u64, 10_000, &ReadFilter::default()).await?;
        if page.events.is_empty() {
            return Ok(all);
        }
        all.extend(page.events);
    }
}

/// From a stream that is there and empty until the last acknowledgement.
async fn relay(log: &Arc<dyn EventLog>, in_flight: usize) -> Result<f64> {
    let nats = Nats::start().await?;
    let bus = Arc::new(NatsBus::new(BusOptions { in_flight, ..BusOptions::new(nats.url()) })?);
    bus.open().await?;
    let head = log.head().await?.position;
    let relay = Relay {
        log: log.clone(),
        rows: Arc::new(MemoryRows::new()),
        bus: bus.clone(),
        bell: bus.clone(),
        config: RelayConfig::new("bench"),
    };
    let stop = CancellationToken::new();
    let start = Instant::now();
    let relaying = tokio::spawn(relay.run(stop.clone()));
    while bus.extent().await?.last < head {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rate = head as f64 / start.elapsed().as_secs_f64();
    stop.cancel();
    relaying.await.context("the relay")?;
    Ok(rate)
}
