//! When windows open, go on and close.
#![allow(clippy::unwrap_used)]

use models_anomaly::watch::{
    Change, Check, Config, Direction, Missing, Sample, Severity, Together, Unwatchable, Watch,
};
use proptest::collection::vec;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;

/// Feeds {second, value} and answers what happened as short words.
fn told(config: &Config, points: &[(i64, f64)]) -> Vec<String> {
    let mut watch = Watch::new(config.clone()).unwrap();
    let mut told = Vec::new();
    for (i, (at, value)) in points.iter().enumerate() {
        let sample = Sample { at: at * SECOND, value: *value, position: i as u64 + 1 };
        told.extend(watch.sample(sample).iter().map(word));
    }
    told
}

fn word(change: &Change) -> String {
    let window = |word: &str, w: &models_anomaly::watch::Window| {
        format!("{word} {}-{} peak {} of {}", w.start / SECOND, w.end / SECOND, w.peak.value, w.points)
    };
    match change {
        Change::Opened(w) => window("opened", w),
        Change::Extended(w) => window("extended", w),
        Change::Closed(w) => window("closed", w),
        Change::Reopened(w) => window("reopened", w),
        Change::TooLate { behind } => format!("too late by {}", behind / SECOND),
    }
}

fn above(max: f64) -> Config {
    Config { cooldown_seconds: 10, ..Config::new(Check::Threshold { min: None, max: Some(max) }) }
}

#[test]
fn a_window_opens_grows_and_closes() {
    let points =
        [(0, 1.0), (1, 6.0), (2, 8.0), (3, 7.0), (9, 1.0), (12, 7.0), (13, 5.0), (23, 1.0), (24, 9.0)];
    assert_eq!(
        told(&above(5.0), &points),
        [
            "opened 1-1 peak 6 of 1",
            "extended 1-2 peak 8 of 2",
            // Told because a cooldown has gone by; the point at 3 was not.
            "extended 1-12 peak 8 of 4",
            "closed 1-12 peak 8 of 4",
            "opened 24-24 peak 9 of 1",
        ]
    );
}

#[test]
fn a_tick_closes_what_has_gone_silent() {
    let mut watch = Watch::new(above(5.0)).unwrap();
    watch.sample(Sample { at: 0, value: 9.0, position: 4 });
    assert!(watch.tick(10 * SECOND, 99).is_empty());
    assert_eq!(watch.open().unwrap().observed[0].position, 4);
    assert_eq!(watch.tick(11 * SECOND, 99).iter().map(word).collect::<Vec<_>>(), ["closed 0-0 peak 9 of 1"]);
    assert!(watch.tick(12 * SECOND, 99).is_empty());
}

#[test]
fn what_is_unusual_for_long_enough_opens_between_ticks() {
    let mut watch = Watch::new(Config { for_seconds: 60, ..above(5.0) }).unwrap();
    let mut told = Vec::new();
    for second in 0..=60 {
        if second % 30 == 0 {
            told.extend(watch.sample(Sample { at: second * SECOND, value: 9.0, position: 1 }));
        }
        if second % 10 == 0 {
            told.extend(watch.tick(second * SECOND, 2));
        }
    }
    assert_eq!(told.iter().map(word).collect::<Vec<_>>(), ["opened 0-60 peak 9 of 3"]);
}

#[test]
fn a_tick_within_the_lateness_closes_nothing() {
    let mut watch = Watch::new(Config { lateness_seconds: 30, ..above(5.0) }).unwrap();
    watch.sample(Sample { at: 0, value: 9.0, position: 1 });
    assert!(watch.tick(40 * SECOND, 2).is_empty());
    assert_eq!(watch.tick(41 * SECOND, 2).len(), 1);
}

