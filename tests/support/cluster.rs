//! A PostgreSQL server of one's own, which may be crashed and started again.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// A new cluster on a free loopback port, with fsync on.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let user = other_user(folder.path())?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut cluster = Self { programs: programs()?, folder, user, port, server: None };
        let made = cluster
            .command("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ])
            .stdout(Stdio::null())
            .status()
            .context("initdb")?;
        ensure!(made.success(), "initdb failed");
        cluster.run().await?;
        Ok(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Crashes the server (immediate shutdown), so that it has to recover.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop("-QUIT")?;
        self.run().await
    }

    /// Stops the server at once. The data stays.
    pub fn crash(&mut self) -> Result<()> {
        self.stop("-QUIT")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.folder.path().join("data")).current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts the server, again after [`Cluster::crash`].
    pub async fn run(&mut self) -> Result<()> {
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string(), "-c", "max_connections=300"]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-k"]);
        let server = command.arg(self.folder.path()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.server = Some(server);
        let deadline = Instant::now() + Duration::from_secs(60);
        while PgConnection::connect(&self.url()).await.is_err() {
            ensure!(Instant::now() < deadline, "PostgreSQL does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn stop(&mut self, signal: &str) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            Command::new("kill").arg(signal).arg(server.id().to_string()).status()?;
            server.wait()?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop("-INT") {
            eprintln!("the PostgreSQL server was not stopped: {error}");
        }
    }
}

/// The folder with `initdb` and `postgres`.
fn programs() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders.into_iter().find(|f| f.join("initdb").is_file() && f.join("postgres").is_file());
    found.context("there is no initdb on the PATH or below /usr/lib/postgresql; install PostgreSQL")
}

/// PostgreSQL refuses to run as root: then the user `postgres`, or `nobody`.
fn other_user(owned: &Path) -> Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata(owned)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    for wanted in ["postgres", "nobody"] {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted));
        if let Some(line) = line {
            let mut fields = line.split(':').skip(2);
            let mut id = || fields.next().and_then(|id| id.parse().ok()).context("/etc/passwd");
            return Ok(Some((id()?, id()?)));
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user postgres or nobody")
}
