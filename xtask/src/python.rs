//! A Python with what analysts use, for the tests of the archive's page, and
//! with other people's programs for the log's proofs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{child, install};

pub const VARIABLE: &str = "DAYBOOK_TEST_PYTHON";
const PACKAGES: [&str; 7] = [
    "duckdb==2.0.0",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "pytz==2026.6",
    "proofbundle==6.3.1",
    "cryptography==50.0.2",
    "rfc8785==0.1.4",
];
/// Asks for a newer Python than Debian 12 has, and works on that one too.
const ANY_PYTHON: &str = "aics-tlog==0.2.1";

/// The interpreter that the environment names, or one of our own beside our
/// programs.
pub fn prepare() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(named.into());
    }
    let folder = crate::target().join("tools").join("python");
    let python = folder.join("bin").join("python");
    let ready = folder.join(format!("ready-{}", [&PACKAGES[..], &[ANY_PYTHON]].concat().join("-")));
    if !ready.is_file() {
        eprintln!("xtask: installing {}", PACKAGES.join(", "));
        let system = install::find("python3").context("python3 is missing (apt-get install python3-venv)")?;
        child::check(Command::new(system).args(["-m", "venv"]).arg(&folder))?;
        let pip = |packages: &[&str]| {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
            child::check(&mut pip)
        };
        pip(&PACKAGES)?;
        pip(&["--ignore-requires-python", "--no-deps", ANY_PYTHON])?;
        std::fs::write(&ready, "")?;
    }
    Ok(python)
}
