//! A log seen from outside, over HTTP: its checkpoint, and that it continues
//! the one seen before.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use proofs::{Checkpoint, MAX_NOTE_BYTES, NoteError, ProofError, TileError, TilePath, Tiles, Trust};
use reqwest_tls::{Client, Response, StatusCode, redirect};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A tlog behind an address; `…/log` of a Daybook.
pub struct Remote {
    client: Client,
    url: String,
}

/// What a look at the log showed.
pub struct Look {
    /// The note that it shows.
    pub note: Bytes,
    pub seen: Seen,
}

pub enum Seen {
    /// The checkpoint, and the size that was seen before.
    Continues { checkpoint: Checkpoint, before: u64 },
    /// It contradicts what was seen before, or is not signed by who is trusted.
    Contradicts(String),
}

impl Remote {
    pub fn new(url: &str) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build();
        Ok(Self { client: client.context("the HTTP client")?, url: url.trim_end_matches('/').to_owned() })
    }

    async fn note(&self) -> Result<Bytes> {
        let response = self.client.get(format!("{}/checkpoint", self.url)).send().await?;
        if response.status() != StatusCode::OK {
            bail!("{}/checkpoint answers {}", self.url, response.status());
        }
        bounded(response, MAX_NOTE_BYTES).await
    }

    /// Opens the newest checkpoint and proves that it continues `before`. Fails
    /// where nothing can be said.
    pub async fn look(&self, trust: &Trust, before: Option<&Checkpoint>) -> Result<Look> {
        let note = self.note().await?;
        let seen = match Checkpoint::open(&note, trust) {
            Ok(opened) => self.continues(opened.checkpoint, before).await?,
            Err(short @ NoteError::Quorum { .. }) => self.unwitnessed(&note, trust, before, short).await?,
            Err(error) => Seen::Contradicts(error.to_string()),
        };
        Ok(Look { note, seen })
    }

    /// The log's own word counts against it. For it counts only what witnesses
    /// have cosigned, which they may still do.
    async fn unwitnessed(
        &self,
        note: &[u8],
        trust: &Trust,
        before: Option<&Checkpoint>,
        short: NoteError,
    ) -> Result<Seen> {
        let opened = Checkpoint::open(note, &Trust { quorum: 0, ..trust.clone() })?;
        match self.continues(opened.checkpoint, before).await? {
            Seen::Continues { .. } => Err(short.into()),
            contradicts => Ok(contradicts),
        }
    }

    async fn continues(&self, now: Checkpoint, before: Option<&Checkpoint>) -> Result<Seen> {
        let Some(before) = before else { return Ok(Seen::Continues { checkpoint: now, before: 0 }) };
        if now.origin != before.origin {
            bail!("it shows log «{}»; what was seen before is of «{}»", now.origin, before.origin);
        }
        let size = before.size;
        let old_root = match now.size {
            less if less < size => {
                let reason = format!("it was set back: {size} events were seen, it shows {less}");
                return Ok(Seen::Contradicts(reason));
            }
            // Whoever shows two trees of a size has no tiles that explain it.
            same if same == size => Ok(now.root),
            more => proofs::consistency(self, size, more, &now.root).await.map(|proof| proof.old_root),
        };
        match old_root {
            Ok(root) if root == before.root => Ok(Seen::Continues { checkpoint: now, before: size }),
            Ok(_) | Err(ProofError::Foreign) => {
                Ok(Seen::Contradicts(format!("up to position {size} it is not what was seen before")))
            }
            Err(ProofError::Tile(TileError::Missing(path))) => Err(anyhow!(
                "it shows {} events, but {path} is missing, without which nobody can tell that they continue \
                 the {size} seen before",
                now.size
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// No more of a body than is expected.
pub(crate) async fn bounded(mut response: Response, limit: usize) -> Result<Bytes> {
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
                let missing = || TileError::Missing(path);
                let full = self.tile(path.full()).await.map_err(|error| match error {
                    TileError::Missing(_) => missing(),
                    other => other,
                })?;
                (full.len() >= path.bytes()).then(|| full.slice(..path.bytes())).ok_or_else(missing)
            }
            StatusCode::NOT_FOUND => Err(TileError::Missing(path)),
            status => Err(unavailable(&format!("it answers {status}"))),
        }
    }
}
