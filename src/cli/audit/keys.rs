//! Keys that sign the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Subcommand;
use domain::TenantId;
use domain::audit_trail::{KEY_ADDED, KEY_RETIRED, LogKey};
use domain::ports::log::{EventLog, ReadFilter};
use domain::registry::decode_payload;
use infra_runtime::{Config, RandomIds, SystemClock};
use proofs::SigningKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::exit;
use crate::cli::output::Output;
use crate::wiring::audit::make_key;
use crate::wiring::{self, log_keys};

const PAGE: usize = 1_000;

#[derive(Subcommand)]
pub enum Keys {
    /// Make a key in a new file and print its public part
    Generate {
        /// Name of the key, which is the log's origin: a host and path of yours, without scheme
        name: String,
        /// The new file, which only its owner can read
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the public part of a key
    Show { file: PathBuf },
    /// The keys that servers sign with, as the log tells
    List,
    /// Record that a key signs no more; take it out of the configuration before
    Retire {
        /// File with the public key
        file: PathBuf,
    },
}

pub async fn run(args: Keys, config: &Config, out: &mut Output) -> Result<u8> {
    let key = match args {
        Keys::List => return list(config, out).await,
        Keys::Retire { file } => return retire(&file, config, out).await,
        Keys::Generate { name, out } => make_key(&name, &out)?,
        Keys::Show { file } => {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let parsed = SigningKey::parse(&Zeroizing::new(text));
            parsed.with_context(|| format!("the key in {}", file.display()))?
        }
    };
    let public = key.public().to_string();
    out.line(&if out.json {
        json!({"name": key.public().name(), "key": public}).to_string()
    } else {
        public
    })?;
    Ok(exit::OK)
}

async fn list(config: &Config, out: &mut Output) -> Result<u8> {
    let opened = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let told = tell(&*opened.log, out).await;
    opened.close().await;
    told.map(|()| exit::OK)
}

async fn tell(log: &dyn EventLog, out: &mut Output) -> Result<()> {
    let filter =
        ReadFilter { tenant: Some(TenantId::system()), ..ReadFilter::types([KEY_ADDED, KEY_RETIRED]) };
    let mut after = 0;
    loop {
        let page = log.read(after, PAGE, &filter).await?;
        for event in &page.events {
            let LogKey { name, key } = decode_payload(event)?;
            let (position, at) = (event.position, event.recorded_at);
            let retired = *event.event_type == *KEY_RETIRED;
            out.line(&match out.json {
                true => json!({"position": position, "recorded_at": at, "name": name, "key": key,
                    "retired": retired, "actor": &*event.metadata.actor})
                .to_string(),
                false => {
                    format!("{position:>9}  {at}  {}  {key}", if retired { "retired" } else { "added  " })
                }
            })?;
        }
        if page.through <= after {
            return Ok(());
        }
        after = page.through;
    }
}

async fn retire(file: &Path, config: &Config, out: &mut Output) -> Result<u8> {
    let key = super::public_key(file)?;
    let opened = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let position = log_keys::retired(&*opened.log, &RandomIds, crate::cli::actor(), &key).await;
    opened.close().await;
    let Some(position) = position? else {
        eprintln!("daybook: no server has signed with {key}");
        return Ok(exit::NOT_FOUND);
    };
    out.line(&match out.json {
        true => json!({"key": key.to_string(), "position": position}).to_string(),
        false => format!("{key} is retired, as position {position} tells"),
    })?;
    Ok(exit::OK)
}
