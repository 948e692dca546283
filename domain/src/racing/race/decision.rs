//! What a race decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Command, Details, Entry, Event, MAX_CARS, Measured, Placed, Race};
use crate::decide::{Check, Context, Decide, Decision, Rejection};
use crate::ids::check_id;
use crate::ports::log::ExpectedVersion;
use crate::racing::{check_name, track};

/// Salaries outside are missing, in thousands or in cents.
const SALARIES: std::ops::RangeInclusive<u32> = 1_000..=100_000;
/// Of a car that was taken out of the result.
const DISQUALIFIED: &str = "disqualified";
/// More laps than any race has.
const MAX_LAPS: u32 = 2_000;

impl Decide for Race {
    const KIND: &'static str = super::KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Schedule(details) = command {
            return self.schedule(details);
        }
        let details = self.details.as_ref().ok_or(Rejection::NotFound)?;
        if self.cancelled {
            return match command {
                Command::Cancel { .. } => Ok(Decision::nothing()),
                _ => Err(Rejection::State("the race is cancelled".into())),
            };
        }
        let events = match command {
            Command::Enter { entries, official } => self.enter(entries, official)?,
            Command::SetSalaries { site, salaries, ids } => self.set_salaries(site, salaries, ids)?,
            Command::SetStartOrder { order } => self.set_start_order(&order)?,
            Command::Finish { results, official, reason } => {
                due(details, context.now)?;
                self.finish(results, official, reason)?
            }
            Command::Correct { .. } if self.results.is_empty() => {
                return Err(Rejection::State("the race has no result".into()));
            }
            Command::Correct { results, reason } => {
                check_name("/reason", &reason)?;
                self.finish(results, true, reason)?
            }
            Command::Disqualify { driver, reason } => self.disqualify(&driver, reason)?,
            Command::Measure { cars } => self.measure(cars)?,
            Command::RecordSession(session) => self.record_session(session)?,
            Command::Postpone { date, starts_at }
                if details.date == Some(date) && details.starts_at == starts_at =>
            {
                vec![]
            }
            Command::Postpone { .. } if !self.results.is_empty() || self.started_at.is_some() => {
                return Err(Rejection::State("the race has been started".into()));
            }
            Command::Postpone { date, starts_at } => {
                check_start("/starts_at", Some(date), starts_at)?;
                vec![Event::Postponed { date, starts_at }]
            }
            Command::Start { .. } if self.started_at.is_some() || !self.results.is_empty() => vec![],
            Command::Start { at } => {
                due(details, context.now)?;
                vec![Event::Started { at: at.min(context.now) }]
            }
            Command::Seal(sealed) => self.seal(*sealed, context.now)?,
            Command::Cancel { .. } if !self.results.is_empty() => {
                return Err(Rejection::State("the race has a result".into()));
            }
            Command::Cancel { reason } => {
                check_name("/reason", &reason)?;
                vec![Event::Cancelled { reason }]
            }
            // Handled above.
            Command::Schedule(_) => vec![],
        };
        Ok(Decision::events(events))
    }

    fn evolve(&mut self, event: Event) {
        self.apply_event(event);
    }
}

