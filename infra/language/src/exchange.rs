//! One question and its answer, within limits of time, bytes and attempts.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use domain::Secret;
use domain::ports::language::Trouble;
use reqwest_tls::{Client, Response, StatusCode, Url, header, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::Settings;
use crate::breaker::Breaker;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that a provider's wish to wait is followed.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Settings that do not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupError {
    Url(&'static str),
    NoModel,
    Client,
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(reason) => write!(f, "the URL {reason}"),
            Self::NoModel => f.write_str("no model is named"),
            Self::Client => f.write_str("the HTTP client cannot be made"),
        }
    }
}

impl std::error::Error for SetupError {}

pub struct Exchange {
    client: Client,
    base: Url,
    key: Secret,
    timeout: Duration,
    attempts: u32,
    pause: Duration,
    breaker: Breaker,
}

impl Exchange {
    pub fn new(settings: Settings, version: &str) -> Result<Self, SetupError> {
        let base = Url::parse(&settings.url).map_err(|_| SetupError::Url("does not read"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(SetupError::Url("must be http or https with a host"));
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(SetupError::Url("must hold no user, password or query"));
        }
        if base.scheme() == "http" && !settings.key.reveal().is_empty() && !is_here(&base) {
            return Err(SetupError::Url("must be https where a key is sent to another machine"));
        }
        let client = Client::builder()
            // A redirect would send the text to somebody else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(format!("daybook/{version}"))
            .build()
            .map_err(|_| SetupError::Client)?;
        Ok(Self {
            client,
            base,
            key: settings.key,
            timeout: settings.timeout,
            attempts: settings.attempts.max(1),
            pause: settings.pause,
            breaker: Breaker::new(settings.failures, settings.rest),
        })
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The path below the base, which may end with its first segment already.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let first = path.split('/').next().unwrap_or_default();
        let rest = match base.rsplit('/').next() {
            Some(last) if !last.is_empty() && last == first => &path[first.len() + 1..],
            _ => path,
        };
        url.set_path(&format!("{base}/{rest}"));
        url
    }

    /// Asks, and again after a while where the provider has no answer yet.
    /// Without a body it is a GET.
    pub async fn ask<B: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&B>,
        most: usize,
    ) -> Result<A, Trouble> {
        let body = body.map(|body| serde_json::to_vec(body).map_err(|_| Trouble::Nonsense("no JSON")));
        let body = body.transpose()?;
        let mut pause = self.pause;
        let mut attempt = 1;
        loop {
            if !self.breaker.may(Instant::now()) {
                return Err(Trouble::Resting);
            }
            let once = timeout(self.timeout, self.once(path, body.clone(), most)).await;
            let (trouble, wish) = match once {
                Ok(Ok(bytes)) => {
                    self.breaker.answered();
                    return serde_json::from_slice(&bytes)
                        .map_err(|_| Trouble::Nonsense("it is not the JSON that the protocol has"));
                }
                Ok(Err(failed)) => failed,
                Err(_) => (Trouble::Timeout, None),
            };
            match trouble {
                Trouble::Timeout | Trouble::Unreachable | Trouble::Busy(_) => {
                    self.breaker.failed(Instant::now())
                }
                // It is there, and says no.
                _ => self.breaker.answered(),
            }
            // Who took all the time would take it again.
            let again = matches!(trouble, Trouble::Unreachable | Trouble::Busy(_));
            if !again || attempt == self.attempts {
                return Err(trouble);
            }
            let wait = wish.unwrap_or(pause).min(MAX_PAUSE);
            tracing::debug!(attempt, trouble = trouble.code(), "language: asked again later");
            sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        path: &str,
        body: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<u8>, (Trouble, Option<Duration>)> {
        let mut request = match body {
            Some(body) => {
                self.client.post(self.url(path)).header(header::CONTENT_TYPE, "application/json").body(body)
            }
            None => self.client.get(self.url(path)),
        };
        if !self.key.reveal().is_empty() {
            request = request.bearer_auth(self.key.reveal());
        }
        let sent = request.send().await.map_err(|error| (explain(&error), None))?;
        let status = sent.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err((Trouble::Busy(status.as_u16()), wish(&sent)));
        }
        if !status.is_success() {
            return Err((Trouble::Refused(status.as_u16()), None));
        }
        read(sent, most).await.map_err(|trouble| (trouble, None))
    }
}

fn wish(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Trouble::Unreachable)? {
        if bytes.len() + chunk.len() > most {
            return Err(Trouble::TooLong(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Without the error's own text, which names the URL.
fn explain(error: &reqwest_tls::Error) -> Trouble {
    tracing::debug!(cause = error.source().map(ToString::to_string), "language: no answer");
    if error.is_timeout() { Trouble::Timeout } else { Trouble::Unreachable }
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
