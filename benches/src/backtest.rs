//! `backtest`: every race of five seasons predicted from the ones before it,
//! as `daybook dfs backtest` does in a process of its own: from the published
//! files on a log in memory, and from a log on disk that they were imported
//! into.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::child::{Daybook, Ran};
use crate::table::{Line, median, print};

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder whose `nascar/*.csv` are read.
    #[arg(long, env = "DAYBOOK_DATA")]
    data: PathBuf,
    #[arg(long, default_value = "2019")]
    from: String,
    #[arg(long, default_value = "2023")]
    to: String,
    /// Races drawn for each prediction.
    #[arg(long, default_value = "10000")]
    drawn: String,
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let folder = arguments.data.join("nascar").canonicalize().context("no races")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    let text = |path: &PathBuf| path.to_str().map(str::to_owned).context("a path that is no text");
    let files = files.iter().map(text).collect::<Result<Vec<String>>>()?;
    let data = tempfile::tempdir()?;
    let daybook = Daybook::new(data.path(), &[]);
    let import: Vec<&str> =
        ["import", "nascar"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let imported = daybook.run(&import)?;
    let asked =
        ["dfs", "backtest", "--from", &arguments.from, "--to", &arguments.to, "--runs", &arguments.drawn];
    let folder = text(&folder)?;
    let from_files = [&asked[..], &["--data", &folder]].concat();
    let (mut logs, mut files) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        logs.push(daybook.run(&asked)?);
        files.push(daybook.run(&from_files)?);
    }
    let (log, file) = (summary(&logs[0])?, summary(&files[0])?);
    ensure!(log["groups"] == file["groups"], "the log predicts otherwise than the files");
    let races = log["groups"]["all"]["races"].as_u64().context("no group of all races")?;
    let mut lines = Vec::new();
    for (from, ran) in [("a log on SQLite", &logs), ("CSV files", &files)] {
        let of = |what: &dyn Fn(&Ran) -> f64| median(&ran.iter().map(what).collect::<Vec<f64>>());
        let walk =
            |ran: &Ran| summary(ran).ok().and_then(|s| s["seconds"]["walk"].as_f64()).unwrap_or(f64::NAN);
        let line = |what: &str, ours, unit| {
            plain(format!("{races} races from {from}: {what}"), ours, unit, arguments.runs)
        };
        lines.push(line("whole process", of(&|ran| ran.seconds), "s"));
        lines.push(line("races predicted a second", races as f64 / of(&walk), "races/s"));
        lines.push(line("most memory", of(&|ran| ran.mib), "MiB"));
    }
    lines.push(plain("CSV files imported into the log".into(), imported.seconds, "s", 1));
    print(&lines, json);
    Ok(())
}

fn plain(case: String, ours: f64, unit: &'static str, runs: usize) -> Line {
    Line { bench: "backtest", case, ours, peer: "-", peer_value: f64::NAN, unit, runs }
}

/// The last line of its output.
fn summary(ran: &Ran) -> Result<&Value> {
    let last = ran.lines.last().context("the backtest said nothing")?;
    Ok(&last["summary"])
}
