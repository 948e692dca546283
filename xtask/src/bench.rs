//! `cargo xtask bench`: the benchmarks beside their peers, in release, with
//! servers of their own. They are a workspace apart with its own lock file.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::child;
use crate::install;
use crate::services::{Durability, POSTGRES_VARIABLE, Postgres};

#[derive(clap::Args)]
pub struct Args {
    /// One benchmark and its options; all benchmarks without
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    rest: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let manifest = crate::root().join("benches/Cargo.toml");
    ensure!(manifest.is_file(), "there are no benchmarks in benches/");
    install::find_or_install(&[install::POSTGRES, install::NGINX, install::WRK])?;
    let mut bench = child::cargo();
    bench.args(["run", "--quiet", "--release", "--manifest-path"]).arg(manifest).arg("--");
    bench.args(&args.rest);
    if args.json {
        bench.arg("--json");
    }
    let postgres = Postgres::start(Durability::On)?;
    child::run(bench.env(POSTGRES_VARIABLE, postgres.url()))
}
