//! `daybook privacy keys`: what wraps keys of personal data, and copies of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use domain::ports::erasure::ErasedList;
use domain::ports::keys::{KeyId, KeyKeeping, StoredKey, StoredState};
use domain::{Subject, TenantId};
use infra_runtime::{Config, SystemClock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli::exit;
use crate::cli::output::Output;
use crate::wiring::{self, Privacy};

/// Keys in one step.
const STEP: usize = 1_000;

#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    what: OfKeys,
}

#[derive(Subcommand)]
enum OfKeys {
    /// Make a key-encryption key in a new file
    Generate { file: PathBuf },
    /// How many keys there are, and what wraps them
    Status,
    /// Wrap all keys by the newest key-encryption key
    Rotate,
    /// Write all keys into a file, wrapped as they are stored
    Export { file: PathBuf },
    /// Add the keys of such a file; none that was destroyed comes back
    Import { file: PathBuf },
}

pub async fn run(Keys { what }: Keys, config: &Config, out: &mut Output) -> Result<u8> {
    if let OfKeys::Generate { file } = &what {
        let kek = wiring::new_kek(file)?;
        say(out, &serde_json::json!({"kek": kek}), &format!("{kek} is in {}", file.display()))?;
        return Ok(exit::OK);
    }
    let privacy = Privacy::open(config, Arc::new(SystemClock)).await?;
    let Some(keys) = privacy.keeping else { bail!("no key-encryption key is configured") };
    match what {
        OfKeys::Generate { .. } => {}
        OfKeys::Status => status(&*keys, out).await?,
        OfKeys::Rotate => rotate(&*keys, out).await?,
        OfKeys::Export { file } => export(&*keys, &file, out).await?,
        OfKeys::Import { file } => import(&*keys, &file, &erased(config).await?, out).await?,
    }
    Ok(exit::OK)
}

fn say(out: &mut Output, json: &serde_json::Value, text: &str) -> Result<()> {
    if out.json { out.line(&json.to_string()) } else { out.line(text) }
}

async fn status(keys: &dyn KeyKeeping, out: &mut Output) -> Result<()> {
    let mut destroyed = 0_u64;
    let mut after = None;
    loop {
        let page = keys.page(after, STEP).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        destroyed += page.iter().filter(|k| matches!(k.state, StoredState::Destroyed { .. })).count() as u64;
    }
    let wrapped = keys.wrapped_by().await?;
    if out.json {
        let wrapped: serde_json::Map<_, _> = wrapped.into_iter().map(|(kek, n)| (kek, n.into())).collect();
        return out.line(&serde_json::json!({"wrapped": wrapped, "destroyed": destroyed}).to_string());
    }
    for (kek, count) in wrapped {
        out.line(&format!("{count} keys, wrapped by {kek}"))?;
    }
    out.line(&format!("{destroyed} keys, destroyed"))
}

/// May be killed: each key names what wraps it.
async fn rotate(keys: &dyn KeyKeeping, out: &mut Output) -> Result<()> {
    let mut rotated = 0;
    loop {
        match keys.rewrap(STEP).await? {
            0 => break,
            done => rotated += done,
        }
    }
    say(out, &serde_json::json!({"rotated": rotated}), &format!("{rotated} keys were wrapped anew"))
}

/// A line of an exported file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: KeyId,
    tenant: TenantId,
    subject: Subject,
    made_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kek: Option<String>,
    /// Hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<Timestamp>,
}

impl From<StoredKey> for Line {
    fn from(key: StoredKey) -> Self {
        let StoredKey { id, tenant, subject, made_at, state } = key;
        let (kek, wrapped, destroyed_at) = match state {
            StoredState::Wrapped { kek, bytes } => (Some(kek), Some(hex::encode(bytes)), None),
            StoredState::Destroyed { at } => (None, None, Some(at)),
        };
        Self { id, tenant, subject, made_at, kek, wrapped, destroyed_at }
    }
}

impl TryFrom<Line> for StoredKey {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let Line { id, tenant, subject, made_at, kek, wrapped, destroyed_at } = line;
        let state = match (kek, wrapped, destroyed_at) {
            (Some(kek), Some(wrapped), None) => {
                StoredState::Wrapped { kek, bytes: hex::decode(wrapped).map_err(|_| "wrapped is not hex")? }
            }
            (None, None, Some(at)) => StoredState::Destroyed { at },
            _ => return Err("a key is wrapped by something, or was destroyed"),
        };
        Ok(Self { id, tenant, subject, made_at, state })
    }
}

async fn export(keys: &dyn KeyKeeping, path: &Path, out: &mut Output) -> Result<()> {
    let file = super::owned_by_one(path).with_context(|| format!("making {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let (mut after, mut count) = (None, 0_usize);
    loop {
        let page = keys.page(after, STEP).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        count += page.len();
        for key in page {
            serde_json::to_writer(&mut file, &Line::from(key))?;
            file.write_all(b"\n")?;
        }
    }
    file.into_inner().map_err(|e| e.into_error())?.sync_all()?;
    say(out, &serde_json::json!({"exported": count}), &format!("{count} keys are in {}", path.display()))
}

/// What the archive lists as erased. A copy from before may have it.
async fn erased(config: &Config) -> Result<HashMap<KeyId, Timestamp>> {
    let listed = wiring::open_archive(config)?.all().await;
    let listed = listed.context("reading from the archive which keys were erased")?;
    Ok(listed.into_iter().flat_map(|e| e.keys.into_iter().map(move |key| (key, e.at))).collect())
}

async fn import(
    keys: &dyn KeyKeeping,
    path: &Path,
    erased: &HashMap<KeyId, Timestamp>,
    out: &mut Output,
) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let (mut step, mut changed) = (Vec::with_capacity(STEP), 0);
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let read = || {
            let line: Line = serde_json::from_str(&line?)?;
            let mut key = StoredKey::try_from(line).map_err(anyhow::Error::msg)?;
            if let Some(at) = erased.get(&key.id) {
                key.state = StoredState::Destroyed { at: *at };
            }
            anyhow::Ok(key)
        };
        step.push(read().with_context(|| format!("{}, line {}", path.display(), number + 1))?);
        if step.len() == STEP {
            changed += keys.import(&std::mem::take(&mut step)).await?;
        }
    }
    changed += keys.import(&step).await?;
    say(out, &serde_json::json!({"imported": changed}), &format!("{changed} keys were added or destroyed"))
}
