//! What a model says of a race, sealed before the green flag.
//!
//! The numbers stand in the event. Their hash is for those who publish it
//! elsewhere: the same numbers always have the same one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Event, MAX_CARS, Race};
use crate::decide::Rejection;
use crate::ids::check_id;
use crate::racing::scoring;

/// Longest `name@version` of a model.
pub const MODEL_BYTES: usize = 64;
const MAX_PARAMETERS: usize = 32;
/// Most projections of one race.
const MAX_SEALS: usize = 200;

/// Mean, deviation, and the quantiles at 5, 10, 25, 50, 75, 90 and 95 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
    pub quantiles: [f64; 7],
}

/// What is said of one driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
    /// In dollars, where the site had said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salary: Option<u32>,
    /// A is ahead of B with chance 1 / (1 + e^(strength B − strength A)).
    pub strength: f64,
    pub finish: Spread,
    /// How often each place was drawn; the first is place 1.
    pub places: Vec<u32>,
    pub win: f64,
    pub top5: f64,
    pub top10: f64,
    pub dnf: f64,
    pub laps_led: f64,
    pub fastest_laps: f64,
    /// Points of the site.
    pub points: Spread,
}

/// A projection for one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    pub site: String,
    /// `name@version`.
    pub model: String,
    /// Of the model, those that are not as it has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, f64>,
    /// Position of the last fact that was known to it.
    pub through: u64,
    pub seed: u64,
    pub runs: u32,
    /// Races that the model had learned from.
    pub learned: u32,
    /// Rules that points were counted by.
    pub rules: scoring::Definition,
    /// SHA-256 in hex of `drivers` as JSON.
    #[serde(default)]
    pub sha256: String,
    pub drivers: Vec<Said>,
}

/// That something was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub site: String,
    pub model: String,
    pub through: u64,
    pub sha256: String,
}

/// The hash of what is said.
pub fn hash(drivers: &[Said]) -> String {
    // Structs of numbers and texts always serialise.
    hex::encode(Sha256::digest(serde_json::to_vec(drivers).unwrap_or_default()))
}

impl Sealed {
    pub fn seal(&self) -> Seal {
        Seal {
            site: self.site.clone(),
            model: self.model.clone(),
            through: self.through,
            sha256: self.sha256.clone(),
        }
    }
}

impl Race {
    /// Refused once the green flag may have been shown. Where only the day is
    /// known, that is when it begins in UTC, which is before any start in America.
    pub fn sealable(&self, now: Timestamp) -> Result<(), Rejection> {
        let refuse = |reason: &str| Err(Rejection::State(reason.into()));
        if self.started_at.is_some() || !self.results.is_empty() {
            return refuse("the race has been started; a projection is sealed before the green flag");
        }
        let Some(details) = &self.details else { return Err(Rejection::NotFound) };
        match (details.starts_at, details.date) {
            (Some(at), _) if now >= at => refuse("the green flag was due; a projection is sealed before it"),
            (None, Some(day)) if now.to_zoned(TimeZone::UTC).date() >= day => {
                refuse("it is the day of the race and its starting time is not known")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn seal(&self, sealed: Sealed, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        self.sealable(now)?;
        check_id(&sealed.site).map_err(|e| Rejection::field("/site", e))?;
        if sealed.model.is_empty() || sealed.model.len() > MODEL_BYTES || !sealed.model.is_ascii() {
            return Err(Rejection::field("/model", "must be name@version"));
        }
        let named = |name: &String| !name.is_empty() && name.len() <= MODEL_BYTES;
        if sealed.parameters.len() > MAX_PARAMETERS || !sealed.parameters.keys().all(named) {
            return Err(Rejection::field("/parameters", format!("must be {MAX_PARAMETERS} names at most")));
        }
        if let Some((name, _)) = sealed.parameters.iter().find(|(_, number)| !number.is_finite()) {
            return Err(Rejection::field(&format!("/parameters/{name}"), "must be a number"));
        }
        if sealed.drivers.is_empty() || sealed.drivers.len() > MAX_CARS {
            return Err(Rejection::field("/drivers", format!("must have 1 to {MAX_CARS} drivers")));
        }
        let mut seen = BTreeSet::new();
        for (i, said) in sealed.drivers.iter().enumerate() {
            let field = |reason: &str| Rejection::field(&format!("/drivers/{i}"), reason);
            if !self.entries.iter().any(|e| e.driver == said.driver) {
                return Err(field("is not on the entry list"));
            }
            if !seen.insert(said.driver.as_str()) {
                return Err(field("stands twice"));
            }
            if !said.sound() {
                return Err(field("has a number that cannot be"));
            }
        }
        let sealed = Sealed { sha256: hash(&sealed.drivers), ..sealed };
        let of = |s: &&Seal| s.site == sealed.site && s.model == sealed.model;
        if self.seals.iter().rev().find(of).is_some_and(|last| last.sha256 == sealed.sha256) {
            return Ok(vec![]);
        }
        if self.seals.len() >= MAX_SEALS {
            return Err(Rejection::State(format!("{MAX_SEALS} projections of this race are sealed already")));
        }
        Ok(vec![Event::ProjectionSealed(sealed)])
    }
}

impl Spread {
    fn sound(&self) -> bool {
        let numbers = self.quantiles.iter().chain([&self.mean, &self.deviation]);
        numbers.into_iter().all(|n| n.is_finite()) && self.quantiles.is_sorted()
    }
}

impl Said {
    fn sound(&self) -> bool {
        let chances = [self.win, self.top5, self.top10, self.dnf];
        self.finish.sound()
            && self.points.sound()
            && self.places.len() <= MAX_CARS
            && self.strength.is_finite()
            && chances.iter().all(|p| (0.0..=1.0).contains(p))
            && self.laps_led.is_finite()
            && self.fastest_laps.is_finite()
    }
}
