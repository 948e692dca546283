//! Races as the models read them, folded from the facts: by season and number,
//! with what is known of each by now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::RecordedEvent;
use domain::racing::driver::{self, Driver};
use domain::racing::race::{self, Placed, Race};
use domain::racing::scoring::{self, Scoring};
use domain::racing::track::{self, Track, TrackKind};
use domain::registry::{DecodeError, decode};
use jiff::civil::{Date, date};
use models_fantasy::race::{End, Entry, Outcome, Race as ModelRace};
use models_fantasy::scoring::{Rules, Site, on};
use models_fantasy::track::Kind;
use serde::Serialize;

/// What it is folded from.
pub const EVENT_TYPES: &[&str] = &[
    race::SCHEDULED,
    race::DETAILS_CHANGED,
    race::ENTERED,
    race::SALARIES_SET,
    race::FINISHED,
    race::RESULT_DETAILED,
    race::MEASURED,
    race::CORRECTED,
    race::POSTPONED,
    race::CANCELLED,
    race::STARTED,
    race::SESSION_RECORDED,
    driver::REGISTERED,
    driver::ALSO_NAMED,
    track::DEFINED,
    scoring::DEFINED,
];

/// A race that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("{race}: how {track} races on {day} is not known")]
    Track { race: String, track: String, day: Date },
}

/// All races of one tenant.
#[derive(Debug, Default)]
pub struct Races {
    pub(crate) races: BTreeMap<String, Race>,
    drivers: HashMap<String, Driver>,
    pub(crate) tracks: HashMap<String, Track>,
    pub(crate) scoring: BTreeMap<String, Scoring>,
}

/// A race for the models; without outcomes as long as it has no result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    pub number: u16,
    pub race: ModelRace,
    /// In the order of the entries; empty until it is finished.
    pub outcomes: Vec<Outcome>,
}

impl Races {
    /// Folds one event.
    pub fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let id = event.stream.id.to_string();
        match event.event_type.split('.').next().unwrap_or_default() {
            race::KIND => self.races.entry(id).or_default().apply_event(decode(event)?),
            driver::KIND => evolve(self.drivers.entry(id).or_default(), event)?,
            track::KIND => evolve(self.tracks.entry(id).or_default(), event)?,
            scoring::KIND => evolve(self.scoring.entry(id).or_default(), event)?,
            _ => {}
        }
        Ok(())
    }

    /// The race of this id.
    pub fn race(&self, id: &str) -> Option<&Race> {
        self.races.get(id)
    }

    /// Every race with its id, in the order of the ids.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Race)> {
        self.races.iter().map(|(id, race)| (id.as_str(), race))
    }

    /// The name of a driver as it was first spelled.
    pub fn name<'a>(&'a self, driver: &'a str) -> &'a str {
        self.drivers.get(driver).map_or(driver, |d| d.name.as_str())
    }

    /// The sites' rules, oldest first for each.
    pub fn rules(&self) -> Vec<Rules> {
        let mut rules = Vec::new();
        for (id, scoring) in &self.scoring {
            let Some(site) = Site::parse(id) else { continue };
            rules.extend(scoring.versions.iter().map(|version| self::rules(site, version)));
        }
        rules
    }

    /// All races that are not cancelled and have entries, by season and number.
    pub fn told(&self) -> Result<Vec<Told>, Unreadable> {
        self.each().collect::<Result<_, _>>().map(in_order)
    }

    /// The same without those that cannot be read.
    pub fn readable(&self) -> Vec<Told> {
        in_order(self.each().filter_map(Result::ok).collect())
    }

    fn each(&self) -> impl Iterator<Item = Result<Told, Unreadable>> {
        self.races.iter().filter_map(|(id, race)| {
            let details = race.details.as_ref().filter(|_| !race.cancelled && !race.entries.is_empty())?;
            Some(self.tell(id, race, details))
        })
    }

    /// One version of the rules for each site: the one that held on the race's
    /// day.
    pub fn rules_of(&self, told: &Told) -> Vec<Rules> {
        let day = told.race.date.unwrap_or_else(|| date(told.race.season.clamp(1, 9999), 7, 1));
        let all = self.rules();
        Site::ALL.into_iter().filter_map(|site| on(&all, site, day).cloned()).collect()
    }

    fn tell(&self, id: &str, race: &Race, details: &race::Details) -> Result<Told, Unreadable> {
        let day = details.date.unwrap_or(date(details.season.clamp(1, 9999), 7, 1));
        let kind = self.tracks.get(&details.track).and_then(|track| track.kind_on(day));
        let unknown = || Unreadable::Track { race: id.to_owned(), track: details.track.clone(), day };
        let finished = !race.results.is_empty();
        let took_part = |e: &&race::Entry| !finished || race.results.contains_key(&e.driver);
        let entries: Vec<&race::Entry> = race.entries.iter().filter(took_part).collect();
        let outcome = |e: &&race::Entry| race.results.get(&e.driver).map(|placed| outcome(race, placed));
        Ok(Told {
            number: details.number,
            outcomes: entries.iter().filter_map(outcome).collect(),
            race: ModelRace {
                id: id.to_owned(),
                season: details.season,
                date: details.date,
                track: details.track.clone(),
                kind: model_kind(kind.ok_or_else(unknown)?),
                laps: details.laps,
                entries: entries.into_iter().map(entry).collect(),
            },
        })
    }
}

