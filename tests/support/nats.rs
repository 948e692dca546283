//! NATS servers of one's own with JetStream, alone or three in a cluster, that
//! may be killed, stopped and started again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, free_port, program};

pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Process>,
    /// Beside address and store, in the server's own language.
    settings: String,
}

impl Nats {
    /// A server on a free port. `None` (after a line that says so) where there
    /// is no program.
    pub fn start() -> Option<Self> {
        let mut nats = Self::prepare(String::new())?;
        nats.run().expect("nats-server starts");
        Some(nats)
    }

    /// As [`Nats::start`], for clients that know this name and password only.
    pub fn with_password(user: &str, password: &str) -> Option<Self> {
        let mut nats = Self::prepare(format!("authorization {{ user: {user}, password: \"{password}\" }}"))?;
        nats.run().expect("nats-server starts");
        Some(nats)
    }

    /// A server with an address that does not run yet.
    pub fn prepare(settings: String) -> Option<Self> {
        let Some(program) = program("DAYBOOK_TEST_NATS_SERVER", "nats-server") else {
            crate::skip("DAYBOOK_TEST_NATS_SERVER names no NATS server");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { program, folder, port: free_port().expect("a free port"), server: None, settings })
    }

    /// Three servers that replicate streams among them.
    pub fn cluster() -> Option<Vec<Self>> {
        let ports: Vec<u16> = (0..3).map(|_| free_port().expect("a free port")).collect();
        let routes: Vec<String> = ports.iter().map(|p| format!("nats://127.0.0.1:{p}")).collect();
        let mut nodes = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let settings = format!(
                "server_name: node-{number}\ncluster {{ name: daybook, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
                routes.join(", ")
            );
            nodes.push(Self::prepare(settings)?);
        }
        for node in &mut nodes {
            node.run().expect("nats-server starts");
        }
        Some(nodes)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where its streams lie.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Starts the server, again if need be: same port, same store.
    pub fn run(&mut self) -> Result<()> {
        let (config, log) = (self.folder.path().join("server.conf"), self.folder.path().join("log"));
        let store = self.folder.path().join("store");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\", max_file_store: 4GB }}\n{}\n",
            self.port,
            store.display(),
            self.settings
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&config).arg("--log").arg(&log);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(Process::start(&mut command, self.port)?);
        Ok(())
    }

    /// SIGKILL. The store stays.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Kills the server and forgets its store.
    pub fn lose(&mut self) -> Result<()> {
        self.kill();
        Ok(std::fs::remove_dir_all(self.folder.path().join("store"))?)
    }

    pub fn runs(&self) -> bool {
        self.server.is_some()
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// All servers' addresses, as `NATS_URL` takes them.
pub fn urls(nodes: &[Nats]) -> String {
    nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",")
}
