//! `Scoring`: what a site pays for, version by version. Stream kind `scoring`;
//! the id is the site.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "scoring";
pub const DEFINED: &str = "scoring.defined";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "scoring.defined")]
    Defined(Definition),
}

/// Rules that hold from a race day on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScoringDefinition)]
pub struct Definition {
    pub version: u32,
    #[schema(value_type = String, example = "2023-01-01")]
    pub from: Date,
    /// Points for the first place, the second, …
    pub place: Vec<f64>,
    pub place_gained: f64,
    pub fastest_lap: f64,
    pub lap_led: f64,
    pub lap_completed: f64,
    pub roster: u32,
    pub salary_cap: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Define(Definition),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// Oldest version first.
    pub versions: Vec<Definition>,
}

impl Decide for Scoring {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    /// A version is defined once: what was paid by it stays so.
    fn decide(&self, Command::Define(defined): Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        if let Some(known) = self.versions.iter().find(|v| v.version == defined.version) {
            return match *known == defined {
                true => Ok(Decision::nothing()),
                false => Err(Rejection::State(format!("version {} is defined already", defined.version))),
            };
        }
        let numbers = [defined.place_gained, defined.fastest_lap, defined.lap_led, defined.lap_completed];
        if !numbers.iter().chain(&defined.place).all(|n| n.is_finite() && n.abs() <= 1_000.0) {
            return Err(Rejection::field("/place", "has points beyond 1000"));
        }
        if defined.place.is_empty() || defined.place.len() > 100 {
            return Err(Rejection::field("/place", "must have 1 to 100 places"));
        }
        if defined.roster == 0 || defined.roster > 10 {
            return Err(Rejection::field("/roster", "must be 1 to 10"));
        }
        if self.versions.last().is_some_and(|last| last.version > defined.version || last.from > defined.from)
        {
            return Err(Rejection::State("a newer version is defined already".into()));
        }
        Ok(Decision::events(vec![Event::Defined(defined)]))
    }

    fn evolve(&mut self, Event::Defined(defined): Event) {
        self.versions.push(defined);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::civil::date;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn rules(version: u32, lap_led: f64) -> Definition {
        Definition {
            version,
            from: date(2015 + version as i16, 1, 1),
            place: vec![45.0, 42.0],
            place_gained: 1.0,
            fastest_lap: 0.45,
            lap_led,
            lap_completed: 0.0,
            roster: 6,
            salary_cap: 50_000,
        }
    }

    #[test]
    fn a_version_never_changes() {
        let scoring = || {
            TestFramework::<Scoring>::with(Context {
                now: jiff::Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let defined = |v, led| Event::Defined(rules(v, led));
        let define = |v, led| Command::Define(rules(v, led));
        scoring().given_no_previous_events().when(define(1, 0.25)).then_expect_events(vec![defined(1, 0.25)]);
        scoring().given(vec![defined(1, 0.25)]).when(define(1, 0.25)).then_expect_events(vec![]);
        let refused = scoring().given(vec![defined(1, 0.25)]).when(define(1, 0.5)).inspect_result();
        assert!(matches!(refused, Err(Rejection::State(_))));
        let older = scoring().given(vec![defined(2, 0.25)]).when(define(1, 0.5)).inspect_result();
        assert!(matches!(older, Err(Rejection::State(_))));
        let odd = scoring().given_no_previous_events().when(define(1, f64::NAN)).inspect_result();
        assert!(matches!(odd, Err(Rejection::Field { .. })));
    }
}
