//! Who cosigns the log's checkpoints, and how they are asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use domain::ports::tree::{SignedCheckpoint, TreeLog};
use futures::future::join_all;
use infra_runtime::Config;
use infra_runtime::config::ConfigError;
use proofs::witness::cosigners;
use proofs::{MAX_NOTE_BYTES, PublicKey};
use reqwest_tls::{Client, Url, header, redirect};
use workers::Signer;
use workers::signer::Quorum;
use workers::signer::witness::{Post, Reply, Trouble, Witness};

use crate::audit::watch::bounded;

/// Of the connection and of the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
const SETTING: &str = "audit.witnesses";

/// A witness over HTTP.
pub struct HttpPost {
    client: Client,
    url: Url,
}

impl HttpPost {
    /// `prefix` is what stands before `/add-checkpoint`.
    pub fn new(prefix: &Url) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build();
        let url = Url::parse(&format!("{}/add-checkpoint", prefix.as_str().trim_end_matches('/')))?;
        Ok(Self { client: client.context("the HTTP client")?, url })
    }

    async fn exchange(&self, body: String) -> Result<Reply> {
        let asked =
            self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let response = asked.body(body).send().await?;
        let status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let content_type = kind.to_ascii_lowercase();
        let body = bounded(response, MAX_NOTE_BYTES).await?.to_vec();
        Ok(Reply { status, content_type, body })
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn add_checkpoint(&self, body: String) -> Result<Reply, String> {
        // With all causes: the first says only that it failed.
        self.exchange(body).await.map_err(|error| format!("{error:#}"))
    }
}

/// The witnesses of the configuration. Refuses what could not be counted.
fn configured(config: &Config) -> Result<Vec<(PublicKey, Url)>, ConfigError> {
    let mut all: Vec<(PublicKey, Url)> = Vec::new();
    for text in &config.audit.witnesses {
        let (key, url) =
            parse(text).map_err(|reason| config.invalid(SETTING, format!("{text:?}: {reason}")))?;
        if all.iter().any(|(k, _)| k.bytes() == key.bytes() || k.name() == key.name()) {
            return Err(config.invalid(SETTING, format!("names {} twice, or its key", key.name())));
        }
        all.push((key, url));
    }
    if config.audit.quorum > all.len() {
        let reason = format!("must be at most the number of witnesses, which is {}", all.len());
        return Err(config.invalid("audit.quorum", reason));
    }
    Ok(all)
}

fn parse(text: &str) -> Result<(PublicKey, Url), String> {
    let (key, url) = text.split_once(' ').ok_or("must be a public key, a space and an address")?;
    let key = PublicKey::parse(key).map_err(|error| error.to_string())?;
    if !key.is_witness() {
        return Err("the key is a log's, not a witness's".to_owned());
    }
    let url = Url::parse(url.trim()).map_err(|error| error.to_string())?;
    let here = |host: &str| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    };
    // What a witness says that it has seen is not signed, and ends the signing.
    let safe = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(here));
    if !safe {
        return Err("the address must be https://…".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("the address must be a host and a path".to_owned());
    }
    Ok((key, url))
}

/// Those that are asked.
pub fn asked(config: &Config) -> Result<Vec<Witness>> {
    let post = |url: &Url| HttpPost::new(url).map(Arc::new);
    configured(config)?.into_iter().map(|(key, url)| Ok(Witness::new(key, post(&url)?))).collect()
}

/// The tree as it is shown: with its newest checkpoint that enough witnesses
/// have cosigned.
pub fn shown(config: &Config, tree: &Arc<dyn TreeLog>) -> Result<Arc<dyn TreeLog>, ConfigError> {
    let keys = configured(config)?.into_iter().map(|(key, _)| key).collect();
    let shown: Arc<dyn TreeLog> = match config.audit.quorum {
        0 => tree.clone(),
        quorum => Arc::new(Quorum::new(tree.clone(), keys, quorum)),
    };
    Ok(shown)
}

/// Asks all of them once, and waits. Who does not cosign is told; what is kept
/// now has the lines of the others. Fails if the log does not
/// continue what one of them has seen.
pub async fn ask(
    config: &Config,
    signer: &Signer,
    tree: &dyn TreeLog,
    signed: SignedCheckpoint,
) -> Result<SignedCheckpoint> {
    let witnesses = asked(config)?;
    if witnesses.is_empty() {
        return Ok(signed);
    }
    let answers = join_all(witnesses.iter().map(|witness| signer.ask(witness, &signed))).await;
    for (witness, answer) in witnesses.iter().zip(answers) {
        match answer {
            Ok(()) => {}
            Err(Trouble::Contradicts(error)) => return Err(error.into()),
            Err(trouble) => eprintln!("daybook: witness {} has not cosigned: {trouble}", witness.key.name()),
        }
    }
    let kept = tree.checkpoint(&signed.origin, Some(signed.size)).await?;
    let kept = kept.filter(|kept| kept.size == signed.size).unwrap_or(signed);
    let (keys, quorum): (Vec<_>, _) = (witnesses.into_iter().map(|w| w.key).collect(), config.audit.quorum);
    let counted = cosigners(&kept.note, &keys).map_or(0, |keys| keys.len());
    if counted < quorum {
        eprintln!(
            "daybook: {counted} witnesses have cosigned, audit.quorum is {quorum}: it is not shown yet"
        );
    }
    Ok(kept)
}
