//! `daybook dfs lineups`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use domain::ports::log::EventLog;
use models_fantasy::lineups::contest::{Drawn, field, ownership};
use models_fantasy::lineups::{Contest, Limits, Player, Slate};
use models_fantasy::model::SitePoints;
use models_fantasy::race::Race;
use models_fantasy::scoring::{Rules, Site};
use projections::races::Races;
use racing::draw::learned;
use racing::pick::{Picked, Wanted, choose, keyed, objective};
use serde_json::{Map, Value, json};

use super::words::round;
use super::{Drawing, Source, Under, bed, find};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::import::nascar::salaries;

/// Opponents that ownership and contests are computed with.
const FIELD: usize = 500;

#[derive(Args)]
pub struct Lineups {
    #[command(flatten)]
    pub source: Source,
    /// Such as cup-2023-36; without it the first race that has no result
    #[arg(long)]
    race: Option<String>,
    #[arg(long, default_value = "draftkings")]
    site: String,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    count: u32,
    /// Salaries as the site gives them, or as CSV with platform and salary
    #[arg(long, value_name = "FILE")]
    salaries: Option<PathBuf>,
    /// Make salaries up from the projection, for trying things out
    #[arg(long, conflicts_with = "salaries")]
    synthetic_salaries: bool,
    /// Locks, groups, stacks and exposures as JSON
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// mean, win, payout, quantile:P or tail:P of a lineup's points
    #[arg(long, default_value = "mean")]
    objective: String,
    /// With --objective payout: entries, entry_fee and prizes as JSON
    #[arg(long, value_name = "FILE")]
    contest: Option<PathBuf>,
    /// Every driver's value is changed at random by about this part of it
    #[arg(long, default_value_t = 0.0)]
    randomness: f64,
    /// What is printed without --json: a table, or the file that the site takes
    #[arg(long, default_value = "table", value_parser = PossibleValuesParser::new(["table", "upload"]))]
    format: String,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    under: Under,
}

/// A slate with what is told about it.
struct Priced {
    slate: Slate,
    /// By player: the entry in the race.
    entries: Vec<usize>,
    /// What the site calls them, where it said.
    ids: BTreeMap<String, String>,
    synthetic: bool,
    /// Drivers with a salary who are not entered, and the other way round.
    left_out: Vec<String>,
}

pub async fn run(args: Lineups, log: Option<Arc<dyn EventLog>>, out: &mut Output) -> Result<u8> {
    let site = Site::parse(&args.site).context("--site is draftkings or fanduel")?;
    let wanted = wanted(&args, site)?;
    let races = bed::open(&args.source, log).await?;
    let told = races.told()?;
    let at = find(&told, args.race.as_deref())?;
    let race = &told[at].race;
    let rules = races.rules_of(&told[at]);
    let parameters = args.under.parameters()?;
    let walk = learned(&told[..at], &rules, args.drawing.seed, &parameters);
    let projection = walk.model.project(race, &rules, args.drawing.seed, args.drawing.runs as usize);
    let points = projection.sites.iter().find(|s| s.rules.site == site);
    let points = points.with_context(|| format!("no rules of {} are known", site.as_str()))?;
    let priced = priced(&args, race, &races, points)?;
    priced.left_out.iter().for_each(|driver| eprintln!("{driver}: entered without a salary, or not entered"));
    let drawn: Vec<f32> = priced.entries.iter().flat_map(|i| chunk(points, *i)).copied().collect();
    let drawn = Drawn { points: &drawn, runs: args.drawing.runs as usize };
    let means: Vec<f64> = priced.entries.iter().map(|i| points.spreads[*i].mean).collect();
    priced.slate.check()?;
    let rivals = field(&priced.slate, &means, FIELD, args.drawing.seed);
    let found = choose(&priced.slate, &wanted, drawn, (&means, &rivals), args.drawing.seed)?;
    let owned = ownership(priced.slate.players.len(), &rivals);
    let sheet = Sheet { races: &races, race, priced: &priced, means: &means, owned: &owned };
    match (out.json, args.format.as_str()) {
        (true, _) => sheet.json(&args, &found, drawn, out)?,
        (false, "upload") => sheet.upload(&points.rules, &found, out)?,
        _ => sheet.table(&found, out)?,
    }
    Ok(exit::OK)
}

