//! `archive`: taps a second that are sealed (encoded, put into a folder, read
//! back and checked), bytes that a tap takes, and taps a second that are read
//! again: whole, as all columns of the payload, and as three columns.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use domain::ports::archive::ArchiveError;
use domain::ports::log::EventLog;
use domain::tap;
use infra_archive::manifest::Manifest;
use infra_archive::{ArchiveStore, Archiver, EventScan, Scan, Settings};
use infra_log::{LogOptions, SqliteLog};
use infra_runtime::SystemClock;

use crate::catch_up::facts;
use crate::table::{Line, median, print};

#[derive(clap::Args)]
pub struct Arguments {
    /// Taps in the log.
    #[arg(long, default_value_t = 5_000_000)]
    taps: u64,
    /// Bands that are tapped.
    #[arg(long, default_value_t = 200_000)]
    bands: u64,
    /// Runs of each reader.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

const FIELDS: [&str; 11] = [
    "p_band_id",
    "p_event_id",
    "p_window_id",
    "p_mode",
    "p_url",
    "p_user_agent",
    "p_referrer",
    "p_language",
    "p_country",
    "p_visitor",
    "p_source",
];

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    print(&runtime.block_on(measure(&arguments))?, json);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let log = SqliteLog::open(folder.path().join("log.db"), LogOptions::new(Arc::new(SystemClock))).await?;
    let log = Arc::new(log);
    facts::write(&*log, arguments.bands, 20, arguments.taps).await?;
    let events = log.head().await?.position;
    let store = ArchiveStore::folder(&folder.path().join("archive"))?;
    let archiver = Archiver::new(store.clone(), log.clone(), Arc::new(SystemClock), Settings::default());
    let start = Instant::now();
    while archiver.seal(true).await?.is_some() {}
    let sealing = events as f64 / start.elapsed().as_secs_f64() / 1e3;
    let Some(manifest) = store.manifest().await? else { anyhow::bail!("nothing was sealed") };
    ensure!(manifest.through == events, "not everything was sealed");
    let taps = manifest.of_types(&[tap::TAPPED]).fold((0, 0), |(e, b), s| (e + s.events, b + s.bytes));
    let line = |case: &str, ours, unit, runs| Line {
        bench: "archive",
        case: case.to_owned(),
        ours,
        peer: "none",
        peer_value: f64::NAN,
        unit,
        runs,
    };
    let mut lines = vec![
        line("sealed and read back", sealing, "k events/s", 1),
        line("a tap in a segment", taps.1 as f64 / taps.0 as f64, "bytes", 1),
    ];
    let envelope_and_fields: Vec<&str> =
        ["tenant", "occurred_at", "recorded_at"].into_iter().chain(FIELDS).collect();
    let cases: [(&str, Vec<&str>); 3] = [
        ("position and three columns", vec!["tenant", "occurred_at", "p_event_id"]),
        ("all fields of the payload", envelope_and_fields),
        ("whole events, each leaf checked", Vec::new()),
    ];
    for (case, columns) in cases {
        let mut rates = Vec::new();
        for _ in 0..arguments.runs {
            let start = Instant::now();
            let read = read(&store, &manifest, &columns).await?;
            ensure!(read == taps.0, "{read} of {} taps were read", taps.0);
            rates.push(read as f64 / start.elapsed().as_secs_f64() / 1e3);
        }
        lines.push(line(case, median(&rates), "k events/s", arguments.runs));
    }
    Ok(lines)
}

async fn read(store: &ArchiveStore, manifest: &Manifest, columns: &[&str]) -> Result<u64, ArchiveError> {
    let mut read = 0;
    if columns.is_empty() {
        let mut scan = EventScan::new(store, manifest, 0, &[tap::TAPPED]);
        while scan.next().await?.is_some() {
            read += 1;
        }
        return Ok(read);
    }
    let mut chunks = store.scan(manifest, &Scan::new(&[tap::TAPPED], columns).dictionaries());
    while let Some(chunk) = chunks.next().await? {
        read += chunk.events() as u64;
    }
    Ok(read)
}
