//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration, 3 not found, 4 what should agree does not
//! (`demo --exit`, `bus verify`).

mod anomaly;
mod archive;
mod audit;
mod bus;
mod demo;
mod dfs;
mod events;
mod import;
mod keys;
mod market;
mod model;
mod nascar;
mod output;
mod positions;
mod price;
mod privacy;
mod progress;
mod projections;
mod published;
mod reach;
mod replay;
mod rules;
mod runs;
mod serve;
#[cfg(feature = "sql")]
mod sql;
mod style;
mod warehouse;
mod webhooks;
mod windows;
mod worker;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use commands::execute::Refusal;
use domain::decide::Rejection;
use domain::ports::erasure::ErasureError;
use domain::ports::rows::RowsError;
use infra_runtime::config::{ConfigError, Flags};
use infra_runtime::{Config, RandomIds, SystemClock};
use replays::ReplayError;

use crate::style::pdf;
use crate::wiring;
use output::Output;

pub mod exit {
    pub const OK: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_FOUND: u8 = 3;
    pub const DISAGREES: u8 = 4;
}

#[derive(Parser)]
#[command(name = "daybook", version, about = "One append-only log; every ledger is posted from it")]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 4 figures disagree"
)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// One JSON object a line instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the HTTP API and the hub, and keep the read models
    Serve,
    /// Serve a generated show day, from a temporary directory unless --data-dir says otherwise
    Demo(demo::Demo),
    /// Bring in what other systems recorded
    Import(import::Import),
    /// Value positions on a market, once, from files
    Price(price::Price),
    /// What is held
    Positions(positions::Positions),
    /// What was observed of markets
    Market(market::MarketArgs),
    /// API keys
    Keys(keys::Keys),
    /// Look at the log
    Events(events::Events),
    /// Sealed history: seal, look at, verify, trim the log
    Archive(archive::Archive),
    /// Signals as Parquet files for engines
    Warehouse(warehouse::WarehouseArgs),
    /// Fill an empty database from an archive
    Restore(archive::Restore),
    /// Find out whether the archive would restore the log
    Backup(archive::Backup),
    /// Proofs, and history checked without trusting who keeps it
    Audit(audit::Audit),
    /// Valuation runs: start and watch them, and read what they made
    Runs(runs::Runs),
    /// Work on valuation runs until told to stop
    Worker(worker::WorkerArgs),
    /// Look at the read models
    Projections(projections::Projections),
    /// Personal data and its keys
    Privacy(privacy::PrivacyArgs),
    /// The copy of the log on NATS
    Bus(bus::BusArgs),
    /// Build read models anew, compare, promote and roll back
    Replay(replay::Replay),
    /// Models that read models are built by, and their parameters
    Model(model::Model),
    /// Stock-car races for fantasy players: projections, lineups, backtests
    Dfs(dfs::Dfs),
    /// Whose style texts have
    Style(style::Style),
    /// Ask about events in SQL, read only
    #[cfg(feature = "sql")]
    Sql(sql::SqlArgs),
    /// What is unusual in numeric series: scores of a file, and the windows that a server has found
    Anomaly(anomaly::AnomalyArgs),
    /// Whether rules can be saved, and what they would have matched
    Rules(rules::RulesArgs),
    /// Endpoints of webhooks, and what was delivered to them
    Webhooks(webhooks::WebhooksArgs),
    /// Print a completion script
    Completions { shell: Shell },
    /// Print the version
    Version,
}

pub fn main() -> ExitCode {
    // Called by ourselves alone, with nothing else of us about.
    if std::env::args_os().nth(1).is_some_and(|first| first == pdf::COMMAND) {
        return ExitCode::from(pdf::process());
    }
    let cli = Cli::parse();
    let mut out = Output::new(cli.json);
    let result = run(cli, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("daybook: {error:#}");
            ExitCode::from(code_of(&error))
        }
    }
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<crate::valuation::Invalid>().is_some() {
        return exit::USAGE;
    }
    let refusal = error.downcast_ref::<Refusal>();
    let rows = error.downcast_ref::<RowsError>();
    if let Some(refused) = error.downcast_ref::<reach::Refused>() {
        return match refused.status {
            404 => exit::NOT_FOUND,
            400 | 422 => exit::USAGE,
            _ => exit::FAILED,
        };
    }
    if let Some(error) = error.downcast_ref::<ReplayError>() {
        return match error {
            ReplayError::UnknownProjection(_)
            | ReplayError::UnknownGeneration(_)
            | ReplayError::Rejected(Rejection::NotFound) => exit::NOT_FOUND,
            ReplayError::Model(_) | ReplayError::Rejected(Rejection::Field { .. }) => exit::USAGE,
            _ => exit::FAILED,
        };
    }
    if let Some(ErasureError::Refused(Rejection::Field { .. })) = error.downcast_ref() {
        return exit::USAGE;
    }
    if error.chain().any(|e| e.is::<infra_texts::LabelError>()) {
        return exit::USAGE;
    }
    if error.downcast_ref::<ConfigError>().is_some()
        || error.downcast_ref::<anomaly::Unusable>().is_some()
        || error.downcast_ref::<rules::Unusable>().is_some()
    {
        exit::USAGE
    } else if matches!(refusal, Some(Refusal::Rejected(Rejection::NotFound)))
        || matches!(rows, Some(RowsError::UnknownProjection(_)))
    {
        exit::NOT_FOUND
    } else {
        exit::FAILED
    }
}

