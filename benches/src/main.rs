//! Side-by-side benchmarks: each prints a table of medians, or with `--json`
//! one object a line {bench, case, ours, peer, peer_value, ratio, unit, runs}.

mod append;
mod archive;
mod audit;
mod backtest;
mod catch_up;
mod child;
mod gateway;
mod python;
mod query_under_build;
mod rebuild;
mod redirect;
mod relay;
mod table;
mod valuation;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As in the `daybook` binary; the peers of this program have it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// One JSON object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Durable appends a second, one event per command, against other stores.
    Append(append::Arguments),
    /// Taps a second into sealed segments and out of them, and the bytes that one takes.
    Archive(archive::Arguments),
    /// Appends with what proofs take against appends without it.
    Audit(audit::Arguments),
    /// Events a second whose hashes are checked, and how long a proof takes.
    Verify(verify::Arguments),
    /// Events a second from a long history into rows, against reading it alone.
    Rebuild(rebuild::Arguments),
    /// p99 of reads and appends while rows are built, against while they are not.
    QueryUnderBuild(query_under_build::Arguments),
    /// Taps a second against nginx `return 302`.
    Redirect(redirect::Arguments),
    /// Events a second from an existing log into rows, and the memory that takes.
    CatchUp(catch_up::Arguments),
    /// Messages a second from the log to JetStream.
    Relay(relay::Arguments),
    /// Five seasons of races, each predicted from the ones before it.
    Backtest(backtest::Arguments),
    /// A large portfolio valued by one and by two workers.
    Run(valuation::Arguments),
    /// What is asked of such a run, against DuckDB on the same objects.
    Cube(valuation::CubeArguments),
    /// Signals a second over HTTP, against COPY and a server that only answers.
    Ingest(gateway::ingest::Arguments),
    /// Webhooks a second, and how long they take while an endpoint hangs.
    Dispatch(gateway::dispatch::Arguments),
}

fn main() -> ExitCode {
    if std::env::var_os(child::AS_DAYBOOK).is_some() {
        return daybook::cli::main();
    }
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.bench {
        Bench::Append(options) => append::run(options, arguments.json),
        Bench::Archive(options) => archive::run(options, arguments.json),
        Bench::Audit(options) => audit::run(options, arguments.json),
        Bench::Verify(options) => verify::run(options, arguments.json),
        Bench::Rebuild(options) => rebuild::run(options, arguments.json),
        Bench::QueryUnderBuild(options) => query_under_build::run(options, arguments.json),
        Bench::Redirect(options) => redirect::run(options, arguments.json),
        Bench::CatchUp(options) => catch_up::run(options, arguments.json),
        Bench::Relay(options) => relay::run(options, arguments.json),
        Bench::Backtest(options) => backtest::run(options, arguments.json),
        Bench::Run(options) => valuation::run(options, arguments.json),
        Bench::Cube(options) => valuation::cube(options, arguments.json),
        Bench::Ingest(options) => gateway::ingest::run(options, arguments.json),
        Bench::Dispatch(options) => gateway::dispatch::run(options, arguments.json),
    }
}
