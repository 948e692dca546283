//! Real click logs, where they are at hand.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook::import::Format;
use daybook_tests::data;
use daybook_tests::postgres::database;
use domain::ports::log::EventLog;
use domain::tap;
use flate2::read::MultiGzDecoder;
use infra_log::{LogOptions, PostgresLog, SqliteLog};

use super::{all_events, clock, import, memory};

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    lines: u64,
    taps: u64,
    previews: u64,
    duplicates: u64,
    heartbeats: u64,
    links: u64,
}

/// Counts in the simplest way there is, knowing nothing of the importer.
fn count(file: &Path) -> Counted {
    let mut text = Vec::new();
    MultiGzDecoder::new(File::open(file).unwrap()).read_to_end(&mut text).unwrap();
    let (mut counted, mut seen, mut links) = (Counted::default(), HashSet::new(), HashSet::new());
    for line in String::from_utf8_lossy(&text).lines() {
        counted.lines += 1;
        if line.contains("\"_heartbeat_\"") {
            counted.heartbeats += 1;
            continue;
        }
        let (link, head) = match line.split_once("\"g\": \"") {
            Some((_, rest)) => (rest.split('"').next(), false),
            None if line.contains('\t') => {
                let fields: Vec<&str> = line.split('\t').collect();
                let followed = matches!(fields[3], "GET" | "HEAD");
                (followed.then(|| fields[4].split('?').next().unwrap()), fields[3] == "HEAD")
            }
            None => {
                let request = line.split('"').nth(1).unwrap_or_default();
                let path = request.split(' ').nth(1).map(|target| target.split('?').next().unwrap());
                (path, request.starts_with("HEAD "))
            }
        };
        let Some(link) = link else { continue };
        links.insert(link.to_owned());
        match (seen.insert(line.to_owned()), head) {
            (false, _) => counted.duplicates += 1,
            (true, true) => counted.previews += 1,
            (true, false) => counted.taps += 1,
        }
    }
    counted.links = links.len() as u64;
    counted
}

fn files(start: &str) -> Vec<PathBuf> {
    let Some(folder) = data("taps") else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start))
        .collect();
    files.sort();
    files
}

async fn agrees(log: Arc<dyn EventLog>, format: Format, file: PathBuf) {
    let expected = count(&file);
    let report = import(&log, format, std::slice::from_ref(&file)).await;
    let counts = &report.total;
    let imported = Counted {
        lines: counts.lines,
        taps: counts.taps,
        previews: counts.previews,
        duplicates: counts.duplicates,
        heartbeats: counts.heartbeats,
        links: counts.bands_new,
    };
    assert_eq!(imported, expected, "{}", file.display());
    let events = all_events(&log).await;
    let of_type = |t: &str| events.iter().filter(|e| &*e.event_type == t).count() as u64;
    assert_eq!((of_type(tap::TAPPED), of_type(tap::PREVIEWED)), (expected.taps, expected.previews));

    let again = import(&log, format, &[file]).await.total;
    assert_eq!((again.taps, again.previews, again.bands_new), (0, 0, 0));
    assert_eq!(again.duplicates, expected.taps + expected.previews + expected.duplicates);
    assert_eq!(log.head().await.unwrap().position, events.len() as u64);
}

#[tokio::test]
async fn every_short_link_feed_agrees_with_a_plain_count() {
    for file in files("bitly") {
        agrees(memory(), Format::BitlyJsonl, file).await;
    }
}

#[tokio::test]
async fn every_combined_log_agrees_with_a_plain_count() {
    for file in files("apache_combined") {
        agrees(memory(), Format::CombinedLog, file).await;
    }
}

#[tokio::test]
async fn every_tab_separated_log_agrees_with_a_plain_count() {
    for file in files("nasa") {
        agrees(memory(), Format::AccessTsv, file).await;
    }
}

#[tokio::test]
async fn the_spike_imports_the_same_into_sqlite() {
    for file in files("bitly_1usagov_2013-01-12") {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path().join("log.db"), LogOptions::new(clock())).await.unwrap();
        agrees(Arc::new(log), Format::BitlyJsonl, file).await;
    }
}

#[tokio::test]
async fn the_spike_imports_the_same_into_postgres() {
    for file in files("bitly_1usagov_2013-01-12") {
        let Some(database) = database().await else { return };
        let log = PostgresLog::connect(&database.url, LogOptions::new(clock())).await.unwrap();
        agrees(Arc::new(log), Format::BitlyJsonl, file).await;
    }
}
