//! `daybook audit`: proofs, and history checked without trusting who keeps it.

mod export;
mod keys;
mod prove;
mod verify;
mod watch;
mod why;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use infra_runtime::Config;
use proofs::{PublicKey, Trust};

pub(in crate::cli) use prove::make as proof_of;

use super::output::Output;

#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Keys that sign the log
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Compute everything again from the events: exit code 0 holds, 4 does not
    Verify(verify::Verify),
    /// Sign the log as it is now and print the checkpoint
    Checkpoint,
    /// Write the proof file of an event
    Prove(prove::Prove),
    /// Check a proof file, offline: exit code 0 holds, 4 does not
    Check(prove::Check),
    /// Look at a log from outside, and make sure that it continues what was seen before: exit code 4 if not
    Watch(watch::Watch),
    /// The events behind a row of a read model, now or then: exit code 4 if they don't make it what it is
    Why(why::Why),
    /// Write events into a file, with a proof of what is in it
    Export(export::Export),
    /// Check an export, offline: exit code 0 holds, 4 does not
    CheckExport(export::CheckExport),
}

pub async fn run(args: Audit, config: &Config, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Keys(args) => keys::run(args, config, out).await,
        What::Verify(args) => verify::run(args, config, out).await,
        What::Checkpoint => prove::checkpoint(config, out).await,
        What::Prove(args) => prove::prove(args, config, out).await,
        What::Check(args) => prove::check(args, out),
        What::Watch(args) => watch::run(args, out).await,
        What::Why(args) => why::run(args, config, out).await,
        What::Export(args) => export::export(args, config, out).await,
        What::CheckExport(args) => export::check(args, out),
    }
}

/// Whose signatures an auditor believes.
#[derive(Args, Clone)]
struct TrustFlags {
    /// File with a public key of the log; may be repeated, one signature is enough
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The log's origin, if it is not the name of the key
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// File with a witness's public key; may be repeated
    #[arg(long = "witness", value_name = "FILE")]
    witnesses: Vec<PathBuf>,
    /// How many witnesses must have signed [default: all that are given]
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
}

impl TrustFlags {
    /// `None` without a key.
    fn trust(&self) -> Result<Option<Trust>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let read = |files: &[PathBuf]| files.iter().map(|f| public_key(f)).collect::<Result<Vec<_>>>();
        let witnesses = read(&self.witnesses)?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        Ok(Some(Trust { keys: read(&self.keys)?, origin: self.origin.clone(), witnesses, quorum }))
    }

    fn required(&self) -> Result<Trust> {
        self.trust()?.context("--key is needed: whose signature is to be believed")
    }
}

fn public_key(file: &Path) -> Result<PublicKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    PublicKey::parse(text.trim_end()).with_context(|| format!("the key in {}", file.display()))
}
