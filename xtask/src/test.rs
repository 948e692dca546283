//! `cargo xtask test`: every test, against servers of its own.

use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::services::Services;
use crate::{child, languages, python};

#[derive(clap::Args, Default)]
pub struct Args {
    /// Run only tests whose name contains one of these; options of the test
    /// runner are passed on
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    filters: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    Services::prepare()?;
    let python = python::prepare()?;
    let languages = languages::prepare()?;
    let services = Services::start()?;
    let with_servers = |command: &mut Command| {
        command.envs(services.variables()).env("DAYBOOK_TEST_REQUIRE_SERVERS", "1");
        command.env(python::VARIABLE, &python).env(languages::VARIABLE, &languages);
    };
    // Tests of whole servers run the binaries. Everything in one go, because
    // binaries alone select other features and compile what is heavy twice.
    child::check(child::cargo().args(["build", "--quiet", "--workspace", "--all-targets"]))?;
    if args.filters.is_empty() {
        let mut doc = child::cargo();
        doc.args(["test", "--quiet", "--doc", "--workspace"]);
        with_servers(&mut doc);
        child::check(&mut doc)?;
    }
    // Last, so that the runner's own summary is the last thing to be read.
    let mut tests = child::cargo();
    if has_nextest() {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        tests.args(["test", "--workspace", "--all-targets"]);
    }
    with_servers(tests.args(&args.filters));
    child::run(&mut tests)
}

fn has_nextest() -> bool {
    let mut asked = child::cargo();
    asked.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|s| s.success())
}
