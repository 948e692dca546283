//! `daybook audit`: proofs, and history checked without trusting who keeps it.

mod export;
mod history;
mod keys;
mod prove;
mod verify;
mod watch;
mod why;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
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

/// Which events.
#[derive(Args, Clone)]
struct Filter {
    /// Who caused them: key:<id>, cli:<user>, worker:<name> or hub
    #[arg(long)]
    actor: Option<String>,
    /// Only this event type, such as api_key.issued; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Recorded at this RFC 3339 time or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Recorded before this RFC 3339 time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Past this position
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Up to this position
    #[arg(long, value_name = "POSITION")]
    upto: Option<u64>,
}

impl Filter {
    /// As the routes take them.
    fn types(&self) -> Option<String> {
        (!self.types.is_empty()).then(|| self.types.join(","))
    }
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
    /// The history of a stream, with the state after each version
    History(history::History),
    /// What differs between two versions of a stream
    Diff(history::Diff),
    /// Events by who, what, when and in what context
    Events(history::Events),
    /// What caused what: commands, their events, and the commands that react to these
    Trace(history::Trace),
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
        What::History(args) => history::history(args, config, out).await,
        What::Diff(args) => history::diff(args, config, out).await,
        What::Events(args) => history::events(args, config, out).await,
        What::Trace(args) => history::trace(args, config, out).await,
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
    /// Public key of a witness, or a file with it; may be repeated
    #[arg(long = "witness", value_name = "KEY|FILE")]
    witnesses: Vec<String>,
    /// How many witnesses must have cosigned a checkpoint for it to count [default: all that are given]
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
}

impl TrustFlags {
    /// `None` without a key.
    fn trust(&self) -> Result<Option<Trust>> {
        if self.keys.is_empty() {
            if !self.witnesses.is_empty() || self.quorum.is_some() {
                bail!("--witness and --quorum need --key: witnesses cosign what a log has signed");
            }
            return Ok(None);
        }
        let keys = self.keys.iter().map(|file| public_key(file)).collect::<Result<Vec<_>>>()?;
        let witnesses = self.witnesses.iter().map(|given| witness(given)).collect::<Result<Vec<_>>>()?;
        let distinct: BTreeSet<_> = witnesses.iter().map(PublicKey::bytes).collect();
        let quorum = self.quorum.unwrap_or(distinct.len());
        if quorum > distinct.len() {
            bail!("--quorum {quorum} asks for more than the {} witnesses that are given", distinct.len());
        }
        Ok(Some(Trust { keys, origin: self.origin.clone(), witnesses, quorum }))
    }

    fn required(&self) -> Result<Trust> {
        self.trust()?.context("--key is needed: whose signature is to be believed")
    }
}

/// A key, or the file that holds it.
fn witness(given: &str) -> Result<PublicKey> {
    let key = PublicKey::parse(given).or_else(|error| {
        let neither = || format!("{given} is neither a key ({error}) nor a file that holds one");
        public_key(Path::new(given)).with_context(neither)
    })?;
    if !key.is_witness() {
        bail!("{key} is a log's key, not a witness's");
    }
    Ok(key)
}

fn public_key(file: &Path) -> Result<PublicKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    PublicKey::parse(text.trim_end()).with_context(|| format!("the key in {}", file.display()))
}
