//! Where commands about rows and history go: to the database itself, or to a server.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use domain::decide::Rejection;
use domain::ports::log::EventLog;
use infra_runtime::{Config, RandomIds, SystemClock};
use replays::{By, Engine, ReplayError};
use reqwest_tls::header::{ACCEPT, CONTENT_TYPE};
use reqwest_tls::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::wiring::{self, OpenLog, Privacy};

#[derive(Args, Clone, Default)]
pub struct ServerFlags {
    /// Ask this server instead of opening the database
    #[arg(long, value_name = "URL", env = "DAYBOOK_URL", global = true)]
    pub server: Option<String>,
    /// A key with the role that the command needs: operator, auditor for the history, admin for personal data
    #[arg(long, value_name = "KEY", env = "DAYBOOK_KEY", hide_env_values = true, global = true)]
    pub key: Option<String>,
}

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    pub status: u16,
    pub detail: String,
}

pub struct Server {
    url: String,
    key: String,
    client: Client,
}

impl Server {
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url)).header("X-API-Key", &self.key);
        Self::answer(request.send().await?).await
    }

    /// The answer as it is sent.
    pub async fn text(&self, path: &str, query: &[(&str, String)]) -> Result<String> {
        Ok(self.ask(path, query).await?.text().await?)
    }

    /// The answer as a new file.
    pub async fn save(&self, path: &str, query: &[(&str, String)], file: &Path) -> Result<()> {
        let mut answer = self.ask(path, query).await?;
        let made = tokio::fs::File::create_new(file).await;
        let mut to = made.with_context(|| format!("making {}", file.display()))?;
        while let Some(part) = answer.chunk().await? {
            to.write_all(&part).await.with_context(|| format!("writing {}", file.display()))?;
        }
        to.sync_all().await.with_context(|| format!("writing {}", file.display()))
    }

    async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Response> {
        let request = self.client.get(format!("{}{path}", self.url)).query(query);
        let answer = request.header("X-API-Key", &self.key).send().await?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(Self::answer(answer).await.err().unwrap_or_else(|| anyhow!("no answer"))),
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let key = format!("cli-{}", uuid::Uuid::now_v7());
        Self::answer(self.posting(path, body).header("Idempotency-Key", key).send().await?).await
    }

    fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.url)).header("X-API-Key", &self.key);
        request.header(CONTENT_TYPE, "application/json").body(body.to_string())
    }

    /// Writes every line of the answer but the last, which it returns.
    pub async fn post_for_lines(&self, path: &str, body: &Value, to: &mut impl Write) -> Result<Value> {
        let mut response = self.posting(path, body).header(ACCEPT, "application/x-ndjson").send().await?;
        if !response.status().is_success() {
            return Self::answer(response).await;
        }
        // What may be the last line is held back.
        let mut held = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            held.extend_from_slice(&chunk);
            let whole = held.iter().rposition(|b| *b == b'\n').unwrap_or_default();
            if let Some(before) = held[..whole].iter().rposition(|b| *b == b'\n') {
                to.write_all(&held[..=before])?;
                held.drain(..=before);
            }
        }
        to.flush()?;
        serde_json::from_slice(&held).context("the answer broke off")
    }

    async fn answer(response: Response) -> Result<Value> {
        let status = response.status();
        let text = response.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let detail =
            body["detail"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned);
        let detail = if status == StatusCode::NOT_FOUND { format!("not found: {detail}") } else { detail };
        Err(Refused { status: status.as_u16(), detail }.into())
    }
}

pub struct Direct {
    pub engine: Engine,
    /// The whole history with what is personal sealed.
    pub recorded: Arc<dyn EventLog>,
    pub by: By,
    pub privacy: Privacy,
    /// For the leases of what this command builds.
    pub owner: String,
    log: OpenLog,
}

impl Direct {
    pub async fn open(config: &Config) -> Result<Self> {
        let clock = Arc::new(SystemClock);
        let log = wiring::open_log(config, clock.clone()).await?;
        let stores = wiring::open_rows(config).await?;
        wiring::open_generations(&*log.log, &stores).await?;
        let ids = Arc::new(RandomIds);
        let owner = format!("cli-{}-{}", std::process::id(), domain::ports::clock::Ids::next(&*ids));
        let privacy = Privacy::open(config, clock.clone()).await?;
        let engine = wiring::engine(config, log.log.clone(), &privacy, &stores, clock, ids)?;
        let recorded = wiring::history(config, log.log.clone())?;
        Ok(Self { engine, recorded, by: By::actor(super::actor()), privacy, owner, log })
    }

    pub fn log(&self) -> &OpenLog {
        &self.log
    }

    pub async fn close(self) {
        self.log.close().await;
    }
}

pub enum Reach {
    Direct(Box<Direct>),
    Server(Server),
}

impl Reach {
    pub async fn open(flags: &ServerFlags, config: &Config) -> Result<Self> {
        match Self::server(flags)? {
            Some(server) => Ok(Self::Server(server)),
            None => Ok(Self::Direct(Box::new(Direct::open(config).await?))),
        }
    }

    /// `None` if none is named.
    pub fn server(flags: &ServerFlags) -> Result<Option<Server>> {
        let Some(url) = &flags.server else { return Ok(None) };
        let Some(key) = &flags.key else { bail!("--server needs --key, or DAYBOOK_KEY") };
        let client = Client::builder().build().context("the HTTP client")?;
        Ok(Some(Server { url: url.trim_end_matches('/').into(), key: key.clone(), client }))
    }

    pub async fn close(self) {
        if let Self::Direct(direct) = self {
            direct.close().await;
        }
    }
}

/// As one segment of a path.
pub fn encoded(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Parameters from a file, or `-` for standard input.
pub fn parameters(path: Option<&str>) -> Result<Value> {
    let Some(path) = path else { return Ok(Value::Null) };
    let text = match path {
        "-" => std::io::read_to_string(std::io::stdin()).context("reading standard input")?,
        path => std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?,
    };
    let wrong = |e: serde_json::Error| Rejection::field(path, format!("is not JSON: {e}"));
    Ok(serde_json::from_str(&text).map_err(|e| ReplayError::Rejected(wrong(e)))?)
}
