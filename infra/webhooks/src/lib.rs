//! The client that sends webhooks. Addresses are looked up and checked where
//! the connection is made, by the one resolver that it has: what was checked is
//! what is connected to, whatever a name server says next.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::delivery::Trouble;
use domain::endpoint::Method;
use domain::endpoint::address::Guard;
use domain::ports::webhooks::{Answer, Failure, MAX_ANSWER_BYTES, Request, Sender};
use reqwest_tls::dns::{Addrs, Name, Resolve, Resolving};
use reqwest_tls::{Client, Response, Url, header, redirect};

/// Of the name's lookup and the connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
/// Headers of an answer; more are refused by the client below this one, too.
const RETRY_AFTER_BYTES: usize = 64;

/// No address of the name may be sent to.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host has no address that may be sent to")
    }
}

impl std::error::Error for Refused {}

/// The name could not be looked up.
#[derive(Debug)]
struct Unresolved;

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host's name has no address")
    }
}

impl std::error::Error for Unresolved {}

/// The names that this machine knows.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

struct Guarded {
    guard: Arc<Guard>,
    names: Arc<dyn Resolve>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, found) = (self.guard.clone(), self.names.resolve(name));
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await.map_err(|_| Unresolved)?.collect();
            // One bad address speaks against the name: it would be reached if
            // the others did not answer.
            if found.iter().any(|address| !guard.permits(address.ip())) {
                return Err(Refused.into());
            }
            match found.is_empty() {
                true => Err(Unresolved.into()),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

pub struct HttpSender {
    client: Client,
    guard: Arc<Guard>,
}

impl HttpSender {
    pub fn new(guard: Guard, version: &str) -> Result<Self, String> {
        Self::with_names(guard, version, Arc::new(System))
    }

    fn with_names(guard: Guard, version: &str, names: Arc<dyn Resolve>) -> Result<Self, String> {
        let guard = Arc::new(guard);
        let client = Client::builder()
            .dns_resolver(Arc::new(Guarded { guard: guard.clone(), names }))
            .redirect(redirect::Policy::none())
            // A proxy would connect for us, to whatever it likes.
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(8)
            .user_agent(format!("daybook/{version}"))
            .build();
        Ok(Self { client: client.map_err(|e| e.to_string())?, guard })
    }

    /// An address in the URL itself is not looked up.
    fn check_literal(&self, url: &Url) -> Result<(), Failure> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) if !self.guard.permits(address) => {
                Err(failed(Trouble::Refused, &Refused.to_string()))
            }
            _ => Ok(()),
        }
    }
}

fn failed(error: Trouble, detail: &str) -> Failure {
    Failure { error, detail: detail.to_owned() }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let url =
            Url::parse(&request.url).map_err(|_| failed(Trouble::Unsendable, "the URL does not read"))?;
        self.check_literal(&url)?;
        let mut builder = match request.method {
            Method::Post => self.client.post(url),
            Method::Put => self.client.put(url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let sent = async {
            let response = builder.body(request.body).send().await.map_err(|e| explain(&e))?;
            read(response).await
        };
        // The client's own limit ends with the head of the answer for who drips.
        let timed = tokio::time::timeout(request.timeout, sent).await;
        timed.unwrap_or_else(|_| Err(failed(Trouble::Timeout, "no answer in time")))
    }
}

async fn read(mut response: Response) -> Result<Answer, Failure> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.filter(|text| text.len() <= RETRY_AFTER_BYTES).map(str::to_owned);
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER_BYTES {
        // The status counts; a body that breaks off is kept as far as it came.
        let Ok(Some(chunk)) = response.chunk().await else { break };
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(Answer { status, retry_after, body })
}

/// What went wrong, without the URL, which may hold a secret.
fn explain(error: &reqwest_tls::Error) -> Failure {
    let mut cause = error.source();
    let mut last = None;
    while let Some(inner) = cause {
        if inner.is::<Refused>() {
            return failed(Trouble::Refused, &inner.to_string());
        }
        if inner.is::<Unresolved>() {
            return failed(Trouble::Resolve, &inner.to_string());
        }
        last = Some(inner.to_string());
        cause = inner.source();
    }
    let detail = last.unwrap_or_else(|| "the request failed".to_owned());
    let error = if error.is_timeout() {
        Trouble::Timeout
    } else if error.is_builder() {
        Trouble::Unsendable
    } else if is_tls(&detail) {
        Trouble::Tls
    } else if error.is_connect() {
        Trouble::Connect
    } else {
        Trouble::Broken
    };
    failed(error, &detail)
}

/// Errors of TLS arrive as texts of an I/O error.
fn is_tls(detail: &str) -> bool {
    ["certificate", "tls", "TLS", "handshake", "corrupt message"].iter().any(|word| detail.contains(word))
}

#[cfg(test)]
mod tests;
