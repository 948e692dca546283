//! `daybook import treasury|ecb-fx|curves|fixings`: market data as published,
//! as facts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use domain::TenantId;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;
use domain::valuation::fixings::{Fixings, Publish};
use domain::valuation::market_snapshot::{MarketSnapshot, Record};

use super::exit;
use super::output::Output;
use crate::valuation::published::{self, Snapshots};
use crate::valuation::{Desk, Invalid, Recorded, priced};

#[derive(Args)]
pub struct Market {
    /// CSV
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long, default_value = "default")]
    tenant: String,
}

fn desk(tenant: &str, log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Desk> {
    let tenant = TenantId::new(tenant).context("--tenant")?;
    let services = commands::Services { log, clock, ids, bulk: Default::default() };
    Ok(Desk { services, tenant, actor: super::actor() })
}

/// Each day a snapshot, known by its content: a file may be imported twice.
pub async fn market(
    args: Market,
    read: fn(&Path) -> Result<Snapshots>,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    out: &mut Output,
) -> Result<u8> {
    let desk = desk(&args.tenant, log, clock, ids)?;
    for file in &args.files {
        let read = read(file).with_context(|| format!("reading {}", file.display()))?;
        let mut commands = Vec::with_capacity(read.contents.len());
        for content in read.contents {
            priced::market(&content)
                .with_context(|| format!("{} of {}", content["as_of_time"], file.display()))?;
            let record = Record::new(content).map_err(|e| Invalid(e.to_string()))?;
            commands.push((record.id(), record));
        }
        let recorded = desk.record::<MarketSnapshot>(commands).await?;
        said(file, "snapshots", &recorded, read.empty, out)?;
    }
    Ok(exit::OK)
}

pub async fn fixings(
    args: Market,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    out: &mut Output,
) -> Result<u8> {
    let desk = desk(&args.tenant, log, clock, ids)?;
    for file in &args.files {
        let series = published::fixings(file).with_context(|| format!("reading {}", file.display()))?;
        for (index, rates) in series {
            let days = rates.len();
            let source = format!("import:{}", file.file_name().unwrap_or_default().to_string_lossy());
            let publish = Publish { source, rates };
            let recorded = desk.record::<Fixings>(vec![(index.clone(), publish)]).await?;
            said(file, &format!("series of {days} days of {index}"), &recorded, 0, out)?;
        }
    }
    Ok(exit::OK)
}

fn said(file: &Path, what: &str, recorded: &Recorded, empty: usize, out: &mut Output) -> Result<()> {
    if let Some((at, reason)) = recorded.rejected().next() {
        return Err(Invalid(format!("{}, {what} {}: {reason}", file.display(), at + 1)).into());
    }
    let (new, same) = (recorded.recorded(), recorded.unchanged());
    out.line(&if out.json {
        let counts = serde_json::json!({"file": file, "what": what, "recorded": new, "unchanged": same, "empty": empty});
        counts.to_string()
    } else {
        format!("{}: {what}: {new} recorded, {same} known, {empty} days without rates", file.display())
    })
}
