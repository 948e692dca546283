//! `query-under-build`: how long summaries over HTTP and appends take at a
//! steady pace while `tap_analytics` is built, and while it is not. One
//! process serves, follows and builds, as `serve` with all roles does.

mod pace;
mod server;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::table::{Line, median, print};
use pace::{Figures, Pace};
use server::{Server, Store};

#[derive(clap::Args)]
pub struct Arguments {
    /// Taps in the history.
    #[arg(long, default_value_t = 1_000_000)]
    taps: u64,
    #[arg(long, default_value_t = 200_000)]
    bands: u64,
    /// Reads a second, and as many appends.
    #[arg(long, default_value_t = 100)]
    pace: u32,
    /// How long it is built in a run, at least; and as long it is not.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these: sqlite, postgres.
    #[arg(long)]
    only: Option<String>,
    /// Only from: archive, log.
    #[arg(long)]
    from: Option<String>,
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |only: &Option<String>, name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut lines = Vec::new();
    for from in ["log", "archive"] {
        if !wanted(&arguments.from, from) {
            continue;
        }
        if wanted(&arguments.only, "sqlite") {
            lines.extend(runtime.block_on(measure(&Store::Sqlite, from, &arguments))?);
        }
        if let Some(url) = arguments.postgres.as_ref().filter(|_| wanted(&arguments.only, "postgres")) {
            lines.extend(runtime.block_on(measure(&Store::Postgres(url.clone()), from, &arguments))?);
        }
    }
    print(&lines, json);
    Ok(())
}

/// p99 in milliseconds, run by run.
#[derive(Default)]
struct Measured {
    reads: Vec<f64>,
    appends: Vec<f64>,
}

impl Measured {
    fn add(&mut self, figures: Figures) -> Result<()> {
        ensure!(figures.failed == 0, "{} requests failed", figures.failed);
        self.reads.push(figures.reads.p99());
        self.appends.push(figures.appends.p99());
        Ok(())
    }
}

async fn measure(store: &Store, from: &str, arguments: &Arguments) -> Result<Vec<Line>> {
    let server = Server::start(store, from == "archive", arguments).await?;
    let (mut quiet, mut building) = (Measured::default(), Measured::default());
    for _ in 0..arguments.runs {
        let pace = Pace::start(&server, arguments.pace, arguments.bands);
        tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
        quiet.add(pace.stop().await?)?;
        let (mut figures, mut built) = (Figures::default(), Duration::ZERO);
        while built < Duration::from_secs(arguments.seconds) {
            let generation = server.begin().await?;
            let pace = Pace::start(&server, arguments.pace, arguments.bands);
            let start = Instant::now();
            server.built(generation).await?;
            built += start.elapsed();
            figures.merge(pace.stop().await?);
            server.prune(generation).await?;
        }
        building.add(figures)?;
    }
    server.stop().await?;
    let line = |what: &str, ours: &[f64], peers: &[f64]| Line {
        bench: "query-under-build",
        case: format!("{}, built from the {from}: {what}, p99", store.name()),
        ours: median(ours),
        peer: "no build",
        peer_value: median(peers),
        unit: "ms",
        runs: arguments.runs,
    };
    Ok(vec![
        line("summary over HTTP", &building.reads, &quiet.reads),
        line("append", &building.appends, &quiet.appends),
    ])
}