/// Whoever read our output has seen enough.
fn broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Who sits at the terminal, for the log.
fn actor() -> Arc<str> {
    let user = std::env::var("USER").ok().filter(|u| daybook_http::headers::is_token(u));
    format!("cli:{}", user.as_deref().unwrap_or("unknown")).into()
}

#[tokio::main]
async fn run(cli: Cli, out: &mut Output) -> Result<u8> {
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "daybook", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(exit::OK)
        }
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            out.line(&if out.json {
                serde_json::json!({"version": version}).to_string()
            } else {
                format!("daybook {version}")
            })?;
            Ok(exit::OK)
        }
        Command::Price(args) => price::run(args, || Ok(Config::load(&cli.flags)?), out).await,
        Command::Demo(args) => demo::run(args, &cli.flags, out).await,
        Command::Dfs(args) if args.in_memory() => dfs::run(args, None, out).await,
        Command::Warehouse(args) if !args.reads_the_log() => {
            warehouse::statements(&args, &configured(&cli.flags)?, out)
        }
        Command::Bus(args) if !args.needs_the_bus() => bus::asyncapi(&configured(&cli.flags)?, out),
        Command::Archive(args) => archive::run(args, &configured(&cli.flags)?, out).await,
        Command::Restore(args) => archive::restore(args, &configured(&cli.flags)?, out).await,
        Command::Backup(args) => archive::backup(args, &configured(&cli.flags)?, out).await,
        Command::Audit(args) => audit::run(args, &configured(&cli.flags)?, out).await,
        Command::Privacy(args) => privacy::run(args, &configured(&cli.flags)?, out).await,
        Command::Anomaly(args) => anomaly::run(args, out).await,
        Command::Style(args) if args.in_memory() => style::run(args, None, &mut *out).await,
        Command::Runs(args) if args.remote() => runs::remote(args, out).await,
        Command::Serve => serve::run(Config::load(&cli.flags)?, out).await,
        Command::Replay(args) => {
            let config = Config::load(&cli.flags)?;
            infra_runtime::telemetry::init_logs(&config.log)?;
            replay::run(args, &config, out).await
        }
        Command::Model(args) => {
            let config = Config::load(&cli.flags)?;
            infra_runtime::telemetry::init_logs(&config.log)?;
            model::run(args, &config, out).await
        }
        #[cfg(feature = "sql")]
        Command::Sql(args) => sql::run(args, Config::load(&cli.flags)?, out).await,
        command => with_log(Config::load(&cli.flags)?, command, out).await,
    }
}

fn configured(flags: &Flags) -> Result<Config> {
    let config = Config::load(flags)?;
    infra_runtime::telemetry::init_logs(&config.log)?;
    Ok(config)
}

/// Commands that open the log of the configured database.
async fn with_log(config: Config, command: Command, out: &mut Output) -> Result<u8> {
    infra_runtime::telemetry::init_logs(&config.log)?;
    let clock = Arc::new(SystemClock);
    let opened = wiring::open_log(&config, clock.clone()).await?;
    let log = opened.log.clone();
    let code = match command {
        Command::Import(args) => {
            let privacy = wiring::Privacy::open(&config, clock.clone()).await?;
            import::run(args, privacy.over(log), clock, Arc::new(RandomIds), out).await?
        }
        Command::Rules(args) => rules::run(args, wiring::history(&config, log)?, out).await?,
        Command::Webhooks(args) => {
            let privacy = wiring::Privacy::open(&config, clock.clone()).await?;
            let log = privacy.over(log);
            let services =
                commands::Services { log, clock, ids: Arc::new(RandomIds), bulk: Default::default() };
            webhooks::run(args, &services, wiring::open_rows(&config).await?.rows, out).await?
        }
        Command::Events(args) => events::run(args, wiring::history(&config, log)?, out).await?,
        Command::Dfs(args) => dfs::run(args, Some(log), out).await?,
        Command::Projections(args) => {
            projections::run(args, log, wiring::open_rows(&config).await?.rows, out).await?
        }
        Command::Bus(args) => bus::run(args, &config, wiring::history(&config, log)?, out).await?,
        Command::Warehouse(args) => warehouse::run(args, &config, log, out).await?,
        Command::Style(args) => {
            let privacy = wiring::Privacy::open(&config, clock.clone()).await?;
            let log = privacy.over(wiring::history(&config, log)?);
            let rows = wiring::open_rows(&config).await?.rows;
            style::run(args, Some(&style::Opened { log, rows }), out).await?
        }
        Command::Positions(args) => positions::run(args, market::services(log, clock), out).await?,
        Command::Market(args) => market::run(args, market::services(log, clock), out).await?,
        Command::Runs(args) => runs::local(args, &config, market::services(log, clock), out).await?,
        Command::Worker(args) => worker::run(args, &config, market::services(log, clock), out).await?,
        Command::Keys(args) => {
            let services =
                commands::Services { log, clock, ids: Arc::new(RandomIds), bulk: Default::default() };
            keys::run(args, &services, out).await?
        }
        #[cfg(feature = "sql")]
        Command::Sql(_) => exit::OK,
        // Handled by the caller.
        Command::Archive(_) | Command::Audit(_) | Command::Restore(_) => exit::OK,
        Command::Backup(_) | Command::Privacy(_) => exit::OK,
        Command::Serve
        | Command::Anomaly(_)
        | Command::Demo(_)
        | Command::Price(_)
        | Command::Replay(_)
        | Command::Model(_)
        | Command::Completions { .. }
        | Command::Version => exit::OK,
    };
    opened.close().await;
    Ok(code)
}
