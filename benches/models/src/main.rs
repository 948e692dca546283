//! Benchmarks of the models, which need no log and no server, beside Python
//! packages that `cargo xtask bench` installs. Printed as the others are.

mod detect;
mod features;
mod imposters;
mod lineups;
mod matrix;
mod memory;
mod peer;
mod pricing;
#[path = "../../src/python.rs"]
mod python;
mod simulate;
#[path = "../../src/table.rs"]
mod table;

use clap::{Parser, Subcommand};

/// As in the `daybook` binary.
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
    /// The best lineups of a slate, and portfolios, against pydfs-lineup-optimizer.
    Lineups(lineups::Arguments),
    /// Races drawn a second, against NumPy drawing from the same model.
    Simulate(simulate::Arguments),
    /// Swaps priced a second, against QuantLib.
    Pricing(pricing::Arguments),
    /// Text a second, against scikit-learn and faststylometry.
    Features(features::Arguments),
    /// Distances of all pairs of texts, against NumPy and scikit-learn.
    Matrix(matrix::Arguments),
    /// Verification by general imposters, against NumPy.
    Imposters(imposters::Arguments),
    /// Points a second and bytes of a series, by detector.
    Detect(detect::Arguments),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let lines = match arguments.bench {
        Bench::Lineups(options) => lineups::run(&options)?,
        Bench::Simulate(options) => simulate::run(&options)?,
        Bench::Pricing(options) => pricing::run(&options)?,
        Bench::Features(options) => features::run(&options)?,
        Bench::Matrix(options) => matrix::run(&options)?,
        Bench::Imposters(options) => imposters::run(&options)?,
        Bench::Detect(options) => detect::run(&options)?,
    };
    table::print(&lines, arguments.json);
    Ok(())
}