impl Race {
    fn schedule(&self, mut details: Details) -> Result<Decision<Event>, Rejection> {
        check_id(&details.series).map_err(|e| Rejection::field("/series", e))?;
        check_id(&details.track).map_err(|e| Rejection::field("/track", e))?;
        if !(1949..=2200).contains(&details.season) {
            return Err(Rejection::field("/season", "must be a year"));
        }
        if details.number == 0 || details.number > 99 {
            return Err(Rejection::field("/number", "must be 1 to 99"));
        }
        if !details.name.is_empty() {
            check_name("/name", &details.name)?;
        }
        check_start("/starts_at", details.date, details.starts_at)?;
        if let Some(id) = &details.feed_id {
            check_id(id).map_err(|e| Rejection::field("/feed_id", e))?;
        }
        if details.laps.is_some_and(|laps| laps == 0 || laps > MAX_LAPS) {
            return Err(Rejection::field("/laps", format!("must be 1 to {MAX_LAPS}")));
        }
        let Some(known) = &self.details else {
            let checks = vec![Check {
                field: "/track",
                kind: track::KIND,
                id: details.track.clone(),
                expected: ExpectedVersion::Exists,
            }];
            return Ok(Decision { checks, ..Decision::events(vec![Event::Scheduled(details)]) });
        };
        let race = |d: &Details| (d.series.clone(), d.season, d.number, d.track.clone());
        if race(known) != race(&details) {
            let (_, season, number, track) = race(known);
            return Err(Rejection::State(format!("the id is race {number} of {season} at {track}")));
        }
        let keep = known.official && !details.official;
        if details.name.is_empty() || (keep && !known.name.is_empty()) {
            details.name = known.name.clone();
        }
        let moved = details.date.is_some_and(|date| Some(date) != known.date) && !keep;
        // A time of another day says nothing of the new one.
        let starts_at = known.starts_at.filter(|_| !moved);
        details.starts_at = prefer(keep, starts_at, details.starts_at);
        details.date = prefer(keep, known.date, details.date);
        details.laps = prefer(keep, known.laps, details.laps);
        details.feed_id = prefer(keep, known.feed_id.clone(), details.feed_id);
        details.official |= known.official;
        let same = Details { official: known.official, ..details.clone() } == *known;
        Ok(Decision::events(if same { vec![] } else { vec![Event::DetailsChanged(details)] }))
    }

    fn enter(&self, given: Vec<Entry>, official: bool) -> Result<Vec<Event>, Rejection> {
        if given.is_empty() || given.len() > MAX_CARS {
            return Err(Rejection::field("/entries", format!("must have 1 to {MAX_CARS} cars")));
        }
        once("/entries", "driver", given.iter().map(|e| Some(e.driver.as_str())))?;
        let keep = self.official_entries && !official;
        let mut entries: Vec<Entry> = self.entries.clone();
        if official {
            let on_it: BTreeSet<&str> = given.iter().map(|e| e.driver.as_str()).collect();
            entries.retain(|e| on_it.contains(e.driver.as_str()) || self.results.contains_key(&e.driver));
        }
        for (i, new) in given.into_iter().enumerate() {
            check_id(&new.driver).map_err(|e| Rejection::field(&format!("/entries/{i}/driver"), e))?;
            match entries.iter_mut().find(|e| e.driver == new.driver) {
                Some(entry) => {
                    entry.team = prefer(keep, entry.team.take(), new.team);
                    entry.car = prefer(keep, entry.car.take(), new.car);
                    entry.make = prefer(keep, entry.make.take(), new.make);
                    entry.start = prefer(keep, entry.start, new.start);
                }
                None if keep => {}
                None => entries.push(new),
            }
        }
        if entries.iter().any(|e| e.start == Some(0)) {
            return Err(Rejection::field("/entries", "places on the grid count from 1"));
        }
        once("/entries", "car", entries.iter().map(|e| e.car.as_deref()))?;
        let starts: Vec<Option<String>> = entries.iter().map(|e| e.start.map(|s| s.to_string())).collect();
        once("/entries", "start", starts.iter().map(Option::as_deref))?;
        if entries == self.entries {
            return Ok(vec![]);
        }
        Ok(vec![Event::Entered { entries, official: official || self.official_entries }])
    }

    fn set_start_order(&self, order: &[String]) -> Result<Vec<Event>, Rejection> {
        if order.is_empty() || order.len() > MAX_CARS {
            return Err(Rejection::field("/order", format!("must have 1 to {MAX_CARS} drivers")));
        }
        for (i, driver) in order.iter().enumerate() {
            let field = format!("/order/{i}");
            if !self.entries.iter().any(|e| e.driver == *driver) {
                return Err(Rejection::field(&field, format!("{driver} is not on the entry list")));
            }
            if order[..i].contains(driver) {
                return Err(Rejection::field(&field, format!("{driver} stands twice")));
            }
        }
        let place = |driver: &str| (1..).zip(order).find(|(_, d)| *d == driver).map(|(place, _)| place);
        let with = |e: &Entry| Entry { start: place(&e.driver), ..e.clone() };
        let entries: Vec<Entry> = self.entries.iter().map(with).collect();
        if entries == self.entries {
            return Ok(vec![]);
        }
        Ok(vec![Event::Entered { entries, official: self.official_entries }])
    }

