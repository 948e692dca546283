//! `daybook dfs backtest`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use domain::ports::log::EventLog;
use models_fantasy::backtest::{FIRST, Judged, Options, Score, Summary, Walk, groups, summarise};
use models_fantasy::scoring::Site;
use models_fantasy::{MODEL, VERSION};
use projections::races::{Races, Told};
use serde_json::{Map, Value, json};

use super::words::{driver, spread};
use super::{Drawing, Source, bed};
use crate::cli::exit;
use crate::cli::output::Output;

#[derive(Args)]
pub struct Backtest {
    #[command(flatten)]
    pub source: Source,
    /// First season that is told; earlier ones are learned
    #[arg(long, value_name = "YEAR")]
    from: Option<i16>,
    /// Last season
    #[arg(long, value_name = "YEAR")]
    to: Option<i16>,
    #[command(flatten)]
    drawing: Drawing,
}

pub async fn run(args: Backtest, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    let started = Instant::now();
    let races = bed::open(&args.source, log).await?;
    let told = races.told()?;
    let imported = started.elapsed();
    let wanted = |season: i16| args.from.is_none_or(|y| y <= season) && args.to.is_none_or(|y| season <= y);
    let (runs, seed) = (args.drawing.runs as usize, args.drawing.seed);
    let mut walk = Walk::new(Options { runs, seed, rules: Vec::new() });
    let mut scores = Vec::new();
    for race in told.iter().filter(|race| !race.outcomes.is_empty()) {
        if args.to.is_some_and(|to| race.race.season > to) {
            break;
        }
        walk.rules(races.rules_of(race));
        let Some(judged) = walk.race(&race.race, &race.outcomes) else { continue };
        if !wanted(race.race.season) {
            continue;
        }
        if out.json {
            lines(&races, race, &judged, out)?;
        }
        scores.push(judged.score);
    }
    if scores.is_empty() {
        bail!("no race of these seasons has {FIRST} races before it to learn from");
    }
    let seconds = [imported.as_secs_f64(), (started.elapsed() - imported).as_secs_f64()];
    print(&scores, &args.drawing, seconds, out)?;
    Ok(exit::OK)
}

/// One line for each driver.
fn lines(races: &Races, told: &Told, judged: &Judged, out: &mut Output) -> Result<()> {
    let recorded = races.race(&told.race.id);
    for (i, (entry, outcome)) in told.race.entries.iter().zip(&told.outcomes).enumerate() {
        let mut object = Map::new();
        object.insert("race".into(), json!(told.race.id));
        object.insert("season".into(), json!(told.race.season));
        object.insert("number".into(), json!(told.number));
        object.insert("date".into(), json!(told.race.date));
        object.insert("track".into(), json!(told.race.track));
        object.insert("kind".into(), json!(told.race.kind.as_str()));
        object.insert("driver".into(), json!(entry.driver));
        object.insert("name".into(), json!(races.name(&entry.driver)));
        object.insert("start".into(), json!(entry.start));
        object.insert("predicted".into(), {
            let mut predicted = driver(&judged.projection.drivers[i]);
            let sites = judged.projection.sites.iter();
            let points: Map<String, Value> =
                sites.map(|site| (site.rules.site.as_str().to_owned(), spread(&site.spreads[i]))).collect();
            predicted.insert("points".into(), Value::Object(points));
            Value::Object(predicted)
        });
        let sites = judged.projection.sites.iter().zip(&judged.points);
        let paid: Map<String, Value> =
            sites.map(|(site, paid)| (site.rules.site.as_str().to_owned(), json!(paid[i]))).collect();
        let first = recorded.and_then(|race| race.first_results.get(&entry.driver)).map(|first| first.finish);
        object.insert(
            "actual".into(),
            json!({
                "finish": outcome.finish,
                "finish_before_correction": first,
                "dnf": outcome.end != models_fantasy::race::End::Running,
                "laps": outcome.laps,
                "laps_led": outcome.led,
                "fastest_laps": outcome.fastest,
                "points": paid,
            }),
        );
        out.line(&Value::Object(object).to_string())?;
    }
    Ok(())
}

fn print(scores: &[Score], drawing: &Drawing, [imported, walked]: [f64; 2], out: &mut Output) -> Result<()> {
    let summaries: Vec<(String, Summary)> = groups(scores)
        .into_iter()
        .filter_map(|(name, group)| Some((name, summarise(&group, drawing.seed)?)))
        .collect();
    if out.json {
        let groups: Map<String, Value> = summaries
            .into_iter()
            .map(|(name, summary)| Ok((name, serde_json::to_value(summary)?)))
            .collect::<Result<_>>()?;
        let model = format!("{MODEL}@{VERSION}");
        let sites = Site::ALL.map(Site::as_str);
        let summary = json!({"model": model, "runs": drawing.runs, "seed": drawing.seed, "walk_forward": true,
            "sites": sites, "seconds": {"import": imported, "walk": walked}, "groups": groups});
        return out.line(&json!({ "summary": summary }).to_string());
    }
    out.line(&format!(
        "{:<24}{:>6}{:>8}{:>16}{:>8}{:>9}{:>8}{:>7}{:>6}{:>6}{:>6}",
        "", "races", "rho", "90 %", "grid", "recent", "Brier", "slope", "50 %", "80 %", "CRPS"
    ))?;
    for (name, s) in summaries {
        out.line(&format!(
            "{name:<24}{:>6}{:>8.3}{:>9.3}–{:.3}{:>8.3}{:>9.3}{:>8.4}{:>7.2}{:>6.1}{:>6.1}{:>6.2}",
            s.races,
            s.rho.value,
            s.rho.low,
            s.rho.high,
            s.rho_start,
            s.rho_recency,
            s.brier.value,
            s.slope.unwrap_or(f64::NAN),
            s.within_50 * 100.0,
            s.within_80 * 100.0,
            s.crps
        ))?;
    }
    out.line(&format!(
        "{MODEL}@{VERSION}, {} races drawn for each; imported in {imported:.1} s, predicted in {walked:.1} s",
        drawing.runs
    ))
}
