//! Reads and appends at a steady pace: one that takes long does not keep the
//! next ones from beginning, and what it waited for a thread counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domain::ports::log::EventLog;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::server::{SHOWS, Server};
use crate::catch_up::facts;

/// What requests took, in milliseconds.
#[derive(Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn p99(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }
}

#[derive(Default)]
pub struct Figures {
    pub reads: Times,
    pub appends: Times,
    pub failed: usize,
}

impl Figures {
    pub fn merge(&mut self, other: Self) {
        self.reads.0.extend(other.reads.0);
        self.appends.0.extend(other.appends.0);
        self.failed += other.failed;
    }
}

pub struct Pace {
    stop: CancellationToken,
    reads: JoinHandle<(Times, usize)>,
    appends: JoinHandle<(Times, usize)>,
}

impl Pace {
    pub fn start(server: &Server, per_second: u32, bands: u64) -> Self {
        let stop = CancellationToken::new();
        let (client, log) = (server.client.clone(), server.log());
        let url = server.summary_url();
        let read = move |_| read(client.clone(), url.clone());
        let append = move |n| append(log.clone(), n, bands);
        Self {
            reads: tokio::spawn(keep(per_second, stop.clone(), read)),
            appends: tokio::spawn(keep(per_second, stop.clone(), append)),
            stop,
        }
    }

    pub async fn stop(self) -> Result<Figures> {
        self.stop.cancel();
        let ((reads, unread), (appends, unwritten)) = (self.reads.await?, self.appends.await?);
        Ok(Figures { reads, appends, failed: unread + unwritten })
    }
}

async fn keep<F>(
    per_second: u32,
    stop: CancellationToken,
    request: impl Fn(u64) -> F + Send,
) -> (Times, usize)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut under_way, mut number) = (JoinSet::new(), 0);
    loop {
        let due = tokio::select! {
            () = stop.cancelled() => break,
            due = ticks.tick() => due.into_std(),
        };
        // Timers are a millisecond late as a rule.
        let due = Instant::now().min(due + Duration::from_millis(1));
        let work = request(number);
        number += 1;
        under_way.spawn(async move {
            let done = work.await;
            (due.elapsed(), done)
        });
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    for (took, done) in under_way.join_all().await {
        times.push(took.as_secs_f64() * 1e3);
        failed += usize::from(done.is_err());
    }
    (Times(times), failed)
}

async fn read(client: reqwest::Client, url: String) -> Result<()> {
    let response = client.get(url).bearer_auth(Server::KEY).send().await?;
    ensure!(response.status() == 200, "{}", response.status());
    response.bytes().await?;
    Ok(())
}

async fn append(log: Arc<dyn EventLog>, n: u64, bands: u64) -> Result<()> {
    facts::append_tap(&*log, n, bands, SHOWS).await
}
