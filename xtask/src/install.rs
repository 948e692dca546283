//! Finds the programs that tests and benchmarks need, and installs the Debian
//! packages of those that are missing when run by root.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::child;

pub struct Tool {
    pub program: &'static str,
    pub package: &'static str,
}

pub const POSTGRES: Tool = Tool { program: "postgres", package: "postgresql" };
pub const NATS: Tool = Tool { program: "nats-server", package: "nats-server" };
pub const NGINX: Tool = Tool { program: "nginx", package: "nginx" };
pub const WRK: Tool = Tool { program: "wrk", package: "wrk" };

/// An S3 server: the one registry package that is a real one (keeps files,
/// checks signatures, refuses to overwrite on request) and needs nothing else.
const S3: (&str, &str) = ("s3s-fs", "0.14.1");

/// The S3 server, compiled beside our own programs where PATH has none.
pub fn s3_server() -> Result<PathBuf> {
    let (program, version) = S3;
    if let Some(found) = find(program) {
        return Ok(found);
    }
    let tools = crate::target().join("tools");
    let built = tools.join("bin").join(program);
    if !built.is_file() {
        eprintln!("xtask: compiling {program} {version}, which takes some minutes once");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["install", "--quiet", "--locked", "--features", "binary", "--root"]).arg(&tools);
        child::check(cargo.args(["--version", version, program]).env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(built)
}

/// Where each tool is, in the order asked for.
pub fn find_or_install(tools: &[Tool]) -> Result<Vec<PathBuf>> {
    let missing: Vec<&Tool> = tools.iter().filter(|t| find(t.program).is_none()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    tools.iter().map(|t| find(t.program).with_context(|| format!("{} is still missing", t.program))).collect()
}

/// On PATH, in sbin, or where Debian keeps PostgreSQL's programs (newest first).
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.extend(debian_postgres());
    folders.into_iter().map(|f| f.join(program)).find(|p| p.is_file())
}

fn debian_postgres() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let version = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
    let mut versions: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    versions.sort_by_key(|p| std::cmp::Reverse(version(p)));
    versions.into_iter().map(|v| v.join("bin")).collect()
}

fn install(missing: &[&Tool]) -> Result<()> {
    let programs = missing.iter().map(|t| t.program).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().map(|t| t.package).collect();
    if !is_root() || find("apt-get").is_none() {
        bail!(
            "missing: {programs}\n\
             Install the Debian packages (apt-get install {}), or programs of these names on PATH.\n\
             PostgreSQL may also run in a container:\n  \
             docker compose --file docker-compose.test.yml up --detach\n  \
             export DAYBOOK_TEST_POSTGRES=postgres://postgres:postgres@127.0.0.1:54320/postgres",
            packages.join(" ")
        );
    }
    eprintln!("xtask: installing {}", packages.join(", "));
    let _quiet = NoServiceStart::new();
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages.as_slice()].concat())
}

fn apt_get(args: &[&str]) -> Result<()> {
    let done = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").output();
    let done = done.context("cannot run apt-get")?;
    ensure!(
        done.status.success(),
        "apt-get {} failed:\n{}",
        args.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
    ensure!(!child::interrupted(), "interrupted");
    Ok(())
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// While it lives, installing a package starts no service of the machine
/// (Debian's `policy-rc.d`). An existing policy is left alone.
struct NoServiceStart(Option<&'static Path>);

impl NoServiceStart {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let written = !policy.exists()
            && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
            && std::fs::set_permissions(policy, std::fs::Permissions::from_mode(0o755)).is_ok();
        Self(written.then_some(policy))
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            // A leftover would only keep services from starting; say so.
            if let Err(error) = std::fs::remove_file(policy) {
                eprintln!("xtask: cannot remove {}: {error}", policy.display());
            }
        }
    }
}
