//! `append`: many callers, one event per command, each answered when it is on
//! disk. A stream gets ten events, then its caller goes on to a new one.

pub mod ours;
mod postgres_es;
mod tephra;
mod umadb;

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::table::{Line, median, print};

/// 241 bytes, as a tap's payload has them.
pub const PAYLOAD: &str = r#"{"band_id":"b-000123","event_id":"summer-night","window_id":"main","mode":"live","url":"https://example.org/live?band=b-000123","user_agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)","language":"en-GB,en;q=0.9","source":"hub"}"#;
pub const EVENTS_PER_STREAM: u64 = 10;

#[derive(clap::Args)]
pub struct Arguments {
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
    /// Callers at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    writers: Vec<usize>,
    /// Length of one run in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Runs of each store; they take turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Appends without a condition on their stream.
    #[arg(long)]
    unconditional: bool,
    /// Only these: postgres, sqlite.
    #[arg(long)]
    only: Option<String>,
}

/// One store and one number of callers.
#[derive(Clone)]
pub struct Case {
    pub writers: usize,
    pub duration: Duration,
    pub postgres: Option<String>,
    pub unconditional: bool,
    /// Whether our log keeps its Merkle tree.
    pub tree: bool,
    /// Whether personal data is sealed on its way into our log.
    pub sealed: bool,
    /// Whether our log is signed every second meanwhile.
    pub signed: bool,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let mut lines = Vec::new();
    for &writers in &arguments.writers {
        let duration = Duration::from_secs(arguments.seconds);
        let (postgres, unconditional) = (arguments.postgres.clone(), arguments.unconditional);
        let (tree, sealed, signed) = (true, false, false);
        let case = Case { writers, duration, postgres, unconditional, tree, sealed, signed };
        let runs = arguments.runs;
        let line = |name: &str, ours: &[f64], peer, peers: &[f64]| Line {
            bench: "append",
            case: format!("{name}, {writers} writers"),
            ours: median(ours),
            peer,
            peer_value: median(peers),
            unit: "events/s",
            runs,
        };
        if wanted("postgres") && case.postgres.is_some() {
            let (mut ours, mut peers) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                ours.push(runtime.block_on(ours::postgres(&case))?);
                peers.push(runtime.block_on(postgres_es::run(&case))?);
            }
            lines.push(line("PostgreSQL", &ours, "cqrs-es + postgres-es 0.5", &peers));
        }
        if wanted("sqlite") {
            let (mut ours, mut umadb, mut tephra) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..runs {
                ours.push(runtime.block_on(ours::sqlite(&case))?);
                umadb.push(runtime.block_on(umadb::run(&case))?);
                tephra.push(runtime.block_on(tephra::run(&case))?);
            }
            lines.push(line("SQLite", &ours, "umadb-core 0.7.8 in process", &umadb));
            lines.push(line("SQLite", &ours, "tephra 0.4.1 embedded", &tephra));
        }
    }
    print(&lines, json);
    Ok(())
}

/// Runs `writers` loops that append until the time is up, and says how many
/// events a second they got in. Each is given its number.
pub async fn measure<F, W>(case: &Case, writer: W) -> Result<f64>
where
    F: Future<Output = Result<u64>> + Send + 'static,
    W: Fn(usize, Instant) -> F,
{
    let start = Instant::now();
    let until = start + case.duration;
    let tasks: Vec<_> = (0..case.writers).map(|number| tokio::spawn(writer(number, until))).collect();
    let mut events = 0;
    for task in tasks {
        events += task.await??;
    }
    Ok(events as f64 / start.elapsed().as_secs_f64())
}

/// A database that is dropped after the run.
pub async fn with_database<F>(case: &Case, run: impl FnOnce(String) -> F) -> Result<f64>
where
    F: Future<Output = Result<f64>>,
{
    use sqlx::Connection;
    let server = case.postgres.as_deref().context("--postgres is missing")?;
    let name = format!("bench_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(server).await?;
    let statement = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    statement(format!("CREATE DATABASE {name}")).execute(&mut connection).await?;
    let (front, _) = server.rsplit_once('/').context("the URL names no database")?;
    let result = run(format!("{front}/{name}")).await;
    statement(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut connection).await?;
    result
}
