//! Lineups of a slate within limits, as they are kept.

use std::collections::BTreeMap;

use domain::racing::lineups::{Kept, Lineup, Pick};
use domain::racing::race::Race;
use models_fantasy::lineups::contest::{Drawn as Points, Objective, by_objective, field, ownership};
use models_fantasy::lineups::{Contest, Limits, Player, Portfolio, Slate, Wrong, portfolio};
use models_fantasy::model::SitePoints;
use models_fantasy::name::key;
use models_fantasy::rng::Rng;
use models_fantasy::scoring::Site;
use serde_json::Value;

use crate::draw::{self, Drawn};

/// Opponents that ownership and contests are computed with.
const FIELD: usize = 500;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub site: Site,
    pub count: usize,
    pub objective: Objective,
    /// As it was written.
    pub objective_word: String,
    /// With the objective payout, and no other.
    pub contest: Option<Contest>,
    pub randomness: f64,
    /// By drivers' keys.
    pub limits: Limits,
    /// As they were asked for.
    pub asked: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum Unpicked {
    #[error("the race has no salaries of {0}")]
    NoSalaries(&'static str),
    #[error("no rules of {0} are known")]
    NoRules(&'static str),
    #[error("exposures and shared drivers are limited with the objective mean only")]
    MeanOnly,
    #[error("a contest is needed with the objective payout, and with no other")]
    Contest,
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

/// `mean`, `win`, `payout`, `quantile:P` or `tail:P` with P between 0 and 1.
pub fn objective(text: &str) -> Option<Objective> {
    let part = |p: &str| p.parse::<f64>().ok().filter(|p| *p > 0.0 && *p < 1.0);
    match text.split_once(':') {
        None if text == "mean" => Some(Objective::Mean),
        None if text == "win" => Some(Objective::Win),
        None if text == "payout" => Some(Objective::Payout(Vec::new())),
        Some(("quantile", p)) => part(p).map(Objective::Quantile),
        Some(("tail", p)) => part(p).map(Objective::Tail),
        _ => None,
    }
}

/// Names as keys.
pub fn keyed(mut limits: Limits) -> Limits {
    let names = limits.lock.iter_mut().chain(&mut limits.exclude);
    let names = names.chain(limits.groups.iter_mut().flat_map(|g| &mut g.drivers));
    for name in names.chain(limits.exposures.iter_mut().map(|e| &mut e.driver)) {
        *name = key(name);
    }
    limits
}

/// Values after somebody else's whims, the same for the same seed.
pub fn shaken(values: &[f64], by: f64, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed ^ 0x5eed);
    values.iter().map(|value| value + by * value.abs() * rng.normal()).collect()
}

/// Lineups, and what the objective says of each where it does not add up over
/// drivers.
pub struct Picked {
    pub portfolio: Portfolio,
    pub scores: Vec<f64>,
}

impl Picked {
    pub fn score(&self, lineup: usize) -> Option<f64> {
        self.scores.get(lineup).copied()
    }
}

/// By the objective; exposures need one that adds up over drivers. The first
/// rivals stand for the opponents of a contest.
pub fn choose(
    slate: &Slate,
    wanted: &Wanted,
    points: Points<'_>,
    (means, rivals): (&[f64], &[u64]),
    seed: u64,
) -> Result<Picked, Unpicked> {
    let limits = &wanted.limits;
    let pays = matches!(wanted.objective, Objective::Payout(_));
    if pays != wanted.contest.is_some() {
        return Err(Unpicked::Contest);
    }
    if wanted.objective == Objective::Mean {
        let values = shaken(means, wanted.randomness, seed);
        let portfolio = portfolio(slate, limits, &values, wanted.count)?;
        return Ok(Picked { portfolio, scores: Vec::new() });
    }
    if !limits.exposures.is_empty() || limits.max_exposure.is_some() || limits.max_shared.is_some() {
        return Err(Unpicked::MeanOnly);
    }
    let rules = limits.rules(slate)?;
    let (rivals, objective) = match &wanted.contest {
        None => (rivals, wanted.objective.clone()),
        Some(contest) => {
            let rivals = &rivals[..contest.rivals(rivals.len())];
            (rivals, Objective::Payout(contest.by_rivals_ahead(rivals.len())))
        }
    };
    let found = by_objective(slate, &rules, points, rivals, &objective, wanted.count);
    if found.len() < wanted.count {
        // Says which limits clash.
        let portfolio = portfolio(slate, limits, &vec![0.0; slate.players.len()], wanted.count)?;
        return Ok(Picked { portfolio, scores: Vec::new() });
    }
    let scores = found.iter().map(|valued| valued.score).collect();
    let lineups: Vec<_> = found.into_iter().map(|v| v.lineup).collect();
    let value = lineups.iter().map(|l| l.value).sum();
    Ok(Picked { portfolio: Portfolio { lineups, value, bound: f64::INFINITY, proved: false }, scores })
}

/// Picks lineups of a race that was drawn. Takes a moment.
pub fn pick(
    race: &Race,
    drawn: &Drawn,
    wanted: &Wanted,
    (through, seed): (u64, u64),
) -> Result<Kept, Unpicked> {
    let site = wanted.site.as_str();
    let points = drawn.projection.sites.iter().find(|s| s.rules.site == wanted.site);
    let points = points.ok_or(Unpicked::NoRules(site))?;
    let salaries = race.salaries.get(site).ok_or(Unpicked::NoSalaries(site))?;
    let (slate, entries) = slate(drawn, points, salaries);
    slate.check()?;
    let runs = drawn.projection.races.runs();
    let of = |entry: &usize| &points.points[entry * runs..(entry + 1) * runs];
    let matrix: Vec<f32> = entries.iter().flat_map(of).copied().collect();
    let means: Vec<f64> = entries.iter().map(|i| points.spreads[*i].mean).collect();
    let rivals = field(&slate, &means, FIELD, seed);
    let picked = choose(&slate, wanted, Points { points: &matrix, runs }, (&means, &rivals), seed)?;
    let found = &picked.portfolio;
    let owned = ownership(slate.players.len(), &rivals);
    let ids = race.site_ids.get(site);
    let picks = slate.players.iter().enumerate().map(|(i, player)| Pick {
        driver: player.driver.clone(),
        salary: player.salary,
        site_id: ids.and_then(|ids| ids.get(&player.driver)).cloned(),
        points: rounded(means[i]),
        ownership: rounded(owned[i]),
        exposure: rounded(exposure(found, i)),
    });
    let lineups = found.lineups.iter().enumerate().map(|(i, lineup)| Lineup {
        drivers: lineup.players().map(|i| i as u8).collect(),
        salary: lineup.salary,
        value: rounded(lineup.value),
        score: picked.score(i).map(rounded),
    });
    Ok(Kept {
        site: site.to_owned(),
        model: draw::model_under(&drawn.parameters),
        through,
        seed,
        runs: runs as u32,
        objective: wanted.objective_word.clone(),
        randomness: wanted.randomness,
        limits: wanted.asked.clone(),
        contest: wanted.contest.as_ref().and_then(|of| serde_json::to_value(of).ok()).unwrap_or_default(),
        roster: points.rules.roster as u32,
        drivers: picks.collect(),
        lineups: lineups.collect(),
        value: rounded(found.value),
        bound: found.bound.is_finite().then(|| rounded(found.bound)),
        proved: found.proved,
    })
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn exposure(found: &Portfolio, player: usize) -> f64 {
    let with = found.lineups.iter().filter(|l| l.set >> player & 1 == 1).count();
    with as f64 / found.lineups.len().max(1) as f64
}

/// Entered drivers who have a salary, with their places among the entries.
fn slate(drawn: &Drawn, points: &SitePoints, salaries: &BTreeMap<String, u32>) -> (Slate, Vec<usize>) {
    let (mut players, mut entries) = (Vec::new(), Vec::new());
    for (i, entry) in drawn.race.entries.iter().enumerate() {
        if let Some(salary) = salaries.get(&entry.driver) {
            entries.push(i);
            let (driver, salary) = (entry.driver.clone(), *salary);
            players.push(Player { driver, salary, team: entry.team.clone(), make: entry.make.clone() });
        }
    }
    (Slate { players, roster: points.rules.roster, cap: points.rules.salary_cap }, entries)
}
