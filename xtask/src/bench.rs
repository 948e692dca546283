//! `cargo xtask bench`: the benchmarks beside their peers, in release, with
//! servers of their own. They are a workspace apart with its own lock file.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::child;
use crate::install;
use crate::services::{Durability, POSTGRES_VARIABLE, Postgres};

const NAMES: [&str; 7] =
    ["append", "redirect", "catch-up", "relay", "archive", "rebuild", "query-under-build"];

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
    ensure!(crate::root().join("benches/Cargo.toml").is_file(), "there are no benchmarks in benches/");
    let mut tools = vec![install::POSTGRES];
    if names.contains(&"redirect") {
        tools.extend([install::NGINX, install::WRK]);
    }
    if names.contains(&"relay") {
        tools.push(install::NATS);
    }
    install::find_or_install(&tools)?;
    // First, so that no server waits for the compiler.
    child::check(&mut benches("build"))?;
    let postgres = Postgres::start(Durability::On)?;
    for name in names {
        let mut bench = benches("run");
        bench.args(["--", name]).args(args.json.then_some("--json")).args(&args.rest);
        let code = child::run(bench.env(POSTGRES_VARIABLE, postgres.url()))?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn benches(action: &str) -> Command {
    let mut cargo = child::cargo();
    cargo.args([action, "--quiet", "--release", "--manifest-path", "benches/Cargo.toml"]);
    cargo
}
