//! Side-by-side benchmarks: each prints a table of medians, or with `--json`
//! one object a line {bench, case, ours, peer, peer_value, ratio, unit, runs}.

mod append;
mod archive;
mod audit;
mod catch_up;
mod query_under_build;
mod rebuild;
mod redirect;
mod relay;
mod table;

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
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.bench {
        Bench::Append(options) => append::run(options, arguments.json),
        Bench::Archive(options) => archive::run(options, arguments.json),
        Bench::Audit(options) => audit::run(options, arguments.json),
        Bench::Rebuild(options) => rebuild::run(options, arguments.json),
        Bench::QueryUnderBuild(options) => query_under_build::run(options, arguments.json),
        Bench::Redirect(options) => redirect::run(options, arguments.json),
        Bench::CatchUp(options) => catch_up::run(options, arguments.json),
        Bench::Relay(options) => relay::run(options, arguments.json),
    }
}
