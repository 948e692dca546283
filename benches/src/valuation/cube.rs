//! Questions to a server, the first time and again, and the same of DuckDB.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Arguments as RunArguments, plain, portfolio, work};
use crate::child::{Daybook, KEY};
use crate::python::{ask as ask_python, number};
use crate::table::{Line, median, print};

const PROGRAM: &str = include_str!("../../peers/cube.py");
const NAME: &str = "RUN-2-0";
const RISK: &str = "risk?by=book&level=0.99";
const SLICE: &str = "cube?measure=PV_BASE&by=book,product&scenario=HIST:H0500";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Questions of each kind, after the first.
    #[arg(long, default_value_t = 11)]
    asked: usize,
}

struct Answers {
    first: f64,
    again: f64,
    body: Value,
}

/// What `run --data-dir` left is asked, if it is the same folder.
pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kept = arguments.run.data_dir.clone();
    let daybook = Daybook::new(kept.as_deref().unwrap_or(folder.path()), &[]);
    if daybook.run(&["runs", "show", NAME]).is_err() {
        portfolio(&daybook, &arguments.run)?;
        work(&daybook, &arguments.run, NAME, 2)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(&runtime.block_on(measure(&daybook, arguments.asked))?, json);
    Ok(())
}

async fn measure(daybook: &Daybook, asked: usize) -> Result<Vec<Line>> {
    let mut answers = Vec::new();
    let mut memory = 0.0;
    for question in [RISK, SLICE] {
        // One that has read nothing yet.
        let server = daybook.serve(&["--roles", "api"])?;
        answers.push(ask(&format!("{}/v1/results/{NAME}/{question}", server.url), asked).await?);
        memory = server.mib().max(memory);
    }
    let [risk, slice] = &answers[..] else { anyhow::bail!("an answer is missing") };
    let told = ask_python(PROGRAM, &json!({"objects": daybook.data.join("results"), "asked": asked}))?;
    for group in risk.body["groups"].as_array().context("no groups")? {
        let book = group["by"]["book"].as_str().context("no book")?;
        for (place, name) in ["var", "es"].iter().enumerate() {
            let (ours, theirs) = (number(&group["risk"][0], name), told["books"][book][place].as_f64());
            let theirs = theirs.with_context(|| format!("the peer does not know {book}"))?;
            ensure!(
                (ours - theirs).abs() < 1e-9 * ours.abs().max(1.0),
                "{name} of {book}: {ours}, not {theirs}"
            );
        }
    }
    let rows = slice.body["rows"].as_array().context("no rows")?;
    let sum: f64 = rows.iter().map(|row| number(row, "value")).sum();
    let theirs = number(&told, "slice_sum");
    ensure!((sum - theirs).abs() < 1e-9 * sum.abs().max(1.0), "the slice sums to {sum}, not {theirs}");
    let line = |case: &str, ours: f64, name: &str| Line {
        peer: "DuckDB on the same objects",
        peer_value: number(&told, name) * 1e3,
        ..plain("cube", case.to_owned(), ours * 1e3, "ms", asked)
    };
    Ok(vec![
        line("VaR and ES of every book, first question", risk.first, "risk_first"),
        line("VaR and ES of every book, again", risk.again, "risk"),
        line("sums by book and product in a scenario, first question", slice.first, "slice_first"),
        line("sums by book and product in a scenario, again", slice.again, "slice"),
        plain("cube", "most memory of the server".into(), memory, "MiB", 1),
    ])
}

async fn ask(url: &str, asked: usize) -> Result<Answers> {
    let client = reqwest::Client::new();
    let mut took = Vec::new();
    let mut body = Value::Null;
    for _ in 0..=asked {
        let start = Instant::now();
        let response = client.get(url).header("X-API-Key", KEY).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        took.push(start.elapsed().as_secs_f64());
        ensure!(status.is_success(), "{status}: {text}");
        body = serde_json::from_str(&text)?;
    }
    Ok(Answers { first: took[0], again: median(&took[1..]), body })
}
