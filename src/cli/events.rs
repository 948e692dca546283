//! `daybook events`: the log for people at a terminal.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::ports::log::{EventLog, ReadFilter};
use domain::{RecordedEvent, StreamId, TenantId};
use serde_json::{Value, json};

use super::exit;
use super::output::{Output, paint};

const PAGE: usize = 1_000;

#[derive(Args)]
pub struct Events {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The newest events, and those to come with --follow
    Tail {
        /// How many to begin with
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: u64,
        /// Go on until interrupted
        #[arg(short, long)]
        follow: bool,
        /// Only this event type, such as band.tapped; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        #[arg(long)]
        tenant: Option<String>,
    },
    /// One event, with its canonical bytes' hash checked
    Show { position: u64 },
    /// The history of one stream
    Stream {
        /// Such as event/show-1 or band/b1
        #[arg(value_name = "KIND/ID")]
        stream: String,
        #[arg(long, default_value = "default")]
        tenant: String,
    },
}

pub async fn run(args: Events, log: Arc<dyn EventLog>, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Tail { lines, follow, types, tenant } => {
            let tenant = tenant.map(|t| TenantId::new(&t)).transpose().context("--tenant")?;
            let filter = ReadFilter { tenant, ..ReadFilter::types(types.iter().map(String::as_str)) };
            tail(&*log, lines, follow, &filter, out).await
        }
        What::Show { position } => show(&*log, position, out).await,
        What::Stream { stream, tenant } => {
            let tenant = TenantId::new(&tenant).context("--tenant")?;
            let (kind, id) = stream.split_once('/').context("write the stream as KIND/ID")?;
            let stream = StreamId::new(&tenant, kind, id).context("the stream's id")?;
            history(&*log, &stream, out).await
        }
    }
}

async fn tail(
    log: &dyn EventLog,
    lines: u64,
    follow: bool,
    filter: &ReadFilter,
    out: &mut Output,
) -> Result<u8> {
    let head = log.head().await?.position;
    let mut after = head;
    for event in newest(log, head, lines, filter).await? {
        print(&event, out)?;
    }
    if !follow {
        return Ok(exit::OK);
    }
    loop {
        log.changed(after).await?;
        let page = log.read(after, PAGE, filter).await?;
        for event in &page.events {
            print(event, out)?;
        }
        out.flush()?;
        after = page.through;
    }
}

/// Reads backwards in growing steps until there are enough matches.
async fn newest(
    log: &dyn EventLog,
    head: u64,
    lines: u64,
    filter: &ReadFilter,
) -> Result<Vec<RecordedEvent>> {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut found: Vec<RecordedEvent> = Vec::new();
    let (mut end, mut step) = (head, lines.max(100) as u64);
    while end > 0 && found.len() < lines {
        let start = end.saturating_sub(step);
        let mut part = Vec::new();
        let mut after = start;
        while after < end {
            let page = log.read(after, PAGE, filter).await?;
            part.extend(page.events.into_iter().filter(|e| e.position <= end));
            after = page.through.max(after + 1);
        }
        part.append(&mut found);
        found = part;
        end = start;
        step = step.saturating_mul(4);
    }
    let surplus = found.len().saturating_sub(lines);
    Ok(found.split_off(surplus))
}

async fn show(log: &dyn EventLog, position: u64, out: &mut Output) -> Result<u8> {
    let page = match position.checked_sub(1) {
        Some(after) => log.read(after, 1, &ReadFilter::default()).await?,
        None => Default::default(),
    };
    let Some(event) = page.events.first() else {
        eprintln!("there is no position {position}");
        return Ok(exit::NOT_FOUND);
    };
    let intact = event.compute_leaf() == event.leaf;
    let mut value = to_json(event);
    value["leaf_matches"] = intact.into();
    if out.json {
        out.line(&value.to_string())?;
    } else {
        out.line(&serde_json::to_string_pretty(&value)?)?;
    }
    Ok(if intact { exit::OK } else { exit::FAILED })
}

async fn history(log: &dyn EventLog, stream: &StreamId, out: &mut Output) -> Result<u8> {
    let mut version = 1;
    loop {
        let page = log.read_stream(stream, version, PAGE).await?;
        for event in &page {
            print(event, out)?;
        }
        match page.last() {
            None if version == 1 => {
                eprintln!("there is no stream {stream}");
                return Ok(exit::NOT_FOUND);
            }
            None => return Ok(exit::OK),
            Some(last) => version = last.version + 1,
        }
    }
}

pub fn print(event: &RecordedEvent, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&to_json(event).to_string());
    }
    let text = format!(
        "{:>9}  {}  {}  {}/{}@{}  {}",
        event.position,
        event.at(),
        paint(out, &format!("{:<22}", event.event_type)),
        event.stream.kind,
        event.stream.id,
        event.version,
        event.payload,
    );
    out.line(&text)
}

fn to_json(event: &RecordedEvent) -> Value {
    json!({
        "position": event.position,
        "tenant": event.stream.tenant,
        "stream": {"kind": event.stream.kind, "id": event.stream.id},
        "version": event.version,
        "event_id": event.event_id,
        "type": event.event_type,
        "schema": event.schema,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "actor": event.metadata.actor,
        "command_id": event.metadata.command_id,
        "correlation_id": event.metadata.correlation_id,
        "causation_id": event.metadata.causation_id,
        "payload": serde_json::from_str(&event.payload).unwrap_or(Value::String(event.payload.clone())),
        "leaf": hex::encode(event.leaf),
    })
}