    fn disqualify(&self, driver: &str, reason: String) -> Result<Vec<Event>, Rejection> {
        check_name("/reason", &reason)?;
        if self.results.is_empty() {
            return Err(Rejection::State("the race has no result".into()));
        }
        let out = self.results.get(driver);
        let out = out.ok_or_else(|| Rejection::field("/driver", format!("{driver} is not in the result")))?;
        if out.status == DISQUALIFIED {
            return Ok(vec![]);
        }
        let last = self.results.len() as u32;
        let behind = |r: &&Placed| r.finish > out.finish;
        let up = |r: &Placed| Placed { finish: r.finish - 1, ..r.clone() };
        let mut results: Vec<Placed> = self.results.values().filter(behind).map(up).collect();
        results.push(Placed { finish: last, status: DISQUALIFIED.into(), ..out.clone() });
        results.sort_by_key(|r| r.finish);
        Ok(vec![Event::Corrected { results, official: true, reason }])
    }

    fn set_salaries(
        &self,
        site: String,
        salaries: BTreeMap<String, u32>,
        new: BTreeMap<String, String>,
    ) -> Result<Vec<Event>, Rejection> {
        check_id(&site).map_err(|e| Rejection::field("/site", e))?;
        if salaries.is_empty() || salaries.len() > MAX_CARS {
            return Err(Rejection::field("/salaries", format!("must have 1 to {MAX_CARS} drivers")));
        }
        for (driver, salary) in &salaries {
            check_id(driver).map_err(|e| Rejection::field("/salaries", e))?;
            if !SALARIES.contains(salary) {
                let reason = format!("${salary} is no salary in dollars");
                return Err(Rejection::field(&format!("/salaries/{driver}"), reason));
            }
        }
        for (driver, id) in &new {
            let field = format!("/ids/{driver}");
            if !salaries.contains_key(driver) {
                return Err(Rejection::field(&field, "has no salary"));
            }
            check_id(id).map_err(|e| Rejection::field(&field, e))?;
        }
        let known = self.site_ids.get(&site).cloned().unwrap_or_default();
        let mut ids = known.clone();
        ids.extend(new);
        ids.retain(|driver, _| salaries.contains_key(driver));
        if self.salaries.get(&site) == Some(&salaries) && ids == known {
            return Ok(vec![]);
        }
        Ok(vec![Event::SalariesSet { site, salaries, ids }])
    }

    fn finish(&self, results: Vec<Placed>, official: bool, reason: String) -> Result<Vec<Event>, Rejection> {
        if self.entries.is_empty() {
            return Err(Rejection::State("the race has no entry list".into()));
        }
        check_places(&results)?;
        for (i, result) in results.iter().enumerate() {
            if !self.entries.iter().any(|e| e.driver == result.driver) {
                return Err(Rejection::field(&format!("/results/{i}/driver"), "is not on the entry list"));
            }
        }
        if self.results.is_empty() {
            return Ok(vec![Event::Finished { results, official }]);
        }
        if self.official_results && !official {
            return Ok(vec![]);
        }
        if results.len() != self.results.len() {
            return Err(Rejection::field("/results", format!("must have {} cars", self.results.len())));
        }
        let (mut corrected, mut detailed) = (Vec::new(), Vec::new());
        for mut new in results {
            let Some(known) = self.results.get(&new.driver) else {
                return Err(Rejection::field("/results", format!("{} was not in the result", new.driver)));
            };
            new.rating = new.rating.or(known.rating);
            new.points = new.points.or(known.points);
            let (rating, points) = (known.rating.or(new.rating), known.points.or(new.points));
            match new {
                new if new == *known => {}
                new if new == (Placed { rating, points, ..known.clone() }) => detailed.push(new),
                new => corrected.push(new),
            }
        }
        let mut events = Vec::new();
        if !detailed.is_empty() {
            events.push(Event::ResultDetailed { results: detailed });
        }
        if !corrected.is_empty() {
            let official = official || self.official_results;
            events.push(Event::Corrected { results: corrected, official, reason });
        }
        Ok(events)
    }