#[test]
fn steps_as_long_as_the_cooldown_are_one_window_between_ticks() {
    let config = Config { step_seconds: 300, cooldown_seconds: 300, lateness_seconds: 60, ..above(5.0) };
    let mut watch = Watch::new(config).unwrap();
    let mut told = Vec::new();
    for second in (0..2_760).step_by(30) {
        // The step that is in time until the end has no point.
        if second < 2_400 {
            told.extend(watch.sample(Sample { at: second * SECOND, value: 9.0, position: 1 }));
        }
        told.extend(watch.tick(second * SECOND, 2));
    }
    told.extend(watch.tick(2_759 * SECOND, 2));
    assert!(!told.iter().any(|change| matches!(change, Change::Closed(_))), "{told:?}");
    told.extend(watch.tick(2_760 * SECOND, 2));
    let words: Vec<_> = told.iter().map(word).collect();
    assert_eq!(words.first().unwrap(), "opened 0-0 peak 9 of 1");
    assert_eq!(words.last().unwrap(), "closed 0-2100 peak 9 of 8");
    assert_eq!(words.iter().filter(|word| word.starts_with("opened")).count(), 1, "{words:?}");
}

#[test]
fn points_must_be_unusual_for_long_enough() {
    let config = Config { for_seconds: 3, ..above(5.0) };
    let points = [(0, 6.0), (2, 6.0), (3, 1.0), (4, 6.0), (6, 7.0), (7, 6.5)];
    assert_eq!(told(&config, &points), ["opened 4-7 peak 7 of 3"]);
}

#[test]
fn direction_floor_and_samples_hold_back() {
    let both = Config::new(Check::Threshold { min: Some(2.0), max: Some(5.0) });
    let points = [(0, 1.0), (1_000, 6.0)];
    assert_eq!(told(&both, &points).len(), 3);
    let below = Config { direction: Direction::Below, ..both.clone() };
    assert_eq!(told(&below, &points)[0], "opened 0-0 peak 1 of 1");
    assert_eq!(
        told(&Config { direction: Direction::Above, ..both.clone() }, &points),
        ["opened 1000-1000 peak 6 of 1"]
    );
    assert_eq!(told(&Config { floor: 1.5, ..both.clone() }, &points), ["opened 1000-1000 peak 6 of 1"]);
    assert_eq!(told(&Config { min_samples: 1, ..both }, &points), ["opened 1000-1000 peak 6 of 1"]);
}

#[test]
fn a_burst_over_a_full_minute_is_counted() {
    // Three before the minute turns and three after it: six in six seconds.
    let points: Vec<(i64, f64)> = (57..63).map(|s| (s, 1.0)).collect();
    let rate = Config::new(Check::Rate { max_per_minute: 5 });
    assert_eq!(told(&rate, &points), ["opened 62-62 peak 1 of 1"]);
    assert!(told(&rate, &points[..5]).is_empty());
    let count = Config::new(Check::Count { window_seconds: 4, max: 3 });
    assert_eq!(told(&count, &points)[0], "opened 60-60 peak 1 of 1");
    // The window is half-open: what is as old as it is long is out of it.
    let apart = [(0, 1.0), (4, 1.0), (8, 1.0)];
    assert!(told(&Config::new(Check::Count { window_seconds: 4, max: 1 }), &apart).is_empty());
}

#[test]
fn late_points_reopen_or_are_too_late() {
    let config = Config { lateness_seconds: 60, ..above(5.0) };
    let points = [(100, 9.0), (120, 1.0), (105, 7.0), (90, 8.0), (70, 6.0), (59, 9.0)];
    assert_eq!(
        told(&config, &points),
        [
            "opened 100-100 peak 9 of 1",
            "closed 100-100 peak 9 of 1",
            "reopened 100-105 peak 9 of 2",
            "closed 100-105 peak 9 of 2",
            "reopened 90-105 peak 9 of 3",
            "closed 90-105 peak 9 of 3",
            "opened 70-70 peak 6 of 1",
            "closed 70-70 peak 6 of 1",
            "too late by 61",
        ]
    );
}

