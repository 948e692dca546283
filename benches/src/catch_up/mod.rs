//! `catch-up`: taps a second from a log that exists already, through the
//! projector into rows, against the same fold on the same store with one
//! transaction an event. The peer gets a fixed time, and its rate is that of
//! the events it came to in it.

mod event_by_event;
pub mod facts;
mod memory;
pub mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::TenantId;
use domain::ports::log::EventLog;
use domain::ports::rows::{Query, RowStore, Source};
use projections::Projection;
use projections::board::Board;
use projections::hub::Hub;
use projections::projector::{Options, Projector};
use projections::tap_analytics::rows::Summary;
use projections::tap_analytics::{self, TapAnalytics};
use read_api::hub::{self, HubTable};
use tokio_util::sync::CancellationToken;

use crate::table::{Line, median, print};
use store::Store;

#[derive(clap::Args)]
pub struct Arguments {
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
    /// Taps in the log.
    #[arg(long, default_value_t = 1_000_000)]
    taps: u64,
    /// Bands that are tapped, each about as often as the others.
    #[arg(long, default_value_t = 200_000)]
    bands: u64,
    /// Live events, all in the same evening.
    #[arg(long, default_value_t = 20)]
    events: u64,
    /// How long the peer works in one run.
    #[arg(long, default_value_t = 10)]
    peer_seconds: u64,
    /// Runs of each; they take turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these: postgres, sqlite.
    #[arg(long)]
    only: Option<String>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let mut lines = Vec::new();
    if wanted("sqlite") {
        lines.extend(runtime.block_on(measure(Store::sqlite()?, &arguments))?);
    }
    if let Some(server) = arguments.postgres.as_deref().filter(|_| wanted("postgres")) {
        lines.extend(runtime.block_on(measure(Store::postgres(server), &arguments))?);
    }
    print(&lines, json);
    Ok(())
}

async fn measure(store: Store, arguments: &Arguments) -> Result<Vec<Line>> {
    let outcome = measure_on(&store, arguments).await;
    store.remove().await?;
    outcome
}

async fn measure_on(store: &Store, arguments: &Arguments) -> Result<Vec<Line>> {
    memory::forget_peak();
    let log = store.log().await?;
    facts::write(log.as_ref(), arguments.bands, arguments.events, arguments.taps).await?;
    let (mut ours, mut peers, mut peer_taps, mut peak) = (Vec::new(), Vec::new(), 0, 0.0);
    for run in 0..arguments.runs {
        let rows = store.rows().await?;
        let took = catch_up(&log, &rows, Arc::new(TapAnalytics::default())).await?;
        check(rows.as_ref(), arguments.taps).await?;
        ours.push(arguments.taps as f64 / took.as_secs_f64());
        if run == 0 {
            catch_up(&log, &rows, Arc::new(Hub)).await?;
            let table = HubTable::new(hub::seed(rows.as_ref()).await?);
            ensure!(table.bands() as u64 == arguments.bands, "the hub's table has {} bands", table.bands());
            peak = memory::peak_mib()?;
        }
        let budget = Duration::from_secs(arguments.peer_seconds);
        let (taps, rate) = event_by_event::run(&log, &store.rows().await?, budget).await?;
        peer_taps += taps;
        peers.push(rate);
    }
    let name = store.name();
    let (taps, bands) = (arguments.taps, arguments.bands);
    let rate = Line {
        bench: "catch-up",
        case: format!("{name}, {taps} taps (peer: {peer_taps})"),
        ours: median(&ours),
        peer: "one transaction an event",
        peer_value: median(&peers),
        unit: "events/s",
        runs: arguments.runs,
    };
    let memory = Line {
        bench: "catch-up",
        case: format!("{name}, peak of log, projector and hub, {bands} bands"),
        ours: peak,
        peer: "none",
        peer_value: f64::NAN,
        unit: "MiB",
        runs: 1,
    };
    Ok(vec![rate, memory])
}

/// How long the projector takes to the head of the log.
pub async fn catch_up(
    log: &Arc<dyn EventLog>,
    rows: &Arc<dyn RowStore>,
    projection: Arc<dyn Projection>,
) -> Result<Duration> {
    let head = log.head().await?.position;
    let board = Arc::new(Board::default());
    let progress = board.of(projection.name());
    let mut position = progress.watch();
    let projector = Projector { log: log.clone(), rows: rows.clone(), board, options: Options::new("bench") };
    let stop = CancellationToken::new();
    let start = Instant::now();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { projector.run(projection, stopped).await });
    position.wait_for(|p| *p >= head).await?;
    let took = start.elapsed();
    stop.cancel();
    task.await?;
    match progress.activity().error {
        Some(error) => Err(anyhow::anyhow!(error)),
        None => Ok(took),
    }
}

/// Every tap is in the rows.
async fn check(rows: &dyn RowStore, taps: u64) -> Result<()> {
    let tenant = TenantId::new(facts::TENANT)?;
    let query = Query::prefix(tap_analytics::SUMMARY, "", 10_000);
    let snapshot = rows.read(&Source::live(tap_analytics::NAME), &tenant, &[query]).await?;
    let mut sum = 0;
    for row in snapshot.results.first().context("no answer")? {
        let summary: Summary = serde_json::from_str(&row.doc)?;
        sum += summary.taps + summary.bots + summary.previews;
    }
    ensure!(sum == taps, "the rows count {sum} taps");
    Ok(())
}
