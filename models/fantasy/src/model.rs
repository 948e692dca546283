//! The model of races: what was learned of past ones, and the next one drawn
//! from it. It is told a race's outcome only after it projected it.

use std::collections::HashMap;

use crate::form::Book;
use crate::incident::Incidents;
use crate::measure::margins;
use crate::order::Order;
use crate::parameters::Parameters;
use crate::project::{self, Driver, LEVELS, Spread};
use crate::race::{Outcome, Race};
use crate::recalibrate::{Levels, Scale};
use crate::scoring::Rules;
use crate::share::{Car, Shares};
use crate::simulate::{Races, Setup, simulate};
use crate::track::Kind;

/// Laps where neither the schedule nor the track's past says.
const LAPS: u32 = 200;
/// How fast the share of green laps forgets, by race.
const GREEN_FADE: f64 = 0.97;

/// Everything learned.
#[derive(Debug, Clone, Default)]
pub struct Model {
    book: Book,
    order: Order,
    incidents: Incidents,
    /// On tracks without and with packs.
    led: [Shares; 2],
    fastest: [Shares; 2],
    laps: HashMap<String, u32>,
    green: HashMap<Kind, Green>,
    scale: Scale,
    finish_levels: Levels,
    points_levels: HashMap<&'static str, Levels>,
}

/// Fading sums of the share of laps under green.
#[derive(Debug, Clone, Copy)]
struct Green {
    weight: f64,
    sum: f64,
    squares: f64,
}

impl Default for Green {
    fn default() -> Self {
        // Two races of .82 ± .06.
        Self { weight: 2.0, sum: 2.0 * 0.82, squares: 2.0 * (0.82 * 0.82 + 0.06 * 0.06) }
    }
}

/// A race that was drawn.
#[derive(Debug, Clone)]
pub struct Projection {
    /// The drawn races, with which lineups are valued.
    pub races: Races,
    /// By driver, in the order of the entries.
    pub drivers: Vec<Driver>,
    /// By site of the rules that were given.
    pub sites: Vec<SitePoints>,
}

/// One site's points.
#[derive(Debug, Clone)]
pub struct SitePoints {
    /// The rules that they were counted by.
    pub rules: Rules,
    /// `points[car * runs + run]`.
    pub points: Vec<f32>,
    /// By driver, in the order of the entries.
    pub spreads: Vec<Spread>,
}

impl Model {
    /// Nothing learned yet, under these parameters.
    pub fn new(parameters: &Parameters) -> Self {
        let (book, order) = (Book::new(parameters.clone()), Order::new(parameters.clone()));
        Self { book, order, ..Self::default() }
    }

    /// Races that were learned from.
    pub fn learned(&self) -> u32 {
        self.book.races()
    }

    /// Draws the race.
    pub fn project(&self, race: &Race, rules: &[Rules], seed: u64, runs: usize) -> Projection {
        let setup = self.setup(race);
        let races = simulate(&setup, &self.incidents, seed, runs);
        let drivers = project::drivers(&races, &setup.badness, &self.finish_levels.at(race.kind, LEVELS));
        let site = |rules: &Rules| {
            let points = project::points(&races, rules);
            let levels = self.points_levels.get(rules.site.as_str());
            let levels = levels.map_or(LEVELS, |l| l.at(race.kind, LEVELS));
            let spreads =
                points.chunks_exact(races.runs().max(1)).map(|p| project::point_spread(p, &levels)).collect();
            SitePoints { rules: rules.clone(), points, spreads }
        };
        let sites = rules.iter().map(site).collect();
        Projection { races, drivers, sites }
    }

    fn setup(&self, race: &Race) -> Setup {
        let forms = self.book.forms(race);
        let unscaled = self.order.badness(race.kind, &forms);
        let starts = grid(race, &unscaled);
        let pack = usize::from(race.kind == Kind::Superspeedway);
        let car = |i: usize, record: f64| Car {
            finish: 1,
            start: starts[i],
            record,
            strength: -unscaled[i],
            led: 0.0,
        };
        let led: Vec<Car> = forms.iter().enumerate().map(|(i, f)| car(i, f.led)).collect();
        let fastest: Vec<Car> = forms.iter().enumerate().map(|(i, f)| car(i, f.fastest)).collect();
        let green = self.green.get(&race.kind).copied().unwrap_or_default();
        let mean = green.sum / green.weight;
        let variance = (green.squares / green.weight - mean * mean).max(0.0);
        Setup {
            kind: race.kind,
            laps: race.laps.or_else(|| self.laps.get(&race.track).copied()).unwrap_or(LAPS),
            out: self.incidents.table(race.kind, &forms),
            led: self.led[pack].scores(&led),
            fastest: self.fastest[pack].scores(&fastest),
            green: (mean, variance.sqrt()),
            badness: unscaled.iter().map(|b| b * self.scale.slope(race.kind)).collect(),
            starts,
        }
    }

