//! What past races say of a driver, car and team before a race: means that
//! fade with the races since, drawn towards what is known more broadly.
//!
//! A race is measured by the driver rating (finish, running position, fastest
//! laps, laps led and passes, compiled by the series), as standard deviations
//! from the field's mean, so that larger is better and eras compare. Where a
//! result has no rating, its normal score of the finish stands in.

use std::collections::HashMap;

use crate::math::{deviation, mean, normal_score};
use crate::parameters::Parameters;
use crate::race::{End, Entry, Outcome, Race};
use crate::track::Kind;

/// Races after which a result counts half, for means that are not set by
/// [`Parameters`].
const RELIABILITY: f64 = 60.0;
const LED: f64 = 25.0;

/// Results that the broader mean counts for.
const DRIVER_PRIOR: f64 = 2.0;
const RECENT_PRIOR: f64 = 2.0;
const KIND_PRIOR: f64 = 3.0;
const TRACK_PRIOR: f64 = 2.0;
const CAR_PRIOR: f64 = 4.0;
const TEAM_PRIOR: f64 = 8.0;
const RELIABILITY_PRIOR: f64 = 10.0;
const LED_PRIOR: f64 = 3.0;

/// A team that nobody has seen runs at the back.
const UNKNOWN_TEAM: f64 = -0.6;
/// Share of starts that end before the flag.
const OUT_RATE: f64 = 0.14;
/// √share of the laps led by an average car.
const LED_MEAN: f64 = 0.06;
/// Where a driver of this form is likely to start, before qualifying.
const START_FOR_FORM: f64 = 0.75;

/// Features of a driver, in order: [`NAMES`].
pub const FEATURES: usize = 8;

/// What the features are.
pub const NAMES: [&str; FEATURES] =
    ["form", "recent", "kind of track", "track", "start", "car", "drops out", "experience"];

/// A mean whose parts fade.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    weight: f64,
    sum: f64,
    /// The race that the sums are faded to.
    at: u32,
}

impl Fading {
    fn add(&mut self, value: f64, race: u32, half_life: f64) {
        let fade = fade(self.at, race, half_life);
        *self = Self { weight: self.weight * fade + 1.0, sum: self.sum * fade + value, at: race };
    }

    /// Drawn towards `prior`, which counts as `strength` results.
    fn mean(&self, race: u32, half_life: f64, prior: f64, strength: f64) -> f64 {
        let fade = fade(self.at, race, half_life);
        (self.sum * fade + prior * strength) / (self.weight * fade + strength)
    }

    fn weight(&self, race: u32, half_life: f64) -> f64 {
        self.weight * fade(self.at, race, half_life)
    }
}

fn fade(from: u32, to: u32, half_life: f64) -> f64 {
    0.5_f64.powf(f64::from(to.saturating_sub(from)) / half_life)
}

/// A driver, before a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Not yet centred; [`NAMES`].
    pub features: [f64; FEATURES],
    /// √share of laps led, as a fading mean.
    pub led: f64,
    /// √share of fastest laps, as a fading mean.
    pub fastest: f64,
    /// Share of starts that ended before the flag.
    pub out: f64,
}

/// All that is remembered of past races.
#[derive(Debug, Clone, Default)]
pub struct Book {
    parameters: Parameters,
    races: u32,
    driver: HashMap<String, Driver>,
    team: HashMap<String, Fading>,
    car: HashMap<(String, String), Fading>,
}

#[derive(Debug, Clone, Default)]
struct Driver {
    all: Fading,
    recent: Fading,
    kind: HashMap<Kind, Fading>,
    track: HashMap<String, Fading>,
    out: Fading,
    led: Fading,
    fastest: Fading,
}

