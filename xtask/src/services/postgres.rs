use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{free_port, stop, wait_ready};
use crate::install;

/// Whether commits reach the disk. Tests share a cluster that may forget;
/// benchmarks measure one that may not.
#[derive(Clone, Copy, PartialEq)]
pub enum Durability {
    On,
    Off,
}

pub struct Postgres {
    server: Child,
    port: u16,
    data: PathBuf,
    _folder: TempDir,
}

impl Postgres {
    pub fn start(durability: Durability) -> Result<Self> {
        let program = install::find_or_install(&[install::POSTGRES])?.remove(0);
        // The other programs stand beside the real one, not beside a link to it.
        let programs = fs::canonicalize(&program)?.parent().context("postgres has no folder")?.to_owned();
        let account = if install::is_root() { Some(unprivileged()?) } else { None };
        let folder = tempfile::Builder::new().prefix("daybook-postgres-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        if let Some(account) = &account {
            chown(&data, Some(account.uid), Some(account.gid))?;
        }
        initialise(&programs, &data, account.as_ref())?;
        let port = free_port()?;
        let log = fs::File::create(folder.path().join("server.log"))?;
        let server = as_account(&programs.join("postgres"), account.as_ref())
            .arg("-D")
            .arg(&data)
            .args(settings(port, durability))
            .current_dir(folder.path())
            // Ctrl-C is for what runs in the foreground; this is stopped after it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run postgres")?;
        let mut postgres = Self { server, port, data, _folder: folder };
        let status = postgres.data.join("postmaster.pid");
        wait_ready("postgres", &mut postgres.server, || says_ready(&status)).with_context(|| {
            fs::read_to_string(postgres._folder.path().join("server.log")).unwrap_or_default()
        })?;
        Ok(postgres)
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What was spawned may be the program that changed the account.
        let noted = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let pid = noted.lines().next().and_then(|l| l.trim().parse().ok()).unwrap_or(self.server.id());
        // SIGINT: end sessions, then shut down.
        stop("postgres", &mut self.server, pid, "INT");
    }
}

fn settings(port: u16, durability: Durability) -> Vec<String> {
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        "max_connections=300".into(),
    ];
    if durability == Durability::Off {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(String::from));
    }
    settings.into_iter().flat_map(|s| ["-c".to_owned(), s]).collect()
}

fn initialise(programs: &Path, data: &Path, account: Option<&Account>) -> Result<()> {
    let made = as_account(&programs.join("initdb"), account)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(data)
        .current_dir(data)
        .output()
        .context("cannot run initdb")?;
    ensure!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The last line of `postmaster.pid` is the server's status.
fn says_ready(status: &Path) -> bool {
    fs::read_to_string(status).is_ok_and(|text| text.lines().last().map(str::trim) == Some("ready"))
}

/// Whom PostgreSQL runs as when we are root: it refuses to run as root itself.
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

fn unprivileged() -> Result<Account> {
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let find = |name: &str| {
        let fields: Vec<&str> = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))?;
        Some(Account {
            name: name.into(),
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .context("PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`")
}

fn as_account(program: &Path, account: Option<&Account>) -> Command {
    let Some(account) = account else { return Command::new(program) };
    if let Some(setpriv) = install::find("setpriv") {
        let mut command = Command::new(setpriv);
        command
            .arg(format!("--reuid={}", account.uid))
            .arg(format!("--regid={}", account.gid))
            // Should this process be killed, the server ends with it.
            .args(["--clear-groups", "--pdeathsig=INT", "--"])
            .arg(program);
        return command;
    }
    let mut command = Command::new("runuser");
    command.args(["-u", &account.name, "--"]).arg(program);
    command
}
