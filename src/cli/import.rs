//! `daybook import`: what other systems recorded, as facts of this log.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use commands::Services;
use domain::TenantId;
use domain::ids::check_id;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;

use super::exit;
use super::output::Output;
use super::progress::Bar;
use super::published::{Market, fixings, market};
use crate::import::signals::{self, Columns, Form};
use crate::import::{Format, Importer, Options, Report};
use crate::style::{Folder, Submitter, collect};
use crate::valuation::published as files;

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
    /// Stock-car races: timing, results, entry lists and salaries as CSV, and
    /// the series' JSON feeds.
    /// Importing a file again changes nothing; a changed result is a correction
    Nascar(super::nascar::Nascar),
    /// Treasury par yields, as published: a market snapshot for each day
    Treasury(Market),
    /// The ECB's euro reference rates, as published: a market snapshot for each day
    EcbFx(Market),
    /// Curves of several currencies (columns EUR_3M): a market snapshot for each day
    Curves(Market),
    /// Fixings of LIBOR, Fed Funds, ESTR, SOFR and Euribor, as published
    Fixings(Market),
    /// Events as signals of an app. Importing a file again changes nothing
    Signals(Signals),
    /// Texts of a folder or ZIP archive as samples, with who wrote them.
    /// Importing them again changes nothing.
    Texts(Texts),
}

#[derive(Args)]
struct Signals {
    #[arg(long, value_parser = PossibleValuesParser::new(["cloudevents", "github", "segment", "ndjson", "csv"]))]
    format: String,
    /// Plain or gzip
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long, default_value = "default")]
    tenant: String,
    /// The app of events that name none
    #[arg(long)]
    app: Option<String>,
    /// ndjson: the type of lines that are neither CloudEvents nor an app's
    /// events; csv: the type of the points, measurement unless said
    #[arg(id = "signal_type", long = "type")]
    signal_type: Option<String>,
    /// csv: column of the times
    #[arg(long, default_value = "timestamp")]
    time: String,
    /// csv: column of the values
    #[arg(long, default_value = "value")]
    value: String,
    /// csv: IANA zone of times without an offset
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

#[derive(Args)]
struct Texts {
    /// Folder or ZIP archive: plain text, Markdown, HTML, DOCX, PDF
    folder: PathBuf,
    /// CSV with a header: path,author; title, genre, language, licence and written_at may follow
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    #[arg(long, default_value = "default")]
    tenant: String,
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
    let clicks = match args.what {
        What::Clicks(clicks) => clicks,
        What::Nascar(races) => return super::nascar::run(races, log, clock, ids, out).await,
        What::Treasury(args) => return market(args, files::treasury, log, clock, ids, out).await,
        What::EcbFx(args) => return market(args, files::ecb, log, clock, ids, out).await,
        What::Curves(args) => return market(args, files::curves, log, clock, ids, out).await,
        What::Fixings(args) => return fixings(args, log, clock, ids, out).await,
        What::Signals(args) => return signals(args, log, ids, out).await,
        What::Texts(texts) => {
            let services = Services { log, clock, ids, bulk: Default::default() };
            return import_texts(texts, services, out).await;
        }
    };
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

async fn signals(args: Signals, log: Arc<dyn EventLog>, ids: Arc<dyn Ids>, out: &mut Output) -> Result<u8> {
    let form = match args.format.as_str() {
        "cloudevents" => Form::CloudEvents,
        "github" => Form::Github,
        "segment" => Form::Segment,
        "ndjson" => Form::Ndjson(args.signal_type),
        _ => Form::Csv(Columns {
            time: args.time,
            value: args.value,
            zone: domain::time::zone(&args.time_zone).context("--time-zone")?,
            signal_type: args.signal_type.unwrap_or_else(|| "measurement".into()),
        }),
    };
    if let Some(app) = &args.app {
        check_id(app).context("--app")?;
    }
    let options = signals::Options {
        tenant: TenantId::new(&args.tenant).context("--tenant")?,
        app: args.app,
        form,
        actor: super::actor(),
    };
    let reports = signals::Importer { log, ids, options }.run(&args.files).await?;
    for report in &reports {
        if out.json {
            out.line(&serde_json::to_string(report)?)?;
            continue;
        }
        let signals::FileReport { file, lines, accepted, duplicates, rejected, position, .. } = report;
        out.line(&format!(
            "{file}: {lines} lines, {accepted} signals, {duplicates} duplicates, {rejected} rejected; up to position {position}"
        ))?;
        for (line, reason) in &report.first_rejected {
            out.line(&format!("  line {line}: {reason}"))?;
        }
    }
    Ok(exit::OK)
}

/// Labels that fit no file and files that hold no text make the import
/// incomplete: they are named, and the exit code tells.
async fn import_texts(args: Texts, services: Services, out: &mut Output) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let labels = super::style::read_labels(&args.labels)?;
    let folder = Folder::open(&args.folder)?;
    let submitter = Submitter { services, tenant, actor: super::actor() };
    let mut bar = Bar::bytes("importing");
    let collected = collect(&submitter, &folder, &labels, |done, all| {
        bar.set(done as u64, all as u64, "texts");
    })
    .await?;
    bar.finish();
    if out.json {
        out.line(&serde_json::to_string(&collected)?)?;
    } else {
        super::style::tell(&collected);
        out.line(&format!(
            "{} new texts, {} known, {} refused; {} labels without a file, {} files without a label",
            collected.submitted,
            collected.known,
            collected.refused.len(),
            collected.missing.len(),
            collected.unlabelled.len()
        ))?;
    }
    let complete = collected.refused.is_empty() && collected.missing.is_empty();
    Ok(if complete { exit::OK } else { exit::FAILED })
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
