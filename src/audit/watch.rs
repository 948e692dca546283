//! A log seen from outside, over HTTP: its checkpoint, and that it continues
//! the one seen before.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use proofs::{Checkpoint, MAX_NOTE_BYTES, ProofError, TileError, TilePath, Tiles, Trust};
use reqwest::{Client, Response, StatusCode, redirect};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A tlog behind an address; `…/log` of a Daybook.
pub struct Remote {
    client: Client,
    url: String,
}

/// What a look at the log showed.
pub enum Seen {
    /// The note, and the size that was seen before.
    Continues { note: String, checkpoint: Checkpoint, before: u64 },
    /// It contradicts what was seen before.
    Contradicts(String),
}

impl Remote {
    pub fn new(url: &str) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build();
        Ok(Self { client: client.context("the HTTP client")?, url: url.trim_end_matches('/').to_owned() })
    }

    pub async fn note(&self) -> Result<String> {
        let response = self.client.get(format!("{}/checkpoint", self.url)).send().await?;
        if !response.status().is_success() {
            bail!("{}/checkpoint answers {}", self.url, response.status());
        }
        let note = bounded(response, MAX_NOTE_BYTES).await?;
        Ok(String::from_utf8(note.to_vec())?)
    }

    /// Opens the newest checkpoint and proves that it continues `before`.
    pub async fn look(&self, trust: &Trust, before: Option<&Checkpoint>) -> Result<Seen> {
        let note = self.note().await?;
        let checkpoint = Checkpoint::open(note.as_bytes(), trust)?.checkpoint;
        let Some(before) = before else { return Ok(Seen::Continues { note, checkpoint, before: 0 }) };
        if checkpoint.size < before.size {
            let (now, then) = (checkpoint.size, before.size);
            return Ok(Seen::Contradicts(format!(
                "it was set back: {then} events were seen, it shows {now}"
            )));
        }
        let size = before.size;
        match proofs::consistency(self, size, checkpoint.size, &checkpoint.root).await {
            Ok(proof) if proof.old_root == before.root => {
                Ok(Seen::Continues { note, checkpoint, before: size })
            }
            Ok(_) | Err(ProofError::Foreign) => {
                Ok(Seen::Contradicts(format!("up to position {size} it is not what was seen before")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// No more of a body than is expected.
async fn bounded(mut response: Response, limit: usize) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            bail!("{} sends more than {limit} bytes", response.url());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[async_trait]
impl Tiles for Remote {
    async fn tile(&self, path: TilePath) -> Result<Bytes, TileError> {
        let unavailable = |error: &dyn std::fmt::Display| TileError::Unavailable(error.to_string());
        let response = self.client.get(format!("{}/{path}", self.url)).send().await;
        let response = response.map_err(|error| unavailable(&error))?;
        match response.status() {
            StatusCode::OK => bounded(response, path.bytes()).await.map_err(|error| unavailable(&error)),
            // A log may drop a partial tile once the full one is there.
            StatusCode::NOT_FOUND if !path.is_full() => {
                let full = self.tile(path.full()).await.map_err(|_| TileError::Missing(path))?;
                let missing = || TileError::Missing(path);
                (full.len() >= path.bytes()).then(|| full.slice(..path.bytes())).ok_or_else(missing)
            }
            StatusCode::NOT_FOUND => Err(TileError::Missing(path)),
            status => Err(unavailable(&format!("it answers {status}"))),
        }
    }
}
