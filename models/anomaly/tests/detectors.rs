//! What every detector owes whoever uses it.
#![allow(clippy::unwrap_used)]

use models_anomaly::detect::{NAMES, Range, by_name};
use proptest::collection::vec;
use proptest::prelude::*;

const MINUTE: i64 = 60_000_000;

fn scores(name: &str, values: &[f64]) -> Vec<f64> {
    let mut detector = by_name(name, None).unwrap();
    values.iter().enumerate().map(|(i, v)| detector.push(i as i64 * 5 * MINUTE, *v).score).collect()
}

/// The same numbers on every machine: a small congruential generator.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}

fn days(count: usize) -> Vec<f64> {
    let mut noise = noise(7);
    (0..count).map(|i| 10.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + noise()).collect()
}

#[test]
fn names_are_found_with_and_without_their_version() {
    for name in NAMES {
        assert!(by_name(name, None).is_some());
        assert!(by_name(name.split('@').next().unwrap(), None).is_some());
    }
    assert!(by_name("ensemble@2", None).is_none());
    assert!(by_name("", None).is_none());
}

#[test]
fn a_constant_series_is_never_unusual() {
    for name in NAMES {
        let scores = scores(name, &[42.0; 3_000]);
        // The baseline has a score of one half at its own mean.
        let limit = if name.starts_with("windowed") { 0.51 } else { 0.5 };
        assert!(scores[1_000..].iter().all(|s| *s < limit), "{name}");
    }
}

#[test]
fn a_spike_and_a_flat_day_are_found() {
    let mut values = days(4_000);
    values[3_000] += 60.0;
    for name in ["ensemble", "discord"] {
        let scores = scores(name, &values);
        let before = scores[2_500..3_000].iter().copied().fold(0.0, f64::max);
        let at = scores[3_000..3_010].iter().copied().fold(0.0, f64::max);
        assert!(at > 0.5 && at > before, "{name}: {at} after {before}");
    }
    let mut values = days(4_000);
    let level = values[3_000];
    values[3_000..3_120].fill(level);
    let scores = scores("ensemble", &values);
    let before = scores[2_500..3_000].iter().copied().fold(0.0, f64::max);
    let at = scores[3_000..3_120].iter().copied().fold(0.0, f64::max);
    assert!(at > before, "a flat stretch scores {at} after {before}");
}

#[test]
fn the_band_follows_the_day_and_is_not_poisoned() {
    let mut values = days(288 * 20);
    for value in &mut values[288 * 19..288 * 19 + 12] {
        *value += 40.0;
    }
    let mut detector = by_name("seasonal_band", None).unwrap();
    let verdicts: Vec<_> =
        values.iter().enumerate().map(|(i, v)| detector.push(i as i64 * 5 * MINUTE, *v)).collect();
    let inside = verdicts[288 * 10..288 * 19].iter().zip(&values[288 * 10..288 * 19]);
    let outside = inside.filter(|(v, x)| v.band.is_none_or(|b| **x < b.lower || **x > b.upper)).count();
    assert!(outside < 26, "{outside} of 2592 ordinary points are outside the band");
    assert!(verdicts[288 * 19..288 * 19 + 12].iter().all(|v| v.score > 0.5));
    // A day later the band at that time still expects what is ordinary there.
    let expected = detector.judge(288 * 20 * 5 * MINUTE, 0.0).band.unwrap().expected;
    assert!((expected - values[0]).abs() < 3.0, "expects {expected}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_panics_and_scores_are_shares(
        mut values in vec(prop_oneof![4 => -1e3..1e3, 1 => prop::num::f64::ANY, 1 => Just(0.0)], 0..700),
        instants in vec(any::<i64>(), 700),
        look in any::<bool>(),
    ) {
        values.extend(vec![f64::MAX, f64::MIN, f64::INFINITY, f64::NAN, 1.0, -0.0]);
        let range = look.then(|| Range::of(values.iter().copied())).flatten();
        for name in NAMES {
            let mut detector = by_name(name, range).unwrap();
            for (at, value) in instants.iter().zip(&values) {
                let verdict = detector.push(*at, *value);
                prop_assert!((0.0..=1.0).contains(&verdict.score), "{name}: {}", verdict.score);
                prop_assert!((0.0..=1.0).contains(&detector.judge(*at, *value).score));
            }
        }
    }

    #[test]
    fn no_detector_sees_what_comes_later(cut in 300..900_usize, seed in any::<u64>()) {
        let mut noise = noise(seed);
        let mut values: Vec<f64> = (0..1_000).map(|_| noise()).collect();
        let before: Vec<Vec<f64>> = NAMES.iter().map(|n| scores(n, &values)).collect();
        for value in &mut values[cut..] {
            *value = 1e6 * noise();
        }
        for (name, before) in NAMES.iter().zip(&before) {
            prop_assert_eq!(&scores(name, &values)[..cut], &before[..cut], "{}", name);
        }
    }
}
