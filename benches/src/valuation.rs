//! `run`: a portfolio of every product valued by worker processes: 10,000
//! positions, 1,000 scenarios, three measures. `cube`: what is asked of such a
//! run over HTTP, beside DuckDB on the same Parquet objects.

mod cube;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use daybook::valuation::sample as book;
use serde_json::{Value, json};

use crate::child::{Daybook, Ran};
use crate::python::number;
use crate::table::{Line, median, print};

pub use cube::{Arguments as CubeArguments, run as cube};

#[derive(clap::Args, Clone)]
pub struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    positions: usize,
    #[arg(long, default_value_t = 1_000)]
    scenarios: usize,
    #[arg(long, value_delimiter = ',', default_value = "PV,PV_BASE,DV01")]
    measures: Vec<String>,
    /// Runs with one worker and with two; they take turns.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Where the log and the results stay; a folder that is removed unless told.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = arguments.data_dir.clone().unwrap_or_else(|| folder.path().into());
    let daybook = Daybook::new(&data, &[]);
    portfolio(&daybook, &arguments)?;
    let (mut times, mut memory) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut shown = Value::Null;
    for turn in 0..arguments.runs {
        for workers in [1, 2] {
            let name = format!("RUN-{workers}-{turn}");
            let worked = work(&daybook, &arguments, &name, workers)?;
            times[workers - 1].push(worked.iter().map(|ran| ran.seconds).fold(0.0, f64::max));
            memory[workers - 1].push(worked.iter().map(|ran| ran.mib).fold(0.0, f64::max));
            let now = daybook.run(&["runs", "show", &name])?.lines.pop().context("the run is not there")?;
            ensure!(now["status"] == "COMPLETED", "{name} is {}", now["status"]);
            ensure!(shown.is_null() || shown["sha256"] == now["sha256"], "{name} has another result");
            shown = now;
        }
    }
    let (cells, bytes) = (number(&shown, "rows"), number(&shown, "bytes"));
    let line = |case: String, ours, unit| plain("run", case, ours, unit, arguments.runs);
    let mut lines = Vec::new();
    for workers in [1, 2] {
        let seconds = median(&times[workers - 1]);
        let of = format!("{workers} worker{}", if workers == 1 { "" } else { "s" });
        lines.push(line(format!("{of}: {:.0} M cells", cells / 1e6), seconds, "s"));
        lines.push(line(format!("{of}: cells a second"), cells / seconds / 1e3, "k cells/s"));
        lines.push(line(format!("{of}: most memory of one"), median(&memory[workers - 1]), "MiB"));
    }
    lines.push(line("a cell in an object".into(), bytes / cells, "bytes"));
    print(&lines, json);
    Ok(())
}

fn plain(bench: &'static str, case: String, ours: f64, unit: &'static str, runs: usize) -> Line {
    Line { bench, case, ours, peer: "-", peer_value: f64::NAN, unit, runs }
}

/// Market and positions, in the log.
fn portfolio(daybook: &Daybook, arguments: &Arguments) -> Result<()> {
    let market = write(&daybook.data, "market.json", &book::market("EOD"))?;
    daybook.run(&["market", "record", &market])?;
    let positions = write(&daybook.data, "positions.json", &json!(book::positions(7, arguments.positions)))?;
    daybook.run(&["positions", "open", &positions])?;
    Ok(())
}

/// Starts a run and lets so many workers end it.
fn work(daybook: &Daybook, arguments: &Arguments, name: &str, workers: usize) -> Result<Vec<Ran>> {
    let file = write(&daybook.data, "run.json", &request(arguments, name))?;
    daybook.run(&["runs", "start", &file])?;
    let started: Vec<_> =
        (0..workers).map(|_| daybook.start(&["worker", "--until-idle"])).collect::<Result<_>>()?;
    started.into_iter().map(|worker| worker.end()).collect()
}

/// The market as it is, and days on which everything moves.
fn request(arguments: &Arguments, name: &str) -> Value {
    let wave = |n: usize, by: usize| ((n * by % 997) as f64 / 997.0 - 0.5) * 2.0;
    let day = |n: usize| {
        let points = [0.25, 1.0, 5.0, 10.0, 30.0].iter().enumerate();
        let points: Vec<Value> = points.map(|(i, t)| json!([t, 0.002 * wave(n, 31 + 7 * i)])).collect();
        json!({"scenario_id": format!("H{n:04}"), "shifts": [
            {"factor": "rates", "points": points},
            {"factor": "spreads", "points": [[1.0, 0.001 * wave(n, 13)]]},
            {"factor": "fx", "size": 0.02 * wave(n, 17)},
            {"factor": "volatility", "size": 0.1 * wave(n, 19)},
            {"factor": "equity", "size": 0.03 * wave(n, 23)}]})
    };
    let days: Vec<Value> = (1..arguments.scenarios).map(day).collect();
    json!({"run_id": name, "as_of_time": "2026-01-23", "market_snapshot_id": "EOD", "measures": arguments.measures,
        "scenarios": ["BASE", {"scenario_set_id": "HIST", "kind": "stress", "scenarios": days}]})
}

fn write(folder: &Path, name: &str, value: &Value) -> Result<String> {
    let file = folder.join(name);
    std::fs::write(&file, value.to_string())?;
    file.to_str().map(str::to_owned).context("a path that is no text")
}
