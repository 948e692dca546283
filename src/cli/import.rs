//! `daybook import`: what other systems recorded, as facts of this log.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;

use super::exit;
use super::output::Output;
use super::progress::Bar;
use crate::import::{Format, Importer, Options, Report};

#[derive(Args)]
pub struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Click logs as taps of a show: links become bands, original times
    /// become occurred_at. Importing a file again changes nothing.
    Clicks(Clicks),
}

#[derive(Args)]
struct Clicks {
    #[arg(long, value_parser = PossibleValuesParser::new(["bitly-jsonl", "combined-log", "access-tsv"]))]
    format: String,
    /// Plain or gzip
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long, default_value = "default")]
    tenant: String,
    /// The show that all files belong to; without it each file is its own
    #[arg(long)]
    event: Option<String>,
    /// Name of a show that is new
    #[arg(long)]
    name: Option<String>,
    /// IANA zone of a show that is new
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

pub async fn run(
    args: Import,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    out: &mut Output,
) -> Result<u8> {
    let What::Clicks(clicks) = args.what;
    let format = Format::parse(&clicks.format).context("--format")?;
    let options = Options {
        tenant: TenantId::new(&clicks.tenant).context("--tenant")?,
        format,
        event_id: clicks.event,
        name: clicks.name,
        time_zone: clicks.time_zone,
        actor: super::actor(),
    };
    let importer = Importer { log, clock, ids, options };
    let mut bar = Bar::bytes("importing");
    let report = importer
        .run(&clicks.files, &mut |p| {
            bar.set(p.bytes, p.bytes_total, &format!("{} lines", p.lines));
        })
        .await?;
    bar.finish();
    print(&report, out)?;
    Ok(exit::OK)
}

fn print(report: &Report, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(report)?);
    }
    for file in &report.files {
        let c = &file.counts;
        out.line(&format!("{} → event {}", file.file, file.event_id))?;
        out.line(&format!(
            "  {} lines: {} taps, {} previews, {} duplicates, {} heartbeats, {} other methods, {} blank, {} broken; {} new bands",
            c.lines, c.taps, c.previews, c.duplicates, c.heartbeats, c.other_methods, c.blank, c.broken, c.bands_new
        ))?;
        if !file.broken_lines.is_empty() {
            out.line(&format!("  first broken lines: {:?}", file.broken_lines))?;
        }
    }
    let t = &report.total;
    out.line(&format!(
        "total: {} new taps, {} new previews, {} duplicates; in the log up to position {}",
        t.taps, t.previews, t.duplicates, report.position
    ))
}
