//! What the model says of every race from the races before it, and how good
//! that is by now.
//!
//! A race that becomes known or is corrected changes what is said of every
//! later one, so this is made once after a batch: races whose past, entry list
//! or result changed are walked through again in the order of the seasons. What
//! is drawn follows from the races alone. Nothing is learned from a race before
//! it was forecast.

mod accuracy;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use domain::TenantId;
use models_fantasy::backtest::{FIRST, Options, Walk};
use models_fantasy::model::Projection;
use sha2::{Digest, Sha256};

pub use rows::*;
pub use settings::{BadSetting, Settings};

use super::{RACES, RaceRow, TRACKS, TrackRow, place_in_time};
use crate::projection::{ApplyError, Wanted};
use crate::races::{Races, Told};
use crate::working_set::Rows;

/// Races of a tenant that are walked through, the newest; older ones are left
/// out so many at a time.
const MOST: usize = 1_000;
const LEFT_OUT: usize = 250;
/// Tenants whose models are kept.
const TENANTS: usize = 8;

type Hash = [u8; 32];

/// Makes forecasts by one model. It remembers what it learned for the next
/// batch; without that it says the same, later.
pub struct Forecaster {
    settings: Settings,
    learned: Mutex<HashMap<TenantId, Vec<(Hash, Walk)>>>,
}

/// A race on the way.
struct Stop {
    told: Told,
    key: String,
    /// Of what was learned before it.
    before: Hash,
    /// Of that, the race and its outcome.
    hash: Hash,
    /// It is as it was when it was last forecast.
    same: bool,
}

/// Names a race that has to be looked at again.
pub(super) fn mark(rows: &mut Rows, tenant: &TenantId, race: Option<&str>) -> Result<(), ApplyError> {
    let walk: &mut WalkRow = rows.entry_or_default(WALKS, tenant, ALL)?;
    walk.stale = true;
    if let Some(race) = race.filter(|race| !walk.steps.contains_key(*race)) {
        walk.steps.insert(race.to_owned(), None);
    }
    Ok(())
}

