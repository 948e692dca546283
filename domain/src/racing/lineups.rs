//! `Lineups`: what was picked for a race, kept as it was answered. Stream kind
//! `lineups`; the id is the race's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;

pub const KIND: &str = "lineups";
pub const KEPT: &str = "lineups.kept";

/// Most lineups of one answer, and drivers of a slate.
pub const MAX_LINEUPS: usize = 500;
pub const MAX_DRIVERS: usize = 64;
/// Most answers of one race.
const MAX_SETS: u32 = 1_000;
/// Longest limits, in bytes of JSON.
const MAX_LIMITS_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "lineups.kept")]
    Kept(Kept),
}

/// One driver of the slate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    pub driver: String,
    /// Dollars.
    pub salary: u32,
    /// What the site calls the driver, where it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<String>,
    /// Expected points.
    pub points: f64,
    /// In what part of opponents' lineups the driver is projected to be.
    pub ownership: f64,
    /// In what part of these.
    pub exposure: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineup {
    /// Places in the list of drivers, from 0.
    pub drivers: Vec<u8>,
    pub salary: u32,
    /// Sum of its drivers' values.
    pub value: f64,
    /// By an objective that does not add up over drivers: the chance to win, the
    /// expected prize in dollars, points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Lineups with all that they follow from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    pub site: String,
    /// `name@version` of the model.
    pub model: String,
    /// Position of the last fact that was known.
    pub through: u64,
    pub seed: u64,
    pub runs: u32,
    /// `mean`, `win`, `payout`, `quantile:P` or `tail:P`.
    pub objective: String,
    pub randomness: f64,
    /// As they were asked for.
    pub limits: Value,
    /// With the objective `payout`: entries, fee and prizes, as they were given.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub contest: Value,
    pub roster: u32,
    pub drivers: Vec<Pick>,
    /// Best first.
    pub lineups: Vec<Lineup>,
    pub value: f64,
    /// No lineups that keep to the limits are worth more together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
    /// Whether these are proved to be the best.
    pub proved: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Keep(Box<Kept>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineups {
    pub sets: u32,
}

impl Decide for Lineups {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, Command::Keep(kept): Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        check_id(&kept.site).map_err(|e| Rejection::field("/site", e))?;
        if self.sets >= MAX_SETS {
            return Err(Rejection::State(format!(
                "{MAX_SETS} sets of lineups of this race are kept already"
            )));
        }
        if kept.lineups.is_empty() || kept.lineups.len() > MAX_LINEUPS {
            return Err(Rejection::field("/lineups", format!("must have 1 to {MAX_LINEUPS} lineups")));
        }
        if kept.drivers.len() > MAX_DRIVERS {
            return Err(Rejection::field("/drivers", format!("must have at most {MAX_DRIVERS} drivers")));
        }
        if kept.limits.to_string().len() > MAX_LIMITS_BYTES {
            return Err(Rejection::field("/limits", "is too long"));
        }
        if kept.contest.to_string().len() > MAX_LIMITS_BYTES {
            return Err(Rejection::field("/contest", "is too long"));
        }
        for (i, lineup) in kept.lineups.iter().enumerate() {
            let known = lineup.drivers.iter().all(|d| usize::from(*d) < kept.drivers.len());
            let apart = lineup.drivers.is_sorted_by(|a, b| a < b);
            if !known || !apart || lineup.drivers.len() != kept.roster as usize {
                return Err(Rejection::field(&format!("/lineups/{i}"), "is no lineup of the slate"));
            }
        }
        Ok(Decision::events(vec![Event::Kept(*kept)]))
    }

    fn evolve(&mut self, Event::Kept(_): Event) {
        self.sets += 1;
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn kept(drivers: &[u8]) -> Kept {
        let pick = |i: u8| Pick {
            driver: format!("d{i}"),
            salary: 8_000,
            site_id: None,
            points: 40.0,
            ownership: 0.2,
            exposure: 1.0,
        };
        Kept {
            site: "draftkings".into(),
            model: "m@1".into(),
            through: 7,
            seed: 1,
            runs: 100,
            objective: "mean".into(),
            randomness: 0.0,
            limits: serde_json::json!({}),
            contest: Value::Null,
            roster: 2,
            drivers: (0..3).map(pick).collect(),
            lineups: vec![Lineup { drivers: drivers.to_vec(), salary: 16_000, value: 80.0, score: None }],
            value: 80.0,
            bound: Some(80.0),
            proved: true,
        }
    }

    #[test]
    fn what_is_kept_is_of_the_slate() {
        let lineups = || {
            TestFramework::<Lineups>::with(Context {
                now: jiff::Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let keep = |drivers: &[u8]| Command::Keep(Box::new(kept(drivers)));
        let event = Event::Kept(kept(&[0, 2]));
        lineups().given_no_previous_events().when(keep(&[0, 2])).then_expect_events(vec![event.clone()]);
        lineups().given(vec![event.clone()]).when(keep(&[0, 2])).then_expect_events(vec![event]);
        for bad in [&[0, 3][..], &[0, 0], &[2, 0], &[0]] {
            let refused = lineups().given_no_previous_events().when(keep(bad)).inspect_result();
            assert!(
                matches!(refused, Err(Rejection::Field { field, .. }) if field == "/lineups/0"),
                "{bad:?}"
            );
        }
    }
}
