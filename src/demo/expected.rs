//! The figures that must come out, counted from the plan itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::Value;

use super::PlannedTap;
use super::agents::Class;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub event_id: String,
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    pub unique_bands: u64,
    pub repeat_bands: u64,
    pub unique_visitors: u64,
    pub first_tap_at: Option<Timestamp>,
    pub last_tap_at: Option<Timestamp>,
    pub modes: BTreeMap<String, u64>,
    /// Taps that a window answered, by window; those without under `(none)`.
    pub windows: BTreeMap<String, u64>,
    /// Taps by the start of the hour. The zone is whole hours off UTC, so that
    /// its hours are UTC's.
    pub hours: BTreeMap<Timestamp, u64>,
}

impl Expected {
    pub(super) fn count(event_id: &str, taps: &[PlannedTap]) -> Self {
        let mut expected = Self { event_id: event_id.into(), ..Self::default() };
        let mut bands: HashMap<&str, u64> = HashMap::new();
        let mut visitors = HashSet::new();
        for tap in taps.iter().filter(|t| t.event_id == event_id) {
            match tap.class {
                Class::Bot => expected.bots += 1,
                Class::Preview => expected.previews += 1,
                Class::Human => {
                    expected.tap(tap);
                    *bands.entry(&tap.band_id).or_default() += 1;
                    visitors.insert(&tap.visitor);
                }
            }
        }
        expected.unique_bands = bands.len() as u64;
        expected.repeat_bands = bands.values().filter(|taps| **taps > 1).count() as u64;
        expected.unique_visitors = visitors.len() as u64;
        expected
    }

    fn tap(&mut self, tap: &PlannedTap) {
        self.taps += 1;
        *self.modes.entry(tap.mode.as_str().into()).or_default() += 1;
        *self.windows.entry(tap.window_id.unwrap_or("(none)").into()).or_default() += 1;
        let floor = TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Floor);
        // Rounding down an instant of our days stays in range.
        *self.hours.entry(tap.at.round(floor).unwrap_or(tap.at)).or_default() += 1;
        self.first_tap_at = Some(self.first_tap_at.map_or(tap.at, |first| first.min(tap.at)));
        self.last_tap_at = Some(self.last_tap_at.map_or(tap.at, |last| last.max(tap.at)));
    }
}

/// What of an event's served summary and of its series by hour is not as
/// expected, one line each. `hours` are the served starts with their taps.
pub fn compare(expected: &Expected, summary: &Value, hours: &[(Timestamp, u64)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |name: String, served: Option<u64>, expected: u64| {
        if served != Some(expected) {
            let served = served.map_or("nothing".into(), |n| n.to_string());
            wrong.push(format!("{name}: expected {expected}, served {served}"));
        }
    };
    let figures = [
        ("taps", expected.taps),
        ("bots", expected.bots),
        ("previews", expected.previews),
        ("unique_bands", expected.unique_bands),
        ("repeat_bands", expected.repeat_bands),
        ("unique_visitors", expected.unique_visitors),
    ];
    for (name, value) in figures {
        check(name.into(), summary[name].as_u64(), value);
    }
    for (name, tally) in [("modes", &expected.modes), ("windows", &expected.windows)] {
        for (key, value) in tally {
            check(format!("{name}/{key}"), summary[name][key].as_u64(), *value);
        }
        let served = summary[name].as_object().into_iter().flatten();
        for (key, value) in served.filter(|(key, _)| !tally.contains_key(*key)) {
            check(format!("{name}/{key}"), value.as_u64(), 0);
        }
    }
    let served: BTreeMap<Timestamp, u64> = hours.iter().copied().collect();
    for hour in expected.hours.keys().chain(served.keys().filter(|h| !expected.hours.contains_key(*h))) {
        let taps = expected.hours.get(hour).copied().unwrap_or(0);
        check(format!("hour {hour}"), Some(served.get(hour).copied().unwrap_or(0)), taps);
    }
    for (name, value) in [("first_tap_at", expected.first_tap_at), ("last_tap_at", expected.last_tap_at)] {
        let served = summary[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if served != value {
            wrong.push(format!("{name}: expected {value:?}, served {served:?}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        super::super::plan(7, jiff::civil::date(2026, 7, 1)).unwrap().expected.remove(1)
    }

    fn served(e: &Expected) -> Value {
        json!({
            "taps": e.taps, "bots": e.bots, "previews": e.previews, "unique_bands": e.unique_bands,
            "repeat_bands": e.repeat_bands, "unique_visitors": e.unique_visitors,
            "modes": e.modes, "windows": e.windows,
            "first_tap_at": e.first_tap_at, "last_tap_at": e.last_tap_at, "more": 1,
        })
    }

    #[test]
    fn agreement_is_silent() {
        let expected = expected();
        let hours: Vec<_> = expected.hours.clone().into_iter().collect();
        assert!(compare(&expected, &served(&expected), &hours).is_empty());
        // Hours without taps may be served or left out.
        let empty = ("2020-01-01T00:00:00Z".parse().unwrap(), 0);
        assert!(compare(&expected, &served(&expected), &[hours, vec![empty]].concat()).is_empty());
    }

    #[test]
    fn every_difference_is_named() {
        let expected = expected();
        let mut summary = served(&expected);
        summary["taps"] = json!(1);
        summary["modes"]["fallback"] = json!(3);
        summary["last_tap_at"] = Value::Null;
        let hours: Vec<_> = expected.hours.clone().into_iter().skip(1).collect();
        let wrong = compare(&expected, &summary, &hours);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert_eq!(wrong[0], format!("taps: expected {}, served 1", expected.taps));
        assert_eq!(wrong[1], "modes/fallback: expected 0, served 3");
        assert!(wrong[2].starts_with("hour "));
        assert!(wrong[3].starts_with("last_tap_at: "));
        assert!(!compare(&expected, &json!({}), &[]).is_empty());
    }
}
