//! A Python with what analysts use, for the tests of the archive's page, with
//! other people's programs for the log's proofs, and with numpy and
//! scikit-learn, by which figures of models are computed a second way.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{child, install};

pub const VARIABLE: &str = "DAYBOOK_TEST_PYTHON";
const PACKAGES: [&str; 12] = [
    "duckdb==2.0.0",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "pytz==2026.6",
    "proofbundle==6.3.1",
    "cryptography==50.0.2",
    "rfc8785==0.1.4",
    "QuantLib==1.44",
    "numpy==2.4.6",
    "scikit-learn==1.9.1",
    "standardwebhooks==1.0.0",
    "sqlglot==30.30.0",
];
/// Peers of benchmarks; faststylometry's newer versions want a newer Python.
const PEERS: [&str; 6] = [
    "duckdb==2.0.0",
    "QuantLib==1.44",
    "numpy==2.4.6",
    "scikit-learn==1.9.1",
    "pydfs-lineup-optimizer==3.6.1",
    "faststylometry==1.0.5",
];
pub const PEERS_VARIABLE: &str = "DAYBOOK_BENCH_PYTHON";
/// They ask for a newer Python than Debian 12 has, and work on that one too.
const ANY_PYTHON: [&str; 2] = ["aics-tlog==0.2.1", "aics-witness==0.1.0"];

/// The interpreter that the environment names, or one of our own beside our
/// programs.
pub fn prepare() -> Result<PathBuf> {
    prepared(VARIABLE, "python", &PACKAGES, &ANY_PYTHON)
}

/// The same with the peers of benchmarks.
pub fn prepare_peers() -> Result<PathBuf> {
    prepared(PEERS_VARIABLE, "python-bench", &PEERS, &[])
}

fn prepared(variable: &str, name: &str, packages: &[&str], any_python: &[&str]) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let folder = crate::target().join("tools").join(name);
    let python = folder.join("bin").join("python");
    let ready = folder.join(format!("ready-{}", [packages, any_python].concat().join("-")));
    if !ready.is_file() {
        eprintln!("xtask: installing {}", packages.join(", "));
        let system = install::find("python3").context("python3 is missing (apt-get install python3-venv)")?;
        child::check(Command::new(system).args(["-m", "venv"]).arg(&folder))?;
        let pip = |packages: &[&str]| {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
            child::check(&mut pip)
        };
        pip(packages)?;
        if !any_python.is_empty() {
            pip(&[&["--ignore-requires-python", "--no-deps"][..], any_python].concat())?;
        }
        std::fs::write(&ready, "")?;
    }
    Ok(python)
}
