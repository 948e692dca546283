//! Races, drivers and tracks as they are known by now; what was sealed before
//! each race, and how good that turned out to be.
//!
//! A sealed projection is kept as it was recorded. A correction of the result
//! changes the result's rows and the score, never what was said.

mod forecasts;
mod live;
mod record;
mod rows;
mod score;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use domain::decide::Decide;
use domain::ports::rows::{ModelId, TableSpec};
use domain::racing::race::{self, Event, Race};
use domain::racing::{driver, lineups, live as facts, scoring, track};
use domain::registry::decode;
use domain::{RecordedEvent, TenantId};
use models_fantasy::race::End;

pub use forecasts::{
    ALL, Accuracy, BadSetting, FORECAST_GROUPS, FORECAST_RACES, FORECAST_RECORD, FORECASTS, ForecastRace,
    ForecastRow, Settings,
};
pub use live::{LIVE, LiveCar, LiveRow};
pub use record::{Group, Record, record};
pub use rows::*;
pub use score::paid;

use self::forecasts::{Forecaster, RULES, RulesRow};
use crate::chart::Chart;
use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::races;
use crate::working_set::Rows;

pub const NAME: &str = "dfs_projections";

/// Beside what races are folded from.
const OWN: [&str; 3] = [race::PROJECTION_SEALED, lineups::KEPT, facts::OBSERVED];

const EVENT_TYPES: [&str; races::EVENT_TYPES.len() + OWN.len()] = {
    let mut all = [""; races::EVENT_TYPES.len() + OWN.len()];
    let mut i = 0;
    while i < all.len() {
        let own = i >= races::EVENT_TYPES.len();
        all[i] = if own { OWN[i - races::EVENT_TYPES.len()] } else { races::EVENT_TYPES[i] };
        i += 1;
    }
    all
};

/// Version of the fold without forecasts.
const PLAIN: u32 = 1;

const WITH_FORECASTS: [TableSpec; TABLES.len() + forecasts::TABLES.len()] = {
    let mut all = [TABLES[0]; TABLES.len() + forecasts::TABLES.len()];
    let mut i = 1;
    while i < all.len() {
        let own = i < TABLES.len();
        all[i] = if own { TABLES[i] } else { forecasts::TABLES[i - TABLES.len()] };
        i += 1;
    }
    all
};

/// Forecasts are made by a model that operators set; without one there are
/// none.
pub struct DfsProjections {
    forecaster: Option<Forecaster>,
}

impl Default for DfsProjections {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl DfsProjections {
    pub fn new(settings: Settings) -> Self {
        Self { forecaster: Some(Forecaster::new(settings)) }
    }

    /// Without forecasts: the facts, and what was sealed.
    pub fn plain() -> Self {
        Self { forecaster: None }
    }

    /// The model of the fold without forecasts.
    pub fn plain_model() -> ModelId {
        ModelId::new(NAME, PLAIN)
    }
}

impl Projection for DfsProjections {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        self.forecaster.as_ref().map_or_else(Self::plain_model, |forecaster| forecaster.settings().model())
    }