fn chunk(points: &SitePoints, entry: usize) -> &[f32] {
    let runs = points.points.len() / points.spreads.len().max(1);
    &points.points[entry * runs..(entry + 1) * runs]
}

fn wanted(args: &Lineups, site: Site) -> Result<Wanted> {
    let wrong = "--objective is mean, win, payout, quantile:P or tail:P with P between 0 and 1";
    Ok(Wanted {
        site,
        count: args.count as usize,
        objective: objective(&args.objective).context(wrong)?,
        objective_word: args.objective.clone(),
        contest: contest(args)?,
        randomness: args.randomness,
        limits: limits(args)?,
        asked: Value::Null,
    })
}

fn limits(args: &Lineups) -> Result<Limits> {
    let Some(file) = &args.limits else { return Ok(Limits::default()) };
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let limits = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(keyed(limits))
}

fn contest(args: &Lineups) -> Result<Option<Contest>> {
    let Some(file) = &args.contest else { return Ok(None) };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| name.clone())?;
    let contest: Contest = serde_json::from_str(&text).with_context(|| name.clone())?;
    contest.check().context(name)?;
    Ok(Some(contest))
}

fn priced(args: &Lineups, race: &Race, races: &Races, points: &SitePoints) -> Result<Priced> {
    let site = points.rules.site;
    let (mut ids, mut synthetic) = (BTreeMap::new(), false);
    let known: BTreeMap<String, u32> = if let Some(file) = &args.salaries {
        let read = salaries(file, site)?;
        ids = read.iter().filter_map(|(d, s)| Some((d.clone(), s.id.clone()?))).collect();
        read.into_iter().map(|(driver, salary)| (driver, salary.dollars)).collect()
    } else if args.synthetic_salaries {
        synthetic = true;
        let means: Vec<f64> = points.spreads.iter().map(|s| s.mean).collect();
        race.entries.iter().map(|e| e.driver.clone()).zip(invent(&means)).collect()
    } else {
        let recorded = races.race(&race.id).and_then(|r| r.salaries.get(site.as_str())).cloned();
        recorded.context("the race has no salaries of this site; give --salaries or --synthetic-salaries")?
    };
    let (mut players, mut entries, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (i, entry) in race.entries.iter().enumerate() {
        let Some(salary) = known.get(&entry.driver) else {
            left_out.push(entry.driver.clone());
            continue;
        };
        entries.push(i);
        players.push(Player {
            driver: entry.driver.clone(),
            salary: *salary,
            team: entry.team.clone(),
            make: entry.make.clone(),
        });
    }
    let entered = |driver: &&String| race.entries.iter().any(|e| e.driver == **driver);
    left_out.extend(known.keys().filter(|driver| !entered(driver)).cloned());
    let slate = Slate { players, roster: points.rules.roster, cap: points.rules.salary_cap };
    Ok(Priced { slate, entries, ids, synthetic, left_out })
}

/// From $4,500 to $11,500 by expected points, in hundreds.
fn invent(means: &[f64]) -> Vec<u32> {
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let salary = |mean: &f64| 45 + (70.0 * (mean - low) / (high - low).max(1e-9)).round() as u32;
    means.iter().map(|mean| 100 * salary(mean)).collect()
}

/// What is printed.
struct Sheet<'a> {
    races: &'a Races,
    race: &'a Race,
    priced: &'a Priced,
    means: &'a [f64],
    owned: &'a [f64],
}

