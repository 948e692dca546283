//! The log that commands read, and the races folded from it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use commands::Services;
use domain::TenantId;
use domain::ports::log::{EventLog, ReadFilter};
use infra_log::MemoryLog;
use infra_runtime::{RandomIds, SystemClock};
use projections::as_of::position_at;
use projections::races::{EVENT_TYPES, Races};

use super::{At, Source};
use crate::cli::nascar::track;
use crate::import::nascar::{self, Importer};

const PAGE: usize = 1_000;

/// The races of the source; what the importer says goes to standard error.
pub async fn open(source: &Source, log: Option<Arc<dyn EventLog>>) -> Result<Races> {
    let log = match (&source.data, log) {
        (Some(folder), _) => import(source, folder).await?,
        (None, Some(log)) => log,
        (None, None) => bail!("there is no log"),
    };
    let upto = match source.at {
        None => u64::MAX,
        Some(At::Time(time)) => position_at(&*log, time).await?,
        Some(At::Position(position)) => {
            let head = log.head().await?.position;
            if position > head {
                bail!("--at {position} is past the end of the log at {head}");
            }
            position
        }
    };
    fold(&*log, &source.tenant()?, upto).await
}

async fn import(source: &Source, folder: &Path) -> Result<Arc<dyn EventLog>> {
    let clock = Arc::new(SystemClock);
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let services = Services { log, clock, ids: Arc::new(RandomIds), bulk: Default::default() };
    let options = nascar::Options {
        tenant: source.tenant()?,
        actor: crate::cli::actor(),
        tracks: source.tracks.iter().map(|text| track(text)).collect::<Result<_>>()?,
    };
    let (files, other) = nascar::files(folder)?;
    if files.is_empty() {
        bail!("no file in {} has a form that is known", folder.display());
    }
    for file in other {
        eprintln!("{}: not read, its header is of no form that is known", file.display());
    }
    let importer = Importer { services: services.clone(), options };
    for report in importer.run(&files, None).await? {
        eprintln!(
            "{}: {} rows, {} races, {} events, {} corrections, {} refused",
            report.file,
            report.rows,
            report.races,
            report.events,
            report.corrections.len(),
            report.refused
        );
        report.reasons.iter().for_each(|reason| eprintln!("  {reason}"));
    }
    Ok(services.log)
}

/// Folds the tenant's races up to a position.
async fn fold(log: &dyn EventLog, tenant: &TenantId, upto: u64) -> Result<Races> {
    let filter =
        ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(EVENT_TYPES.iter().copied()) };
    let mut races = Races::default();
    let mut after = 0;
    loop {
        let page = log.read(after, PAGE, &filter).await?;
        for event in page.events.iter().filter(|event| event.position <= upto) {
            races.apply(event)?;
        }
        if page.through <= after || page.through >= upto {
            return Ok(races);
        }
        after = page.through;
    }
}