    fn event_types(&self) -> &'static [&'static str] {
        &EVENT_TYPES
    }

    fn tables(&self) -> &'static [TableSpec] {
        if self.forecaster.is_some() { &WITH_FORECASTS } else { TABLES }
    }

    fn chart(&self) -> Option<Chart> {
        self.forecaster.as_ref().map(|_| Chart {
            title: "Rank correlation of forecast and finish, by races learned",
            table: FORECAST_RACES,
            x: "learned",
            y: "rho",
            group: None,
            step: 1.0,
        })
    }

    fn settles(&self) -> bool {
        self.forecaster.is_some()
    }

    fn settle(&self, rows: &mut Rows, tenant: &TenantId) -> Result<(), ApplyError> {
        self.forecaster.as_ref().map_or(Ok(()), |forecaster| forecaster.settle(rows, tenant))
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        let table = match &*event.stream.kind {
            lineups::KIND | scoring::KIND => return,
            driver::KIND => DRIVERS,
            track::KIND => TRACKS,
            _ => RACES,
        };
        want.row(table, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let (tenant, id) = (&event.stream.tenant, &event.stream.id);
        match &*event.stream.kind {
            driver::KIND => {
                let row: &mut DriverRow = rows.entry_or_default(DRIVERS, tenant, id)?;
                advance(&mut row.version, event)?;
                let mut driver = driver::Driver::from(std::mem::take(row));
                driver.evolve(decode(event)?);
                let driver::Driver { name, also } = driver;
                *row = DriverRow { id: id.to_string(), version: event.version, name, also };
                Ok(())
            }
            track::KIND => {
                let row: &mut TrackRow = rows.entry_or_default(TRACKS, tenant, id)?;
                advance(&mut row.version, event)?;
                row.id = id.to_string();
                row.track.evolve(decode(event)?);
                self.mark(rows, tenant, None)
            }
            scoring::KIND if self.forecaster.is_none() => Ok(()),
            scoring::KIND => {
                let row: &mut RulesRow = rows.entry_or_default(RULES, tenant, id)?;
                advance(&mut row.version, event)?;
                row.scoring.evolve(decode(event)?);
                self.mark(rows, tenant, None)
            }
            lineups::KIND => {
                let lineups::Event::Kept(kept) = decode(event)?;
                let (set, position, recorded_at) = (event.version, event.position, event.recorded_at);
                let row = LineupsRow { set, position, recorded_at, kept };
                rows.put(LINEUPS, tenant, &lineups_key(id, set), row)
            }
            facts::KIND => live::observe(rows, event),
            _ if fold_race(rows, event)? => self.mark(rows, tenant, Some(id)),
            _ => Ok(()),
        }
    }
}

impl DfsProjections {
    fn mark(&self, rows: &mut Rows, tenant: &TenantId, race: Option<&str>) -> Result<(), ApplyError> {
        if self.forecaster.is_some() { forecasts::mark(rows, tenant, race) } else { Ok(()) }
    }
}

/// Whether forecasts may follow from the event.
fn fold_race(rows: &mut Rows, event: &RecordedEvent) -> Result<bool, ApplyError> {
    let change: Event = decode(event)?;
    let (tenant, id) = (&event.stream.tenant, &event.stream.id);
    let row: &mut RaceRow = rows.entry_or_default(RACES, tenant, id)?;
    advance(&mut row.version, event)?;
    row.id = id.to_string();
    let before: BTreeSet<String> = row.race.entries.iter().map(|e| e.driver.clone()).collect();
    match &change {
        Event::Corrected { results, reason, .. } => {
            let correction = corrected(&row.race, results, reason, event);
            row.corrections.push(correction);
        }
        Event::Cancelled { reason } => row.cancelled_because = Some(reason.clone()),
        _ => {}
    }
    let changes = Changes::of(&change);
    let sealed = if let Event::ProjectionSealed(sealed) = &change { Some(sealed.clone()) } else { None };
    row.race.apply_event(change);
    let row = row.clone();
    put_cards(rows, tenant, &row)?;
    if changes.starts {
        put_starts(rows, tenant, &row, before)?;
    }
    if let Some(sealed) = sealed {
        let key = sealed_key(&row.id, &sealed.site, &sealed.model);
        let count = rows.get::<SealedRow>(SEALED, tenant, &key)?.map_or(0, |before| before.count) + 1;
        let (position, recorded_at) = (event.position, event.recorded_at);
        rows.put(
            SEALED,
            tenant,
            &key,
            SealedRow { race: row.id.clone(), position, recorded_at, count, sealed },
        )?;
    }
    if changes.results {
        score::put_scores(rows, tenant, &row)?;
    }
    Ok(changes.forecasts)
}

/// Which rows an event has to do with, beside the race's own.
struct Changes {
    starts: bool,
    results: bool,
    forecasts: bool,
}

