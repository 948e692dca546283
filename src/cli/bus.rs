//! `daybook bus`: what the stream holds, whether it is the log, and a new one
//! if it is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};
use domain::ports::bus::{Bell, Bus, BusError};
use domain::ports::clock::Ids;
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use infra_runtime::{Config, RandomIds};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workers::relay::{self, Relay, RelayConfig, Verdict};

use super::exit;
use super::output::Output;
use crate::{asyncapi, wiring};

/// Newest messages that the status compares.
const LOOKED_AT: u64 = 1_000;
/// A refill that does not move for so long has failed.
const STUCK: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct BusArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// How far the stream is, and how far behind the log; exit code 4 if its newest messages are not the log's
    Status,
    /// Compare every message with its event; exit code 4 if they differ
    Verify {
        /// First position
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Last position; as far as the stream goes without
        #[arg(long, default_value_t = 0)]
        to: u64,
    },
    /// Print what is on the bus as an AsyncAPI 3.0 document
    Asyncapi,
    /// If the stream is not the log's, make it anew and publish everything again; durable consumers go on
    /// where they were
    Refill {
        /// Also if nothing is wrong with it
        #[arg(long)]
        force: bool,
    },
}

impl BusArgs {
    pub fn needs_the_bus(&self) -> bool {
        !matches!(self.what, What::Asyncapi)
    }
}

/// What the bus carries, whether or not there is one.
pub fn asyncapi(config: &Config, out: &mut Output) -> Result<u8> {
    let document = asyncapi::document(env!("CARGO_PKG_VERSION"), &config.nats.subjects, &config.nats.stream);
    let text = if out.json { document.to_string() } else { serde_json::to_string_pretty(&document)? };
    out.line(&text)?;
    Ok(exit::OK)
}

pub async fn run(args: BusArgs, config: &Config, log: Arc<dyn EventLog>, out: &mut Output) -> Result<u8> {
    let Some(bus) = wiring::bus::connect(config)? else {
        return Err(config.invalid("nats.url", "names no bus").into());
    };
    let bus = Arc::new(bus);
    match args.what {
        What::Asyncapi => asyncapi(config, out),
        What::Status => status(&*log, &*bus, &config.nats.stream, out).await,
        What::Verify { from, to } => {
            let verdict = relay::verify(&*log, &*bus, from, to).await?;
            show(&verdict, out)?;
            Ok(if verdict.is_clean() { exit::OK } else { exit::DISAGREES })
        }
        What::Refill { force } => {
            let rows = wiring::open_rows(config).await?.rows;
            refill(log, rows, bus.clone(), bus, force, out).await
        }
    }
}

async fn status(log: &dyn EventLog, bus: &dyn Bus, stream: &str, out: &mut Output) -> Result<u8> {
    let (extent, head) = (bus.extent().await?, log.head().await?.position);
    let lag = head.saturating_sub(extent.last);
    // A wrong message stands where the relay stopped: among the newest.
    let newest = relay::verify(log, bus, extent.last.saturating_sub(LOOKED_AT) + 1, extent.last).await?;
    let wrong = newest.ranges.first();
    out.line(&if out.json {
        json!({"stream": stream, "first": extent.first, "last": extent.last, "messages": extent.entries,
            "bytes": extent.bytes, "head": head, "lag": lag, "wrong": wrong})
        .to_string()
    } else {
        format!(
            "stream {stream}: positions {}..{}, {} messages, {} bytes\nlog: head {head}, the stream is {lag} behind",
            extent.first, extent.last, extent.entries, extent.bytes
        )
    })?;
    if let Some(range) = wrong {
        let line = "position {} of the stream is not the log's: nothing more is published until `daybook bus refill`";
        eprintln!("{}", line.replace("{}", &range.first.to_string()));
        return Ok(exit::DISAGREES);
    }
    Ok(exit::OK)
}

fn show(verdict: &Verdict, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(verdict)?);
    }
    for range in &verdict.ranges {
        let kind = serde_json::to_value(range.kind)?;
        out.line(&format!("{:<9} {}..{}", kind.as_str().unwrap_or_default(), range.first, range.last))?;
    }
    let result = if verdict.is_clean() { "clean".to_owned() } else { format!("{} wrong", verdict.wrong) };
    out.line(&format!(
        "{result}: {} events compared ({}..{}), {} expired, {} not published yet",
        verdict.compared, verdict.first, verdict.last, verdict.expired, verdict.unpublished
    ))
}

/// A stream only grows at its end, so what is wrong inside it can't be put
/// right: a new one takes its place.
async fn refill(
    log: Arc<dyn EventLog>,
    rows: Arc<dyn RowStore>,
    bus: Arc<dyn Bus>,
    bell: Arc<dyn Bell>,
    force: bool,
    out: &mut Output,
) -> Result<u8> {
    let wrong = match relay::verify(&*log, &*bus, 1, 0).await {
        Ok(verdict) => {
            show(&verdict, out)?;
            !verdict.is_clean()
        }
        Err(relay::VerifyError::Bus(BusError::NoStream(_))) => true,
        Err(error) => return Err(error.into()),
    };
    let settings = matches!(bus.open().await, Err(BusError::Settings { .. }));
    let consumers = if wrong || settings || force { bus.replace().await? } else { Vec::new() };
    for consumer in &consumers {
        // Should this break off, these can be made again by hand.
        tracing::info!(
            name = consumer.name,
            acknowledged = consumer.acknowledged,
            config = consumer.config,
            "bus: a consumer waits for the new stream"
        );
    }
    publish(log.clone(), rows, bus.clone(), bell).await?;
    for consumer in &consumers {
        bus.restore(consumer).await?;
    }
    let verdict = relay::verify(&*log, &*bus, 1, 0).await?;
    show(&verdict, out)?;
    Ok(if verdict.is_clean() { exit::OK } else { exit::DISAGREES })
}

/// Until the stream is at the log's present head. A relay that runs elsewhere
/// does it; otherwise one runs here as long as it takes.
async fn publish(
    log: Arc<dyn EventLog>,
    rows: Arc<dyn RowStore>,
    bus: Arc<dyn Bus>,
    bell: Arc<dyn Bell>,
) -> Result<()> {
    let head = log.head().await?.position;
    let stop = CancellationToken::new();
    let config = RelayConfig::new(format!("refill-{}", RandomIds.next()));
    let relay = Relay { log, rows, bus: bus.clone(), bell, config };
    let relaying = tokio::spawn(relay.run(stop.clone()));
    let (mut last, mut moved) = (0, Instant::now());
    let reached = loop {
        let now = bus.extent().await.map_or(last, |e| e.last);
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        if last >= head || moved.elapsed() > STUCK {
            break last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    stop.cancel();
    if let Err(error) = relaying.await {
        bail!("publishing broke off: {error}");
    }
    ensure!(reached >= head, "the stream stays at {reached}, the log is at {head}; see the relay's log");
    Ok(())
}
