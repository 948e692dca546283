//! `daybook dfs`: races for fantasy players. With `--data` in one shot on a log
//! in memory, which the folder's files are imported into; otherwise on the
//! configured log. What is read of either is folded by the same code.

mod backtest;
mod bed;
mod compare;
mod lineups;
mod project;
mod report;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::ports::log::EventLog;
use jiff::Timestamp;
use models_fantasy::parameters::Parameters;
use projections::dfs_projections::Settings;
use projections::races::Told;

use super::output::Output;

#[derive(Args)]
pub struct Dfs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Predict every race from the ones before it, and say how good that was
    Backtest(backtest::Backtest),
    /// Draw a race and say what is likely of each driver
    Project(project::Project),
    /// The model beside itself under other parameters, over the same races
    Compare(compare::Compare),
    /// A page with plots: predictions beside what happened
    Report(report::Report),
    /// The best lineups of a race
    Lineups(lineups::Lineups),
}

/// Where the facts come from.
#[derive(Args)]
struct Source {
    /// Read the CSV files of this folder instead of the configured log
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Only what the log held then: a position, or an RFC 3339 time with an offset
    #[arg(long, value_name = "POSITION|TIME", conflicts_with = "data", value_parser = at)]
    at: Option<At>,
    /// How a track races that is not known: "Moon Raceway=short"
    #[arg(long = "track", value_name = "NAME=KIND")]
    tracks: Vec<String>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
enum At {
    Position(u64),
    Time(Timestamp),
}

fn at(text: &str) -> Result<At, String> {
    if let Ok(position) = text.parse() {
        return Ok(At::Position(position));
    }
    let time = text.parse().map(At::Time);
    time.map_err(|_| "must be a position or an RFC 3339 time with an offset".into())
}

/// How races are drawn.
#[derive(Args)]
struct Drawing {
    /// Races drawn for each prediction
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    runs: u32,
    /// The same seed gives the same draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct Under {
    /// Parameters of the model as JSON, as `daybook model set dfs_projections` takes them
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
}

impl Dfs {
    /// Whether the configured log is not needed.
    pub fn in_memory(&self) -> bool {
        let source = match &self.what {
            What::Backtest(args) => &args.source,
            What::Project(args) => &args.source,
            What::Report(args) => &args.source,
            What::Compare(args) => &args.source,
            What::Lineups(args) => &args.source,
        };
        source.data.is_some()
    }
}

/// `log` is what is configured; none where [`Dfs::in_memory`].
pub async fn run(args: Dfs, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Backtest(args) => backtest::run(args, log, out).await,
        What::Project(args) => project::run(args, log, out).await,
        What::Report(args) => report::run(args, log, out).await,
        What::Compare(args) => compare::run(args, log, out).await,
        What::Lineups(args) => lineups::run(args, log, out).await,
    }
}

impl Under {
    fn parameters(&self) -> Result<Parameters> {
        let Some(path) = &self.params else { return Ok(Parameters::default()) };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| file.clone())?;
        let value = serde_json::from_str(&text).with_context(|| file.clone())?;
        Ok(Settings::parse(&value).context(file)?.parameters)
    }
}

impl Source {
    fn tenant(&self) -> Result<TenantId> {
        TenantId::new(&self.tenant).context("--tenant")
    }
}

/// The race of this id, or the first one that has no result.
fn find(told: &[Told], id: Option<&str>) -> Result<usize> {
    let found = match id {
        Some(id) => told.iter().position(|race| race.race.id == id),
        None => told.iter().position(|race| race.outcomes.is_empty()),
    };
    let what =
        id.map_or("no race without a result; name one with --race".to_owned(), |id| format!("no race {id}"));
    found.with_context(|| format!("there is {what}"))
}
