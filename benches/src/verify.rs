//! `verify`: events a second that `daybook audit verify` reads and hashes, from
//! the archive alone and from the log, beside SHA-256 of the same bytes on one
//! thread; the slowest of a hundred proofs that an event stands in the tree; and
//! what the tree's tiles take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use daybook::audit::verify::{Source, Verifier};
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::tree::TreeLog;
use infra_archive::{ArchiveStore, SealedHistory};
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_runtime::SystemClock;
use proofs::{LogTiles, TilePath};
use sha2::{Digest, Sha256};

use crate::table::{Line, median, print};

#[derive(clap::Args)]
pub struct Arguments {
    /// A folder that `rebuild --data-dir` filled.
    #[arg(long)]
    data_dir: PathBuf,
    /// The database that `rebuild` filled, for proofs from it.
    #[arg(long)]
    database: Option<String>,
    /// Proofs of events anywhere in the log.
    #[arg(long, default_value_t = 5_000)]
    proofs: u64,
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Events whose bytes are hashed again and again.
const SAMPLE: usize = 100_000;

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    print(&runtime.block_on(measure(&arguments))?, json);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>> {
    let options = || LogOptions::new(Arc::new(SystemClock));
    let log = Arc::new(SqliteLog::open(arguments.data_dir.join("log.db"), options()).await?);
    let archive = SealedHistory::new(ArchiveStore::folder(&arguments.data_dir.join("archive"))?);
    let upto = log.head().await?.position;
    let (mut sealed, mut live, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        sealed.push(verify(Source::Archive(&archive), None, upto).await?);
        live.push(verify(Source::Log(&*log), Some(&*log), upto).await?);
        plain.push(hash(&*log).await?);
    }
    let mut lines = Vec::new();
    for (case, ours) in [("verify from the archive", &sealed), ("verify, log in SQLite", &live)] {
        lines.push(Line {
            bench: "verify",
            case: case.to_owned(),
            ours: median(ours) / 1e3,
            peer: "SHA-256 of the same bytes, one thread",
            peer_value: median(&plain) / 1e3,
            unit: "k events/s",
            runs: arguments.runs,
        });
    }
    lines.push(tiles(upto));
    lines.extend(slowest("SQLite", log.clone(), arguments).await?);
    if let Some(url) = &arguments.database {
        let log = Arc::new(PostgresLog::connect(url, options()).await?);
        lines.extend(slowest("PostgreSQL", log, arguments).await?);
    }
    Ok(lines)
}

async fn verify(events: Source<'_>, tree: Option<&dyn TreeLog>, upto: u64) -> Result<f64> {
    let verifier = Verifier {
        events,
        rows: None,
        tree,
        tiles: None,
        upto,
        known: Vec::new(),
        kept: None,
        must_be_signed: false,
    };
    let start = Instant::now();
    let verdict = verifier.run(None, &mut |_| ()).await?;
    ensure!(verdict.holds && verdict.last == upto, "it does not hold: {verdict:?}");
    Ok(upto as f64 / start.elapsed().as_secs_f64())
}

/// Events a second that one thread hashes whose bytes are in memory.
async fn hash(log: &dyn EventLog) -> Result<f64> {
    // Behind the registrations, which are shorter than taps.
    let after = log.head().await?.position / 2;
    let page = log.read(after, SAMPLE, &ReadFilter::default()).await?;
    let bytes: Vec<Vec<u8>> = page.events.iter().map(|event| event.canonical_bytes()).collect();
    let start = Instant::now();
    for (bytes, event) in bytes.iter().zip(&page.events) {
        ensure!(*Sha256::digest(bytes) == event.leaf, "another hash");
    }
    Ok(bytes.len() as f64 / start.elapsed().as_secs_f64())
}

/// What is published of a tree of this size, without its events.
fn tiles(size: u64) -> Line {
    let bytes: usize = TilePath::of_tree(0, size).iter().map(TilePath::bytes).sum();
    Line {
        bench: "verify",
        case: format!("tiles and bundles of {size} events"),
        ours: bytes as f64 / size as f64,
        peer: "-",
        peer_value: f64::NAN,
        unit: "bytes/event",
        runs: 1,
    }
}

/// Half of the proofs, and all but one in a hundred, are faster than this.
async fn slowest(store: &str, log: Arc<dyn TreeLog>, arguments: &Arguments) -> Result<Vec<Line>> {
    let frontier = log.frontier().await?;
    let (size, root) = (frontier.size(), frontier.root());
    let mut took = Vec::new();
    for n in 0..arguments.proofs {
        // Nothing is remembered from one to the next.
        let tiles = LogTiles::new(log.clone());
        let index = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size;
        let start = Instant::now();
        proofs::inclusion(&tiles, size, &root, index).await?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took.get(took.len() * part / 100).copied().context("no proofs");
    let line = |case: &str, ours| Line {
        bench: "verify",
        case: format!("{case} of {} proofs in {size} events, {store}", arguments.proofs),
        ours,
        peer: "-",
        peer_value: f64::NAN,
        unit: "ms",
        runs: 1,
    };
    Ok(vec![line("p50", at(50)?), line("p99", at(99)?)])
}
