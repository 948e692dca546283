//! `cargo xtask ci`: what a change must pass.

use std::process::ExitCode;

use anyhow::Result;

use crate::{child, test};

pub fn run() -> Result<ExitCode> {
    child::check(child::cargo().args(["fmt", "--all", "--check"]))?;
    child::check(child::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    test::run(&test::Args::default())
}
