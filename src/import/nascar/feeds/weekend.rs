//! `weekend-feed`: entry list, grid and result. `loopstats`: loop data.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use domain::racing::driver::{self, Driver};
use domain::racing::race::{self, Command, Entry, Measured, Placed, Race, Session, SessionKind, Timed};
use models_fantasy::name::key;
use serde_json::Value;

use super::values::{counted, decimal, list, make, shown, text, whole};
use super::{CUP, Reading};

impl Reading<'_, '_> {
    pub(super) async fn weekend(&mut self, body: &Value) -> Result<()> {
        for race in list(body, "weekend_race") {
            self.writer.report.rows += list(race, "results").len() as u64;
            if whole(race, "series_id").is_some_and(|series| series != CUP) {
                self.writer.report.without_race += list(race, "results").len() as u64;
                continue;
            }
            let named = text(race, "race_name").unwrap_or("a race without a name").to_owned();
            let done = self.one_weekend(race).await;
            self.done(&named, done)?;
        }
        for session in list(body, "weekend_runs") {
            let done = self.one_session(session).await;
            let named = text(session, "run_name").unwrap_or("a session without a name").to_owned();
            self.refused(&named, done)?;
        }
        Ok(())
    }

    /// A practice or a round of qualifying. Cars that are not on the entry list
    /// went home.
    async fn one_session(&mut self, body: &Value) -> Result<()> {
        let kind = match whole(body, "run_type") {
            Some(1) => SessionKind::Practice,
            Some(2) => SessionKind::Qualifying,
            _ => return Ok(()),
        };
        let Some(feed_id) = counted(body, "race_id") else { return Ok(()) };
        let id = counted(body, "weekend_run_id").context("no weekend_run_id")?;
        self.refold().await?;
        // Of another series, or of a race that was refused above.
        let Ok((race_id, race)) = self.race(&feed_id.to_string()).await else { return Ok(()) };
        let timed = |car: &Value| {
            let driver = key(text(car, "driver_name")?);
            let place = counted(car, "finishing_position")?;
            let lap_seconds = decimal(car, "best_lap_time").filter(|seconds| *seconds > 0.0);
            let speed = decimal(car, "best_lap_speed").filter(|speed| *speed > 0.0);
            let laps = counted(car, "laps_completed");
            let entered = race.entries.iter().any(|entry| entry.driver == driver);
            entered.then_some(Timed { driver, place, lap_seconds, speed, laps })
        };
        let cars: Vec<Timed> = list(body, "results").iter().filter_map(timed).collect();
        if cars.is_empty() {
            return Ok(());
        }
        let name = text(body, "run_name").unwrap_or_default().to_owned();
        let session = Session { session: id.to_string(), kind, name, cars };
        self.writer.command::<Race>(&race_id, Command::RecordSession(session)).await?;
        Ok(())
    }

    async fn one_weekend(&mut self, body: &Value) -> Result<()> {
        let feed_id = counted(body, "race_id").context("no race_id")?.to_string();
        let (id, _) = self.race(&feed_id).await?;
        let (mut entries, mut results) = (Vec::new(), Vec::new());
        let cars = list(body, "results");
        for car in cars {
            let Some(name) = text(car, "driver_fullname") else { continue };
            let driver = key(name);
            self.writer
                .command::<Driver>(&driver, driver::Command::Name { name: shown(name).into() })
                .await?;
            if let Some(number) = counted(car, "driver_id") {
                self.known.drivers.insert(number, driver.clone());
            }
            entries.push(Entry {
                driver: driver.clone(),
                team: text(car, "team_name").map(str::to_owned),
                car: text(car, "car_number").map(str::to_owned),
                make: text(car, "car_make").map(make),
                start: counted(car, "starting_position"),
            });
            results.extend(placed(car, driver));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let all = entries.len();
        self.writer.command::<Race>(&id, Command::Enter { entries, official: true }).await?;
        // Places stand there while the race runs too; its time only afterwards.
        let over = text(body, "total_race_time").is_some() && results.len() == all;
        if !over {
            return Ok(());
        }
        let official = body["inspection_complete"].as_bool().unwrap_or(true);
        let finish = Command::Finish { results, official, reason: "changed by the series".into() };
        let events = self.writer.command::<Race>(&id, finish).await?;
        if events.iter().any(|event| event == race::CORRECTED) {
            self.writer.report.corrections.push(id);
        }
        Ok(())
    }

    pub(super) async fn loops(&mut self, body: &Value) -> Result<()> {
        for race in body.as_array().into_iter().flatten() {
            self.writer.report.rows += list(race, "drivers").len() as u64;
            if whole(race, "series_id").is_some_and(|series| series != CUP) {
                self.writer.report.without_race += list(race, "drivers").len() as u64;
                continue;
            }
            let named = text(race, "race_name").unwrap_or("a race without a name").to_owned();
            let done = self.one_loop(race).await;
            self.done(&named, done)?;
        }
        Ok(())
    }

    async fn one_loop(&mut self, body: &Value) -> Result<()> {
        let feed_id = counted(body, "race_id").context("no race_id")?.to_string();
        let (id, race) = self.race(&feed_id).await?;
        let grid: BTreeMap<u32, &str> =
            race.entries.iter().filter_map(|e| Some((e.start?, e.driver.as_str()))).collect();
        let mut cars = Vec::new();
        for car in list(body, "drivers") {
            let number = counted(car, "driver_id");
            let known = number.and_then(|number| self.known.drivers.get(&number)).map(String::as_str);
            let driver = known.or_else(|| grid.get(&counted(car, "start_ps")?).copied());
            let driver = driver.with_context(|| format!("driver {} is not known", number.unwrap_or(0)))?;
            cars.push(Measured {
                driver: driver.to_owned(),
                mid: counted(car, "mid_ps"),
                best: counted(car, "best_ps"),
                worst: counted(car, "worst_ps"),
                average: decimal(car, "avg_ps"),
                passes: whole(car, "passes_gf"),
                passed: whole(car, "passed_gf"),
                quality_passes: whole(car, "quality_passes"),
                fastest: whole(car, "fast_laps"),
                top15: whole(car, "top15_laps"),
                rating: decimal(car, "rating"),
            });
        }
        if !cars.is_empty() {
            self.writer.command::<Race>(&id, Command::Measure { cars }).await?;
        }
        Ok(())
    }
}

fn placed(car: &Value, driver: String) -> Option<Placed> {
    let out = car["disqualified"].as_bool().unwrap_or(false);
    let status = text(car, "finishing_status").unwrap_or("running").to_ascii_lowercase();
    Some(Placed {
        driver,
        finish: counted(car, "finishing_position")?,
        laps: whole(car, "laps_completed")?,
        led: whole(car, "laps_led").unwrap_or(0),
        status: if out { "disqualified".into() } else { status },
        points: whole(car, "points_earned"),
        rating: None,
    })
}
