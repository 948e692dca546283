//! A Python program beside us: told a case as JSON, it answers with its own
//! clock's times, so that starting it and reading the case cost it nothing.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The interpreter that has the peers.
const PYTHON: &str = "DAYBOOK_BENCH_PYTHON";

/// Runs a program whose numbers are crunched by one thread.
pub fn ask(program: &str, case: &Value) -> Result<Value> {
    let python = std::env::var_os(PYTHON).with_context(|| {
        format!("{PYTHON} names no Python with the peers; `cargo xtask bench` installs one")
    })?;
    let mut command = Command::new(python);
    for threads in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(threads, "1");
    }
    command.args(["-W", "ignore", "-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("starting Python")?;
    let mut input = child.stdin.take().context("no input")?;
    input.write_all(case.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the peer failed");
    let text = String::from_utf8(output.stdout)?;
    let answer = text.lines().last().context("the peer said nothing")?;
    serde_json::from_str(answer).with_context(|| format!("the peer said {answer}"))
}

/// A number of an answer; NaN where there is none.
pub fn number(answer: &Value, name: &str) -> f64 {
    answer[name].as_f64().unwrap_or(f64::NAN)
}