    /// Learns what happened; `outcomes` are in the order of the entries.
    pub fn learn(&mut self, race: &Race, outcomes: &[Outcome]) {
        let forms = self.book.forms(race);
        let badness = self.order.badness(race.kind, &forms);
        let starts = grid(race, &badness);
        let pack = usize::from(race.kind == Kind::Superspeedway);
        let distance = outcomes.iter().map(|o| o.laps).max().unwrap_or(LAPS).max(1);
        let led: Vec<u32> = outcomes.iter().map(|o| o.led).collect();
        let car = |i: usize, record: f64, led: f64| Car {
            finish: outcomes[i].finish,
            start: starts[i],
            record,
            strength: -badness[i],
            led,
        };
        let cars: Vec<Car> = forms.iter().enumerate().map(|(i, f)| car(i, f.led, 0.0)).collect();
        self.led[pack].learn(&cars, &led);
        if outcomes.iter().any(|o| o.fastest.is_some()) {
            let laps: Vec<u32> = outcomes.iter().map(|o| o.fastest.unwrap_or(0)).collect();
            let led_share = |i: usize| f64::from(led[i]) / f64::from(distance);
            let cars: Vec<Car> =
                forms.iter().enumerate().map(|(i, f)| car(i, f.fastest, led_share(i))).collect();
            self.fastest[pack].learn(&cars, &laps);
            let share = f64::from(laps.iter().sum::<u32>()) / f64::from(distance);
            self.green.entry(race.kind).or_default().add(share);
        }
        self.incidents.learn(race.kind, &forms, outcomes);
        self.order.learn(race.kind, &forms, outcomes);
        self.laps.insert(race.track.clone(), distance);
        self.book.learn(race, outcomes);
    }

    /// Learns how a projection of this model did, for the quantiles of the
    /// next ones. `points` are those that each site paid.
    pub fn judge(&mut self, kind: Kind, projection: &Projection, outcomes: &[Outcome], points: &[Vec<f64>]) {
        let scale = self.scale.slope(kind);
        let badness: Vec<f64> = projection.drivers.iter().map(|d| d.badness / scale).collect();
        let finish: Vec<u32> = outcomes.iter().map(|o| o.finish).collect();
        self.scale.learn(kind, margins(&badness, &finish).map(|(margin, _)| margin));
        let places = projection.drivers.iter().zip(outcomes);
        self.finish_levels.learn(kind, places.map(|(d, o)| place_level(&d.places, o.finish)));
        for (site, actual) in projection.sites.iter().zip(points) {
            let levels = self.points_levels.entry(site.rules.site.as_str()).or_default();
            let runs = projection.races.runs().max(1);
            let cars = site.points.chunks_exact(runs).zip(actual);
            levels.learn(kind, cars.map(|(drawn, actual)| point_level(drawn, *actual)));
        }
    }
}

/// Where in the drawn places the actual one is, at the middle of its unit.
fn place_level(places: &[u32], finish: u32) -> f64 {
    let at = (finish as usize).clamp(1, places.len().max(1)) - 1;
    let total: u32 = places.iter().sum();
    let below: u32 = places[..at].iter().sum();
    let here = places.get(at).copied().unwrap_or(0);
    (f64::from(below) + f64::from(here) / 2.0) / f64::from(total.max(1))
}

fn point_level(drawn: &[f32], actual: f64) -> f64 {
    let below = drawn.iter().filter(|p| f64::from(**p) < actual - 1e-3).count();
    let upto = drawn.iter().filter(|p| f64::from(**p) <= actual + 1e-3).count();
    (below + upto) as f64 / 2.0 / drawn.len().max(1) as f64
}

impl Green {
    fn add(&mut self, share: f64) {
        self.weight = self.weight * GREEN_FADE + 1.0;
        self.sum = self.sum * GREEN_FADE + share;
        self.squares = self.squares * GREEN_FADE + share * share;
    }
}

/// Places on the grid; cars without one get what is free, the stronger first.
fn grid(race: &Race, badness: &[f64]) -> Vec<u32> {
    let taken: Vec<u32> = race.entries.iter().filter_map(|e| e.start).collect();
    let mut free = (1u32..).filter(|place| !taken.contains(place));
    let mut starts: Vec<u32> = race.entries.iter().map(|e| e.start.unwrap_or(0)).collect();
    let mut without: Vec<usize> = (0..starts.len()).filter(|i| starts[*i] == 0).collect();
    without.sort_by(|a, b| badness[*a].total_cmp(&badness[*b]));
    for i in without {
        starts[i] = free.next().unwrap_or(1);
    }
    starts
}
