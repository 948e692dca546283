//! `daybook import nascar`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use commands::Services;
use domain::TenantId;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;
use models_fantasy::track::Kind;

use super::exit;
use super::output::Output;
use crate::import::nascar::{Importer, Options};

#[derive(Args)]
pub struct Nascar {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long, default_value = "default")]
    tenant: String,
    /// The feeds' number of the race that lap times are of; else their folder's
    #[arg(long, value_name = "NUMBER")]
    race: Option<String>,
    /// How a track races that is not known: "Moon Raceway=short"
    #[arg(long = "track", value_name = "NAME=KIND")]
    tracks: Vec<String>,
}

pub async fn run(
    args: Nascar,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    out: &mut Output,
) -> Result<u8> {
    let services = Services { log, clock, ids, bulk: Default::default() };
    let options = Options {
        tenant: TenantId::new(&args.tenant).context("--tenant")?,
        actor: super::actor(),
        tracks: args.tracks.iter().map(|text| track(text)).collect::<Result<_>>()?,
    };
    let importer = Importer { services, options };
    for report in importer.run(&args.files, args.race.as_deref()).await? {
        if out.json {
            out.line(&serde_json::to_string(&report)?)?;
            continue;
        }
        out.line(&format!(
            "{} ({}): {} rows, {} races, {} new events, {} corrections, {} rows of no race of the season, {} refused",
            report.file,
            report.form,
            report.rows,
            report.races,
            report.events,
            report.corrections.len(),
            report.without_race,
            report.refused
        ))?;
        for reason in &report.reasons {
            out.line(&format!("  {reason}"))?;
        }
    }
    Ok(exit::OK)
}

/// `Moon Raceway=short`.
pub fn track(text: &str) -> Result<(String, Kind)> {
    let (name, kind) = text.rsplit_once('=').context("--track is written NAME=KIND")?;
    let kinds = || Kind::ALL.map(Kind::as_str).join(", ");
    let kind = Kind::parse(kind).with_context(|| format!("--track: {kind:?} is none of {}", kinds()))?;
    Ok((name.to_owned(), kind))
}
