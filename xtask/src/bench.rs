//! `cargo xtask bench`: the benchmarks beside their peers, in release, with
//! servers of their own. They are a workspace apart with its own lock file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::child;
use crate::install;
use crate::python;
use crate::services::{Durability, POSTGRES_VARIABLE, Postgres};

const NAMES: [&str; 20] = [
    "append",
    "redirect",
    "catch-up",
    "relay",
    "archive",
    "rebuild",
    "query-under-build",
    "ingest",
    "dispatch",
    "backtest",
    "run",
    "cube",
    "detect",
    "lineups",
    "simulate",
    "pricing",
    "features",
    "matrix",
    "imposters",
    NAB,
];

/// Of models alone: a package of their own that needs no server.
const MODELS: [&str; 7] = ["detect", "lineups", "simulate", "pricing", "features", "matrix", "imposters"];
/// Beside Python packages.
const PYTHON: [&str; 7] = ["cube", "lineups", "simulate", "pricing", "features", "matrix", "imposters"];
/// Of the data that lie beside the repository.
const DATA: [&str; 3] = ["backtest", "features", NAB];

/// Needs no server and no peers: an example of the crate that it measures.
const NAB: &str = "nab";

const DATA_VARIABLE: &str = "DAYBOOK_DATA";

#[derive(clap::Args)]
pub struct Args {
    /// One of them; all, one after the other, without
    #[arg(value_parser = NAMES)]
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Options of the benchmark
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let names: Vec<&str> =
        NAMES.into_iter().filter(|n| args.name.as_deref().is_none_or(|a| a == *n)).collect();
    if args.name.as_deref() == Some(NAB) {
        return nab(args);
    }
    ensure!(crate::root().join("benches/Cargo.toml").is_file(), "there are no benchmarks in benches/");
    let mut tools = vec![install::POSTGRES];
    if names.contains(&"redirect") {
        tools.extend([install::NGINX, install::WRK]);
    }
    if names.contains(&"relay") {
        tools.push(install::NATS);
    }
    let served = names.iter().any(|name| *name != NAB && !MODELS.contains(name));
    // First, so that no server waits for the compiler.
    for package in names.iter().filter(|n| **n != NAB).map(|n| package(n)).collect::<BTreeSet<&str>>() {
        child::check(&mut benches("build", package))?;
    }
    let postgres = match served {
        true => {
            install::find_or_install(&tools)?;
            Some(Postgres::start(Durability::On)?)
        }
        false => None,
    };
    for name in names {
        if DATA.contains(&name) && !data().is_dir() {
            eprintln!("{name} skipped: no data in {}", data().display());
            continue;
        }
        if name == NAB {
            nab(args)?;
            continue;
        }
        let mut bench = benches("run", package(name));
        bench.args(["--", name]).args(args.json.then_some("--json")).args(&args.rest);
        if PYTHON.contains(&name) {
            bench.env(python::PEERS_VARIABLE, python::prepare_peers()?);
        }
        if let Some(postgres) = &postgres {
            bench.env(POSTGRES_VARIABLE, postgres.url());
        }
        let code = child::run(bench.env(DATA_VARIABLE, data()))?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn package(name: &str) -> &'static str {
    if MODELS.contains(&name) { "daybook-benches-models" } else { "daybook-benches" }
}

fn benches(action: &str, package: &str) -> Command {
    let mut cargo = child::cargo();
    cargo.args([
        action,
        "--quiet",
        "--release",
        "--manifest-path",
        "benches/Cargo.toml",
        "--package",
        package,
    ]);
    cargo
}

/// Where the data lie.
fn data() -> PathBuf {
    std::env::var_os(DATA_VARIABLE).map_or_else(|| crate::root().join("../shared/data"), PathBuf::from)
}

/// The anomaly benchmark's tables, over the series that are at hand.
fn nab(args: &Args) -> Result<ExitCode> {
    let folder = data().join("anomaly/nab");
    if !folder.is_dir() {
        eprintln!("skipped: no data in {}", folder.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut cargo = child::cargo();
    cargo.args(["run", "--quiet", "--release", "-p", "models-anomaly", "--example", "nab", "--"]);
    cargo.arg(folder).args(args.json.then_some("--json")).args(&args.rest);
    child::run(&mut cargo)
}
