//! `daybook dfs project`.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use domain::ports::log::EventLog;
use racing::draw::{changed, learned, model_under};
use serde_json::{Map, Value, json};

use super::words::{driver, spread};
use super::{Drawing, Source, Under, bed, find};
use crate::cli::exit;
use crate::cli::output::Output;

#[derive(Args)]
pub struct Project {
    #[command(flatten)]
    pub source: Source,
    /// Such as cup-2023-36; without it the first race that has no result
    #[arg(long)]
    race: Option<String>,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    under: Under,
}

pub async fn run(args: Project, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    let races = bed::open(&args.source, log).await?;
    let told = races.told()?;
    let at = find(&told, args.race.as_deref())?;
    let rules = races.rules_of(&told[at]);
    let parameters = args.under.parameters()?;
    let walk = learned(&told[..at], &rules, args.drawing.seed, &parameters);
    let race = &told[at].race;
    let projection = walk.model.project(race, &rules, args.drawing.seed, args.drawing.runs as usize);
    let mut order: Vec<usize> = (0..race.entries.len()).collect();
    order.sort_by(|a, b| projection.drivers[*a].finish.mean.total_cmp(&projection.drivers[*b].finish.mean));
    if !out.json {
        out.line(&format!(
            "{} at {} ({}), from {} earlier races, {}",
            race.id,
            race.track,
            race.kind.as_str(),
            walk.model.learned(),
            model_under(&parameters)
        ))?;
        out.line(&format!(
            "{:<24}{:>6}{:>8}{:>12}{:>7}{:>7}{:>7}{:>6}{:>8}{:>8}",
            "", "start", "finish", "80 %", "win", "top 5", "top 10", "out", "DK", "FD"
        ))?;
    }
    for i in order {
        let (entry, drawn) = (&race.entries[i], &projection.drivers[i]);
        let name = races.name(&entry.driver);
        if out.json {
            let mut object = Map::new();
            object.insert("race".into(), json!(race.id));
            object.insert("driver".into(), json!(entry.driver));
            object.insert("name".into(), json!(name));
            object.insert("start".into(), json!(entry.start));
            object.extend(driver(drawn));
            let points: Map<String, Value> = projection
                .sites
                .iter()
                .map(|site| (site.rules.site.as_str().to_owned(), spread(&site.spreads[i])))
                .collect();
            object.insert("points".into(), Value::Object(points));
            out.line(&Value::Object(object).to_string())?;
            continue;
        }
        let start = entry.start.map_or("–".to_owned(), |start| start.to_string());
        let [low, high] = [drawn.finish.quantiles[1], drawn.finish.quantiles[5]];
        let points: String =
            projection.sites.iter().map(|site| format!("{:>8.1}", site.spreads[i].mean)).collect();
        let chances = &drawn.chances;
        out.line(&format!(
            "{name:<24}{start:>6}{:>8.1}{:>12}{:>7.3}{:>7.3}{:>7.3}{:>6.2}{points}",
            drawn.finish.mean,
            format!("{low:.0}–{high:.0}"),
            chances.win,
            chances.top5,
            chances.top10,
            chances.accident + chances.mechanical
        ))?;
    }
    if out.json {
        let summary = json!({"race": race.id, "track": race.track, "kind": race.kind.as_str(),
            "model": model_under(&parameters), "parameters": changed(&parameters), "seed": args.drawing.seed, "runs": args.drawing.runs,
            "learned": walk.model.learned()});
        out.line(&json!({ "summary": summary }).to_string())?;
    }
    Ok(exit::OK)
}
