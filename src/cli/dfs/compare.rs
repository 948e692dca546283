//! `daybook dfs compare`: the model as it is beside the model under other
//! parameters, over the same past races, and who moves in the next one.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use domain::ports::log::EventLog;
use models_fantasy::backtest::{FIRST, Options, Score, Walk, groups, paired, summarise};
use models_fantasy::parameters::Parameters;
use projections::races::{Races, Told};
use racing::draw::model;
use serde_json::{Map, Value, json};

use super::words::round;
use super::{Drawing, Source, bed, find};
use crate::cli::exit;
use crate::cli::output::Output;

/// Drivers who are told to move.
const MOVERS: usize = 10;

#[derive(Args)]
pub struct Compare {
    #[command(flatten)]
    pub source: Source,
    /// Parameters of the other model as JSON, such as {"recent_half_life": 4}
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// First season that is told; earlier ones are learned
    #[arg(long, value_name = "YEAR")]
    from: Option<i16>,
    /// Last season
    #[arg(long, value_name = "YEAR")]
    to: Option<i16>,
    /// In which race drivers move; without it the first race that has no result, else the last
    #[arg(long)]
    race: Option<String>,
    #[command(flatten)]
    drawing: Drawing,
}

/// One model's way through the seasons.
struct Way {
    scores: Vec<Score>,
    /// Expected place of each entry of the race that is asked about.
    expected: Vec<f64>,
}

pub async fn run(args: Compare, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    let file = args.params.display().to_string();
    let text = std::fs::read_to_string(&args.params).with_context(|| file.clone())?;
    let other: Parameters = serde_json::from_str(&text).with_context(|| file.clone())?;
    other.check().map_err(anyhow::Error::msg).context(file)?;
    let races = bed::open(&args.source, log).await?;
    let told = races.told()?;
    let asked = find(&told, args.race.as_deref());
    let at = match (asked, &args.race) {
        (Ok(at), _) => at,
        (Err(error), Some(_)) => return Err(error),
        (Err(_), None) => told.len().checked_sub(1).context("there is no race")?,
    };
    let ways = [Parameters::default(), other.clone()].map(|p| walk(&args, &races, &told, at, &p));
    if ways[0].scores.is_empty() {
        bail!("no race of these seasons has {FIRST} races before it to learn from");
    }
    print(&args, &ways, &other, out)?;
    movers(&races, &told[at], &ways, out)?;
    Ok(exit::OK)
}

fn walk(args: &Compare, races: &Races, told: &[Told], at: usize, parameters: &Parameters) -> Way {
    let (runs, seed) = (args.drawing.runs as usize, args.drawing.seed);
    let mut walk = Walk::under(parameters, Options { runs, seed, rules: Vec::new() });
    let mut way = Way { scores: Vec::new(), expected: Vec::new() };
    let wanted = |season: i16| args.from.is_none_or(|y| y <= season) && args.to.is_none_or(|y| season <= y);
    for (i, race) in told.iter().enumerate() {
        walk.rules(races.rules_of(race));
        if i == at {
            let drawn = walk.model.project(&race.race, &[], seed, runs);
            way.expected = drawn.drivers.iter().map(|d| d.finish.mean).collect();
        }
        if race.outcomes.is_empty() {
            continue;
        }
        if let Some(judged) = walk.race(&race.race, &race.outcomes)
            && wanted(race.race.season)
        {
            way.scores.push(judged.score);
        }
    }
    way
}

fn print(args: &Compare, ways: &[Way; 2], other: &Parameters, out: &mut Output) -> Result<()> {
    let seed = args.drawing.seed;
    let [before, after] = ways;
    let changed: Map<String, Value> =
        other.changed().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    if !out.json {
        out.line(&format!("{} beside the same with {}", model(), Value::from(changed.clone())))?;
        out.line(&format!(
            "{:<24}{:>6}{:>16}{:>10}{:>19}{:>18}{:>14}",
            "", "races", "rho", "change", "90 %", "Brier", "CRPS"
        ))?;
    }
    let mut lines = Map::new();
    for ((name, olds), (_, news)) in groups(&before.scores).into_iter().zip(groups(&after.scores)) {
        let (Some(old), Some(new)) = (summarise(&olds, seed), summarise(&news, seed)) else { continue };
        let change = paired(&olds, &news, seed);
        if out.json {
            let side = |s: &models_fantasy::backtest::Summary| json!({"rho": round(s.rho.value), "brier": round(s.brier.value), "crps": round(s.crps)});
            let change =
                json!({"rho": round(change.value), "low": round(change.low), "high": round(change.high)});
            lines.insert(
                name,
                json!({"races": old.races, "before": side(&old), "after": side(&new), "change": change}),
            );
            continue;
        }
        out.line(&format!(
            "{name:<24}{:>6}{:>8.3}{:>8.3}{:>+10.4}{:>+10.4}…{:<+8.4}{:>9.4}{:>9.4}{:>7.2}{:>7.2}",
            old.races,
            old.rho.value,
            new.rho.value,
            change.value,
            change.low,
            change.high,
            old.brier.value,
            new.brier.value,
            old.crps,
            new.crps
        ))?;
    }
    if out.json {
        let summary = json!({"model": model(), "parameters": changed, "groups": lines});
        out.line(&json!({ "summary": summary }).to_string())?;
    }
    Ok(())
}

fn movers(races: &Races, told: &Told, ways: &[Way; 2], out: &mut Output) -> Result<()> {
    let places = ways[0].expected.iter().zip(&ways[1].expected);
    let mut moved: Vec<(&str, f64, f64)> =
        told.race.entries.iter().zip(places).map(|(e, (a, b))| (e.driver.as_str(), *a, *b)).collect();
    moved.sort_by(|a, b| (b.2 - b.1).abs().total_cmp(&(a.2 - a.1).abs()));
    moved.truncate(MOVERS);
    if !out.json {
        out.line(&format!("Who moves in {}: expected place before and after", told.race.id))?;
    }
    for (driver, before, after) in moved {
        let name = races.name(driver);
        let line = match out.json {
            true => json!({"race": told.race.id, "driver": driver, "name": name, "before": round(before), "after": round(after)})
                .to_string(),
            false => format!("{name:<24}{before:>8.1}{after:>8.1}{:>+8.1}", after - before),
        };
        out.line(&line)?;
    }
    Ok(())
}
