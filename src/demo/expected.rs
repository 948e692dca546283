//! The figures that must come out, counted from the plan itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::Value;

use super::agents::Class;
use super::{Plan, PlannedTap};

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

/// What is not as expected, one line each: `summary` and `series` are the
/// bodies of `/v1/analytics/events/{id}/summary` and `…/series?granularity=hour`.
pub fn compare(expected: &Expected, summary: &Value, series: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let figures = [
        ("taps", expected.taps),
        ("bots", expected.bots),
        ("previews", expected.previews),
        ("unique_bands", expected.unique_bands),
        ("repeat_bands", expected.repeat_bands),
        ("unique_visitors", expected.unique_visitors),
    ];
    for (name, value) in figures {
        if summary[name].as_u64() != Some(value) {
            wrong.push(format!("{name}: expected {value}, served {}", summary[name]));
        }
    }
    for (name, value) in [("first_tap_at", expected.first_tap_at), ("last_tap_at", expected.last_tap_at)] {
        let served = summary[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if served != value {
            wrong.push(format!("{name}: expected {value:?}, served {}", summary[name]));
        }
    }
    wrong.extend(differences("mode", &expected.modes, &tally(&summary["modes"], "name")));
    wrong.extend(differences("window", &expected.windows, &tally(&summary["windows"], "name")));
    let hours: BTreeMap<String, u64> =
        expected.hours.iter().map(|(h, taps)| (h.to_string(), *taps)).collect();
    wrong.extend(differences("hour", &hours, &tally(&series["points"], "start")));
    wrong
}

/// The same for the body of `/v1/analytics/retention`: how many bands came to
/// both nights.
pub fn compare_retention(plan: &Plan, retention: &Value) -> Vec<String> {
    let [first, second] = plan.events.as_slice() else { return vec!["two events are planned".into()] };
    let nights = retention["events"].as_array().into_iter().flatten();
    let later = nights.filter(|e| e["event_id"] == first.id).flat_map(|e| e["later"].as_array()).flatten();
    let served = later.filter(|e| e["event_id"] == second.id).find_map(|e| e["bands"].as_u64());
    if served == Some(plan.returning_bands) {
        return Vec::new();
    }
    vec![format!("returning bands: expected {}, served {served:?}", plan.returning_bands)]
}

/// Served counts, `[{name, taps}, …]`, by name.
fn tally(served: &Value, name: &str) -> BTreeMap<String, u64> {
    let counts = served.as_array().into_iter().flatten();
    counts.filter_map(|count| Some((count[name].as_str()?.to_owned(), count["taps"].as_u64()?))).collect()
}

/// What is zero may be served or left out.
fn differences(what: &str, expected: &BTreeMap<String, u64>, served: &BTreeMap<String, u64>) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(served.keys()).collect();
    let count = |counts: &BTreeMap<String, u64>, name| counts.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| (name, count(expected, name), count(served, name)))
        .filter(|(_, expected, served)| expected != served)
        .map(|(name, expected, served)| format!("{what} {name}: expected {expected}, served {served}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        super::super::plan(7, jiff::civil::date(2026, 7, 1)).unwrap().expected.remove(1)
    }

    fn counts(key: &str, counts: impl IntoIterator<Item = (String, u64)>) -> Value {
        counts.into_iter().map(|(name, taps)| json!({ key: name, "taps": taps, "more": 1 })).collect()
    }

    fn served(e: &Expected) -> (Value, Value) {
        let summary = json!({
            "taps": e.taps, "bots": e.bots, "previews": e.previews, "unique_bands": e.unique_bands,
            "repeat_bands": e.repeat_bands, "unique_visitors": e.unique_visitors,
            "modes": counts("name", e.modes.clone()), "windows": counts("name", e.windows.clone()),
            "first_tap_at": e.first_tap_at, "last_tap_at": e.last_tap_at, "more": 1,
        });
        let empty = ("2020-01-01T00:00:00Z".to_owned(), 0);
        let hours = e.hours.iter().map(|(h, taps)| (h.to_string(), *taps)).chain([empty]);
        (summary, json!({ "points": counts("start", hours) }))
    }

    #[test]
    fn agreement_is_silent() {
        let expected = expected();
        let (summary, series) = served(&expected);
        assert!(compare(&expected, &summary, &series).is_empty());
    }

    #[test]
    fn bands_that_come_back_are_compared() {
        let plan = super::super::plan(7, jiff::civil::date(2026, 7, 1)).unwrap();
        let served = |bands: u64| {
            json!({"events": [
                {"event_id": "warm-up", "later": [{"event_id": "show-night", "bands": bands, "share": 0.5}]},
                {"event_id": "show-night", "later": []},
            ]})
        };
        assert!(compare_retention(&plan, &served(plan.returning_bands)).is_empty());
        assert_eq!(compare_retention(&plan, &served(0)).len(), 1);
        assert_eq!(compare_retention(&plan, &json!({})).len(), 1);
    }

    #[test]
    fn every_difference_is_named() {
        let mut expected = expected();
        let (mut summary, series) = served(&expected);
        summary["taps"] = json!(1);
        summary["last_tap_at"] = Value::Null;
        expected.modes.insert("fallback".into(), 3);
        let (hour, taps) = expected.hours.pop_first().unwrap();
        let wrong = compare(&expected, &summary, &series);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert_eq!(wrong[0], format!("taps: expected {}, served 1", expected.taps));
        assert!(wrong[1].starts_with("last_tap_at: "));
        assert_eq!(wrong[2], "mode fallback: expected 3, served 0");
        assert_eq!(wrong[3], format!("hour {hour}: expected 0, served {taps}"));
        assert!(!compare(&expected, &json!({}), &json!({})).is_empty());
    }
}
