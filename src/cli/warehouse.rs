//! `daybook warehouse`: signals as Parquet files for engines.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::ports::log::EventLog;
use infra_runtime::{Config, SystemClock};
use infra_warehouse::ddl::{self, Engine};
use serde_json::json;

use super::exit;
use super::output::{Output, paint};
use crate::wiring;

#[derive(Args)]
pub struct WarehouseArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write every signal that no file has yet
    Run,
    /// How far signals are written, in how many files of which size
    Status,
    /// Merge small files, and delete what was merged long ago
    Compact,
    /// Print the statements that show a tenant's signals to an engine
    Ddl(Ddl),
}

#[derive(Args)]
struct Ddl {
    #[command(flatten)]
    engine: EngineFlag,
    /// [default: hub.default_tenant]
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct EngineFlag {
    #[arg(long)]
    duckdb: bool,
    /// With the Hive connector
    #[arg(long)]
    trino: bool,
    #[arg(long)]
    spark: bool,
}

impl WarehouseArgs {
    /// Whether the log is needed.
    pub fn reads_the_log(&self) -> bool {
        !matches!(self.what, What::Ddl(_))
    }
}

/// What needs no log.
pub fn statements(args: &WarehouseArgs, config: &Config, out: &mut Output) -> Result<u8> {
    let What::Ddl(Ddl { engine, tenant }) = &args.what else { return Ok(exit::USAGE) };
    let tenant = match tenant {
        Some(tenant) => TenantId::new(tenant).context("--tenant")?,
        None => config.hub.default_tenant.clone(),
    };
    let engine = match engine {
        EngineFlag { duckdb: true, .. } => Engine::Duckdb,
        EngineFlag { trino: true, .. } => Engine::Trino,
        EngineFlag { .. } => Engine::Spark,
    };
    let store = wiring::open_warehouse(config)?;
    let text = ddl::statements(engine, store.name(), tenant.as_str());
    out.line(&if out.json { json!({"statements": text}).to_string() } else { text.trim_end().to_owned() })?;
    Ok(exit::OK)
}

pub async fn run(
    args: WarehouseArgs,
    config: &Config,
    log: Arc<dyn EventLog>,
    out: &mut Output,
) -> Result<u8> {
    match args.what {
        What::Ddl(_) => statements(&args, config, out),
        What::Run => write(config, log, out).await,
        What::Compact => compact(config, log, out).await,
        What::Status => status(config, &*log, out).await,
    }
}

async fn write(config: &Config, log: Arc<dyn EventLog>, out: &mut Output) -> Result<u8> {
    let warehouse = wiring::warehouse(config, log, Arc::new(SystemClock))?;
    let (mut signals, mut files) = (0, 0);
    while let Some(flushed) = warehouse.flush(true).await? {
        signals += flushed.signals;
        files += flushed.files;
    }
    out.line(&if out.json {
        json!({"signals": signals, "files": files}).to_string()
    } else {
        format!("wrote {signals} signals into {files} files")
    })?;
    Ok(exit::OK)
}

async fn compact(config: &Config, log: Arc<dyn EventLog>, out: &mut Output) -> Result<u8> {
    let warehouse = wiring::warehouse(config, log, Arc::new(SystemClock))?;
    let mut merges = 0;
    while warehouse.compact().await?.is_some() {
        merges += 1;
    }
    let deleted = warehouse.sweep().await?;
    out.line(&if out.json {
        json!({"merges": merges, "deleted": deleted}).to_string()
    } else {
        format!("merged {merges} times, deleted {deleted} files")
    })?;
    Ok(exit::OK)
}

async fn status(config: &Config, log: &dyn EventLog, out: &mut Output) -> Result<u8> {
    let store = wiring::open_warehouse(config)?;
    let head = log.head().await?.position;
    let manifest = store.manifest().await?;
    let manifest = manifest.as_ref();
    let (through, files) = (manifest.map_or(0, |m| m.through), manifest.map_or(0, |m| m.files.len()));
    let (signals, bytes) = manifest.map_or((0, 0), |m| (m.rows(), m.bytes()));
    let retired = manifest.map_or(0, |m| m.retired.len());
    out.line(&if out.json {
        json!({
            "warehouse": store.name(),
            "manifest": manifest.map(|m| m.number),
            "through": through,
            "head": head,
            "signals": signals,
            "files": files,
            "bytes": bytes,
            "retired": retired,
            "tenants": manifest.map_or_else(Vec::new, |m| m.tenants()),
        })
        .to_string()
    } else {
        format!(
            "{}\nwritten through {through}, the log ends at {head}\n\
             {signals} signals in {files} files, {bytes} bytes; {retired} files were merged and wait to be deleted",
            paint(out, store.name()),
        )
    })?;
    Ok(exit::OK)
}
