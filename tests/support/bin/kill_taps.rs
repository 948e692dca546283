//! Kills the server again and again under thousands of taps a second and
//! counts: every acknowledged tap must be in the log exactly once.
//!
//! `cargo run --release -p daybook-tests --bin kill_taps -- [--rounds 20]
//! [--rate 5000] [--postgres URL]`
//!
//! Every tap carries a marker in its user agent. With `--postgres` the log is
//! in that database, which must be empty; it may be stopped and started
//! meanwhile, since taps go to the journal.
#![allow(clippy::print_stdout, reason = "a tool for the terminal")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use daybook::wiring;
use daybook_tests::server::{KEK, Server, binary};
use domain::ports::log::{EventLog, ReadFilter};
use domain::registry;
use domain::tap::{self, Tap};
use infra_runtime::config::Flags;
use infra_runtime::{Config, SystemClock};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 50;
const BANDS: u64 = 200;

struct Arguments {
    rounds: u64,
    rate: u64,
    postgres: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments { rounds: 20, rate: 5_000, postgres: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--rounds" => parsed.rounds = value.parse()?,
            "--rate" => parsed.rate = value.parse()?,
            "--postgres" => parsed.postgres = Some(value),
            _ => bail!("{word} is not known; see the top of kill_taps.rs"),
        }
    }
    Ok(parsed)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = arguments()?;
    let binary = binary()?;
    let data = tempfile::tempdir()?;
    let postgres = arguments.postgres.as_deref();
    let settings: Vec<(&str, &str)> = postgres.iter().map(|url| ("DATABASE_URL", *url)).collect();
    let mut server = Server::start(&binary, data.path(), &settings)?;
    prepare(&server).await?;
    let next = Arc::new(AtomicU64::new(0));
    let mut acknowledged = Vec::new();
    for round in 1..=arguments.rounds {
        let life = Duration::from_millis(200 + rand::random::<u64>() % 1_500);
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_micros(1_000_000 * CONNECTIONS / arguments.rate.max(1));
        let tappers: Vec<_> = (0..CONNECTIONS)
            .map(|_| tokio::spawn(tap(server.address().to_owned(), pause, next.clone(), stop.clone())))
            .collect();
        tokio::time::sleep(life).await;
        server.kill()?;
        stop.store(true, Ordering::Relaxed);
        let before = acknowledged.len();
        for tapper in tappers {
            acknowledged.extend(tapper.await?);
        }
        println!("round {round}: {} taps acknowledged, killed after {life:?}", acknowledged.len() - before);
        server = Server::start(&binary, data.path(), &settings)?;
    }
    let log = open_log(data.path(), postgres).await?;
    let (counts, waited) = wait_for(&*log, &acknowledged).await?;
    let lost = acknowledged.iter().filter(|n| !counts.contains_key(n)).count();
    let doubled = counts.values().filter(|count| **count > 1).count();
    println!(
        "{} acknowledged, {} sent, {} in the log: {lost} lost, {doubled} doubled; read back after {waited:?}",
        acknowledged.len(),
        next.load(Ordering::Relaxed),
        counts.len(),
    );
    if lost + doubled > 0 {
        bail!("not every acknowledged tap is in the log exactly once");
    }
    Ok(())
}

async fn prepare(server: &Server) -> Result<()> {
    let event = json!({
        "name": "Show", "time_zone": "Europe/Berlin",
        "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2036-01-01T00:00:00Z",
        "live_url": "https://show.example/live",
    });
    server.post("/v1/events/show/schedule", &event).await?;
    for band in 0..BANDS {
        server.post(&format!("/v1/bands/b{band}/register"), &json!({"event_id": "show"})).await?;
    }
    Ok(())
}

/// Taps over one connection until it breaks; answers the numbers of the taps
/// that were acknowledged.
async fn tap(address: String, pause: Duration, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let Ok(mut stream) = TcpStream::connect(&address).await else { return acknowledged };
    let mut due = tokio::time::interval(pause);
    let mut answer = vec![0; 4096];
    while !stop.load(Ordering::Relaxed) {
        due.tick().await;
        let n = next.fetch_add(1, Ordering::Relaxed);
        let request = format!(
            "GET /e?bandId=b{} HTTP/1.1\r\nHost: tap.example\r\nUser-Agent: marker-{n}\r\n\r\n",
            n % BANDS
        );
        if stream.write_all(request.as_bytes()).await.is_err() {
            break;
        }
        // A redirect has no body; its head comes in one piece or more.
        let mut have = 0;
        let whole = loop {
            match stream.read(&mut answer[have..]).await {
                Ok(0) | Err(_) => break false,
                Ok(size) => have += size,
            }
            if answer[..have].ends_with(b"\r\n\r\n") {
                break true;
            }
        };
        if !whole || !answer.starts_with(b"HTTP/1.1 302") {
            break;
        }
        acknowledged.push(n);
    }
    acknowledged
}

/// Reads the log until the acknowledged taps are in it, for a minute at most.
async fn wait_for(log: &dyn EventLog, acknowledged: &[u64]) -> Result<(HashMap<u64, usize>, Duration)> {
    let started = Instant::now();
    let mut counts = HashMap::new();
    let mut through = 0;
    let filter = ReadFilter::types([tap::TAPPED]);
    loop {
        let page = log.read(through, 10_000, &filter).await?;
        for event in &page.events {
            let tap: Tap = registry::decode_payload(event)?;
            let marker = tap.user_agent.as_ref().and_then(|a| a.clear()?.strip_prefix("marker-"));
            *counts.entry(marker.context("a tap without a marker")?.parse()?).or_default() += 1;
        }
        let caught_up = page.through == through;
        through = page.through;
        let all = || acknowledged.iter().all(|n| counts.contains_key(n));
        if caught_up && (started.elapsed() > Duration::from_secs(60) || all()) {
            return Ok((counts, started.elapsed()));
        }
        if caught_up {
            // Bounded, so that the minute is noticed to be over.
            let _ = tokio::time::timeout(Duration::from_secs(1), log.changed(through)).await;
        }
    }
}

async fn open_log(data: &Path, postgres: Option<&str>) -> Result<Arc<dyn EventLog>> {
    let flags = Flags {
        data_dir: Some(data.display().to_string()),
        database_url: postgres.map(str::to_owned),
        ..Flags::default()
    };
    let mut config = Config::load(&flags)?;
    if postgres.is_some() {
        config.privacy.kek = domain::Secret::new(KEK);
    }
    let clock = Arc::new(SystemClock);
    let log = wiring::open_log(&config, clock.clone()).await?;
    Ok(wiring::Privacy::open(&config, clock).await?.over(log.log))
}
