//! `LiveRace`: a race as it runs, lap by lap. Stream kind `race_live`; the id
//! is the race's. What a feed says twice, or late, is recorded once or not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::race::MAX_CARS;
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;

pub const KIND: &str = "race_live";
pub const OBSERVED: &str = "race.observed";

/// More laps than any race has.
const MAX_LAPS: u32 = 2_000;

/// One car at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningCar {
    pub driver: String,
    /// From 1.
    pub place: u32,
    /// Laps completed.
    pub laps: u32,
    #[serde(default)]
    pub led: u32,
    /// Laps in which it was the fastest car.
    #[serde(default)]
    pub fastest: u32,
    /// It has dropped out.
    #[serde(default)]
    pub out: bool,
}

/// The state of a race at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RaceObserved)]
pub struct Observed {
    #[schema(value_type = String, example = "2023-11-05T21:12:00Z")]
    pub at: Timestamp,
    /// The leader's.
    pub lap: u32,
    /// Laps that it goes over.
    pub laps: u32,
    /// `green`, `yellow`, `red`, `white`, `checkered`, …
    #[serde(default)]
    pub flag: String,
    pub cars: Vec<RunningCar>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "race.observed")]
    Observed(Observed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Observe(Box<Observed>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRace {
    /// Lap and flag of the last observation.
    pub last: Option<(u32, String)>,
}

impl Decide for LiveRace {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, Command::Observe(observed): Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        check(&observed)?;
        // One for each lap and each flag; a feed that goes back says nothing.
        if let Some((lap, flag)) = &self.last
            && (observed.lap < *lap || (observed.lap == *lap && observed.flag == *flag))
        {
            return Ok(Decision::nothing());
        }
        Ok(Decision::events(vec![Event::Observed(*observed)]))
    }

    fn evolve(&mut self, Event::Observed(observed): Event) {
        self.last = Some((observed.lap, observed.flag));
    }
}

fn check(observed: &Observed) -> Result<(), Rejection> {
    if observed.cars.is_empty() || observed.cars.len() > MAX_CARS {
        return Err(Rejection::field("/cars", format!("must have 1 to {MAX_CARS} cars")));
    }
    if observed.laps == 0 || observed.laps > MAX_LAPS || observed.lap > MAX_LAPS {
        return Err(Rejection::field("/laps", format!("must be 1 to {MAX_LAPS}")));
    }
    if observed.flag.len() > 20 || !observed.flag.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
        return Err(Rejection::field("/flag", "must be a word in small letters"));
    }
    let (mut drivers, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (i, car) in observed.cars.iter().enumerate() {
        let field = |member: &str| format!("/cars/{i}/{member}");
        check_id(&car.driver).map_err(|e| Rejection::field(&field("driver"), e))?;
        if !drivers.insert(car.driver.as_str()) {
            return Err(Rejection::field(&field("driver"), format!("{} stands twice", car.driver)));
        }
        if car.place == 0 || !places.insert(car.place) {
            return Err(Rejection::field(
                &field("place"),
                format!("{} stands twice or is no place", car.place),
            ));
        }
        if car.laps > MAX_LAPS || car.led > car.laps {
            return Err(Rejection::field(&field("led"), format!("led {} of {} laps", car.led, car.laps)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn observed(lap: u32, flag: &str, places: [u32; 2]) -> Observed {
        let car = |(driver, place): (&str, u32)| RunningCar {
            driver: driver.into(),
            place,
            laps: lap,
            led: 0,
            fastest: 0,
            out: false,
        };
        let at = Timestamp::UNIX_EPOCH;
        Observed {
            at,
            lap,
            laps: 300,
            flag: flag.into(),
            cars: ["a", "b"].into_iter().zip(places).map(car).collect(),
        }
    }

    #[test]
    fn each_lap_and_flag_is_recorded_once_and_none_goes_back() {
        let live = || {
            TestFramework::<LiveRace>::with(Context {
                now: Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let observe = |lap, flag, places| Command::Observe(Box::new(observed(lap, flag, places)));
        let first = Event::Observed(observed(5, "green", [1, 2]));
        live()
            .given_no_previous_events()
            .when(observe(5, "green", [1, 2]))
            .then_expect_events(vec![first.clone()]);
        live().given(vec![first.clone()]).when(observe(5, "green", [2, 1])).then_expect_events(vec![]);
        live().given(vec![first.clone()]).when(observe(4, "yellow", [2, 1])).then_expect_events(vec![]);
        let flag = Event::Observed(observed(5, "yellow", [2, 1]));
        live().given(vec![first]).when(observe(5, "yellow", [2, 1])).then_expect_events(vec![flag]);
        for (bad, field) in
            [(observed(5, "green", [1, 1]), "/cars/1/place"), (observed(5, "Odd", [1, 2]), "/flag")]
        {
            let refused =
                live().given_no_previous_events().when(Command::Observe(Box::new(bad))).inspect_result();
            assert!(matches!(refused, Err(Rejection::Field { field: at, .. }) if at == field));
        }
    }
}
