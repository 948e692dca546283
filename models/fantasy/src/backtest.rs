//! Predictions against what happened, race after race, each made from earlier
//! races only.
//!
//! Beside the model stand the order of the grid and the drivers' recent
//! finishes (normal scores, half after eight races). Bounds are bootstrapped by
//! race: the cars of one race are not independent.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::math::{mean, normal_score, quantile, spearman};
use crate::measure::{Pairs, crps, margins, slope};
use crate::model::{Model, Projection};
use crate::parameters::Parameters;
use crate::project::{LEVELS, Spread};
use crate::race::{Outcome, Race};
use crate::rng::Rng;
use crate::scoring::{Line, Rules};
use crate::track::Kind;

/// Races that are learned before the first one is predicted: form needs some.
pub const FIRST: u32 = 20;
const DRAWS: usize = 2_000;
const RECENT_HALF_LIFE: f64 = 8.0;

/// What a walk is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Races drawn for each prediction.
    pub runs: usize,
    /// Of all draws; each race draws with this and its own number.
    pub seed: u64,
    /// Rules of the sites whose points are predicted.
    pub rules: Vec<Rules>,
}

/// A model on its way through the seasons.
#[derive(Clone)]
pub struct Walk {
    /// What it knows by now.
    pub model: Model,
    options: Options,
    recent: HashMap<String, (f64, f64)>,
}

/// One race, predicted and judged.
pub struct Judged {
    /// What was predicted before.
    pub projection: Projection,
    /// Points that were paid, by site and driver.
    pub points: Vec<Vec<f64>>,
    /// How good it was.
    pub score: Score,
}

/// One car: what was said of it, and what happened.
#[derive(Debug, Clone)]
pub struct Car<'a> {
    /// As of [`crate::order::ahead`].
    pub badness: f64,
    /// Place on the grid.
    pub start: f64,
    /// Recent finishes, smaller is better.
    pub recent: f64,
    /// The place that was said.
    pub said: &'a Spread,
    /// How often each place was drawn.
    pub places: &'a [u32],
    /// The place that it was.
    pub finish: u32,
    /// Points that were said and paid, by site.
    pub points: Vec<(&'a Spread, f64)>,
}

/// How good one race's prediction was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Season of the race.
    pub season: i16,
    /// Kind of its track.
    pub kind: Kind,
    /// Spearman's ρ with the finish: of the model, the grid, recent finishes.
    pub rho: [f64; 3],
    /// Over pairs of cars.
    pub pairs: Pairs,
    /// Logits given to who ended ahead.
    pub margins: Vec<f64>,
    /// Finishes within the 50, 80 and 90 % intervals, and cars.
    pub within: [f64; 3],
    /// Points within the 80 % interval, by site.
    pub points_within: Vec<f64>,
    /// Sum over cars of the continuous ranked probability score, in places.
    pub crps: f64,
    /// Sum over cars of |expected − actual| points, by site.
    pub points_off: Vec<f64>,
    /// Cars.
    pub cars: f64,
}

impl Walk {
    /// Nothing learned yet.
    pub fn new(options: Options) -> Self {
        Self { model: Model::default(), options, recent: HashMap::new() }
    }

    /// Nothing learned yet, under these parameters.
    pub fn under(parameters: &Parameters, options: Options) -> Self {
        Self { model: Model::new(parameters), ..Self::new(options) }
    }

    /// From here on points are counted by these rules.
    pub fn rules(&mut self, rules: Vec<Rules>) {
        self.options.rules = rules;
    }

    /// Draws a race that is still to be run, as [`Walk::race`] would.
    pub fn draw(&self, race: &Race) -> Projection {
        let seed = self.options.seed ^ (u64::from(self.model.learned()) << 32);
        self.model.project(race, &self.options.rules, seed, self.options.runs)
    }

    /// Predicts the race, judges that, and learns; `outcomes` are in the order
    /// of the entries. `None` for the first races, which are only learned.
    pub fn race(&mut self, race: &Race, outcomes: &[Outcome]) -> Option<Judged> {
        let judged = (self.model.learned() >= FIRST).then(|| self.judge(race, outcomes));
        if let Some(judged) = &judged {
            self.model.judge(race.kind, &judged.projection, outcomes, &judged.points);
        }
        self.model.learn(race, outcomes);
        for (entry, outcome) in race.entries.iter().zip(outcomes) {
            let fade = 0.5_f64.powf(1.0 / RECENT_HALF_LIFE);
            let recent = self.recent.entry(entry.driver.clone()).or_default();
            let value = normal_score(f64::from(outcome.finish), outcomes.len());
            *recent = (recent.0 * fade + value, recent.1 * fade + 1.0);
        }
        judged
    }

