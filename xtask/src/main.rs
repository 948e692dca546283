//! `cargo xtask`: the entry points of developers and CI.

mod bench;
mod child;
mod ci;
mod demo;
mod install;
mod languages;
mod python;
mod services;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Entry points of developers and CI")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start what the tests need, run all of them, stop it again
    Test(test::Args),
    /// Formatting, lints and tests, as CI runs them
    Ci,
    /// Start PostgreSQL, print what tests need to know, wait for Ctrl-C
    Services,
    /// Build and run `daybook demo`: a server with a generated show day
    Demo(demo::Args),
    /// Side-by-side benchmarks, in release
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = child::catch_signals().and_then(|()| match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Ci => ci::run(),
        Task::Services => services::run(),
        Task::Demo(args) => demo::run(&args),
        Task::Bench(args) => bench::run(&args),
    });
    match result {
        Ok(code) => code,
        Err(_) if child::interrupted() => ExitCode::from(130),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
