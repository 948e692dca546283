//! `daybook audit watch`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use proofs::Checkpoint;
use serde_json::json;
use workers::file;

use super::TrustFlags;
use crate::audit::watch::{Look, Remote, Seen};
use crate::cli::exit;
use crate::cli::output::Output;

#[derive(Args)]
pub struct Watch {
    /// Where the log publishes: https://host/log
    url: String,
    #[command(flatten)]
    trust: TrustFlags,
    /// Remembers the last checkpoint seen; a note that contradicts it is kept
    /// beside it, as <FILE>.contradiction
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Look once and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// End with exit code 1 after so many looks in a row that failed
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,
}

pub async fn run(args: Watch, out: &mut Output) -> Result<u8> {
    let (trust, remote) = (args.trust.required()?, Remote::new(&args.url)?);
    let mut before = remembered(&args.state)?;
    let mut failed = 0;
    loop {
        match remote.look(&trust, before.as_ref()).await {
            Ok(Look { note, seen: Seen::Contradicts(reason) }) => {
                contradicted(&args.state, &note, &reason, out)?;
                return Ok(exit::DISAGREES);
            }
            Ok(Look { note, seen: Seen::Continues { checkpoint, before: was } }) => {
                let written = file::replace(&args.state, &note);
                written.with_context(|| format!("writing {}", args.state.display()))?;
                out.line(&match out.json {
                    true => json!({"holds": true, "size": checkpoint.size, "before": was,
                        "root": hex::encode(checkpoint.root)})
                    .to_string(),
                    false => format!("holds: {} events, a continuation of {was}", checkpoint.size),
                })?;
                (before, failed) = (Some(checkpoint), 0);
            }
            Err(error) if args.once => return Err(error),
            Err(error) => {
                failed += 1;
                if failed >= args.patience {
                    let given_up = format!("nothing could be said of the log {failed} times in a row");
                    return Err(error.context(given_up));
                }
                eprintln!("daybook: {error:#}");
            }
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
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// What was found is told even where its evidence cannot be kept.
fn contradicted(state: &Path, note: &[u8], reason: &str, out: &mut Output) -> Result<()> {
    let kept = keep(state, note).map_err(|error| format!("{error:#}"));
    out.line(&match (out.json, &kept) {
        (true, Ok(kept)) => {
            json!({"holds": false, "reason": reason, "kept": kept.display().to_string()}).to_string()
        }
        (true, Err(error)) => json!({"holds": false, "reason": reason, "not_kept": error}).to_string(),
        (false, Ok(kept)) => format!(
            "DOES NOT HOLD: {reason}\nwhat the log shows is kept in {}; what was seen before is in {}",
            kept.display(),
            state.display()
        ),
        (false, Err(error)) => {
            format!("DOES NOT HOLD: {reason}\nwhat the log shows could not be kept: {error}")
        }
    })
}

/// Beside the state, under a number if there is evidence already.
fn keep(state: &Path, note: &[u8]) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let mut name = state.as_os_str().to_owned();
        name.push(".contradiction");
        if number > 1 {
            name.push(format!(".{number}"));
        }
        let path = PathBuf::from(name);
        match file::create(&path, note) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if std::fs::read(&path).is_ok_and(|held| held == note) {
                    return Ok(path);
                }
                number += 1;
            }
            Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
        }
    }
}