/// As they were run: a postponed race comes after those that were not. A season
/// in which a race has no date is ordered by numbers.
fn in_order(mut told: Vec<Told>) -> Vec<Told> {
    let undated: BTreeSet<_> = told.iter().filter(|t| t.race.date.is_none()).map(|t| t.race.season).collect();
    told.sort_by_cached_key(|t| {
        let day = t.race.date.filter(|_| !undated.contains(&t.race.season));
        (t.race.season, day, t.number, t.race.id.clone())
    });
    told
}

/// As [`rules`], of a site by its name; `None` for one that no model knows.
pub fn site_rules(site: &str, defined: &scoring::Definition) -> Option<Rules> {
    Some(rules(Site::parse(site)?, defined))
}

/// A site's rules for the models.
pub fn rules(site: Site, defined: &scoring::Definition) -> Rules {
    Rules {
        site,
        version: defined.version,
        from: defined.from,
        place: defined.place.clone(),
        place_gained: defined.place_gained,
        fastest_lap: defined.fastest_lap,
        lap_led: defined.lap_led,
        lap_completed: defined.lap_completed,
        roster: defined.roster as usize,
        salary_cap: defined.salary_cap,
    }
}

fn evolve<A: domain::decide::Decide>(state: &mut A, event: &RecordedEvent) -> Result<(), DecodeError> {
    state.evolve(decode(event)?);
    Ok(())
}

fn entry(entry: &race::Entry) -> Entry {
    Entry {
        driver: entry.driver.clone(),
        team: entry.team.clone(),
        car: entry.car.clone(),
        make: entry.make.clone(),
        start: entry.start,
    }
}

pub(crate) fn outcome(race: &Race, placed: &Placed) -> Outcome {
    let measured = race.measured.get(&placed.driver);
    Outcome {
        finish: placed.finish,
        laps: placed.laps,
        led: placed.led,
        fastest: measured.and_then(|m| m.fastest),
        // Loop data has the rating with more digits.
        rating: measured.and_then(|m| m.rating).or(placed.rating),
        end: End::parse(&placed.status),
    }
}

pub(crate) fn model_kind(kind: TrackKind) -> Kind {
    match kind {
        TrackKind::Superspeedway => Kind::Superspeedway,
        TrackKind::Intermediate => Kind::Intermediate,
        TrackKind::Short => Kind::Short,
        TrackKind::Road => Kind::Road,
        TrackKind::Dirt => Kind::Dirt,
    }
}