impl Book {
    /// Nothing learned yet.
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters, ..Self::default() }
    }

    /// Races that were learned from.
    pub fn races(&self) -> u32 {
        self.races
    }

    /// The form of every entry before the race.
    pub fn forms(&self, race: &Race) -> Vec<Form> {
        let starts = start_scores(&race.entries);
        race.entries.iter().zip(starts).map(|(entry, start)| self.form(race, entry, start)).collect()
    }

    fn form(&self, race: &Race, entry: &Entry, start: Option<f64>) -> Form {
        let (now, nobody, p) = (self.races, Driver::default(), &self.parameters);
        let driver = self.driver.get(&entry.driver).unwrap_or(&nobody);
        let team = self.team_mean(entry);
        let car = self.car_mean(entry, team);
        let all = driver.all.mean(now, p.driver_half_life, car.unwrap_or(UNKNOWN_TEAM), DRIVER_PRIOR);
        let apart = |fading: Option<&Fading>, half_life, strength| {
            fading.map_or(0.0, |f: &Fading| f.mean(now, half_life, all, strength) - all)
        };
        let out = driver.out.mean(now, RELIABILITY, OUT_RATE, RELIABILITY_PRIOR);
        Form {
            features: [
                all,
                apart(Some(&driver.recent), p.recent_half_life, RECENT_PRIOR),
                apart(driver.kind.get(&race.kind), p.kind_half_life, KIND_PRIOR),
                apart(driver.track.get(&race.track), p.track_half_life, TRACK_PRIOR),
                start.unwrap_or(START_FOR_FORM * all),
                car.unwrap_or(all),
                out,
                driver.all.weight(now, p.driver_half_life).ln_1p(),
            ],
            led: driver.led.mean(now, LED, LED_MEAN, LED_PRIOR),
            fastest: driver.fastest.mean(now, LED, LED_MEAN, LED_PRIOR),
            out,
        }
    }

    fn team_mean(&self, entry: &Entry) -> Option<f64> {
        let team = self.team.get(entry.team.as_ref()?).copied().unwrap_or_default();
        Some(team.mean(self.races, self.parameters.car_half_life, UNKNOWN_TEAM, TEAM_PRIOR))
    }

    fn car_mean(&self, entry: &Entry, team: Option<f64>) -> Option<f64> {
        let key = (entry.team.clone()?, entry.car.clone().unwrap_or_default());
        let car = self.car.get(&key).copied().unwrap_or_default();
        Some(car.mean(self.races, self.parameters.car_half_life, team?, CAR_PRIOR))
    }

    /// Learns what happened; `outcomes` are in the order of the entries.
    pub fn learn(&mut self, race: &Race, outcomes: &[Outcome]) {
        let (now, p) = (self.races, self.parameters.clone());
        self.races += 1;
        let led: f64 = outcomes.iter().map(|o| f64::from(o.led)).sum::<f64>().max(1.0);
        let fastest: f64 = outcomes.iter().filter_map(|o| o.fastest).map(f64::from).sum();
        for ((entry, outcome), value) in race.entries.iter().zip(outcomes).zip(measured(outcomes)) {
            let driver = self.driver.entry(entry.driver.clone()).or_default();
            driver.all.add(value, now, p.driver_half_life);
            driver.recent.add(value, now, p.recent_half_life);
            driver.kind.entry(race.kind).or_default().add(value, now, p.kind_half_life);
            driver.track.entry(race.track.clone()).or_default().add(value, now, p.track_half_life);
            let out = f64::from(u8::from(outcome.end != End::Running));
            driver.out.add(out, now, RELIABILITY);
            driver.led.add((f64::from(outcome.led) / led).sqrt(), now, LED);
            if let Some(laps) = outcome.fastest.filter(|_| fastest > 0.0) {
                driver.fastest.add((f64::from(laps) / fastest).sqrt(), now, LED);
            }
            if let Some(team) = &entry.team {
                self.team.entry(team.clone()).or_default().add(value, now, p.car_half_life);
                let key = (team.clone(), entry.car.clone().unwrap_or_default());
                self.car.entry(key).or_default().add(value, now, p.car_half_life);
            }
        }
    }
}

/// How well each car did: see the module.
fn measured(outcomes: &[Outcome]) -> Vec<f64> {
    let rated: Vec<f64> = outcomes.iter().filter_map(|o| o.rating).collect();
    let (mean, deviation) = (mean(&rated), deviation(&rated));
    let by_finish = |o: &Outcome| -normal_score(f64::from(o.finish), outcomes.len());
    let value = |o: &Outcome| match o.rating {
        Some(rating) if deviation > 0.0 && deviation.is_finite() => (rating - mean) / deviation,
        _ => by_finish(o),
    };
    outcomes.iter().map(value).collect()
}

/// Normal scores of the grid, larger is further in front. Gaps in it, such as
/// a car that was withdrawn, close up.
fn start_scores(entries: &[Entry]) -> Vec<Option<f64>> {
    let mut grid: Vec<u32> = entries.iter().filter_map(|e| e.start).collect();
    grid.sort_unstable();
    let score = |start: u32| -normal_score(grid.partition_point(|s| *s < start) as f64 + 1.0, grid.len());
    entries.iter().map(|e| e.start.map(score)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn race(entries: &[(&str, Option<u32>)]) -> Race {
        let entry = |(driver, start): &(&str, Option<u32>)| Entry {
            driver: (*driver).into(),
            start: *start,
            ..Entry::default()
        };
        Race {
            id: "r".into(),
            season: 2020,
            date: None,
            track: "kansas".into(),
            kind: Kind::Intermediate,
            laps: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn outcome(finish: u32) -> Outcome {
        Outcome { finish, laps: 100, led: 0, fastest: None, rating: None, end: End::Running }
    }

    #[test]
    fn who_wins_gets_better_and_old_results_fade() {
        let mut book = Book::default();
        let race = race(&[("a", Some(1)), ("b", Some(2))]);
        book.learn(&race, &[outcome(1), outcome(2)]);
        let after_one = book.forms(&race);
        assert!(after_one[0].features[0] > after_one[1].features[0]);
        for _ in 0..20 {
            book.learn(&race, &[outcome(2), outcome(1)]);
        }
        let after = book.forms(&race);
        assert!(after[0].features[0] < after[1].features[0]);
        assert!(after[0].features[7] > after_one[0].features[7], "experience grows");
    }

    #[test]
    fn a_newcomer_is_as_good_as_the_car() {
        let mut book = Book::default();
        let mut with_car = race(&[("a", Some(1)), ("b", Some(2)), ("c", Some(3))]);
        with_car.entries[0].team = Some("good".into());
        with_car.entries[2].team = Some("bad".into());
        for _ in 0..10 {
            book.learn(&with_car, &[outcome(1), outcome(2), outcome(3)]);
        }
        with_car.entries[0].driver = "new".into();
        with_car.entries[2].driver = "newer".into();
        let forms = book.forms(&with_car);
        assert!(forms[0].features[0] > forms[2].features[0]);
        assert_eq!(forms[0].features[7], 0.0, "nothing is known of the newcomer");
    }

    #[test]
    fn the_grid_closes_up_and_may_be_unknown() {
        let book = Book::default();
        let starts = |starts: [Option<u32>; 3]| {
            let race = race(&[("a", starts[0]), ("b", starts[1]), ("c", starts[2])]);
            book.forms(&race).iter().map(|f| f.features[4]).collect::<Vec<_>>()
        };
        assert_eq!(starts([Some(1), Some(2), Some(3)]), starts([Some(1), Some(7), Some(40)]));
        assert!(starts([None, None, None]).iter().all(|s| s.is_finite()));
    }
}