impl Changes {
    fn of(event: &Event) -> Self {
        let results = matches!(
            event,
            Event::Finished { .. }
                | Event::ResultDetailed { .. }
                | Event::Corrected { .. }
                | Event::Measured { .. }
        );
        let others = matches!(
            event,
            Event::Entered { .. } | Event::DetailsChanged(_) | Event::Postponed { .. } | Event::Scheduled(_)
        );
        let forecasts = results || others || matches!(event, Event::Cancelled { .. });
        Self { starts: results || others, results, forecasts }
    }
}

fn corrected(race: &Race, results: &[race::Placed], reason: &str, event: &RecordedEvent) -> Correction {
    let change = |new: &race::Placed| {
        let from = race.results.get(&new.driver)?.finish;
        (from != new.finish).then(|| Change { driver: new.driver.clone(), from, to: new.finish })
    };
    Correction {
        position: event.position,
        recorded_at: event.recorded_at,
        reason: reason.to_owned(),
        changed: results.iter().filter_map(change).collect(),
    }
}

/// `scheduled`, `started`, `finished` or `cancelled`.
pub fn status(race: &Race) -> &'static str {
    match race {
        race if race.cancelled => "cancelled",
        race if !race.results.is_empty() => "finished",
        race if race.started_at.is_some() => "started",
        _ => "scheduled",
    }
}

fn put_cards(rows: &mut Rows, tenant: &TenantId, row: &RaceRow) -> Result<(), ApplyError> {
    let Some(details) = &row.race.details else { return Ok(()) };
    let winner = row.race.results.values().find(|placed| placed.finish == 1);
    let card = Card {
        id: row.id.clone(),
        details: details.clone(),
        status: status(&row.race).into(),
        cars: if row.race.results.is_empty() { row.race.entries.len() } else { row.race.results.len() },
        winner: winner.map(|placed| placed.driver.clone()),
        corrections: row.corrections.len(),
        sealed: row.race.seals.len(),
    };
    rows.put(BY_TRACK, tenant, &format!("{}/{}", details.track, row.id), card.clone())?;
    rows.put(CARDS, tenant, &row.id, card)
}

fn put_starts(
    rows: &mut Rows,
    tenant: &TenantId,
    row: &RaceRow,
    mut before: BTreeSet<String>,
) -> Result<(), ApplyError> {
    let (race, Some(details)) = (&row.race, &row.race.details) else { return Ok(()) };
    for entry in &race.entries {
        before.remove(&entry.driver);
        let mates = race.entries.iter().filter(|e| e.team.is_some() && e.team == entry.team);
        let start = StartRow {
            race: row.id.clone(),
            season: details.season,
            number: details.number,
            track: details.track.clone(),
            date: details.date,
            entry: entry.clone(),
            result: race.results.get(&entry.driver).cloned(),
            fastest_laps: race.measured.get(&entry.driver).and_then(|m| m.fastest),
            first_finish: race.first_results.get(&entry.driver).map(|first| first.finish),
            teammates: mates.map(|e| e.driver.clone()).filter(|d| *d != entry.driver).collect(),
            accident_with: accident_with(race, &entry.driver),
        };
        rows.put(STARTS, tenant, &format!("{}/{}", entry.driver, row.id), start)?;
    }
    for withdrawn in before {
        rows.delete(STARTS, tenant, &format!("{withdrawn}/{}", row.id))?;
    }
    Ok(())
}

/// Whether a car dropped out by an accident.
pub fn crashed(placed: &race::Placed) -> bool {
    End::parse(&placed.status) == End::Accident
}

/// Who dropped out by an accident within a lap of this driver's. Results name
/// no accidents, so this is as near as they get.
fn accident_with(race: &Race, driver: &str) -> Vec<String> {
    let Some(own) = race.results.get(driver).filter(|placed| crashed(placed)) else { return Vec::new() };
    let near = |placed: &&race::Placed| placed.laps.abs_diff(own.laps) <= 1 && placed.driver != driver;
    race.results
        .values()
        .filter(|placed| crashed(placed))
        .filter(near)
        .map(|placed| placed.driver.clone())
        .collect()
}
