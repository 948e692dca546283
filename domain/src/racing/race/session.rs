//! Practice and qualifying: what the clocks said before the race.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, MAX_CARS, Race};
use crate::decide::Rejection;
use crate::ids::check_id;
use crate::racing::check_name;

/// Most sessions of one race: qualifying goes in rounds and groups.
const MAX_SESSIONS: usize = 24;
/// Seconds of a lap, miles an hour, laps.
const SECONDS: std::ops::RangeInclusive<f64> = 5.0..=600.0;
const SPEEDS: std::ops::RangeInclusive<f64> = 10.0..=300.0;
const MAX_LAPS: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    Practice,
    Qualifying,
}

/// One car in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    pub driver: String,
    /// From 1.
    pub place: u32,
    /// Of the best lap, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lap_seconds: Option<f64>,
    /// Of the best lap, in miles an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laps: Option<u32>,
}

/// A session as it is known by now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RaceSession)]
pub struct Session {
    /// Of the race, such as `practice-1`.
    pub session: String,
    pub kind: SessionKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// By place.
    pub cars: Vec<Timed>,
}

impl Race {
    pub(super) fn record_session(&self, mut session: Session) -> Result<Vec<Event>, Rejection> {
        check_id(&session.session).map_err(|e| Rejection::field("/session", e))?;
        if !session.name.is_empty() {
            check_name("/name", &session.name)?;
        }
        if session.cars.is_empty() || session.cars.len() > MAX_CARS {
            return Err(Rejection::field("/cars", format!("must have 1 to {MAX_CARS} cars")));
        }
        let (mut drivers, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (i, car) in session.cars.iter().enumerate() {
            let wrong =
                |member: &str, reason: String| Err(Rejection::field(&format!("/cars/{i}/{member}"), reason));
            if !self.entries.iter().any(|e| e.driver == car.driver) {
                return wrong("driver", "is not on the entry list".into());
            }
            if !drivers.insert(car.driver.as_str()) {
                return wrong("driver", format!("{} stands twice", car.driver));
            }
            if car.place == 0 || car.place as usize > MAX_CARS {
                return wrong("place", format!("must be 1 to {MAX_CARS}"));
            }
            if !places.insert(car.place) {
                return wrong("place", format!("{} stands twice", car.place));
            }
            if car.lap_seconds.is_some_and(|seconds| !SECONDS.contains(&seconds)) {
                return wrong("lap_seconds", "is no time of a lap".into());
            }
            if car.speed.is_some_and(|speed| !SPEEDS.contains(&speed)) {
                return wrong("speed", "is no speed in miles an hour".into());
            }
            if car.laps.is_some_and(|laps| laps > MAX_LAPS) {
                return wrong("laps", format!("must be at most {MAX_LAPS}"));
            }
        }
        session.cars.sort_by_key(|car| car.place);
        match self.sessions.get(&session.session) {
            Some(known) if *known == session => return Ok(vec![]),
            None if self.sessions.len() >= MAX_SESSIONS => {
                return Err(Rejection::State(format!("{MAX_SESSIONS} sessions are recorded already")));
            }
            _ => {}
        }
        Ok(vec![Event::SessionRecorded(session)])
    }
}
