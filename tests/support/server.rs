//! A `daybook serve` of one's own, in a process of its own, so that it can be
//! killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The key that every test server takes: admin of the tenant `default`.
pub const KEY: &str = "test-key";

/// What wraps the keys of personal data of every test server on PostgreSQL;
/// others make their own.
pub const KEK: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub struct Server {
    pub url: String,
    child: Child,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

/// The binary under test: `DAYBOOK_BIN`, or the one that cargo put beside the
/// running test.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DAYBOOK_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    for folder in test.ancestors().skip(1).take(2) {
        let path = folder.join("daybook");
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("there is no daybook binary beside {}; build it or set DAYBOOK_BIN", test.display())
}

impl Server {
    /// Starts a server on a free port and waits until it says where it listens.
    pub fn start(binary: &Path, data: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(binary, data, settings, Stdio::inherit())
    }

    /// As [`Server::start`], with another place for what it logs.
    pub fn start_with(binary: &Path, data: &Path, settings: &[(&str, &str)], stderr: Stdio) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env("API_KEYS", KEY)
            .env("LOG_LEVEL", "warn")
            // A bus that the developer has is not the tests'.
            .env_remove("NATS_URL")
            .stderr(stderr)
            .stdout(Stdio::piped());
        if settings.iter().any(|(name, _)| *name == "DATABASE_URL") {
            command.env("DAYBOOK_PRIVACY_KEK", KEK);
        }
        for (name, value) in settings {
            command.env(name, value);
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("the server's output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(url) = line?.strip_prefix("listening on ") {
                let settings = settings.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
                return Ok(Self { url: url.to_owned(), child, data: data.into(), settings });
            }
        }
        let status = child.wait()?;
        bail!("the server ended with {status} before it listened");
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits until the server has finished what it had begun.
    /// Fails if a rebuild does not come to the rows that it left.
    pub fn stop(mut self) -> Result<()> {
        self.end()?;
        crate::rebuilt::check(&self.data, &self.settings).context("after the server was stopped")
    }

    /// As [`Server::stop`], where the rows are not what the log says on purpose.
    pub fn stop_unchecked(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// POSTs a command and returns its answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = reqwest::Client::new()
            .post(format!("{}{path}", self.url))
            .header("X-API-Key", KEY)
            .header("Content-Type", "application/json")
            .body(body.to_string());
        answer(request).await.with_context(|| format!("POST {path}"))
    }

    /// GETs what reflects at least `position`.
    pub async fn get(&self, path: &str, position: u64) -> Result<Value> {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", self.url))
            .header("X-API-Key", KEY)
            .header("Daybook-At-Least", position.to_string())
            // A busy machine may take longer than clients usually wait.
            .header("Prefer", "wait=60");
        answer(request).await.with_context(|| format!("GET {path}"))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(serde_json::from_str(&text)?)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