impl Forecaster {
    pub fn new(settings: Settings) -> Self {
        Self { settings, learned: Mutex::default() }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Forecasts what has changed, and what follows from that.
    pub fn settle(&self, rows: &mut Rows, tenant: &TenantId) -> Result<(), ApplyError> {
        let Some(before) = rows.get::<WalkRow>(WALKS, tenant, ALL)?.filter(|walk| walk.stale).cloned() else {
            return Ok(());
        };
        let races = read(rows, tenant, &before)?;
        let stops = self.stops(&races, &before);
        let mut steps: BTreeMap<String, Option<Step>> =
            before.steps.keys().map(|race| (race.clone(), None)).collect();
        for stop in &stops {
            let step = Step { key: stop.key.clone(), hash: hex::encode(&stop.hash[..16]) };
            steps.insert(stop.told.race.id.clone(), Some(step));
        }
        let gone = before.steps.iter().filter(|(race, _)| steps.get(*race).is_none_or(Option::is_none));
        for step in gone.filter_map(|(_, step)| step.as_ref()) {
            forget(rows, tenant, &step.key)?;
        }
        self.walk(rows, tenant, &races, &stops)?;
        let groups = put_record(rows, tenant, &stops, &before.groups)?;
        rows.put(WALKS, tenant, ALL, WalkRow { stale: false, steps, groups })
    }

    fn stops(&self, races: &Races, before: &WalkRow) -> Vec<Stop> {
        let mut told = races.readable();
        let surplus = told.len().saturating_sub(MOST).div_ceil(LEFT_OUT) * LEFT_OUT;
        told.drain(..surplus);
        let mut learned: Hash = Sha256::digest(self.settings.model().parameters.to_string()).into();
        let stop = |told: Told| {
            let race = told.race.id.clone();
            // Structs of numbers and texts always serialise.
            let own = serde_json::to_vec(&(&told, races.rules_of(&told))).unwrap_or_default();
            let before_it = learned;
            let hash: Hash = Sha256::new().chain_update(learned).chain_update(own).finalize().into();
            if !told.outcomes.is_empty() {
                learned = hash;
            }
            let known = before.steps.get(&race).and_then(Option::as_ref);
            Stop {
                key: format!("{}-{race}", place_in_time(told.race.season, told.number).replace('/', "-")),
                same: known.is_some_and(|step| step.hash == hex::encode(&hash[..16])),
                before: before_it,
                hash,
                told,
            }
        };
        told.into_iter().map(stop).collect()
    }

    fn walk(
        &self,
        rows: &mut Rows,
        tenant: &TenantId,
        races: &Races,
        stops: &[Stop],
    ) -> Result<(), ApplyError> {
        let Some(first) = stops.iter().position(|stop| !stop.same) else { return Ok(()) };
        let (from, mut walk) = self.resume(tenant, stops, first);
        let last = stops.iter().rposition(|stop| !stop.told.outcomes.is_empty());
        let mut learned = Vec::new();
        for (i, stop) in stops.iter().enumerate().skip(from) {
            if Some(i) == last {
                learned.push((stop.before, walk.clone()));
            }
            walk.rules(races.rules_of(&stop.told));
            let known = walk.model.learned();
            // A race that the model cannot take ends the way, not the projector.
            let came = catch_unwind(AssertUnwindSafe(|| step(&mut walk, &stop.told)));
            let Ok(came) = came else {
                tracing::error!(race = stop.told.race.id, "the race cannot be forecast, nor can later ones");
                stops[i..].iter().try_for_each(|stop| forget(rows, tenant, &stop.key))?;
                break;
            };
            if Some(i) == last {
                learned.push((stop.hash, walk.clone()));
            }
            if !stop.same {
                put(rows, tenant, stop, known, came)?;
            }
        }
        let mut held = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= TENANTS && !held.contains_key(tenant) {
            held.clear();
        }
        if !learned.is_empty() {
            held.insert(tenant.clone(), learned);
        }
        Ok(())
    }

    /// The first place before the first change where what was learned last is
    /// that; else the beginning.
    fn resume(&self, tenant: &TenantId, stops: &[Stop], first: usize) -> (usize, Walk) {
        let held = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        for known in held.get(tenant).into_iter().flatten().rev() {
            let at = stops[..=first].iter().position(|stop| stop.before == known.0);
            if let Some(at) = at {
                return (at, known.1.clone());
            }
        }
        let options = Options { runs: self.settings.runs, seed: 1, rules: Vec::new() };
        (0, Walk::under(&self.settings.parameters, options))
    }
}

/// The tenant's races from their rows.
fn read(rows: &mut Rows, tenant: &TenantId, walk: &WalkRow) -> Result<Races, ApplyError> {
    let mut wanted = Wanted::default();
    walk.steps.keys().for_each(|race| wanted.row(RACES, tenant, race));
    rows.prefetch(wanted)?;
    let mut races = Races::default();
    for id in walk.steps.keys() {
        let Some(row) = rows.get::<RaceRow>(RACES, tenant, id)? else { continue };
        races.races.insert(id.clone(), row.race.clone());
    }
    let tracks: Vec<String> =
        races.races.values().filter_map(|race| Some(race.details.as_ref()?.track.clone())).collect();
    for track in tracks {
        if let Some(row) = rows.get::<TrackRow>(TRACKS, tenant, &track)? {
            races.tracks.insert(track, row.track.clone());
        }
    }
    for site in models_fantasy::scoring::Site::ALL {
        if let Some(row) = rows.get::<RulesRow>(RULES, tenant, site.as_str())? {
            races.scoring.insert(site.as_str().to_owned(), row.scoring.clone());
        }
    }
    Ok(races)
}

/// What was said of a race, and how good it was.
type Came = Option<(Projection, Option<Accuracy>)>;

fn step(walk: &mut Walk, told: &Told) -> Came {
    if told.outcomes.is_empty() {
        return (walk.model.learned() >= FIRST).then(|| (walk.draw(&told.race), None));
    }
    let judged = walk.race(&told.race, &told.outcomes)?;
    let accuracy = Accuracy::of(&judged.score);
    Some((judged.projection, Some(accuracy)))
}

fn put(rows: &mut Rows, tenant: &TenantId, stop: &Stop, learned: u32, came: Came) -> Result<(), ApplyError> {
    forget(rows, tenant, &stop.key)?;
    let Some((projection, judged)) = came else { return Ok(()) };
    let Told { number, race, outcomes } = &stop.told;
    for (i, entry) in race.entries.iter().enumerate() {
        let said = &projection.drivers[i];
        let q = said.finish.quantiles.map(rounded);
        let sites = projection.sites.iter();
        let row = ForecastRow {
            race: race.id.clone(),
            driver: entry.driver.clone(),
            start: entry.start,
            strength: rounded(-said.badness),
            expected: rounded(said.finish.mean),
            q10: q[1],
            q25: q[2],
            median: q[3],
            q75: q[4],
            q90: q[5],
            win: rounded(said.chances.win),
            top5: rounded(said.chances.top5),
            top10: rounded(said.chances.top10),
            dnf: rounded((said.chances.accident + said.chances.mechanical).min(1.0)),
            points: sites.map(|s| (s.rules.site.as_str().to_owned(), rounded(s.spreads[i].mean))).collect(),
            finish: outcomes.get(i).map(|outcome| outcome.finish),
        };
        rows.put(FORECASTS, tenant, &forecast_key(&race.id, &entry.driver), row)?;
    }
    let row = ForecastRace {
        race: race.id.clone(),
        season: race.season,
        number: *number,
        track: race.track.clone(),
        kind: race.kind,
        learned,
        drivers: race.entries.iter().map(|entry| entry.driver.clone()).collect(),
        judged,
    };
    rows.put(FORECAST_RACES, tenant, &stop.key, row)
}

/// Key of what was said of a driver.
pub fn forecast_key(race: &str, driver: &str) -> String {
    format!("{race}/{driver}")
}

fn forget(rows: &mut Rows, tenant: &TenantId, key: &str) -> Result<(), ApplyError> {
    let Some(row) = rows.get::<ForecastRace>(FORECAST_RACES, tenant, key)?.cloned() else { return Ok(()) };
    for driver in &row.drivers {
        rows.delete(FORECASTS, tenant, &forecast_key(&row.race, driver))?;
    }
    rows.delete(FORECAST_RACES, tenant, key)
}

/// Returns the groups that there are.
fn put_record(
    rows: &mut Rows,
    tenant: &TenantId,
    stops: &[Stop],
    before: &BTreeSet<String>,
) -> Result<BTreeSet<String>, ApplyError> {
    let mut races = Vec::new();
    for stop in stops {
        races.extend(rows.get::<ForecastRace>(FORECAST_RACES, tenant, &stop.key)?.cloned());
    }
    let (all, groups) = accuracy::record(&races);
    match all {
        Some(all) => rows.put(FORECAST_RECORD, tenant, ALL, all)?,
        None => rows.delete(FORECAST_RECORD, tenant, ALL)?,
    }
    for gone in before.iter().filter(|group| !groups.contains_key(*group)) {
        rows.delete(FORECAST_GROUPS, tenant, gone)?;
    }
    let names = groups.keys().cloned().collect();
    for (group, accuracy) in groups {
        rows.put(FORECAST_GROUPS, tenant, &group, accuracy)?;
    }
    Ok(names)
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
