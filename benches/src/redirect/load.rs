//! nginx as the peer and wrk as the load.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub struct Nginx {
    address: String,
    config: PathBuf,
    _process: Child,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killing the master would leave its workers behind.
        let stopped =
            std::process::Command::new("nginx").arg("-c").arg(&self.config).args(["-s", "stop"]).status();
        if let Err(error) = stopped {
            eprintln!("nginx could not be stopped: {error}");
        }
    }
}

impl Nginx {
    pub async fn start(folder: &Path) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.join("nginx.conf");
        let folder = folder.display();
        std::fs::write(
            &config,
            format!(
                "daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
                 events {{ worker_connections 4096; }}
                 http {{
                   access_log off; keepalive_requests 100000000;
                   client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
                   uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                   server {{ listen {address}; location /e {{ return 302 https://show.example/live; }} }}
                 }}"
            ),
        )?;
        let process = Command::new("nginx").arg("-c").arg(&config).spawn();
        let process = process.context("starting nginx")?;
        for _ in 0..100 {
            if TcpStream::connect(&address).await.is_ok() {
                return Ok(Self { address, config, _process: process });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("nginx does not listen on {address}")
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

pub struct Figures {
    pub rate: f64,
    pub p99_ms: f64,
}

pub struct Wrk {
    script: PathBuf,
    seconds: u32,
}

impl Wrk {
    pub fn new(folder: &Path, bands: usize, seconds: u32) -> Result<Self> {
        let script = folder.join("taps.lua");
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_4 like Mac OS X) AppleWebKit/605.1.15 \
                     (KHTML, like Gecko) Version/19.4 Mobile/15E148 Safari/604.1";
        std::fs::write(
            &script,
            format!(
                "local headers = 'Host: tap.example\\r\\nUser-Agent: {agent}\\r\\nAccept-Language: de-DE\\r\\n\\r\\n'
                 local random = math.random
                 function request()
                   return 'GET /e?bandId=band-' .. random(0, {}) .. ' HTTP/1.1\\r\\n' .. headers
                 end\n",
                bands - 1
            ),
        )?;
        Ok(Self { script, seconds })
    }

    pub async fn run(&self, address: &str, connections: u32) -> Result<Figures> {
        let output = Command::new("wrk")
            .args(["-t1", "--latency", "-s"])
            .arg(&self.script)
            .arg(format!("-c{connections}"))
            .arg(format!("-d{}", self.seconds))
            .arg(format!("http://{address}/e"))
            .output()
            .await
            .context("starting wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            bail!("not every tap was answered:\n{text}");
        }
        let value = |name: &str| {
            let line = text.lines().find_map(|l| l.trim().strip_prefix(name));
            line.map(|l| l.trim().to_owned()).with_context(|| format!("wrk did not say {name}:\n{text}"))
        };
        Ok(Figures { rate: value("Requests/sec:")?.parse()?, p99_ms: milliseconds(&value("99%")?)? })
    }
}

fn milliseconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    bail!("{text} is no duration")
}