    fn measure(&self, cars: Vec<Measured>) -> Result<Vec<Event>, Rejection> {
        once("/cars", "driver", cars.iter().map(|c| Some(c.driver.as_str())))?;
        for (i, car) in cars.iter().enumerate() {
            if !self.entries.iter().any(|e| e.driver == car.driver) {
                return Err(Rejection::field(&format!("/cars/{i}/driver"), "is not on the entry list"));
            }
            check_rating(&format!("/cars/{i}/rating"), car.rating)?;
        }
        let same = cars.len() == self.measured.len()
            && cars.iter().all(|car| self.measured.get(&car.driver) == Some(car));
        Ok(if same { vec![] } else { vec![Event::Measured { cars }] })
    }
}

/// A result or a start before the race is due is somebody's mistake.
fn due(details: &Details, now: Timestamp) -> Result<(), Rejection> {
    // A day's grace: dates of sources are of different zones.
    let today = now.to_zoned(TimeZone::UTC).date();
    let early = details.date.is_some_and(|date| date.yesterday().is_ok_and(|eve| eve > today));
    // Green flags are shown somewhat early too.
    let grace = SignedDuration::from_hours(1);
    let early = details.starts_at.map_or(early, |at| at.saturating_sub(grace).is_ok_and(|at| now < at));
    if early { Err(Rejection::State("the race has not been run yet".into())) } else { Ok(()) }
}

/// The start is on the race's day, whatever the zone.
fn check_start(field: &str, date: Option<Date>, starts_at: Option<Timestamp>) -> Result<(), Rejection> {
    let (Some(date), Some(at)) = (date, starts_at) else { return Ok(()) };
    let day = at.to_zoned(TimeZone::UTC).date();
    let near = [date.yesterday(), Ok(date), date.tomorrow()].into_iter().flatten().any(|near| near == day);
    if near { Ok(()) } else { Err(Rejection::field(field, format!("is not on {date}"))) }
}

/// What is known, unless something new is said and may replace it.
fn prefer<T>(keep: bool, known: Option<T>, new: Option<T>) -> Option<T> {
    if keep { known.or(new) } else { new.or(known) }
}

/// Nothing stands twice in a list.
fn once<'a>(
    list: &str,
    member: &str,
    values: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for (i, value) in values.enumerate() {
        if let Some(value) = value
            && !seen.insert(value)
        {
            return Err(Rejection::field(&format!("{list}/{i}/{member}"), format!("{value} stands twice")));
        }
    }
    Ok(())
}

/// Every place is taken once and none is missing.
fn check_places(results: &[Placed]) -> Result<(), Rejection> {
    if results.is_empty() || results.len() > MAX_CARS {
        return Err(Rejection::field("/results", format!("must have 1 to {MAX_CARS} cars")));
    }
    once("/results", "driver", results.iter().map(|r| Some(r.driver.as_str())))?;
    let places: Vec<String> = results.iter().map(|r| r.finish.to_string()).collect();
    once("/results", "finish", places.iter().map(|p| Some(p.as_str())))?;
    for place in 1..=results.len() as u32 {
        if !results.iter().any(|r| r.finish == place) {
            return Err(Rejection::field("/results", format!("nobody finished in place {place}")));
        }
    }
    for (i, result) in results.iter().enumerate() {
        if result.laps > MAX_LAPS || result.led > result.laps {
            let reason = format!("led {} of {} laps", result.led, result.laps);
            return Err(Rejection::field(&format!("/results/{i}/led"), reason));
        }
        check_name(&format!("/results/{i}/status"), &result.status)?;
        check_rating(&format!("/results/{i}/rating"), result.rating)?;
    }
    Ok(())
}

/// Driver ratings go from about 25 to 150.
fn check_rating(field: &str, rating: Option<f64>) -> Result<(), Rejection> {
    match rating {
        Some(rating) if !(-1_000.0..=1_000.0).contains(&rating) => {
            Err(Rejection::field(field, "must be −1,000 to 1,000"))
        }
        _ => Ok(()),
    }
}
