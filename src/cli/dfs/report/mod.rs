//! `daybook dfs report`: predictions beside what happened, as a page with plots.

mod page;
mod svg;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use domain::TenantId;
use domain::ports::log::{EventLog, ReadFilter};
use models_fantasy::backtest::{FIRST, Options, Score, Summary, Walk, groups, summarise};
use models_fantasy::measure::reliability;
use models_fantasy::project::LEVELS;
use projections::Projection;
use projections::dfs_projections::{DfsProjections, RACES, RaceRow, SCORES, SEALED, ScoreRow, SealedRow};
use projections::testing::{MemoryRows, fold};
use racing::draw::model;

use super::{Drawing, Source, bed};
use crate::cli::exit;
use crate::cli::output::Output;
use page::Page;

const PAGE: usize = 1_000;

#[derive(Args)]
pub struct Report {
    #[command(flatten)]
    pub source: Source,
    /// What was sealed before each race, instead of predicting every race again
    #[arg(long, conflicts_with_all = ["data", "at"])]
    sealed: bool,
    /// Of the sealed ones
    #[arg(long, default_value = "draftkings")]
    site: String,
    /// Of the sealed ones; those sealed under other parameters have a name of their own
    #[arg(long, value_name = "NAME@VERSION", default_value_t = model())]
    model: String,
    /// First season that is told; earlier ones are learned
    #[arg(long, value_name = "YEAR")]
    from: Option<i16>,
    /// Last season
    #[arg(long, value_name = "YEAR")]
    to: Option<i16>,
    #[command(flatten)]
    drawing: Drawing,
    /// Where the page is written
    #[arg(long, short, value_name = "FILE", default_value = "dfs-report.html")]
    output: PathBuf,
}

/// What plots need of all races.
#[derive(Default)]
struct Seen {
    scores: Vec<Score>,
    cars: Vec<(f64, f64)>,
    below: [f64; LEVELS.len()],
}

impl Seen {
    fn car(&mut self, mean: f64, quantiles: &[f64; LEVELS.len()], finish: u32) {
        let finish = f64::from(finish);
        self.cars.push((mean, finish));
        for (below, quantile) in self.below.iter_mut().zip(quantiles) {
            *below += f64::from(u8::from(finish <= *quantile));
        }
    }
}

pub async fn run(args: Report, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    let (seen, source) = match (args.sealed, &log) {
        (true, Some(log)) => (
            sealed(&args, &**log).await?,
            "Sealed before the green flag, judged by the result as it is now.".to_owned(),
        ),
        (true, None) => bail!("--sealed needs the configured log"),
        (false, _) => (
            walked(&args, log).await?,
            format!("Every race predicted from the races before it, {} draws each.", args.drawing.runs),
        ),
    };
    if seen.scores.is_empty() {
        bail!("there is no race of these seasons that was predicted and has a result");
    }
    let groups: Vec<(String, Summary)> = groups(&seen.scores)
        .into_iter()
        .filter_map(|(group, scores)| Some((group, summarise(&scores, args.drawing.seed)?)))
        .collect();
    let cars = seen.cars.len().max(1) as f64;
    let page = Page {
        model: if args.sealed { args.model.clone() } else { model() },
        source,
        groups,
        bins: reliability(seen.scores.iter().flat_map(|s| s.margins.iter().copied())),
        below: seen.below.map(|below| below / cars),
        cars: seen.cars,
        recency: !args.sealed,
    };
    let file = args.output.display().to_string();
    tokio::fs::write(&args.output, page.html()).await.with_context(|| file.clone())?;
    if out.json {
        out.line(&serde_json::json!({"file": file, "races": seen.scores.len()}).to_string())?;
    } else {
        out.line(&format!("{file}: {} races", seen.scores.len()))?;
    }
    Ok(exit::OK)
}

impl Report {
    fn wants(&self, season: i16) -> bool {
        self.from.is_none_or(|year| year <= season) && self.to.is_none_or(|year| season <= year)
    }
}

async fn walked(args: &Report, log: Option<Arc<dyn EventLog>>) -> Result<Seen> {
    let races = bed::open(&args.source, log).await?;
    let told = races.told()?;
    let (runs, seed) = (args.drawing.runs as usize, args.drawing.seed);
    let mut walk = Walk::new(Options { runs, seed, rules: Vec::new() });
    let mut seen = Seen::default();
    for race in told.iter().filter(|race| !race.outcomes.is_empty()) {
        if args.to.is_some_and(|to| race.race.season > to) {
            break;
        }
        walk.rules(races.rules_of(race));
        let Some(judged) = walk.race(&race.race, &race.outcomes) else { continue };
        if !args.wants(race.race.season) {
            continue;
        }
        for (driver, outcome) in judged.projection.drivers.iter().zip(&race.outcomes) {
            seen.car(driver.finish.mean, &driver.finish.quantiles, outcome.finish);
        }
        seen.scores.push(judged.score);
    }
    if seen.scores.is_empty() {
        bail!("no race of these seasons has {FIRST} races before it to learn from");
    }
    Ok(seen)
}

/// From the log itself, by the fold that the read model has.
async fn sealed(args: &Report, log: &dyn EventLog) -> Result<Seen> {
    let tenant = args.source.tenant()?;
    let rows = folded(log, &tenant).await?;
    let mut seen = Seen::default();
    for (key, row) in rows.table::<ScoreRow>(SCORES, &tenant) {
        if row.site != args.site || row.model != args.model || !args.wants(row.score.season) {
            continue;
        }
        let said: SealedRow = rows.get(SEALED, &tenant, &key).context("a score of nothing")?;
        let race: RaceRow = rows.get(RACES, &tenant, &row.race).context("a score of no race")?;
        for said in &said.sealed.drivers {
            if let Some(placed) = race.race.results.get(&said.driver) {
                seen.car(said.finish.mean, &said.finish.quantiles, placed.finish);
            }
        }
        seen.scores.push(row.score);
    }
    Ok(seen)
}

async fn folded(log: &dyn EventLog, tenant: &TenantId) -> Result<MemoryRows> {
    let projection = DfsProjections::plain();
    let types = projection.event_types().iter().copied();
    let filter = ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(types) };
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read(after, PAGE, &filter).await?;
        events.extend(page.events);
        if page.through <= after {
            break;
        }
        after = page.through;
    }
    Ok(fold(&projection, &events, PAGE)?)
}
