//! Keys that sign the log.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use proofs::SigningKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::exit;
use crate::cli::output::Output;
use crate::wiring::audit::make_key;

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
}

pub fn run(args: Keys, out: &mut Output) -> Result<u8> {
    let key = match args {
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