impl Sheet<'_> {
    fn name(&self, player: usize) -> &str {
        self.races.name(&self.priced.slate.players[player].driver)
    }

    fn exposure(&self, found: &Picked, player: usize) -> f64 {
        let with = found.portfolio.lineups.iter().filter(|l| l.set >> player & 1 == 1).count();
        with as f64 / found.portfolio.lineups.len().max(1) as f64
    }

    fn json(&self, args: &Lineups, found: &Picked, drawn: Drawn<'_>, out: &mut Output) -> Result<()> {
        for (i, lineup) in found.portfolio.lineups.iter().enumerate() {
            let drivers: Vec<Value> = lineup
                .players()
                .map(|p| {
                    let player = &self.priced.slate.players[p];
                    json!({"driver": player.driver, "name": self.name(p), "salary": player.salary,
                        "points": round(self.means[p])})
                })
                .collect();
            let mut scores: Vec<f64> = drawn.scores(lineup.set).iter().map(|s| f64::from(*s)).collect();
            scores.sort_unstable_by(f64::total_cmp);
            let at = |p| round(models_fantasy::math::quantile(&scores, p));
            let line = json!({"lineup": i + 1, "drivers": drivers, "salary": lineup.salary,
                "value": round(lineup.value), "score": found.score(i).map(round), "points": {"mean": round(models_fantasy::math::mean(&scores)),
                "q10": at(0.1), "q50": at(0.5), "q90": at(0.9), "q99": at(0.99)}});
            out.line(&line.to_string())?;
        }
        let players = self.priced.slate.players.iter().enumerate();
        let drivers: Map<String, Value> = players
            .map(|(p, player)| {
                let value = json!({"salary": player.salary, "points": round(self.means[p]),
                    "value": round(self.means[p] / f64::from(player.salary) * 1_000.0),
                    "ownership": round(self.owned[p]), "exposure": round(self.exposure(found, p))});
                (player.driver.clone(), value)
            })
            .collect();
        let bound = found.portfolio.bound.is_finite().then(|| round(found.portfolio.bound));
        let summary = json!({"race": self.race.id, "site": args.site, "objective": args.objective,
            "lineups": found.portfolio.lineups.len(), "value": round(found.portfolio.value), "bound": bound, "proved": found.portfolio.proved,
            "synthetic_salaries": self.priced.synthetic, "drivers": drivers});
        out.line(&json!({ "summary": summary }).to_string())
    }

    fn table(&self, found: &Picked, out: &mut Output) -> Result<()> {
        if self.priced.synthetic {
            out.line("The salaries are made up; no site has published them.")?;
        }
        for (i, lineup) in found.portfolio.lineups.iter().enumerate() {
            let names: Vec<&str> = lineup.players().map(|p| self.name(p)).collect();
            let score = found.score(i).map(|score| format!("{score:>10.3}")).unwrap_or_default();
            out.line(&format!(
                "{:>4}{:>8.1}{score}  ${}  {}",
                i + 1,
                lineup.value,
                lineup.salary,
                names.join(", ")
            ))?;
        }
        let proved = if found.portfolio.proved {
            "proved to be the most there is"
        } else {
            "not proved to be the most"
        };
        out.line(&format!("{:.1} points together, {proved}", found.portfolio.value))
    }

    /// A column for each spot; the site's own ids where they are known.
    fn upload(&self, rules: &Rules, found: &Picked, out: &mut Output) -> Result<()> {
        if self.priced.ids.is_empty() {
            bail!("the site's ids are in its own file of salaries; give it with --salaries");
        }
        let spot = if rules.site == Site::DraftKings { "D" } else { "Driver" };
        let mut csv =
            csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        csv.write_record(vec![spot; rules.roster])?;
        for lineup in &found.portfolio.lineups {
            let cells: Vec<String> = lineup
                .players()
                .map(|p| {
                    let id = self.priced.ids.get(&self.priced.slate.players[p].driver);
                    let id = id.with_context(|| format!("no id of {} is known", self.name(p)))?;
                    Ok(match rules.site {
                        Site::DraftKings => format!("{} ({id})", self.name(p)),
                        Site::FanDuel => format!("{id}:{}", self.name(p)),
                    })
                })
                .collect::<Result<_>>()?;
            csv.write_record(cells)?;
        }
        let text = String::from_utf8(csv.into_inner()?)?;
        out.line(text.trim_end())
    }
}
