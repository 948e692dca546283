//! `detect`: points a second by one thread and bytes of a series, for each
//! detector: of series that are full, so that nothing grows any more, and of
//! many young ones that are fed in turn.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use models_anomaly::detect::{Detector, NAMES, by_name};
use models_fantasy::rng::Rng;
use serde_json::Value;

use crate::memory;
use crate::peer::timed;
use crate::table::Line;

/// More than any detector remembers.
const FULL: usize = 7_000;
/// Points at the end over which full series are timed.
const TIMED: usize = 1_000;
/// Series that are filled, or ten times as many until their memory is seen.
const FEW: usize = 40;
const SEEN_BYTES: f64 = (1 << 20) as f64;
const MIB: f64 = (1 << 20) as f64;
const MINUTE: i64 = 60_000_000;

#[derive(clap::Args)]
pub struct Arguments {
    /// Young series.
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Points that each of them is fed at most.
    #[arg(long, default_value_t = 60)]
    points: usize,
    /// Seconds that they are fed, about.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Memory that they may take.
    #[arg(long, default_value_t = 2_048.0)]
    mib: f64,
    /// Only this detector.
    #[arg(long)]
    only: Option<String>,
}

type Series = Vec<Box<dyn Detector>>;

/// Each detector is measured in a process of its own: what one has given back,
/// the next would take unseen.
pub fn run(arguments: &Arguments) -> Result<Vec<Line>> {
    if let Some(name) = &arguments.only {
        return one(name, arguments);
    }
    let mut lines = Vec::new();
    for name in NAMES {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--json", "detect", "--only", name]);
        for (option, value) in [
            ("--series", arguments.series.to_string()),
            ("--points", arguments.points.to_string()),
            ("--seconds", arguments.seconds.to_string()),
            ("--mib", arguments.mib.to_string()),
        ] {
            child.args([option, &value]);
        }
        let said = child.stderr(Stdio::inherit()).output()?;
        ensure!(said.status.success(), "{name}: {}", said.status);
        for text in String::from_utf8(said.stdout)?.lines() {
            let told: Value = serde_json::from_str(text)?;
            let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
            let ours = told["ours"].as_f64().context("a line without a figure")?;
            lines.push(line(text("case"), ours, text("unit").leak()));
        }
    }
    Ok(lines)
}

fn one(name: &str, arguments: &Arguments) -> Result<Vec<Line>> {
    let feed = feed(4_096);
    // They stay, so that the young ones take memory of their own.
    let (full, _series) = full(name, &feed)?;
    Ok(full.into_iter().chain(young(name, &feed, arguments)?).collect())
}

fn line(case: String, ours: f64, unit: &'static str) -> Line {
    Line { bench: "detect", case, ours, peer: "-", peer_value: f64::NAN, unit, runs: 1 }
}

fn full(name: &str, feed: &[f64]) -> Result<([Line; 3], Vec<Series>)> {
    let mut count = FEW;
    // What is given back is taken again unseen, so nothing is.
    let mut kept = Vec::new();
    let (bytes, mut series) = loop {
        let fill = || -> Result<Series> {
            let mut series = made(name, count)?;
            push(&mut series, feed, 0..FULL);
            Ok(series)
        };
        let (bytes, series) = memory::each(count, fill)?;
        if bytes * count as f64 >= SEEN_BYTES || count >= 100 * FEW {
            break (bytes, series?);
        }
        kept.push(series?);
        count *= 10;
    };
    let took = timed(1, || {
        push(&mut series, feed, FULL..FULL + TIMED);
        Ok(())
    })?
    .0[0];
    kept.push(series);
    let lines = [
        line(format!("{name}, {count} full series"), (count * TIMED) as f64 / took / 1e3, "k points/s"),
        line(format!("{name}, a full series"), bytes / 1024.0, "KiB"),
        line(format!("{name}, so 100,000 full series"), bytes * 1e5 / MIB, "MiB"),
    ];
    Ok((lines, kept))
}

fn young(name: &str, feed: &[f64], arguments: &Arguments) -> Result<[Line; 2]> {
    let before = memory::resident()?;
    let mut series = made(name, arguments.series)?;
    let (mut points, mut took) = (0, 0.0);
    while points < arguments.points
        && took < arguments.seconds
        && memory::resident()? - before < arguments.mib * MIB
    {
        took += timed(1, || {
            push(&mut series, feed, points..points + 1);
            Ok(())
        })?
        .0[0];
        points += 1;
    }
    let (count, bytes) = (arguments.series, memory::resident()? - before);
    let case = format!("{name}, {count} series of {points} points");
    Ok([
        line(case.clone(), (count * points) as f64 / took / 1e3, "k points/s"),
        line(format!("{case}, each"), bytes / count as f64 / 1024.0, "KiB"),
    ])
}

fn made(name: &str, count: usize) -> Result<Series> {
    (0..count).map(|_| by_name(name, None).with_context(|| format!("no detector {name}"))).collect()
}

/// Each series sees the same days, from another hour on.
fn push(series: &mut Series, feed: &[f64], points: std::ops::Range<usize>) {
    for point in points {
        for (i, detector) in series.iter_mut().enumerate() {
            let value = feed[(point + i * 37) % feed.len()];
            std::hint::black_box(detector.push(point as i64 * 5 * MINUTE, value));
        }
    }
}

/// A daily course in steps of five minutes, with noise and a few peaks.
fn feed(points: usize) -> Vec<f64> {
    let mut rng = Rng::new(2);
    let value = |i: usize| {
        let day = (i as f64 / 288.0 * std::f64::consts::TAU).sin();
        100.0 + 30.0 * day + 4.0 * rng.normal() + if i % 977 == 0 { 60.0 } else { 0.0 }
    };
    (0..points).map(value).collect()
}
