//! `cargo xtask demo`: builds and runs `daybook demo`.

use std::process::ExitCode;

use anyhow::Result;

use crate::child;

#[derive(clap::Args)]
pub struct Args {
    /// Stop after the summary; fails unless the served figures agree with what
    /// was sent
    #[arg(long)]
    exit: bool,
    /// Options of `daybook demo`
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut demo = child::cargo();
    demo.args(["run", "--quiet", "--package", "daybook", "--", "demo"]);
    if args.exit {
        demo.arg("--exit");
    }
    child::run(demo.args(&args.rest))
}
