//! Private PostgreSQL and NATS on free loopback ports, their data in a
//! temporary folder. Dropping them stops exactly these processes.

mod nats;
mod postgres;

use std::net::TcpListener;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::child;
use crate::install;

pub use nats::Nats;
pub use postgres::{Durability, Postgres};

/// Variables under which the tests find the servers.
pub const POSTGRES_VARIABLE: &str = "DAYBOOK_TEST_POSTGRES";
pub const NATS_VARIABLE: &str = "NATS_URL";

pub struct Services {
    pub postgres_url: String,
    pub nats_url: String,
    // Held so that they stop when this is dropped.
    _postgres: Option<Postgres>,
    _nats: Option<Nats>,
}

impl Services {
    /// Starts what the environment does not name already.
    pub fn start() -> Result<Self> {
        let (postgres_url, postgres) = match std::env::var(POSTGRES_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let server = Postgres::start(Durability::Off)?;
                (server.url(), Some(server))
            }
        };
        let (nats_url, nats) = match std::env::var(NATS_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let server = Nats::start()?;
                (server.url(), Some(server))
            }
        };
        Ok(Self { postgres_url, nats_url, _postgres: postgres, _nats: nats })
    }

    /// Installs all that is missing at once, before anything starts.
    pub fn prepare() -> Result<()> {
        let mut tools = Vec::new();
        if std::env::var_os(POSTGRES_VARIABLE).is_none() {
            tools.push(install::POSTGRES);
        }
        if std::env::var_os(NATS_VARIABLE).is_none() {
            tools.push(install::NATS);
        }
        install::find_or_install(&tools).map(|_| ())
    }
}

/// `cargo xtask services`.
#[expect(clippy::print_stdout, reason = "the URLs are the output")]
pub fn run() -> Result<ExitCode> {
    Services::prepare()?;
    let services = Services::start()?;
    println!("export {POSTGRES_VARIABLE}={}", services.postgres_url);
    println!("export {NATS_VARIABLE}={}", services.nats_url);
    eprintln!("xtask: running until Ctrl-C");
    while !child::interrupted() {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(ExitCode::SUCCESS)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until `ready` holds; fails when the server ends first or takes too long.
fn wait_ready(name: &str, server: &mut Child, ready: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        ensure!(!child::interrupted(), "interrupted");
        if let Some(status) = server.try_wait()? {
            bail!("{name} ended at once ({status})");
        }
        ensure!(Instant::now() < deadline, "{name} was not ready within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Asks one process to end and waits; kills it when it does not.
fn stop(name: &str, server: &mut Child, pid: u32, polite: &str) {
    child::signal(pid, polite);
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        match server.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    eprintln!("xtask: {name} does not stop; killing it");
    child::signal(pid, "KILL");
    let _ = server.wait();
}
