//! The rest of a race that is under way, from what was sealed and where the
//! cars are.

use std::collections::BTreeMap;

use domain::RecordedEvent;
use domain::racing::live::{Event, Observed, RunningCar};
use domain::racing::race::{Said, Sealed};
use domain::registry::decode;
use jiff::Timestamp;
use models_fantasy::live::{Running, rest};
use models_fantasy::math::tied_quantile;
use models_fantasy::scoring::{Line, Rules};
use serde::{Deserialize, Serialize};

use super::{RACES, RaceRow, SEALED, SealedRow, sealed_key};
use crate::projection::ApplyError;
use crate::races::site_rules;
use crate::working_set::{Row, Rows};

/// A race as it was last seen. Key: its id.
pub const LIVE: &str = "live";
/// Ends that are drawn for each observation.
const RUNS: u32 = 2_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveRow {
    pub race: String,
    /// Of the event.
    pub position: u64,
    pub at: Timestamp,
    pub lap: u32,
    pub laps: u32,
    pub flag: String,
    /// Model of the sealed projection that strengths are from; without one
    /// only places count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// By place.
    pub cars: Vec<LiveCar>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveCar {
    #[serde(flatten)]
    pub now: RunningCar,
    /// Expected place, and quantiles at 10, 50 and 90 %.
    pub finish: f64,
    pub range: [f64; 3],
    pub win: f64,
    pub top5: f64,
    pub top10: f64,
    /// Expected points by site, of those that were sealed.
    pub points: BTreeMap<String, f64>,
}

impl Row for LiveRow {}

/// Folds one observation.
pub(super) fn observe(rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
    let Event::Observed(observed) = decode(event)?;
    let (tenant, id) = (&event.stream.tenant, &event.stream.id);
    let seals = rows.get::<RaceRow>(RACES, tenant, id)?.map(|row| row.race.seals.clone()).unwrap_or_default();
    let mut sealed: BTreeMap<String, Sealed> = BTreeMap::new();
    // The last of each site.
    for seal in seals {
        let key = sealed_key(id, &seal.site, &seal.model);
        if let Some(row) = rows.get::<SealedRow>(SEALED, tenant, &key)? {
            sealed.insert(seal.site, row.sealed.clone());
        }
    }
    let sealed: Vec<Sealed> = sealed.into_values().collect();
    let row = project(id, event.position, observed, &sealed);
    rows.put(LIVE, tenant, id, row)
}

fn project(race: &str, position: u64, observed: Observed, sealed: &[Sealed]) -> LiveRow {
    let said = |sealed: &'_ Sealed, driver: &str| sealed.drivers.iter().find(|d| d.driver == driver).cloned();
    let running = |car: &RunningCar| Running {
        badness: -sealed.first().and_then(|s| said(s, &car.driver)).map_or(0.0, |said| said.strength),
        place: car.place,
        laps: car.laps,
        out: car.out,
    };
    let cars: Vec<Running> = observed.cars.iter().map(running).collect();
    let over = matches!(observed.flag.as_str(), "checkered" | "finished");
    let left = if over { 0.0 } else { 1.0 - f64::from(observed.lap) / f64::from(observed.laps.max(1)) };
    let left = left.clamp(0.0, 1.0);
    let counts = rest(&cars, left, position, RUNS);
    let mut told: Vec<LiveCar> = observed
        .cars
        .iter()
        .zip(&counts)
        .map(|(car, places)| {
            let points = sealed.iter().filter_map(|sealed| {
                let rules = site_rules(&sealed.site, &sealed.rules)?;
                let said = said(sealed, &car.driver)?;
                Some((sealed.site.clone(), points(&rules, car, &said, places, left)))
            });
            LiveCar { points: points.collect(), ..chances(car, places) }
        })
        .collect();
    told.sort_by_key(|car| car.now.place);
    let Observed { at, lap, laps, flag, .. } = observed;
    let model = sealed.first().map(|sealed| sealed.model.clone());
    LiveRow { race: race.to_owned(), position, at, lap, laps, flag, model, cars: told }
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn chances(car: &RunningCar, places: &[u32]) -> LiveCar {
    let among = |n: usize| rounded(f64::from(places.iter().take(n).sum::<u32>()) / f64::from(RUNS));
    let mean = places.iter().zip(1..).map(|(n, place)| f64::from(*n) * f64::from(place)).sum::<f64>();
    LiveCar {
        now: car.clone(),
        finish: rounded(mean / f64::from(RUNS)),
        range: [0.1, 0.5, 0.9].map(|p| rounded(tied_quantile(places, p))),
        win: among(1),
        top5: among(5),
        top10: among(10),
        points: BTreeMap::new(),
    }
}

/// What is certain by now, and of the rest the share that was said before.
fn points(rules: &Rules, car: &RunningCar, said: &Said, places: &[u32], left: f64) -> f64 {
    let start = said.start.unwrap_or(car.place);
    let line = |finish: u32| Line { start, finish, led: car.led, fastest: car.fastest, laps: car.laps };
    let by_place = places.iter().zip(1..).filter(|(n, _)| **n > 0);
    let sum: f64 = by_place.map(|(n, place)| f64::from(*n) * rules.points(&line(place))).sum();
    let left = if car.out { 0.0 } else { left };
    let rest = rules.lap_led * said.laps_led + rules.fastest_lap * said.fastest_laps;
    // Laps that are still to be completed are those that it has, by what is left.
    let laps = rules.lap_completed * f64::from(car.laps) * left / (1.0 - left).max(0.01);
    rounded(sum / f64::from(RUNS) + left * rest + laps)
}
