//! A private PostgreSQL on a free loopback port, its data in a temporary
//! folder; dropping it stops exactly this process. And where the programs are
//! that tests start for themselves.

mod postgres;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::child;
use crate::install;

pub use postgres::{Durability, Postgres};

/// Variables under which the tests find the server.
pub const POSTGRES_VARIABLE: &str = "DAYBOOK_TEST_POSTGRES";
/// Programs that a test starts itself, since it kills and starts them again.
const NATS_SERVER_VARIABLE: &str = "DAYBOOK_TEST_NATS_SERVER";
const S3_SERVER_VARIABLE: &str = "DAYBOOK_TEST_S3_SERVER";

pub struct Services {
    postgres_url: String,
    programs: Vec<(&'static str, PathBuf)>,
    // Held so that it stops when this is dropped.
    _postgres: Option<Postgres>,
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
        Ok(Self { postgres_url, programs: programs()?, _postgres: postgres })
    }

    /// What the tests are told in their environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![(POSTGRES_VARIABLE, self.postgres_url.clone())];
        all.extend(self.programs.iter().map(|(name, path)| (*name, path.display().to_string())));
        all
    }

    /// Installs all that is missing at once, before anything starts.
    pub fn prepare() -> Result<()> {
        let mut tools = Vec::new();
        if std::env::var_os(POSTGRES_VARIABLE).is_none() {
            tools.push(install::POSTGRES);
        }
        if std::env::var_os(NATS_SERVER_VARIABLE).is_none() {
            tools.push(install::NATS);
        }
        install::find_or_install(&tools)?;
        programs().map(|_| ())
    }
}

fn programs() -> Result<Vec<(&'static str, PathBuf)>> {
    let named = |variable: &'static str, find: fn() -> Result<PathBuf>| -> Result<_> {
        let path = std::env::var_os(variable).map(PathBuf::from).map_or_else(find, Ok)?;
        Ok((variable, path))
    };
    let nats = || Ok(install::find_or_install(&[install::NATS])?.remove(0));
    Ok(vec![named(NATS_SERVER_VARIABLE, nats)?, named(S3_SERVER_VARIABLE, install::s3_server)?])
}

/// `cargo xtask services`.
#[expect(clippy::print_stdout, reason = "the variables are the output")]
pub fn run() -> Result<ExitCode> {
    Services::prepare()?;
    let services = Services::start()?;
    for (name, value) in services.variables() {
        println!("export {name}={value}");
    }
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
