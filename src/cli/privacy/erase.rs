//! `daybook privacy erase`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::ports::erasure::Emptied;
use domain::subject::{Certificate, Command};
use infra_runtime::Config;
use privacy::Following;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Of, decided, status_of};
use crate::cli::audit::proof_of;
use crate::cli::output::Output;
use crate::cli::reach::{Direct, Reach};
use crate::cli::replay::with_runner;
use crate::wiring;

const LOOK: Duration = Duration::from_millis(200);
/// Failures in a row before it is left to a server.
const ATTEMPTS: u32 = 5;

pub async fn erase(reach: &Reach, of: &Of, reason: String, config: &Config, out: &mut Output) -> Result<()> {
    let keys = match reach {
        Reach::Direct(direct) => direct.privacy.keys.of(&of.tenant(config), &of.subject).await?,
        Reach::Server(_) => Vec::new(),
    };
    let keys = keys.into_iter().filter(|key| key.destroyed_at.is_none()).map(|key| key.id).collect();
    let command = Command::Erase { subject: of.subject.clone(), reason: reason.clone(), keys };
    decided(reach, of, config, "erase", &reason, command).await?;
    let proof = match reach {
        Reach::Direct(direct) => {
            finish(direct, config).await?;
            let certificate = certificate(reach, of, config).await?;
            // Who signs nothing has none.
            proof_of(certificate.erased.position, config, direct.log()).await.ok().flatten()
        }
        Reach::Server(_) => {
            while status_of(reach, of, config).await?.erasing.is_some() {
                tokio::time::sleep(LOOK).await;
            }
            None
        }
    };
    print(&certificate(reach, of, config).await?, proof.as_deref(), out)
}

async fn certificate(reach: &Reach, of: &Of, config: &Config) -> Result<Certificate> {
    let status = status_of(reach, of, config).await?;
    status.certificates.into_iter().last().context("it was not erased")
}

/// Ends what is under way, here: a server does the same, and neither harms the
/// other.
async fn finish(direct: &Direct, config: &Config) -> Result<()> {
    let (stop, journal) = (CancellationToken::new(), journal(direct, config)?);
    let (draining, journals) = match journal {
        Some((drainer, journals)) => (Some(tokio::spawn(drainer.run(stop.clone()))), Some(journals)),
        None => (None, None),
    };
    let eraser = wiring::eraser(config, direct.log(), &direct.privacy, &direct.engine, journals)?;
    let work = async {
        let mut failed = 0;
        loop {
            match eraser.erase(&mut Following::default()).await {
                Ok(_) => return Ok(()),
                Err(error) if failed == ATTEMPTS => {
                    bail!("{error}; a server goes on with it, or the next erase")
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("daybook: {error}; trying again");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    };
    let done = with_runner(direct, None, work).await;
    stop.cancel();
    if let Some(draining) = draining {
        draining.await?;
    }
    done
}

/// The journal that lies here, and who empties it. A server that has it open
/// empties it itself.
fn journal(direct: &Direct, config: &Config) -> Result<Option<(workers::Drainer, Arc<dyn Emptied>)>> {
    let directory = &config.hub.journal_dir;
    if !directory.exists() {
        return Ok(None);
    }
    let journal = match wiring::open_journal(config) {
        Ok(journal) => journal,
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("opening the journal {}", directory.display()));
        }
    };
    let engine = &direct.engine;
    let (log, clock, ids) = (engine.log.clone(), engine.clock.clone(), engine.ids.clone());
    let pace = workers::DrainerConfig::default();
    let drainer = workers::Drainer::new(journal.clone(), log, clock, ids, pace);
    Ok(Some((drainer, Arc::new(wiring::Journal(journal)))))
}

pub fn print(certificate: &Certificate, proof: Option<&str>, out: &mut Output) -> Result<()> {
    if out.json {
        let mut all = serde_json::to_value(certificate)?;
        all["certificate"] = "daybook-erasure/1".into();
        all["proof"] = json!(proof);
        return out.line(&all.to_string());
    }
    let Certificate { tenant, subject, reason, asked, erased, keys, .. } = certificate;
    out.line(&format!("{subject} of {tenant} was erased: {reason}"))?;
    out.line(&format!("  asked  at position {}, {}, by {}", asked.position, asked.at, asked.by))?;
    out.line(&format!("  erased at position {}, {}, by {}", erased.position, erased.at, erased.by))?;
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    out.line(&format!("  keys   {}", keys.join(", ")))?;
    let between = match (certificate.first, certificate.last) {
        (Some(first), Some(last)) => format!(" at the positions {first} to {last}"),
        _ => String::new(),
    };
    out.line(&format!("  facts  {}{between}", certificate.facts))?;
    if certificate.clear > 0 {
        out.line(&format!("  STAYS  {} facts that were recorded in clear", certificate.clear))?;
    }
    for rows in &certificate.rebuilt {
        out.line(&format!(
            "  rows   {}#{}, {} rows at position {}, checksum {}",
            rows.projection, rows.generation, rows.rows, rows.position, rows.checksum
        ))?;
    }
    if let Some(proof) = proof {
        out.line(&format!("\n{}", proof.trim_end()))?;
    }
    Ok(())
}
