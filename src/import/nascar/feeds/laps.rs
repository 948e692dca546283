//! `lap-times`: where each car was on each lap. What loop data says better is
//! left to it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use domain::racing::race::{Command, Measured, Race};
use models_fantasy::name::key;
use serde_json::Value;

use super::Reading;
use super::values::{counted, decimal, list, text, whole};

/// `FlagState` under which laps are raced.
const GREEN: u32 = 1;
/// Cars and laps that are looked at.
const MAX_CARS: usize = 64;
const MAX_LAPS: usize = 2_000;

impl Reading<'_, '_> {
    pub(super) async fn laps(&mut self, body: &Value) -> Result<()> {
        self.writer.report.rows += list(body, "laps").len() as u64;
        let named = self.race.unwrap_or("lap times").to_owned();
        let done = self.lap_times(body).await;
        self.done(&named, done)
    }

    async fn lap_times(&mut self, body: &Value) -> Result<()> {
        let feed_id = self.race.context("lap times name no race; say --race, or keep the feeds' folders")?;
        let (id, race) = self.race(feed_id).await?;
        if !race.measured.is_empty() {
            return Ok(());
        }
        let cars = measured(body);
        let entered = |car: &Measured| race.entries.iter().any(|e| e.driver == car.driver);
        let cars: Vec<Measured> = cars.into_iter().filter(entered).collect();
        if !cars.is_empty() {
            self.writer.command::<Race>(&id, Command::Measure { cars }).await?;
        }
        Ok(())
    }
}

/// One car's laps from the first on: lap, place, seconds.
type Laps = Vec<(u32, u32, Option<f64>)>;

fn measured(body: &Value) -> Vec<Measured> {
    let mut cars: BTreeMap<String, Laps> = BTreeMap::new();
    for car in list(body, "laps").iter().take(MAX_CARS) {
        let Some(name) = text(car, "FullName") else { continue };
        let lap =
            |lap: &Value| Some((counted(lap, "Lap")?, counted(lap, "RunningPos")?, decimal(lap, "LapTime")));
        cars.insert(key(name), list(car, "Laps").iter().take(MAX_LAPS).filter_map(lap).collect());
    }
    let last = cars.values().flatten().map(|(lap, _, _)| *lap).max().unwrap_or(0);
    let fastest = fastest(&cars, &green(body));
    let of = |(driver, laps): (&String, &Laps)| {
        let places = || laps.iter().map(|(_, place, _)| *place);
        (!laps.is_empty()).then(|| Measured {
            driver: driver.clone(),
            mid: laps.iter().find(|(lap, _, _)| *lap == last.div_ceil(2)).map(|(_, place, _)| *place),
            best: places().min(),
            worst: places().max(),
            average: Some((places().map(f64::from).sum::<f64>() / laps.len() as f64 * 100.0).round() / 100.0),
            fastest: Some(fastest.get(driver.as_str()).copied().unwrap_or(0)),
            top15: Some(places().filter(|place| *place <= 15).count() as u32),
            ..Measured::default()
        })
    };
    cars.iter().filter_map(of).collect()
}

/// The flag of each lap, as far as flags are told: the last one at or before it.
fn green(body: &Value) -> impl Fn(u32) -> bool {
    let flags: BTreeMap<u32, u32> = list(body, "flags")
        .iter()
        .filter_map(|flag| Some((whole(flag, "LapsCompleted")?, whole(flag, "FlagState")?)))
        .collect();
    move |lap| flags.range(..=lap).next_back().is_none_or(|(_, flag)| *flag == GREEN)
}

/// Laps under green in which each driver was the fastest.
fn fastest<'a>(cars: &'a BTreeMap<String, Laps>, green: &impl Fn(u32) -> bool) -> BTreeMap<&'a str, u32> {
    let mut best: BTreeMap<u32, (f64, &str)> = BTreeMap::new();
    for (driver, laps) in cars {
        for (lap, _, seconds) in laps {
            let Some(seconds) = seconds.filter(|s| *s > 0.0 && green(*lap)) else { continue };
            let known = best.entry(*lap).or_insert((seconds, driver.as_str()));
            if seconds < known.0 {
                *known = (seconds, driver.as_str());
            }
        }
    }
    let mut counts = BTreeMap::new();
    best.into_values().for_each(|(_, driver)| *counts.entry(driver).or_insert(0) += 1);
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_and_fastest_laps_are_counted_under_green() {
        let laps = |places: [u32; 4], seconds: [f64; 4]| -> Vec<Value> {
            (0..4).map(|i| json!({"Lap": i + 1, "RunningPos": places[i], "LapTime": seconds[i]})).collect()
        };
        let body = json!({"laps": [
            {"FullName": "A B Jr.", "Laps": laps([1, 1, 2, 2], [80.0, 77.0, 90.0, 76.0])},
            {"FullName": "C D(i)", "Laps": laps([2, 2, 1, 1], [81.0, 76.5, 60.0, 77.0])},
            {"FullName": null, "Laps": []},
        ], "flags": [{"LapsCompleted": 0, "FlagState": 1}, {"LapsCompleted": 3, "FlagState": 2}, {"LapsCompleted": 4, "FlagState": 1}]});
        let cars = measured(&body);
        let told: Vec<_> =
            cars.iter().map(|c| (c.driver.as_str(), c.fastest, c.mid, c.average, c.top15)).collect();
        let expected =
            [("a-b", Some(2), Some(1), Some(1.5), Some(4)), ("c-d", Some(1), Some(2), Some(1.5), Some(4))];
        assert_eq!(told, expected);
        assert_eq!(measured(&json!({"laps": null, "flags": null})), []);
    }
}
