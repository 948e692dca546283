//! The `daybook` binary as processes of their own. It is this program under
//! another name, so that it is linked once and is the same code.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Set where this program is to be `daybook`.
pub const AS_DAYBOOK: &str = "DAYBOOK_BENCH_AS_DAYBOOK";
/// The key of every server: admin of the tenant `default`.
pub const KEY: &str = "bench-key";
const LOOK: Duration = Duration::from_millis(20);

/// A data directory, and what else is set.
pub struct Daybook {
    pub data: PathBuf,
    settings: Vec<(String, String)>,
}

/// A command that has ended well.
pub struct Ran {
    pub lines: Vec<Value>,
    pub seconds: f64,
    /// Most memory that it had.
    pub mib: f64,
}

/// A command that is under way.
pub struct Running {
    child: Child,
    name: String,
    start: Instant,
    memory: JoinHandle<f64>,
}

/// A `daybook serve`, ended with it.
pub struct Server {
    pub url: String,
    child: Child,
}

impl Daybook {
    pub fn new(data: &Path, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { data: data.into(), settings }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).arg("--data-dir").arg(&self.data).current_dir(&self.data);
        command.env(AS_DAYBOOK, "1").env("LOG_LEVEL", "error").env("API_KEYS", KEY).env_remove("NATS_URL");
        // Of a database that does not outlast the run.
        command.env("DAYBOOK_PRIVACY_KEK", "ab".repeat(32));
        command.envs(self.settings.iter().map(|(n, v)| (n, v))).stdout(Stdio::piped());
        Ok(command)
    }

    pub fn start(&self, arguments: &[&str]) -> Result<Running> {
        let child = self.command(arguments)?.arg("--json").spawn().context("starting daybook")?;
        let pid = child.id();
        let memory = std::thread::spawn(move || {
            let mut most = 0.0;
            while let Some(mib) = peak(pid) {
                most = mib;
                std::thread::sleep(LOOK);
            }
            most
        });
        Ok(Running { child, name: arguments.join(" "), start: Instant::now(), memory })
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.start(arguments)?.end()
    }

    /// Listens when this returns.
    pub fn serve(&self, arguments: &[&str]) -> Result<Server> {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = self.command(&arguments)?.spawn().context("starting daybook")?;
        let stdout = child.stdout.take().context("no output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(url) = line?.strip_prefix("listening on ") {
                return Ok(Server { url: url.to_owned(), child });
            }
        }
        bail!("the server ended with {} before it listened", child.wait()?)
    }
}

impl Running {
    pub fn end(mut self) -> Result<Ran> {
        let mut text = String::new();
        self.child.stdout.take().context("no output")?.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        let seconds = self.start.elapsed().as_secs_f64();
        ensure!(status.success(), "daybook {} ended with {status}", self.name);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect();
        let mib = self.memory.join().map_err(|_| anyhow::anyhow!("memory was not measured"))?;
        Ok(Ran { lines, seconds, mib })
    }
}

impl Server {
    pub fn mib(&self) -> f64 {
        peak(self.child.id()).unwrap_or(f64::NAN)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Most memory that a process had; `None` once it has ended.
fn peak(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}