#[test]
fn a_late_event_counts_in_the_window_that_it_belongs_to() {
    let config = Config { lateness_seconds: 60, ..Config::new(Check::Count { window_seconds: 10, max: 2 }) };
    let points = [(0, 1.0), (5, 1.0), (12, 1.0), (3, 1.0)];
    assert_eq!(told(&config, &points)[0], "opened 3-3 peak 1 of 1");
}

#[test]
fn steps_put_points_together_and_fill_what_is_missing() {
    let base = Config { step_seconds: 10, ..above(5.0) };
    // Mean of 4 and 8 in the first step, nothing in the second.
    let points = [(0, 4.0), (5, 8.0), (20, 1.0), (31, 1.0)];
    assert_eq!(told(&base, &points)[0], "opened 0-0 peak 6 of 1");
    let below = Config {
        check: Check::Threshold { min: Some(0.5), max: None },
        together: Together::Count,
        missing: Missing::Zero,
        ..base.clone()
    };
    assert_eq!(told(&below, &points), ["opened 10-10 peak 0 of 1"]);
    let last = Config { missing: Missing::Last, ..base.clone() };
    assert_eq!(told(&last, &points), ["opened 0-0 peak 6 of 1", "extended 0-10 peak 6 of 2"]);
    let late = Config { lateness_seconds: 15, ..base };
    assert_eq!(
        told(&late, &[(0, 9.0), (24, 1.0), (5, 3.0), (26, 1.0), (9, 9.0)]),
        ["opened 0-0 peak 6 of 1", "too late by 17"]
    );
}

#[test]
fn what_is_filled_is_not_counted() {
    let config = Config {
        step_seconds: 1,
        missing: Missing::Last,
        ..Config::new(Check::Count { window_seconds: 10, max: 3 })
    };
    assert_eq!(told(&config, &[(0, 1.0), (60, 1.0), (120, 1.0)]), Vec::<String>::new());
}

