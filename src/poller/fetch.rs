//! One address of the feeds, asked with conditions: a body that is known is not
//! sent again, and one that came is kept by its hash.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use reqwest_tls::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RETRY_AFTER,
};
use reqwest_tls::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most bytes of a body, also unpacked.
const MAX_BYTES: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 4;
/// Longest that a server's wish to wait is followed within one round.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// What is known of addresses.
const STATE: &str = "state.json";

/// What is known of one address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// Of the body.
    sha256: String,
}

pub struct Fetcher {
    client: Client,
    base: Url,
    folder: PathBuf,
    known: BTreeMap<String, Known>,
    /// Before the second attempt; doubled for each one after.
    pause: Duration,
}

/// A body with what the server says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub sha256: String,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// What came of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Another body than last time.
    New(Body),
    Same,
    /// There is nothing at this address.
    Nothing,
}

impl Fetcher {
    pub fn new(base: &str, folder: &Path, pause: Duration) -> Result<Self> {
        let mut base: Url = base.parse().context("poller.url")?;
        if !matches!(base.scheme(), "http" | "https") {
            bail!("poller.url must be http or https");
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let known = match std::fs::read(folder.join(STATE)) {
            // A state that does not read costs one round of whole bodies.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(_) => BTreeMap::new(),
        };
        let client = Client::builder().timeout(TIMEOUT).build().context("the HTTP client")?;
        Ok(Self { client, base, folder: folder.to_owned(), known, pause })
    }

    /// Asks, and again after a while where the server has no answer yet.
    pub async fn get(&self, path: &str) -> Result<Fetched> {
        let mut pause = self.pause;
        for attempt in 1.. {
            let error = match self.ask(path).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let Some(retry) = error.downcast_ref::<Busy>().filter(|_| attempt < ATTEMPTS) else {
                return Err(error);
            };
            let wished = retry.after.unwrap_or(pause).min(MAX_PAUSE);
            tracing::debug!(path, attempt, %error, "poller: asked again later");
            tokio::time::sleep(wished).await;
            pause *= 2;
        }
        bail!("{path}: no answer")
    }

    async fn ask(&self, path: &str) -> Result<Fetched> {
        let url = self.base.join(path).with_context(|| path.to_owned())?;
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "gzip, identity");
        let known = self.known.get(path);
        if let Some(etag) = known.and_then(|k| k.etag.as_deref()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(since) = known.and_then(|k| k.last_modified.as_deref()) {
            request = request.header(IF_MODIFIED_SINCE, since);
        }
        let mut response = request.send().await.map_err(|_| Busy { status: None, after: None })?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED => return Ok(Fetched::Same),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Fetched::Nothing),
            // A crowd is sent away with 403 as well.
            status if status.is_server_error() => return Err(busy(status, response.headers())),
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                return Err(busy(status, response.headers()));
            }
            status if !status.is_success() => bail!("{path}: status {status}"),
            _ => {}
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| Busy { status: None, after: None })? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                bail!("{path}: more than {MAX_BYTES} bytes");
            }
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
            body = unpacked(&body).with_context(|| path.to_owned())?;
        }
        let sha256 = hex::encode(Sha256::digest(&body));
        if known.is_some_and(|known| known.sha256 == sha256) {
            return Ok(Fetched::Same);
        }
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (etag, last_modified) = (text(ETAG), text(LAST_MODIFIED));
        Ok(Fetched::New(Body { bytes: body, sha256, etag, last_modified }))
    }

    /// Keeps the body.
    pub async fn keep(&self, body: &Body) -> Result<()> {
        let file = self.folder.join(format!("{}.json", body.sha256));
        if !tokio::fs::try_exists(&file).await? {
            let part = self.folder.join(format!("{}.part", body.sha256));
            tokio::fs::write(&part, &body.bytes).await.with_context(|| part.display().to_string())?;
            tokio::fs::rename(&part, &file).await.with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    /// From here on this body of the address is known.
    pub async fn read(&mut self, path: &str, body: Body) -> Result<()> {
        let Body { sha256, etag, last_modified, .. } = body;
        self.known.insert(path.to_owned(), Known { etag, last_modified, sha256 });
        let state = serde_json::to_vec_pretty(&self.known)?;
        let (part, file) = (self.folder.join("state.part"), self.folder.join(STATE));
        tokio::fs::write(&part, state).await.with_context(|| part.display().to_string())?;
        tokio::fs::rename(&part, &file).await.with_context(|| file.display().to_string())
    }
}

/// The server has no answer for now.
#[derive(Debug, thiserror::Error)]
#[error("the server has no answer for now ({})", status.map_or("no connection".to_owned(), |s| s.to_string()))]
pub struct Busy {
    status: Option<StatusCode>,
    after: Option<Duration>,
}

fn busy(status: StatusCode, headers: &HeaderMap) -> anyhow::Error {
    let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
    Busy { status: Some(status), after: seconds.map(Duration::from_secs) }.into()
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(body).take(MAX_BYTES as u64 + 1).read_to_end(&mut plain);
    read.context("its gzip is broken")?;
    if plain.len() > MAX_BYTES {
        bail!("more than {MAX_BYTES} bytes unpacked");
    }
    Ok(plain)
}
