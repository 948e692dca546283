//! `daybook audit watch`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use proofs::Checkpoint;
use serde_json::json;

use super::TrustFlags;
use crate::audit::watch::{Remote, Seen};
use crate::cli::exit;
use crate::cli::output::Output;

#[derive(Args)]
pub struct Watch {
    /// Where the log publishes: https://host/log
    url: String,
    #[command(flatten)]
    trust: TrustFlags,
    /// Remembers the last checkpoint seen
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Look once and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

pub async fn run(args: Watch, out: &mut Output) -> Result<u8> {
    let (trust, remote) = (args.trust.required()?, Remote::new(&args.url)?);
    let mut before = remembered(&args.state)?;
    loop {
        match remote.look(&trust, before.as_ref()).await {
            Ok(Seen::Contradicts(reason)) => {
                out.line(&match out.json {
                    true => json!({"holds": false, "reason": reason}).to_string(),
                    false => format!("DOES NOT HOLD: {reason}"),
                })?;
                return Ok(exit::DISAGREES);
            }
            Ok(Seen::Continues { note, checkpoint, before: was }) => {
                remember(&args.state, &note)?;
                out.line(&match out.json {
                    true => json!({"holds": true, "size": checkpoint.size, "before": was,
                        "root": hex::encode(checkpoint.root)})
                    .to_string(),
                    false => format!("holds: {} events, a continuation of {was}", checkpoint.size),
                })?;
                before = Some(checkpoint);
            }
            Err(error) if args.once => return Err(error),
            Err(error) => eprintln!("daybook: {error:#}"),
        }
        if args.once {
            return Ok(exit::OK);
        }
        out.flush()?;
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
}

fn remembered(file: &Path) -> Result<Option<Checkpoint>> {
    match std::fs::read(file) {
        Ok(note) => {
            let read = Checkpoint::peek(&note).with_context(|| format!("the state in {}", file.display()))?;
            Ok(Some(read))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn remember(file: &Path, note: &str) -> Result<()> {
    let new = file.with_extension("new");
    let written = std::fs::write(&new, note).and_then(|()| std::fs::rename(&new, file));
    written.with_context(|| format!("writing {}", file.display()))
}