#[test]
fn detectors_open_windows_with_their_band() {
    let check = |model: &str| Config::new(Check::Detector { model: model.into() });
    let mut points: Vec<(i64, f64)> =
        (0..3_000).map(|i| (i * 300, 10.0 + ((i * 7_919) % 13) as f64)).collect();
    points[2_800].1 = 500.0;
    let mut watch = Watch::new(Config { min_samples: 500, ..check("seasonal_band") }).unwrap();
    let changes: Vec<Change> = points
        .iter()
        .flat_map(|(at, v)| watch.sample(Sample { at: at * SECOND, value: *v, position: 1 }))
        .collect();
    let opened: Vec<_> =
        changes.iter().filter_map(|c| if let Change::Opened(w) = c { Some(w) } else { None }).collect();
    assert_eq!(opened.len(), 1);
    assert_eq!((opened[0].start, opened[0].severity), (2_800 * 300 * SECOND, Severity::High));
    let band = opened[0].band.unwrap();
    assert!(band.lower < 16.0 && band.upper > 16.0 && band.upper < 100.0, "{band:?}");
    let told = told(&check("ensemble"), &points);
    assert!(told.iter().any(|t| t.starts_with("opened 840000-840000 peak 500")), "{told:?}");
    assert_eq!(Watch::new(check("oracle")).err(), Some(Unwatchable::Detector("oracle".into())));
    let lasting = Config { for_seconds: 60, ..check("ensemble@1") };
    assert_eq!(Watch::new(lasting).err(), Some(Unwatchable::Lasting("ensemble@1".into())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: nothing panics, windows are whole,
    /// and none is opened beside an open one.
    #[test]
    fn windows_are_whole(
        points in vec((prop_oneof![4 => -500i64..500, 1 => any::<i64>().prop_map(|a| a / SECOND)], prop_oneof![4 => -10.0..10.0, 1 => prop::num::f64::ANY]), 0..200),
        step in prop_oneof![Just(0u32), 1..100u32],
        lateness in 0..200u32,
        missing in prop_oneof![Just(Missing::Skip), Just(Missing::Zero), Just(Missing::Last)],
        check in prop_oneof![
            Just(Check::Threshold { min: Some(-5.0), max: Some(5.0) }),
            Just(Check::Count { window_seconds: 30, max: 3 }),
            Just(Check::Detector { model: "seasonal_band".into() }),
        ],
    ) {
        // What is filled may itself be unusual, and its window open to the end.
        let filled = step > 0 && missing != Missing::Skip && !matches!(check, Check::Count { .. });
        let config = Config { step_seconds: step, lateness_seconds: lateness, missing, cooldown_seconds: 20, ..Config::new(check) };
        let mut watch = Watch::new(config).unwrap();
        for (i, (at, value)) in points.iter().enumerate() {
            for change in watch.sample(Sample { at: at.saturating_mul(SECOND), value: *value, position: i as u64 }) {
                if let Change::Opened(w) | Change::Extended(w) | Change::Closed(w) | Change::Reopened(w) = change {
                    prop_assert!(w.start <= w.peak.at && w.peak.at <= w.end);
                    prop_assert!((0.0..=1.0).contains(&w.score));
                    prop_assert!(w.points as usize >= w.observed.len() && !w.observed.is_empty());
                }
            }
        }
        watch.tick(i64::MAX, 99);
        prop_assert!(filled || watch.open().is_none());
    }
}

#[test]
fn silence_lasts_until_the_next_point_and_is_told_ever_more_rarely() {
    let config = Config { cooldown_seconds: 10, ..Config::new(Check::Silence { seconds: 60 }) };
    let mut watch = Watch::new(config.clone()).unwrap();
    let mut told = Vec::new();
    let point = |watch: &mut Watch, at: i64| {
        watch.sample(Sample { at: at * SECOND, value: 1.0, position: at as u64 })
    };
    told.extend(point(&mut watch, 0));
    told.extend(point(&mut watch, 60));
    for second in (70..=2_000).step_by(10) {
        // Others that go on don't end it.
        told.extend(watch.silent(second * SECOND));
        told.extend(watch.tick(second * SECOND, 7));
    }
    told.extend(point(&mut watch, 2_005));
    told.extend(point(&mut watch, 2_010));
    told.extend(point(&mut watch, 2_016));
    let told: Vec<String> = told.iter().map(word).collect();
    let first = "opened 130-130 peak 70 of 1";
    let last = ["extended 130-2005 peak 1945 of 1", "closed 130-2005 peak 1945 of 1"];
    assert_eq!((&*told[0], &told[told.len() - 2..]), (first, &last.map(str::to_owned)[..]));
    assert!((4..=12).contains(&told.len()), "{told:?}");
    // Without a tick the next point tells of the gap.
    let points = [(0, 1.0), (100, 1.0), (105, 1.0), (120, 1.0)];
    let gap = self::told(&config, &points);
    assert_eq!(gap, ["opened 100-100 peak 100 of 1", "closed 100-100 peak 100 of 1"]);
}

#[test]
fn what_was_known_can_be_gone_on_with() {
    let mut config = Config::new(Check::Detector { model: "seasonal_band@1".to_owned() });
    config.min_samples = 30;
    let at = |n: i64| Sample {
        at: n * 60 * SECOND,
        value: if n % 90 == 80 { 50.0 } else { (n % 7) as f64 },
        position: n as u64,
    };
    let mut whole = Watch::new(config.clone()).unwrap();
    let mut parts = Watch::new(config.clone()).unwrap();
    for n in 0..400 {
        assert_eq!(whole.sample(at(n)), parts.sample(at(n)), "{n}");
        let text = serde_json::to_string(parts.state()).unwrap();
        parts = Watch::resume(config.clone(), serde_json::from_str(&text).unwrap());
    }
}
