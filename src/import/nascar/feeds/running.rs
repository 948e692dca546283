//! `live-feed`: a race as it runs.

use anyhow::{Context as _, Result};
use domain::racing::live::{self, LiveRace, Observed, RunningCar};
use domain::racing::race::{Command, Race};
use models_fantasy::name::key;
use serde_json::Value;

use super::values::{counted, list, text, whole};
use super::{CUP, Reading};

/// `run_type` of a race; practice and qualifying have a live feed too.
const RACE_RUN: u32 = 3;

impl Reading<'_, '_> {
    pub(super) async fn running(&mut self, body: &Value) -> Result<()> {
        self.writer.report.rows += list(body, "vehicles").len() as u64;
        let other = whole(body, "series_id").is_some_and(|series| series != CUP);
        if other || whole(body, "run_type").is_some_and(|run| run != RACE_RUN) {
            self.writer.report.without_race += list(body, "vehicles").len() as u64;
            return Ok(());
        }
        let named = text(body, "run_name").unwrap_or("a race without a name").to_owned();
        let done = self.observed(body).await;
        self.done(&named, done)
    }

    async fn observed(&mut self, body: &Value) -> Result<()> {
        let feed_id = counted(body, "race_id").context("no race_id")?.to_string();
        let (id, race) = self.race(&feed_id).await?;
        let lap = whole(body, "lap_number").context("no lap_number")?;
        // Before the green flag, and after the result, there is nothing to see.
        if lap == 0 || !race.results.is_empty() {
            return Ok(());
        }
        let at = self.writer.importer.services.clock.now();
        let cars: Vec<RunningCar> = list(body, "vehicles").iter().filter_map(car).collect();
        let laps = counted(body, "laps_in_race").context("no laps_in_race")?;
        let flag = flag(whole(body, "flag_state")).to_owned();
        self.writer.command::<Race>(&id, Command::Start { at }).await?;
        let observed = Observed { at, lap, laps, flag, cars };
        self.writer.command::<LiveRace>(&id, live::Command::Observe(Box::new(observed))).await?;
        Ok(())
    }
}

fn flag(state: Option<u32>) -> &'static str {
    match state {
        Some(1) => "green",
        Some(2) => "yellow",
        Some(3) => "red",
        Some(4) => "checkered",
        Some(5) => "white",
        Some(8) => "warm_up",
        Some(9) => "finished",
        _ => "unknown",
    }
}

fn car(vehicle: &Value) -> Option<RunningCar> {
    let laps = whole(vehicle, "laps_completed").unwrap_or(0);
    let led = list(vehicle, "laps_led").iter().filter_map(|span| {
        let (from, to) = (counted(span, "start_lap")?, counted(span, "end_lap")?);
        to.checked_sub(from).map(|more| more + 1)
    });
    Some(RunningCar {
        driver: key(text(&vehicle["driver"], "full_name")?),
        place: counted(vehicle, "running_position")?,
        laps,
        led: led.sum::<u32>().min(laps),
        fastest: whole(vehicle, "fastest_laps_run").unwrap_or(0),
        // 1 is on the track; 2 in the pits comes back.
        out: whole(vehicle, "status").is_some_and(|status| status == 3),
    })
}
