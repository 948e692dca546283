//! What was sealed beside what happened.

use domain::TenantId;
use domain::racing::race::{Race, Said, Spread as SealedSpread};
use jiff::civil::date;
use models_fantasy::backtest::{Car, Score, line};
use models_fantasy::project::Spread;
use models_fantasy::race::Outcome;
use models_fantasy::scoring::{Rules, Site};

use super::{RaceRow, SCORES, SEALED, ScoreRow, SealedRow, TRACKS, TrackRow, sealed_key};
use crate::projection::ApplyError;
use crate::races::{model_kind, outcome, rules};
use crate::working_set::Rows;

/// Judges everything that was sealed for the race.
pub(super) fn put_scores(rows: &mut Rows, tenant: &TenantId, row: &RaceRow) -> Result<(), ApplyError> {
    let Some(details) = row.race.details.as_ref().filter(|_| !row.race.results.is_empty()) else {
        return Ok(());
    };
    let day = details.date.unwrap_or(date(details.season.clamp(1, 9999), 7, 1));
    let track = rows.get::<TrackRow>(TRACKS, tenant, &details.track)?;
    let Some(kind) = track.and_then(|row| row.track.kind_on(day)) else { return Ok(()) };
    for seal in &row.race.seals {
        let key = sealed_key(&row.id, &seal.site, &seal.model);
        let Some(sealed) = rows.get::<SealedRow>(SEALED, tenant, &key)?.cloned() else { continue };
        // An earlier one of the same model; the last before the race counts.
        if sealed.sealed.sha256 != seal.sha256 {
            continue;
        }
        let Some(cars) = judged(&row.race, &sealed) else { continue };
        let mut score =
            Score::of(details.season, model_kind(kind), &cars.iter().map(Judged::car).collect::<Vec<_>>());
        // Recent finishes are no part of what was sealed.
        score.rho[2] = 0.0;
        for margin in &mut score.margins {
            *margin = (*margin * 1e3).round() / 1e3;
        }
        let score = ScoreRow {
            race: row.id.clone(),
            number: details.number,
            track: details.track.clone(),
            day,
            site: seal.site.clone(),
            model: seal.model.clone(),
            position: sealed.position,
            sha256: seal.sha256.clone(),
            score,
        };
        rows.put(SCORES, tenant, &key, score)?;
    }
    Ok(())
}

struct Judged {
    badness: f64,
    start: f64,
    finish: Spread,
    points: Spread,
    places: Vec<u32>,
    /// Among those who were said something of.
    place: u32,
    paid: f64,
}

impl Judged {
    fn car(&self) -> Car<'_> {
        Car {
            badness: self.badness,
            start: self.start,
            recent: 0.0,
            said: &self.finish,
            places: &self.places,
            finish: self.place,
            points: vec![(&self.points, self.paid)],
        }
    }
}

/// The drivers who were said something of and took part.
fn judged(race: &Race, sealed: &SealedRow) -> Option<Vec<Judged>> {
    let rules = rules(Site::parse(&sealed.sealed.site)?, &sealed.sealed.rules);
    let drivers = &sealed.sealed.drivers;
    let judged: Vec<Judged> =
        drivers.iter().filter_map(|said| one(race, said, &rules, drivers.len())).collect();
    (judged.len() > 1).then_some(judged)
}

fn one(race: &Race, said: &Said, rules: &Rules, cars: usize) -> Option<Judged> {
    let placed = race.results.get(&said.driver)?;
    let outcome: Outcome = outcome(race, placed);
    // The grid of the day, which may have changed since.
    let start = race.entries.iter().find(|e| e.driver == said.driver).and_then(|e| e.start);
    let spread = |s: &SealedSpread| Spread { mean: s.mean, deviation: s.deviation, quantiles: s.quantiles };
    Some(Judged {
        badness: -said.strength,
        start: start.map_or(cars as f64, f64::from),
        finish: spread(&said.finish),
        points: spread(&said.points),
        places: said.places.clone(),
        place: placed.finish,
        paid: rules.points(&line(start, &outcome)),
    })
}

/// Points that each driver was paid by these rules.
pub fn paid(race: &Race, driver: &str, rules: &Rules) -> Option<f64> {
    let outcome = outcome(race, race.results.get(driver)?);
    let start = race.entries.iter().find(|e| e.driver == driver).and_then(|e| e.start);
    Some(rules.points(&line(start, &outcome)))
}
