use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{free_port, stop, wait_ready};
use crate::install;

pub struct Nats {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl Nats {
    pub fn start() -> Result<Self> {
        let program = install::find_or_install(&[install::NATS])?.remove(0);
        let folder = tempfile::Builder::new().prefix("daybook-nats-").tempdir()?;
        let port = free_port()?;
        let server = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
            .arg(folder.path())
            .arg("--log")
            .arg(folder.path().join("server.log"))
            // Ctrl-C is for what runs in the foreground; this is stopped after it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run nats-server")?;
        let mut nats = Self { server, port, _folder: folder };
        wait_ready("nats-server", &mut nats.server, || greets(port))?;
        Ok(nats)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let pid = self.server.id();
        stop("nats-server", &mut self.server, pid, "TERM");
    }
}

/// A NATS server opens every connection with a line `INFO {…}`.
fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO ")
}
