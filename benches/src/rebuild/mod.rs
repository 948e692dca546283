//! `rebuild`: events a second from a long history into the rows of
//! `tap_analytics`, built as `daybook replay build` does: from the archive, and
//! from the log alone. Every build has to come to the same checksum as the
//! projector, which folded the history event by event.

mod peers;
mod prepared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use daybook::wiring::ArchiveColumns;
use domain::ports::log::EventLog;
use domain::ports::rows::{Generations, RowStore};
use infra_rows::{PostgresRows, SqliteRows};
use privacy::{Keyring, NoKeys};
use projections::Projection;
use projections::board::Board;
use projections::bulk::Sealed;
use projections::tap_analytics::TapAnalytics;
use replays::build::{Builder, Options};
use replays::checksum::Checksum;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::table::{Line, median, print};
use prepared::Prepared;

#[derive(clap::Args)]
pub struct Arguments {
    /// Taps in the history.
    #[arg(long, default_value_t = 5_000_000)]
    taps: u64,
    /// Bands that are tapped.
    #[arg(long, default_value_t = 200_000)]
    bands: u64,
    /// Live events, all in the same evening.
    #[arg(long, default_value_t = 20)]
    shows: u64,
    /// Runs of each; they take turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these: archive, sqlite, postgres.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Keeps history here for the next time; otherwise it is loaded each time.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Loads and measures nothing.
    #[arg(long)]
    load: bool,
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
}

/// Where history is read, and where rows go.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    ArchiveToSqlite,
    ArchiveToPostgres,
    Sqlite,
    Postgres,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::ArchiveToSqlite => "archive to rows in SQLite",
            Self::ArchiveToPostgres => "archive to rows in PostgreSQL",
            Self::Sqlite => "log and rows in SQLite",
            Self::Postgres => "log and rows in PostgreSQL",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::ArchiveToSqlite | Self::ArchiveToPostgres => "archive",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    fn needs_postgres(self) -> bool {
        matches!(self, Self::ArchiveToPostgres | Self::Postgres)
    }
}

const WAYS: [Way; 4] = [Way::ArchiveToSqlite, Way::ArchiveToPostgres, Way::Sqlite, Way::Postgres];

/// Rates of the runs.
#[derive(Default)]
struct Rates {
    ours: [Vec<f64>; WAYS.len()],
    copy: Vec<f64>,
    parse: Vec<f64>,
    columns: Vec<f64>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    print(&runtime.block_on(measure(&arguments))?, json);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>> {
    let prepared = Prepared::new(arguments).await?;
    let mut rates = Rates::default();
    let wanted = |way: &Way| {
        (arguments.only.is_empty() || arguments.only.iter().any(|only| only == way.option()))
            && (prepared.postgres.is_some() || !way.needs_postgres())
    };
    for _ in 0..if arguments.load { 0 } else { arguments.runs } {
        for (way, ours) in WAYS.iter().zip(&mut rates.ours) {
            if wanted(way) {
                ours.push(build(&prepared, *way).await?);
            }
        }
        if let Some(database) = &prepared.postgres {
            rates.copy.push(peers::copy(database, prepared.events).await?);
        }
        rates.parse.push(peers::parse(&prepared).await?);
        rates.columns.push(peers::columns(&prepared).await?);
    }
    prepared.remove().await?;
    Ok(lines(&rates))
}

fn lines(rates: &Rates) -> Vec<Line> {
    let mut lines = Vec::new();
    let peers = [
        ("its columns, not folded", &rates.columns),
        ("one thread parsing JSON in Parquet", &rates.parse),
        ("COPY (SELECT …) TO STDOUT", &rates.copy),
    ];
    for (way, ours) in WAYS.iter().zip(&rates.ours) {
        for (peer, values) in peers.iter().filter(|(_, values)| !ours.is_empty() && !values.is_empty()) {
            lines.push(Line {
                bench: "rebuild",
                case: way.name().to_owned(),
                ours: median(ours) / 1e3,
                peer,
                peer_value: median(values) / 1e3,
                unit: "k events/s",
                runs: ours.len(),
            });
        }
    }
    lines
}

struct Stores {
    log: Arc<dyn EventLog>,
    sealed: Option<Arc<dyn Sealed>>,
    rows: Arc<dyn RowStore>,
    generations: Arc<dyn Generations>,
}

impl Stores {
    async fn of(prepared: &Prepared, way: Way, file: &std::path::Path) -> Result<Self> {
        let sealed: Option<Arc<dyn Sealed>> = match way {
            Way::ArchiveToSqlite | Way::ArchiveToPostgres => {
                let keys = Arc::new(Keyring::new(Arc::new(NoKeys)));
                let (archive, log) = (prepared.archive.clone(), prepared.log.clone());
                Some(Arc::new(ArchiveColumns { archive, log, keys }))
            }
            Way::Sqlite | Way::Postgres => None,
        };
        if !way.needs_postgres() {
            let rows = Arc::new(SqliteRows::open(file).await?);
            return Ok(Self { log: prepared.log.clone(), sealed, rows: rows.clone(), generations: rows });
        }
        let database = prepared.postgres.as_ref().context("no PostgreSQL")?;
        let rows = Arc::new(PostgresRows::connect(&database.url, 12).await?);
        Ok(Self { log: database.log.clone(), sealed, rows: rows.clone(), generations: rows })
    }
}

/// Events a second of one build.
async fn build(prepared: &Prepared, way: Way) -> Result<f64> {
    let file = prepared.folder.join(format!("rows-{}.db", Uuid::now_v7()));
    let stores = Stores::of(prepared, way, &file).await?;
    let rate = build_in(prepared, &stores).await.with_context(|| way.name());
    drop(stores);
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        let _ = std::fs::remove_file(name);
    }
    rate
}

async fn build_in(prepared: &Prepared, stores: &Stores) -> Result<f64> {
    let projection = Arc::new(TapAnalytics::default());
    let (name, model) = (projection.name(), projection.model());
    let generation = stores.generations.create(name, &model, projection.tables()).await?;
    let builder = Builder {
        log: stores.log.clone(),
        rows: stores.rows.clone(),
        generations: stores.generations.clone(),
        sealed: stores.sealed.clone(),
        board: Arc::new(Board::default()),
        options: Options::new("bench"),
    };
    let head = prepared.manifest.through;
    let start = Instant::now();
    let built = builder.run(&generation, projection, Some(head), &CancellationToken::new()).await?;
    let took = start.elapsed();
    let done = built.context("the build was stopped")?;
    ensure!(done.position == head && done.events == prepared.events, "not everything was folded: {done:?}");
    let checksum = Checksum::of(&mut *stores.generations.snapshot(&generation.id).await?).await?;
    ensure!(checksum == prepared.live, "the rows differ from those of the projector");
    stores.generations.drop_generation(&generation.id).await?;
    Ok(done.events as f64 / took.as_secs_f64())
}
