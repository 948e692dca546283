//! Many writers in several processes, killed at random, against one log; a
//! count of what went wrong. The promise: nothing skipped, duplicated or lost.

mod check;
mod readers;
mod writer;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use domain::ports::log::EventLog;
use domain::ports::tree::TreeLog;
use infra_log::{LogOptions, PostgresLog, SqliteLog};
use infra_runtime::SystemClock;
use rand::RngExt;

use crate::cluster::Cluster;
pub use check::Report;
pub use writer::write;

/// A log with its tree.
pub trait Log: EventLog + TreeLog {}
impl<T: EventLog + TreeLog> Log for T {}

/// Where the log is: a Postgres URL or a SQLite file.
pub async fn open(target: &str) -> Result<Arc<dyn Log>> {
    let mut options = LogOptions::new(Arc::new(SystemClock));
    // Several partitions within a run.
    options.partition_positions = 50_000;
    Ok(if target.starts_with("postgres:") {
        Arc::new(PostgresLog::connect(target, options).await?)
    } else {
        Arc::new(SqliteLog::open(target, options).await?)
    })
}

pub struct Torture {
    /// The program that runs [`write()`] when started with `write`.
    pub program: PathBuf,
    pub processes: usize,
    pub writers: usize,
    pub duration: Duration,
}

impl Torture {
    /// Against a private cluster, crashed and restarted half-way.
    pub async fn postgres(&self) -> Result<Report> {
        let mut cluster = Cluster::start().await?;
        let url = cluster.url();
        self.run(&url, Some(&mut cluster)).await
    }

    /// Against a server that is left alone.
    pub async fn postgres_at(&self, url: &str) -> Result<Report> {
        self.run(url, None).await
    }

    pub async fn sqlite(&self) -> Result<Report> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("log.db");
        self.run(file.to_str().context("the temporary folder's name")?, None).await
    }

    async fn run(&self, target: &str, mut cluster: Option<&mut Cluster>) -> Result<Report> {
        let folder = tempfile::tempdir()?;
        // Brings the schema up before everybody starts.
        let log = open(target).await?;
        let readers = readers::start(target, 4).await?;
        let start = Instant::now();
        let mut processes = Vec::new();
        for index in 0..self.processes {
            processes.push(self.spawn(target, folder.path(), index)?);
        }
        let (mut kills, mut restarts) = (0, 0);
        while start.elapsed() < self.duration {
            let pause = rand::rng().random_range(200..2_500);
            tokio::time::sleep(Duration::from_millis(pause).min(self.duration)).await;
            if let Some(cluster) = cluster.take_if(|_| start.elapsed() > self.duration / 2) {
                cluster.restart().await?;
                restarts += 1;
            }
            let victim = rand::rng().random_range(0..processes.len());
            processes[victim].kill()?;
            processes[victim].wait()?;
            kills += 1;
            processes[victim] = self.spawn(target, folder.path(), victim)?;
        }
        for process in &mut processes {
            process.kill()?;
            process.wait()?;
        }
        writer::end(&*log).await?;
        let mut report = check::check(&*log, folder.path()).await?;
        readers::stop(readers, &mut report).await?;
        (report.kills, report.restarts) = (kills, restarts);
        Ok(report)
    }

    fn spawn(&self, target: &str, folder: &Path, index: usize) -> Result<Child> {
        let notes = folder.join(format!("writer-{index}"));
        let mut command = Command::new(&self.program);
        command.args(["write", target]).arg(notes).arg(self.writers.to_string());
        command.spawn().with_context(|| format!("starting {}", self.program.display()))
    }
}
