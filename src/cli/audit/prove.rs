//! Proof files: made from the log, checked without it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use domain::ports::log::ReadFilter;
use domain::ports::tree::{self, SignedCheckpoint};
use infra_runtime::{Config, SystemClock};
use proofs::{LogTiles, ProofFile};
use serde_json::json;

use super::TrustFlags;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::wiring::{self, OpenLog, audit, witnesses};

#[derive(Args)]
pub struct Prove {
    position: u64,
    /// Write to this file instead of the terminal
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub struct Check {
    /// The proof file
    proof: PathBuf,
    #[command(flatten)]
    trust: TrustFlags,
    /// The event's canonical bytes, if the proof has none, or to be sure which event it is
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
}

pub async fn checkpoint(config: &Config, out: &mut Output) -> Result<u8> {
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let signed = sign(config, &log).await;
    log.close().await;
    let Some(signed) = signed? else { bail!("the log is empty") };
    out.line(&if out.json {
        json!({"origin": signed.origin, "size": signed.size, "root": hex::encode(signed.root),
            "note": signed.note})
        .to_string()
    } else {
        signed.note.trim_end().to_owned()
    })?;
    Ok(exit::OK)
}

/// The log as it is now, signed with the keys of the configuration.
async fn sign(config: &Config, log: &OpenLog) -> Result<Option<SignedCheckpoint>> {
    let keys = audit::signing_keys(config)?;
    let Some(signer) = audit::signer(config, log, keys, Arc::new(SystemClock))? else {
        return Err(config.invalid("audit.signing_keys", "names no key to sign with").into());
    };
    match signer.sign().await? {
        Some(signed) => Ok(Some(witnesses::ask(config, &signer, &*log.tree, signed).await?)),
        None => Ok(None),
    }
}

pub async fn prove(args: Prove, config: &Config, out: &mut Output) -> Result<u8> {
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let made = make(args.position, config, &log).await;
    log.close().await;
    let Some(file) = made? else {
        eprintln!("daybook: the log has no event at position {}", args.position);
        return Ok(exit::NOT_FOUND);
    };
    match &args.out {
        Some(path) => std::fs::write(path, file).with_context(|| format!("writing {}", path.display()))?,
        None => out.line(file.trim_end())?,
    }
    Ok(exit::OK)
}

/// `None` if there is no such event.
pub async fn make(position: u64, config: &Config, log: &OpenLog) -> Result<Option<String>> {
    let Some(index) = position.checked_sub(1) else { return Ok(None) };
    let events = wiring::history(config, log.log.clone())?;
    let page = events.read(index, 1, &ReadFilter::default()).await?;
    let Some(event) = page.events.into_iter().find(|event| event.position == position) else {
        return Ok(None);
    };
    let origin = audit::origin(config, &audit::present_keys(config)?);
    let shown = witnesses::shown(config, &log.tree)?;
    let kept = match &origin {
        Some(origin) => tree::covering(&*shown, origin, position).await?,
        None => None,
    };
    let checkpoint = match kept {
        Some(kept) => kept,
        None => {
            let signed = sign(config, log).await?.context("the log is empty")?;
            let covering = tree::covering(&*shown, &signed.origin, position).await?;
            covering.context("too few witnesses have cosigned a checkpoint that covers the event")?
        }
    };
    let tiles = LogTiles::new(log.tree.clone());
    Ok(Some(ProofFile::of(&event, checkpoint, &tiles).await?.to_text()))
}

pub fn check(args: Check, out: &mut Output) -> Result<u8> {
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let (trust, proof) = (args.trust.required()?, read(&args.proof)?);
    let event = args.event.as_ref().map(read).transpose()?;
    let checked = ProofFile::parse(&proof).and_then(|proof| proof.check(&trust, event.as_deref()));
    match checked {
        Ok(verified) => {
            let checkpoint = &verified.opened.checkpoint;
            let (cosigned, position) = (verified.opened.cosigned.len(), verified.position);
            out.line(&if out.json {
                json!({"holds": true, "position": position, "origin": checkpoint.origin,
                    "size": checkpoint.size, "root": hex::encode(checkpoint.root),
                    "entry": hex::encode(verified.entry), "witnesses": cosigned,
                    "event": String::from_utf8_lossy(&verified.canonical_bytes)})
                .to_string()
            } else {
                format!(
                    "holds: this event stands at position {position} of {}, which {} has signed up to {} \
                     ({cosigned} witnesses)\n\n{}",
                    checkpoint.origin,
                    verified.opened.signed[0].name(),
                    checkpoint.size,
                    String::from_utf8_lossy(&verified.canonical_bytes)
                )
            })?;
            Ok(exit::OK)
        }
        Err(error) => {
            out.line(&if out.json {
                json!({"holds": false, "reason": error.to_string()}).to_string()
            } else {
                format!("DOES NOT HOLD: {error}")
            })?;
            Ok(exit::DISAGREES)
        }
    }
}