    fn judge(&self, race: &Race, outcomes: &[Outcome]) -> Judged {
        let projection = self.draw(race);
        let lines: Vec<Line> = race.entries.iter().zip(outcomes).map(|(e, o)| line(e.start, o)).collect();
        let points = self.options.rules.iter().map(|rules| lines.iter().map(|l| rules.points(l)).collect());
        let points: Vec<Vec<f64>> = points.collect();
        let score = self.score(race, outcomes, &projection, &points);
        Judged { projection, points, score }
    }

    fn score(
        &self,
        race: &Race,
        outcomes: &[Outcome],
        projection: &Projection,
        points: &[Vec<f64>],
    ) -> Score {
        let cars = projection.drivers.iter().zip(race.entries.iter().zip(outcomes)).enumerate();
        let cars: Vec<Car<'_>> = cars
            .map(|(i, (driver, (entry, outcome)))| Car {
                badness: driver.badness,
                start: entry.start.map_or(race.entries.len() as f64, f64::from),
                recent: self.recent(&entry.driver),
                said: &driver.finish,
                places: &driver.places,
                finish: outcome.finish,
                points: projection
                    .sites
                    .iter()
                    .zip(points)
                    .map(|(s, paid)| (&s.spreads[i], paid[i]))
                    .collect(),
            })
            .collect();
        Score::of(race.season, race.kind, &cars)
    }

    fn recent(&self, driver: &str) -> f64 {
        // One result's weight for a place somewhat behind the middle.
        let (sum, weight) = self.recent.get(driver).copied().unwrap_or_default();
        (sum + 0.6) / (weight + 1.0)
    }
}

impl Score {
    /// Judges what was said of the cars of one race.
    pub fn of(season: i16, kind: Kind, cars: &[Car<'_>]) -> Self {
        let finish: Vec<f64> = cars.iter().map(|c| f64::from(c.finish)).collect();
        let by = |of: &dyn Fn(&Car<'_>) -> f64| cars.iter().map(of).collect::<Vec<f64>>();
        let badness = by(&|c| c.badness);
        let rho = [badness.clone(), by(&|c| c.start), by(&|c| c.recent)]
            .map(|by| spearman(&by, &finish).unwrap_or(0.0));
        let places: Vec<u32> = cars.iter().map(|c| c.finish).collect();
        let mut within = [0.0; 3];
        for car in cars {
            let (q, at) = (&car.said.quantiles, f64::from(car.finish));
            for (within, (low, high)) in within.iter_mut().zip([(2, 4), (1, 5), (0, 6)]) {
                *within += f64::from(u8::from(q[low] <= at && at <= q[high]));
            }
        }
        let sites = cars.first().map_or(0, |c| c.points.len());
        let each = |of: &dyn Fn(&Spread, f64) -> f64| {
            let site = |i: usize| cars.iter().map(|c| of(c.points[i].0, c.points[i].1)).sum();
            (0..sites).map(site).collect()
        };
        Self {
            season,
            kind,
            rho,
            pairs: Pairs::of(&badness, &places),
            margins: margins(&badness, &places).map(|(margin, _)| margin).collect(),
            within,
            points_within: each(&|s, p| f64::from(u8::from(s.quantiles[1] <= p && p <= s.quantiles[5]))),
            crps: cars.iter().map(|c| crps(c.places, c.finish)).sum(),
            points_off: each(&|s, p| (s.mean - p).abs()),
            cars: cars.len() as f64,
        }
    }
}

/// Groups of races that are told apart: all, without packs, by kind of track,
/// by season.
pub fn groups(scores: &[Score]) -> Vec<(String, Vec<&Score>)> {
    let of = |keep: &dyn Fn(&Score) -> bool| scores.iter().filter(|s| keep(s)).collect::<Vec<_>>();
    let mut groups = vec![
        ("all".to_owned(), of(&|_| true)),
        ("without superspeedways".to_owned(), of(&|s| s.kind != Kind::Superspeedway)),
    ];
    groups.extend(Kind::ALL.map(|kind| (kind.as_str().to_owned(), of(&|s| s.kind == kind))));
    let mut seasons: Vec<i16> = scores.iter().map(|s| s.season).collect();
    seasons.sort_unstable();
    seasons.dedup();
    groups.extend(seasons.iter().map(|year| (year.to_string(), of(&|s| s.season == *year))));
    groups
}

/// What sites pay for; who had no place on the grid neither won nor lost any.
pub fn line(start: Option<u32>, outcome: &Outcome) -> Line {
    Line {
        start: start.unwrap_or(outcome.finish),
        finish: outcome.finish,
        led: outcome.led,
        fastest: outcome.fastest.unwrap_or(0),
        laps: outcome.laps,
    }
}

/// A number with the bounds of its 90 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounded {
    /// Over the races that there were.
    pub value: f64,
    /// 5 % of resampled seasons are below.
    pub low: f64,
    /// 5 % are above.
    pub high: f64,
}

/// Accuracy over a group of races.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Races.
    pub races: usize,
    /// Cars in them.
    pub cars: usize,
    /// Mean by race of Spearman's ρ between prediction and finish.
    pub rho: Bounded,
    /// The same of the grid alone.
    pub rho_start: f64,
    /// The same of recent finishes alone.
    pub rho_recency: f64,
    /// Brier's score over all pairs of cars.
    pub brier: Bounded,
    /// Part of the pairs that were rated the right way round.
    pub pairs_right: f64,
    /// 1 is calibrated; above, chances were nearer to a half than they are.
    pub slope: Option<f64>,
    /// Finishes within the 50 % interval.
    pub within_50: f64,
    /// Finishes within the 80 % interval.
    pub within_80: f64,
    /// Finishes within the 90 % interval.
    pub within_90: f64,
    /// Continuous ranked probability score of the finish, in places.
    pub crps: f64,
    /// Points within the 80 % interval, by site.
    pub points_within_80: Vec<f64>,
    /// Mean of |expected − actual| points, by site.
    pub points_off: Vec<f64>,
}

