//! `daybook projections`: how far each read model is, and what waits there.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::ports::log::EventLog;
use domain::ports::rows::is_worker;
use domain::ports::rows::{RowStore, Source};
use serde_json::json;

use super::exit;
use super::output::{Output, paint};

#[derive(Args)]
pub struct Projections {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Position, lag, model and dead letters of each projection
    List,
    /// Events that failed, or that wait behind one that did
    DeadLetters {
        projection: String,
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Have the projector try a tenant's dead letters again
    Retry {
        projection: String,
        #[arg(long, default_value = "default")]
        tenant: String,
        /// Only this sequence
        #[arg(long)]
        partition: Option<String>,
    },
}

pub async fn run(
    args: Projections,
    log: Arc<dyn EventLog>,
    rows: Arc<dyn RowStore>,
    out: &mut Output,
) -> Result<u8> {
    match args.what.unwrap_or(What::List) {
        What::List => list(&*log, &*rows, out).await?,
        What::DeadLetters { projection, limit } => dead_letters(&*rows, &projection, limit, out).await?,
        What::Retry { projection, tenant, partition } => {
            let tenant = TenantId::new(&tenant).context("--tenant")?;
            let source = Source::live(&projection);
            let events = rows.request_retry(&source, &tenant, partition.as_deref()).await?;
            out.line(&if out.json {
                json!({"projection": projection, "retried": events}).to_string()
            } else {
                format!("{events} events of {projection} will be tried again")
            })?;
        }
    }
    Ok(exit::OK)
}

async fn list(log: &dyn EventLog, rows: &dyn RowStore, out: &mut Output) -> Result<()> {
    let head = log.head().await?.position;
    if !out.json {
        out.line(&format!(
            "{:<16} {:>3} {:<18} {:<9} {:>12} {:>10} {:>6}",
            "projection", "gen", "model", "status", "position", "lag", "dead"
        ))?;
    }
    for generation in rows.generations().await?.into_iter().filter(|g| !is_worker(&g.id.projection)) {
        let lag = head.saturating_sub(generation.position);
        let status = serde_json::to_value(generation.status)?;
        let status = status.as_str().unwrap_or_default();
        if out.json {
            let object = json!({
                "projection": &*generation.id.projection,
                "generation": generation.id.number,
                "model": generation.model,
                "status": status,
                "position": generation.position,
                "head": head,
                "lag": lag,
                "dead_letters": generation.dead_letters,
            });
            out.line(&object.to_string())?;
            continue;
        }
        let name = paint(out, &format!("{:<16}", generation.id.projection));
        out.line(&format!(
            "{name} {:>3} {:<18} {status:<9} {:>12} {lag:>10} {:>6}",
            generation.id.number,
            generation.model.to_string(),
            generation.position,
            generation.dead_letters
        ))?;
    }
    Ok(())
}

async fn dead_letters(rows: &dyn RowStore, projection: &str, limit: usize, out: &mut Output) -> Result<()> {
    for parked in rows.dead_letters(&Source::live(projection), None, 0, limit).await? {
        if out.json {
            let mut object = serde_json::to_value(&parked.letter)?;
            object["attempts"] = parked.attempts.into();
            object["retry_requested"] = parked.retry_requested.into();
            out.line(&object.to_string())?;
            continue;
        }
        let letter = &parked.letter;
        let reason = letter.error.as_deref().unwrap_or("waits behind an earlier one");
        out.line(&format!(
            "{:>9}  {}  {}  {}  {reason}",
            letter.position, letter.tenant, letter.partition, letter.event_type
        ))?;
    }
    Ok(())
}
