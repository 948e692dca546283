//! A server process in the background: on a free port, stopped by its id.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A loopback port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The program that `variable` names, or the one of this name on PATH or in
/// the machine's sbin.
pub fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// Sends a signal (`STOP`, `CONT`, `TERM`, …) to one process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    ensure!(sent.success(), "process {pid} did not take {name}");
    Ok(())
}

/// Killed when dropped.
pub struct Process(Child);

impl Process {
    /// Starts a quiet server and waits until its port takes connections.
    pub fn start(command: &mut Command, port: u16) -> Result<Self> {
        command.stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut process = Self(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("{:?} ended with {status}", command.get_program());
            }
            ensure!(Instant::now() < deadline, "{:?} does not listen", command.get_program());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM, and waits.
    pub fn stop(mut self) -> Result<()> {
        signal(self.0.id(), "TERM")?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
