//! Readers that follow the log by polling, through the port and beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use super::Report;

pub(super) struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Seen>>,
}

#[derive(Default)]
struct Seen {
    position: u64,
    skipped: u64,
}

impl Seen {
    fn see(&mut self, position: u64) {
        if position != self.position + 1 {
            self.skipped += 1;
        }
        self.position = position;
    }
}

pub(super) async fn start(target: &str, count: usize) -> Result<Readers> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for index in 0..count {
        // Every other one asks Postgres itself, without anything of ours.
        let task = if index % 2 == 1 && target.starts_with("postgres:") {
            tokio::spawn(follow_table(target.to_owned(), stop.clone()))
        } else {
            tokio::spawn(follow_log(super::open(target).await?, stop.clone()))
        };
        tasks.push(task);
    }
    Ok(Readers { stop, tasks })
}

/// Ends when everything that the check found has been seen.
pub(super) async fn stop(readers: Readers, report: &mut Report) -> Result<()> {
    readers.stop.store(true, Ordering::SeqCst);
    for task in readers.tasks {
        let seen = task.await?;
        report.skipped += seen.skipped + report.events.abs_diff(seen.position);
    }
    Ok(())
}

async fn follow_log(log: Arc<dyn EventLog>, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    loop {
        let last_round = stop.load(Ordering::SeqCst);
        match log.read(seen.position, 500, &ReadFilter::default()).await {
            Ok(page) => {
                page.events.iter().for_each(|event| seen.see(event.position));
                if last_round && page.events.is_empty() {
                    return seen;
                }
            }
            Err(LogError::Damaged { .. } | LogError::Trimmed { .. }) => {
                seen.skipped += 1;
                return seen;
            }
            Err(LogError::Unavailable(_)) => {}
        }
        tokio::task::yield_now().await;
    }
}

async fn follow_table(url: String, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    loop {
        let last_round = stop.load(Ordering::SeqCst);
        if connection.is_none() {
            connection = PgConnection::connect(&url).await.ok();
        }
        let Some(open) = &mut connection else { continue };
        let newer = sqlx::query_scalar::<_, i64>(
            "SELECT position FROM events WHERE position > $1 ORDER BY position LIMIT 500",
        );
        match newer.bind(seen.position.cast_signed()).fetch_all(open).await {
            Ok(positions) => {
                positions.iter().for_each(|position| seen.see(position.cast_unsigned()));
                if last_round && positions.is_empty() {
                    return seen;
                }
            }
            Err(_) => connection = None,
        }
        tokio::task::yield_now().await;
    }
}
