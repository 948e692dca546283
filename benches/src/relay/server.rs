//! A nats-server with JetStream on a free port, its store in a temporary folder.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub struct Nats {
    url: String,
    _folder: TempDir,
    _server: Child,
}

impl Nats {
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::var("DAYBOOK_TEST_NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
        let server = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting nats-server")?;
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(Self {
                    url: format!("nats://127.0.0.1:{port}"),
                    _folder: folder,
                    _server: server,
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("nats-server does not listen")
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}
