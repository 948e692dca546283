//! Series of a rule: which there are, and when those close that have gone
//! silent.
#![allow(clippy::unwrap_used)]

use domain::anomaly_window::Change;
use domain::rule::Definition;
use models_rules::Compiled;
use models_rules::watched::{LeftOut, MAX_HEAVY_SERIES, Place, Told, Watched};
use proptest::prelude::*;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;

struct Rule {
    compiled: Compiled,
    watched: Watched,
    position: u64,
}

impl Rule {
    fn new(anomaly: Value) -> Self {
        let definition = json!({"name": "r", "anomaly": anomaly});
        let definition: Definition = serde_json::from_value(definition).unwrap();
        definition.check().unwrap();
        let watched = Watched::new(definition.anomaly.as_ref().unwrap()).unwrap();
        Self { compiled: Compiled::new(&definition).unwrap(), watched, position: 0 }
    }

    fn say(&mut self, second: i64, body: &Value) -> Result<Vec<Told>, LeftOut> {
        self.position += 1;
        let at = second * SECOND;
        self.watched.observe(&self.compiled, body, Place { position: self.position, at, recorded: at })
    }

    fn point(&mut self, host: &str, second: i64, value: f64) -> Vec<String> {
        let told = self.say(second, &json!({"data": {"host": host, "v": value}})).unwrap();
        told.iter().map(|told| format!("{} {:?}", told.key, told.change)).collect()
    }
}

fn hosts(cooldown: u32, lateness: u32) -> Rule {
    Rule::new(json!({"series": {"of": "value", "path": "$.data.v"}, "key": "$.data.host",
        "check": {"kind": "threshold", "max": 5.0}, "cooldown_seconds": cooldown, "lateness_seconds": lateness}))
}

#[test]
fn a_silent_series_is_closed_by_the_others_of_its_rule() {
    let mut rule = hosts(10, 30);
    assert_eq!(rule.point("a", 0, 9.0), ["a Opened"]);
    assert_eq!(rule.point("b", 35, 1.0), Vec::<String>::new());
    // Past cooldown and lateness, and a cooldown after it was last looked at.
    assert_eq!(rule.point("b", 45, 1.0), ["a Closed"]);
    // One that was only behind goes on with its own.
    assert_eq!(rule.point("a", 20, 9.0), ["a Opened"]);
    assert_eq!(rule.point("a", 21, 9.5), ["a Extended"]);
    assert_eq!(rule.watched.stop().len(), 1);
    assert!(rule.watched.stop().is_empty());
}

#[test]
fn what_is_no_point_says_why() {
    let mut rule = hosts(10, 0);
    let out = |rule: &mut Rule, body: Value| rule.say(5, &body).unwrap_err();
    assert_eq!(out(&mut rule, json!({"data": {"v": 1}})), LeftOut::NoKey);
    assert_eq!(out(&mut rule, json!({"data": {"host": "a", "v": "fast"}})), LeftOut::NoNumber);
    assert_eq!(out(&mut rule, json!({"data": {"host": "a", "v": "1e999"}})), LeftOut::NoNumber);
    assert_eq!(out(&mut rule, json!({"data": {"host": "a".repeat(257), "v": 1}})), LeftOut::LongKey);
    rule.point("a", 5, 1.0);
    let late = rule.say(4, &json!({"data": {"host": "a", "v": 1}}));
    assert_eq!(late.unwrap_err(), LeftOut::TooLate);
}

#[test]
fn there_are_only_so_many_series() {
    let mut rule = Rule::new(json!({"series": {"of": "value", "path": "$.v"}, "key": "$.k",
        "check": {"kind": "detector", "model": "windowed_gaussian@1"}}));
    for k in 0..MAX_HEAVY_SERIES {
        rule.say(1, &json!({"k": k, "v": 1})).unwrap();
    }
    assert_eq!(rule.say(1, &json!({"k": "more", "v": 1})).unwrap_err(), LeftOut::TooManySeries);
    rule.say(2, &json!({"k": 0, "v": 1})).unwrap();
}

#[test]
fn one_point_of_the_future_silences_nobody() {
    let mut rule = Rule::new(json!({"series": {"of": "count"}, "key": "$.data.host", "tick_seconds": 10,
        "check": {"kind": "silence", "seconds": 60}, "cooldown_seconds": 10}));
    let mut beat = |at: i64, recorded: i64| {
        let place = |at: i64| Place { position: 1, at: at * SECOND, recorded: recorded * SECOND };
        let body = json!({"data": {"host": "a"}});
        if let Err(out) = rule.watched.observe(&rule.compiled, &body, place(at)) {
            assert_eq!(out, LeftOut::TooLate);
        }
        let mut told = Vec::new();
        for second in [10, 20] {
            let recorded = (recorded + second) * SECOND;
            told.extend(rule.watched.tick(Place { recorded, ..place(at) }));
        }
        told
    };
    assert!(beat(0, 0).is_empty());
    // An hour ahead, once.
    beat(3_630, 30);
    for second in (60..600).step_by(30) {
        let told = beat(second, second);
        assert!(!told.iter().any(|told| told.change == Change::Opened), "at {second}: {told:?}");
    }
}

proptest! {
    /// Each window is opened first, closed last, and its changes are counted
    /// without a gap.
    #[test]
    fn changes_of_a_window_are_dense(
        points in prop::collection::vec((0..3_u8, 0..400_i64, 0..10_i32), 1..200),
        step in prop_oneof![Just(0_u32), Just(7)],
    ) {
        let mut rule = Rule::new(json!({"series": {"of": "value", "path": "$.v"}, "key": "$.k",
            "check": {"kind": "threshold", "max": 5.0}, "cooldown_seconds": 5, "lateness_seconds": 60,
            "step_seconds": step, "missing": "last"}));
        let mut told = Vec::new();
        for (k, second, v) in points {
            told.extend(rule.say(second, &json!({"k": k, "v": v})).unwrap_or_default());
        }
        told.extend(rule.watched.stop());
        let mut windows = std::collections::HashMap::<_, Vec<&Told>>::new();
        for change in &told {
            let id = change.detected("r", 1, "a", 9).window;
            windows.entry(id).or_default().push(change);
        }
        for changes in windows.values() {
            prop_assert_eq!(changes[0].change, Change::Opened);
            prop_assert_eq!(changes.last().unwrap().change, Change::Closed);
            for (i, change) in changes.iter().enumerate() {
                prop_assert_eq!(change.window.changes, i as u64 + 1);
            }
        }
    }
}
