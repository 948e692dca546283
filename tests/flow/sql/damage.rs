//! What is damaged or gone is said, and never left out of an answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use domain::ports::sql::SqlError;
use infra_archive::ArchiveStore;
use infra_log::MemoryLog;
use infra_sql::Sources;
use serde_json::json;

use super::bed::{Bed, ask, engine, query, rows};

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found = daybook_tests::files(folder);
    found.retain(|path| path.extension().is_some_and(|e| e == "parquet"));
    found
}

#[tokio::test]
async fn damaged_and_missing_segments_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::memory();
    bed.grow(200).await;
    let store = ArchiveStore::folder(folder.path()).unwrap();
    bed.seal(&store).await;
    let engine = engine(bed.sources(Some(&store)));
    let text = "select count(*), max(length(payload)), count(leaf) from events";
    assert_eq!(rows(&engine, query(text)).await[0][0], json!(200));
    let path = segments(folder.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    };
    let all = query("select * from events order by position");
    let good = ask(&engine, all.clone()).await.unwrap();
    let mut refused = 0;
    // Some stand in columns that are not read for it.
    for eighth in 1..8 {
        std::fs::write(&path, flipped(40 + whole.len() * eighth / 8)).unwrap();
        match ask(&engine, all.clone()).await {
            Ok(answer) => assert_eq!(answer, good, "{eighth}"),
            Err(SqlError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{eighth}: {other}"),
        }
    }
    assert!(refused >= 3, "{refused}");
    let damages = [
        ("data", flipped(40)),
        ("footer", flipped(whole.len() - 100)),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("empty", Vec::new()),
    ];
    for (name, bytes) in damages {
        std::fs::write(&path, bytes).unwrap();
        let answer = ask(&engine, all.clone()).await;
        assert!(matches!(answer, Err(SqlError::Unavailable(_))), "{name}: {answer:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(ask(&engine, query(text)).await, Err(SqlError::Unavailable(_))));
    std::fs::write(&path, whole).unwrap();
    assert_eq!(rows(&engine, query(text)).await[0][0], json!(200));
}

#[tokio::test]
async fn another_logs_archive_is_refused() {
    let (bed, stranger) = (Bed::memory(), Bed::memory());
    bed.grow(50).await;
    stranger.grow(10).await;
    let store = stranger.sealed().await;
    bed.grow(10).await;
    let own = engine(bed.sources(None));
    assert!(ask(&own, query("select 1")).await.is_ok());
    // The same facts at other times are another log.
    let other = Bed::memory();
    other.clock.set("2027-01-01T00:00:00Z".parse().unwrap());
    other.grow(50).await;
    let mixed = engine(Sources { log: Some(other.log.clone()), archive: Some(store) });
    assert!(matches!(ask(&mixed, query("select 1")).await, Err(SqlError::Unavailable(_))));
}

#[tokio::test]
async fn without_anything_there_are_no_events() {
    let engine = engine(Sources::default());
    assert_eq!(rows(&engine, query("select count(*) from events")).await, json!([[0]]));
    let empty = engine_of_empty_log().await;
    assert_eq!(rows(&empty, query("select count(*) from band_tapped")).await, json!([[0]]));
}

async fn engine_of_empty_log() -> infra_sql::SqlEngine {
    let bed = Arc::new(Bed::memory());
    engine(bed.sources(Some(&ArchiveStore::memory())))
}

/// What was trimmed from the log comes from the archive, or is missed aloud.
#[tokio::test]
async fn a_trimmed_log_goes_on_with_its_archive() {
    let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let bed = Bed::on(log.clone(), clock);
    bed.grow(100).await;
    let store = bed.sealed().await;
    bed.grow(50).await;
    let text = "select count(*), sum(position) from events";
    let whole = rows(&engine(bed.sources(None)), query(text)).await;
    let trimmed = infra_archive::trim(&store, (&*log, &*log), None).await.unwrap();
    assert!(trimmed.events > 0 && trimmed.upto == 99);
    assert_eq!(rows(&engine(bed.sources(Some(&store))), query(text)).await, whole);
    let alone = ask(&engine(bed.sources(None)), query(text)).await;
    assert!(matches!(alone, Err(SqlError::Unavailable(_))), "{alone:?}");
}
