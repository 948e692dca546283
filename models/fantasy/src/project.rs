//! What drawn races say of each driver.

use serde::Serialize;

use crate::math::{self, tied_quantile};
use crate::race::End;
use crate::scoring::Rules;
use crate::simulate::Races;

/// Levels of the quantiles that are told.
pub const LEVELS: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// Mean, deviation and quantiles ([`LEVELS`]) of a number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Expected value.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// At [`LEVELS`].
    pub quantiles: [f64; LEVELS.len()],
}

/// Chances of one driver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chances {
    /// To win.
    pub win: f64,
    /// To finish among the first five.
    pub top5: f64,
    /// To finish among the first ten.
    pub top10: f64,
    /// To drop out by an accident.
    pub accident: f64,
    /// To drop out by something that breaks.
    pub mechanical: f64,
}

/// One driver's race as drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Driver {
    /// Badness in the order of finish: see [`crate::order::ahead`].
    pub badness: f64,
    /// Place of finish.
    pub finish: Spread,
    /// What is likely.
    pub chances: Chances,
    /// Expected laps led.
    pub led: f64,
    /// Expected fastest laps.
    pub fastest: f64,
    /// How often each place was drawn; the first is place 1.
    #[serde(skip)]
    pub places: Vec<u32>,
}

/// Summarises the order of finish. `levels` are the levels at which the
/// quantiles are taken, [`LEVELS`] unless past races taught otherwise.
pub fn drivers(races: &Races, badness: &[f64], levels: &[f64; LEVELS.len()]) -> Vec<Driver> {
    let (cars, runs) = (races.cars, races.runs().max(1) as f64);
    let mut places = vec![0u32; cars * cars];
    let mut sums = vec![[0u32; 4]; cars];
    for (race, ends) in races.races().zip(races.ends.chunks_exact(cars.max(1))) {
        for (car, (line, end)) in race.iter().zip(ends).enumerate() {
            places[car * cars + line.finish as usize - 1] += 1;
            let sum = &mut sums[car];
            sum[0] += line.led;
            sum[1] += line.fastest;
            sum[2] += u32::from(*end == End::Accident);
            sum[3] += u32::from(*end == End::Mechanical);
        }
    }
    let driver = |car: usize| {
        let places = &places[car * cars..(car + 1) * cars];
        let among = |n: usize| f64::from(places[..n.min(cars)].iter().sum::<u32>()) / runs;
        let part = |i: usize| f64::from(sums[car][i]) / runs;
        Driver {
            badness: badness[car],
            finish: place_spread(places, levels),
            chances: Chances {
                win: among(1),
                top5: among(5),
                top10: among(10),
                accident: part(2),
                mechanical: part(3),
            },
            led: part(0),
            fastest: part(1),
            places: places.to_vec(),
        }
    };
    (0..cars).map(driver).collect()
}

fn place_spread(places: &[u32], levels: &[f64; LEVELS.len()]) -> Spread {
    let runs: f64 = places.iter().map(|p| f64::from(*p)).sum::<f64>().max(1.0);
    let moment = |of: &dyn Fn(f64) -> f64| {
        places.iter().enumerate().map(|(i, p)| of(i as f64 + 1.0) * f64::from(*p)).sum::<f64>() / runs
    };
    let mean = moment(&|place| place);
    let variance = moment(&|place| (place - mean).powi(2));
    Spread { mean, deviation: variance.sqrt(), quantiles: levels.map(|p| tied_quantile(places, p)) }
}

/// Points of every car in every race drawn: `points[car * runs + run]`, so that
/// one car's stand together.
pub fn points(races: &Races, rules: &Rules) -> Vec<f32> {
    let (cars, runs) = (races.cars, races.runs());
    let mut points = vec![0.0; cars * runs];
    for (run, race) in races.races().enumerate() {
        for (car, line) in race.iter().enumerate() {
            points[car * runs + run] = rules.points(line) as f32;
        }
    }
    points
}

/// Mean, deviation and quantiles of one car's points.
pub fn point_spread(points: &[f32], levels: &[f64; LEVELS.len()]) -> Spread {
    let mut sorted: Vec<f64> = points.iter().map(|p| f64::from(*p)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Spread {
        mean: math::mean(&sorted),
        deviation: math::deviation(&sorted),
        quantiles: levels.map(|p| math::quantile(&sorted, p)),
    }
}

/// Correlations of the cars' points, row by row; 0 where one does not vary.
pub fn correlations(points: &[f32], cars: usize) -> Vec<f64> {
    let runs = points.len() / cars.max(1);
    let columns: Vec<Vec<f64>> = (0..cars)
        .map(|car| points[car * runs..(car + 1) * runs].iter().map(|p| f64::from(*p)).collect())
        .collect();
    let standard: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| {
            let (mean, deviation) = (math::mean(column), math::deviation(column));
            let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
            column.iter().map(|v| (v - mean) * scale).collect()
        })
        .collect();
    let product =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / runs.max(1) as f64;
    standard.iter().flat_map(|a| standard.iter().map(move |b| product(a, b))).collect()
}
