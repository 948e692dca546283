//! `dispatch`: webhooks a second to a sink in this process, over a hundred
//! endpoints; and at a steady pace how long they take from the signal's answer
//! to the sink, while one of the endpoints hangs and while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use super::{Bed, order};
use crate::table::{Line, median, print};

const EVENT: &str = "order_placed";
/// The endpoint that hangs.
const HANGS: usize = 0;
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub struct Arguments {
    /// A server on which databases may be created; without it SQLite alone.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
    #[arg(long, default_value_t = 100)]
    endpoints: usize,
    /// Signals sent at once, each for every endpoint.
    #[arg(long, default_value_t = 100)]
    signals: usize,
    /// Signals a second at the steady pace.
    #[arg(long, default_value_t = 2)]
    pace: u32,
    /// Seconds of the steady pace.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Only these: postgres, sqlite.
    #[arg(long)]
    only: Option<String>,
}

/// Who receives, and when each delivery came.
#[derive(Clone, Default)]
struct Sink {
    came: Arc<Mutex<Vec<(u64, Instant)>>>,
    count: Arc<AtomicUsize>,
    /// One more than the endpoint that hangs; 0: none.
    hangs: Arc<AtomicUsize>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let mut lines = Vec::new();
    if wanted("sqlite") {
        lines.extend(runtime.block_on(measure("SQLite", None, &arguments))?);
    }
    if let Some(url) = arguments.postgres.as_deref().filter(|_| wanted("postgres")) {
        lines.extend(runtime.block_on(measure("PostgreSQL", Some(url), &arguments))?);
    }
    print(&lines, json);
    Ok(())
}

async fn measure(name: &str, postgres: Option<&str>, arguments: &Arguments) -> Result<Vec<Line>> {
    let sink = Sink::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/{endpoint}", post(receive)).with_state(sink.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let bed = Bed::new(postgres).await?;
    let endpoint = |i: usize| {
        let definition =
            json!({"url": format!("{url}/{i}"), "filter": {"types": [EVENT]}, "timeout_ms": 15_000});
        (format!("/v1/webhooks/endpoints/e{i}/create"), json!({ "definition": definition }))
    };
    bed.post_all((0..arguments.endpoints).map(endpoint)).await?;
    let mut next = 0;
    let (mut rates, mut quiet, mut hanging) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        rates.push(burst(&bed, &sink, arguments, &mut next).await?);
        quiet.push(paced(&bed, &sink, arguments, false, &mut next).await?);
    }
    for _ in 0..arguments.runs {
        hanging.push(paced(&bed, &sink, arguments, true, &mut next).await?);
    }
    serving.abort();
    let memory = bed.server.mib();
    bed.end().await?;
    let line = |what: String, ours, peer, peer_value, unit| Line {
        bench: "dispatch",
        case: format!("{name}: {what}"),
        ours,
        peer,
        peer_value,
        unit,
        runs: arguments.runs,
    };
    let endpoints = arguments.endpoints;
    let at = |all: &[[f64; 2]], i: usize| median(&all.iter().map(|both| both[i]).collect::<Vec<f64>>());
    Ok(vec![
        line(format!("to {endpoints} endpoints"), median(&rates), "-", f64::NAN, "deliveries/s"),
        line(
            format!("p50 of the others, 1 of {endpoints} hangs"),
            at(&hanging, 0),
            "none hangs",
            at(&quiet, 0),
            "ms",
        ),
        line(
            format!("p99 of the others, 1 of {endpoints} hangs"),
            at(&hanging, 1),
            "none hangs",
            at(&quiet, 1),
            "ms",
        ),
        line("most memory of the server".into(), memory, "-", f64::NAN, "MiB"),
    ])
}

async fn receive(State(sink): State<Sink>, Path(endpoint): Path<usize>, body: String) -> StatusCode {
    if sink.hangs.load(Ordering::Relaxed) == endpoint + 1 {
        tokio::time::sleep(PATIENCE).await;
    }
    let now = Instant::now();
    // The order's number is in its key.
    let number = body.split("k-").skip(1).find_map(|rest| rest.get(..10)?.parse().ok());
    if let Some(number) = number {
        sink.came.lock().await.push((number, now));
        sink.count.fetch_add(1, Ordering::Relaxed);
    }
    StatusCode::NO_CONTENT
}

impl Sink {
    /// Waits for so many more than were there before.
    async fn until(&self, before: usize, more: usize) -> Result<()> {
        let start = Instant::now();
        while self.count.load(Ordering::Relaxed) < before + more {
            let came = self.count.load(Ordering::Relaxed) - before;
            ensure!(start.elapsed() < PATIENCE, "{came} of {more} deliveries came");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Deliveries a second of many signals at once.
async fn burst(bed: &Bed, sink: &Sink, arguments: &Arguments, next: &mut u64) -> Result<f64> {
    let before = sink.count.load(Ordering::Relaxed);
    let from = *next;
    *next += arguments.signals as u64;
    let events: Vec<_> = (from..*next).map(|id| order(id, EVENT)).collect();
    let start = Instant::now();
    bed.post("/v1/events/batch", &json!({ "events": events })).await?;
    let all = arguments.signals * arguments.endpoints;
    sink.until(before, all).await?;
    Ok(all as f64 / start.elapsed().as_secs_f64())
}

/// p50 and p99 in milliseconds from a signal's answer to the endpoints that do
/// not hang.
async fn paced(
    bed: &Bed,
    sink: &Sink,
    arguments: &Arguments,
    hangs: bool,
    next: &mut u64,
) -> Result<[f64; 2]> {
    sink.hangs.store(if hangs { HANGS + 1 } else { 0 }, Ordering::Relaxed);
    let before = sink.count.load(Ordering::Relaxed);
    let (from, count) = (*next, arguments.pace * arguments.seconds);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / arguments.pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Vec::new();
    for _ in 0..count {
        ticks.tick().await;
        bed.post("/v1/events/ingest", &json!({"event": order(*next, EVENT)})).await?;
        answered.push(Instant::now());
        *next += 1;
    }
    let others = arguments.endpoints - usize::from(hangs);
    sink.until(before, count as usize * others).await?;
    let came = sink.came.lock().await;
    let mut took: Vec<f64> = came
        .iter()
        .filter(|(number, _)| (from..*next).contains(number))
        .map(|(number, at)| {
            at.saturating_duration_since(answered[(number - from) as usize]).as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    Ok([took[took.len() / 2], took[took.len() * 99 / 100]])
}
