//! Whoever dies, whenever: the same files again, and every signal in one of them.

use std::time::Duration;

use proptest::prelude::*;

use super::bed::Bed;
use crate::{Codec, Settings, WarehouseError};

fn others() -> Settings {
    Settings {
        max_signals: 3,
        flush_after: Duration::from_secs(1),
        codec: Codec::None,
        row_group_rows: 2,
        ..Settings::default()
    }
}

/// Killed at its first, second, … request, whether that was done or not: who
/// goes on later, with other settings and over a longer log, makes the files that
/// would have been made.
#[tokio::test]
async fn the_same_files_whenever_it_dies() {
    let whole = Bed::new();
    whole.grow(60).await;
    whole.warehouse(Settings::default()).flush(true).await.unwrap().unwrap();
    let expected = whole.files().await;
    assert!(expected.len() > 8);
    let mut deaths = 0;
    for (life, done) in (0..).flat_map(|life| [(life, false), (life, true)]) {
        let bed = Bed::new();
        bed.grow(60).await;
        let alive = bed.mortal(life, done, Settings::default()).flush(true).await.is_ok();
        let left = bed.files().await;
        bed.grow(30).await;
        bed.clock.advance(7_000);
        let again = bed.warehouse(others());
        while again.flush(true).await.unwrap().is_some() {}
        let files = bed.files().await;
        let planned = life > 0 || done;
        for (path, bytes) in if planned { &expected } else { &left } {
            assert!(files.get(path) == Some(bytes), "{path} after {life} {done}");
        }
        let named = bed.manifest().await.files;
        assert_eq!(files.keys().collect::<Vec<_>>().len(), named.len(), "nothing is left over: {life}");
        exactly_once(&bed).await;
        if alive {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 20, "{deaths}");
}

async fn exactly_once(bed: &Bed) {
    let signals = bed.signals().await;
    let rows = bed.rows().await;
    let said: Vec<_> = rows.iter().map(|(position, _, payload)| (*position, payload.as_str())).collect();
    let recorded: Vec<_> = signals.iter().map(|s| (s.position, s.payload.as_str())).collect();
    assert_eq!(said, recorded);
    for ((_, path, _), signal) in rows.iter().zip(&signals) {
        assert!(path.starts_with(&format!("tenant={}/events/", signal.stream.tenant)), "{path}");
        let at = signal.at().strftime("year=%Y/month=%m/day=%d/hour=%H").to_string();
        assert!(path.contains(&at), "{path} for {at}");
    }
}

#[tokio::test]
async fn killed_while_it_merges_and_sweeps() {
    for (life, done) in (0..40).flat_map(|life| [(life, false), (life, true)]) {
        let bed = Bed::new();
        let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
        for _ in 0..4 {
            bed.grow(15).await;
            bed.warehouse(settings.clone()).flush(true).await.unwrap();
        }
        bed.clock.advance(10 * 3_600);
        let mortal = bed.mortal(life, done, settings.clone());
        while let Ok(Some(_)) = mortal.compact().await {}
        let _ = mortal.sweep().await;
        exactly_once(&bed).await;
        let again = bed.warehouse(settings.clone());
        while again.compact().await.unwrap().is_some() {}
        again.sweep().await.unwrap();
        exactly_once(&bed).await;
        let manifest = bed.manifest().await;
        let mut hours: Vec<_> = manifest.files.iter().map(|f| f.partition()).collect();
        hours.dedup();
        assert_eq!(hours.len(), manifest.files.len(), "an hour is one file");
        let mut named: Vec<String> = manifest.files.iter().map(|f| f.path.clone()).collect();
        named.sort();
        assert_eq!(bed.files().await.into_keys().collect::<Vec<_>>(), named, "nothing is left over");
        assert_eq!(bed.listed().await, named);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Grow(u64),
    Wait(i64),
    /// Flush, with `all` or not, by one that lives so long.
    Flush(bool, i64, bool, bool),
    Compact(i64, bool),
    Sweep(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..30_u64).prop_map(Step::Grow),
        (0..20_000_i64).prop_map(Step::Wait),
        (any::<bool>(), 0..40_i64, any::<bool>(), any::<bool>())
            .prop_map(|(all, life, done, other)| Step::Flush(all, life, done, other)),
        (0..12_i64, any::<bool>()).prop_map(|(life, done)| Step::Compact(life, done)),
        (0..12_i64).prop_map(Step::Sweep),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_signal_once_however_it_is_cut(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new();
            let mine = Settings { max_signals: 13, ..Settings::default() };
            for step in &steps {
                match *step {
                    Step::Grow(count) => bed.grow(count).await,
                    Step::Wait(seconds) => bed.clock.advance(seconds),
                    Step::Flush(all, life, done, other) => {
                        let settings = if other { others() } else { mine.clone() };
                        let _ = bed.mortal(life, done, settings).flush(all).await;
                    }
                    Step::Compact(life, done) => {
                        let _ = bed.mortal(life, done, mine.clone()).compact().await;
                    }
                    Step::Sweep(life) => {
                        let _ = bed.mortal(life, true, mine.clone()).sweep().await;
                    }
                }
            }
            bed.grow(2).await;
            let last = bed.warehouse(mine);
            while last.flush(true).await.unwrap().is_some() {}
            exactly_once(&bed).await;
            last.sweep().await.unwrap();
            let mut named: Vec<String> = bed.manifest().await.files.into_iter().map(|f| f.path).collect();
            named.sort();
            assert_eq!(bed.listed().await, named);
        });
    }
}

#[tokio::test]
async fn of_two_at_once_one_finds_out() {
    let bed = Bed::new();
    bed.grow(20).await;
    let (one, two) = (bed.warehouse(Settings::default()), bed.warehouse(others()));
    let (a, b) = tokio::join!(one.flush(true), two.flush(true));
    assert!(a.is_ok() || b.is_ok());
    for result in [a, b] {
        assert!(matches!(result, Ok(_) | Err(WarehouseError::Overtaken)), "{result:?}");
    }
    while two.flush(true).await.unwrap().is_some() {}
    exactly_once(&bed).await;
}

#[tokio::test]
async fn another_log_is_refused() {
    let bed = Bed::new();
    bed.grow(20).await;
    bed.warehouse(Settings::default()).flush(true).await.unwrap();
    let mut other = Bed::new();
    other.grow(3).await;
    other.inner = bed.inner.clone();
    let error = other.warehouse(Settings::default()).flush(true).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Foreign(_)), "{error}");
}
