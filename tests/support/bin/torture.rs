//! Tortures the log and counts what went wrong; exit code 1 if anything did.
//!
//! `cargo run -p daybook-tests --bin torture -- --postgres [URL] --seconds 120`
//! `cargo run -p daybook-tests --bin torture -- --sqlite --seconds 120`
//!
//! Without a URL, Postgres is a private server that is crashed half-way.
#![allow(clippy::print_stdout, reason = "a tool for the terminal")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use daybook_tests::torture::{Torture, write};

const USAGE: &str =
    "usage: torture (--postgres [URL] | --sqlite) [--seconds N] [--processes N] [--writers N]";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, target, notes, writers] = &arguments[..]
        && word == "write"
    {
        write(target, notes, writers.parse()?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let sqlite = arguments.iter().any(|a| a == "--sqlite");
    let number = |name: &str, default: usize| match arguments.iter().position(|a| a == name) {
        Some(at) => arguments.get(at + 1).and_then(|n| n.parse().ok()).context(USAGE),
        None => Ok(default),
    };
    let torture = Torture {
        program: std::env::current_exe()?,
        processes: number("--processes", if sqlite { 1 } else { 4 })?,
        writers: number("--writers", 16)?,
        duration: Duration::from_secs(number("--seconds", 120)? as u64),
    };
    let url = arguments.iter().find(|a| a.starts_with("postgres:"));
    let report = match (arguments.iter().any(|a| a == "--postgres"), sqlite, url) {
        (true, false, Some(url)) => torture.postgres_at(url).await?,
        (true, false, None) => torture.postgres().await?,
        (false, true, None) => torture.sqlite().await?,
        _ => bail!(USAGE),
    };
    let store = if sqlite { "SQLite" } else { "PostgreSQL" };
    let Torture { processes, writers, duration, .. } = torture;
    println!("{store}, {} s, {processes} processes × {writers} writers, 4 readers", duration.as_secs());
    println!("{report}");
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
