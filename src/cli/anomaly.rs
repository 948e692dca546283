//! `daybook anomaly`: scores of a plain series, which need no log, and the
//! windows that a server has found.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use models_anomaly::detect::{self, Range};
use models_anomaly::series::{Columns, Series, SeriesError, parse_columns};
use serde_json::json;

use super::output::Output;
use super::{exit, windows};

/// Largest file that is read; about ten million points.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

#[derive(Args)]
pub struct AnomalyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print timestamp,value,score for each point, judged by the points before it
    Score(Score),
    /// The names of the detectors
    Detectors,
    /// Windows in which a series was unusual, newest first
    Windows(windows::List),
    /// Take care of a window
    Ack(windows::Say),
    /// Let a window's series set nothing off until an event time
    Mute(windows::Mute),
}

#[derive(Args)]
struct Score {
    /// CSV with an instant and a value in each line; - is standard input
    file: PathBuf,
    #[arg(long, default_value = detect::DEFAULT)]
    detector: String,
    /// Tell the detector the file's smallest and largest value in advance
    #[arg(long)]
    file_range: bool,
    /// Name of the column with the instants
    #[arg(long)]
    time_column: Option<String>,
    /// Name of the column with the values
    #[arg(long)]
    value_column: Option<String>,
    /// Print the expected value and its band too, where the detector has one
    #[arg(long)]
    band: bool,
}

/// What was asked for can't be done with what was given.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("there is no detector {0}; there are {1}")]
    Detector(String, String),
    #[error("{0}: {1}")]
    Series(String, SeriesError),
}

pub async fn run(args: AnomalyArgs, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Windows(args) => windows::list(args, out).await?,
        What::Ack(args) => windows::acknowledge(args, out).await?,
        What::Mute(args) => windows::mute(args, out).await?,
        What::Score(args) => score(&args, out)?,
        What::Detectors => {
            for name in detect::NAMES {
                out.line(&if out.json { json!({"detector": name}).to_string() } else { name.to_owned() })?;
            }
        }
    }
    Ok(exit::OK)
}

fn score(args: &Score, out: &mut Output) -> Result<()> {
    let unknown = || Unusable::Detector(args.detector.clone(), detect::NAMES.join(", "));
    detect::by_name(&args.detector, None).ok_or_else(unknown)?;
    let columns = Columns { time: args.time_column.clone(), value: args.value_column.clone() };
    let series = parse_columns(&read(&args.file)?, &columns)
        .map_err(|e| Unusable::Series(args.file.display().to_string(), e))?;
    let range = args.file_range.then(|| Range::of(series.points.iter().map(|p| p.value))).flatten();
    let mut detector = detect::by_name(&args.detector, range).ok_or_else(unknown)?;
    if !out.json {
        out.line(if args.band {
            "timestamp,value,score,expected,lower,upper"
        } else {
            "timestamp,value,score"
        })?;
    }
    for (i, point) in series.points.iter().enumerate() {
        let verdict = detector.push(point.at, point.value);
        out.line(&line(&series, i, verdict, args.band, out.json))?;
    }
    Ok(())
}

fn line(series: &Series, i: usize, verdict: detect::Verdict, band: bool, as_json: bool) -> String {
    let (instant, value) = (&series.instants[i], &series.values[i]);
    let score = (verdict.score * 1e9).round() / 1e9;
    if as_json {
        let mut line = json!({"timestamp": instant, "value": series.points[i].value, "score": score});
        if let Some(band) = verdict.band.filter(|_| band) {
            line["band"] = json!(band);
        }
        return line.to_string();
    }
    let mut line = format!("{instant},{value},{score}");
    if band {
        match verdict.band {
            Some(band) => line += &format!(",{},{},{}", band.expected, band.lower, band.upper),
            None => line += ",,,",
        }
    }
    line
}

fn read(file: &PathBuf) -> Result<String> {
    let mut bytes = Vec::new();
    let name = file.display();
    let open = || std::fs::File::open(file).with_context(|| format!("cannot open {name}"));
    let source: Box<dyn Read> =
        if file.as_os_str() == "-" { Box::new(std::io::stdin()) } else { Box::new(open()?) };
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_BYTES, "{name} is larger than {MAX_BYTES} bytes");
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))
}