/// Accuracy over these races; `None` without any.
pub fn summarise(scores: &[&Score], seed: u64) -> Option<Summary> {
    let first = scores.first()?;
    let cars: f64 = scores.iter().map(|s| s.cars).sum();
    let by_race = |i: usize| mean(&scores.iter().map(|s| s.rho[i]).collect::<Vec<_>>());
    let per_car = |of: &dyn Fn(&Score) -> f64| scores.iter().map(|s| of(s)).sum::<f64>() / cars;
    let sites = |of: &dyn Fn(&Score, usize) -> f64| {
        (0..first.points_off.len()).map(|i| per_car(&|s| of(s, i))).collect::<Vec<_>>()
    };
    let mut pairs = Pairs::default();
    scores.iter().for_each(|s| pairs.add(&s.pairs));
    let said: Vec<f64> = scores.iter().flat_map(|s| s.margins.iter().copied()).collect();
    let (rho, brier) = bootstrap(scores, seed);
    Some(Summary {
        races: scores.len(),
        cars: cars as usize,
        rho: Bounded { value: by_race(0), ..rho },
        rho_start: by_race(1),
        rho_recency: by_race(2),
        brier: Bounded { value: pairs.brier(), ..brier },
        pairs_right: pairs.right / pairs.count,
        slope: slope(&said),
        within_50: per_car(&|s| s.within[0]),
        within_80: per_car(&|s| s.within[1]),
        within_90: per_car(&|s| s.within[2]),
        crps: per_car(&|s| s.crps),
        points_within_80: sites(&|s, i| s.points_within[i]),
        points_off: sites(&|s, i| s.points_off[i]),
    })
}

/// Mean by race of how much ρ changed, with the bounds of its 90 % bootstrap
/// interval; both are of the same races in the same order.
pub fn paired(before: &[&Score], after: &[&Score], seed: u64) -> Bounded {
    let changes: Vec<f64> = before.iter().zip(after).map(|(a, b)| b.rho[0] - a.rho[0]).collect();
    let mut rng = Rng::new(seed);
    let draw = |rng: &mut Rng| (0..changes.len()).map(|_| changes[rng.below(changes.len())]).sum::<f64>();
    let mut drawn: Vec<f64> = (0..DRAWS).map(|_| draw(&mut rng) / changes.len().max(1) as f64).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    Bounded { value: mean(&changes), low: quantile(&drawn, 0.05), high: quantile(&drawn, 0.95) }
}

fn bootstrap(scores: &[&Score], seed: u64) -> (Bounded, Bounded) {
    let mut rng = Rng::new(seed);
    let (mut rhos, mut briers) = (Vec::new(), Vec::new());
    for _ in 0..DRAWS {
        let (mut rho, mut pairs) = (0.0, Pairs::default());
        for _ in 0..scores.len() {
            let drawn = scores[rng.below(scores.len())];
            rho += drawn.rho[0];
            pairs.add(&drawn.pairs);
        }
        rhos.push(rho / scores.len() as f64);
        briers.push(pairs.brier());
    }
    let bounds = |mut drawn: Vec<f64>| {
        drawn.sort_unstable_by(f64::total_cmp);
        Bounded { value: 0.0, low: quantile(&drawn, 0.05), high: quantile(&drawn, 0.95) }
    };
    (bounds(rhos), bounds(briers))
}

/// How far said and seen levels of the quantiles agree: for each of
/// [`LEVELS`], the part of finishes that fell below it.
pub fn reliability(judged: &[(&Judged, &[Outcome])]) -> [f64; LEVELS.len()] {
    let mut below = [0.0; LEVELS.len()];
    let mut cars = 0.0;
    for (judged, outcomes) in judged {
        for (driver, outcome) in judged.projection.drivers.iter().zip(*outcomes) {
            cars += 1.0;
            for (below, quantile) in below.iter_mut().zip(driver.finish.quantiles) {
                *below += f64::from(u8::from(f64::from(outcome.finish) <= quantile));
            }
        }
    }
    below.map(|b| b / cars)
}
