//! `daybook replay compare`: what a generation would change.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use replays::compare::{Comparison, Lines};
use replays::comparing::Ask;
use replays::report;
use serde_json::{Value, json};

use super::act::{post, with_runner};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::reach::{Reach, Refused, Server};

pub async fn compare(
    reach: &Reach,
    projection: &str,
    mut ask: Ask,
    ndjson: Option<PathBuf>,
    html: Option<PathBuf>,
    out: &mut Output,
) -> Result<u8> {
    let mut every = match &ndjson {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let outcome: Comparison = match reach {
        Reach::Direct(direct) => {
            ask.lines = every.map(|file| Box::new(file) as Lines);
            let comparing = async { Ok(direct.engine.compare(projection, ask, &direct.by).await?) };
            with_runner(direct, Some(projection), comparing).await?
        }
        Reach::Server(server) => {
            let body = json!({"generation": ask.generation, "against": ask.against, "top": ask.top,
                "explain": ask.explain, "wait_seconds": ask.wait.as_secs()});
            match &mut every {
                Some(file) => of_lines(server, projection, &body, file).await?,
                None => post(reach, projection, "compare", body).await?,
            }
        }
    };
    if let Some(path) = &html {
        std::fs::write(path, report::html(&outcome))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    out.line(&if out.json { serde_json::to_string(&outcome)? } else { report::text(&outcome) })?;
    Ok(if outcome.same { exit::OK } else { exit::DISAGREES })
}

/// What the last line says, once all others are in the file.
async fn of_lines(
    server: &Server,
    projection: &str,
    body: &Value,
    file: &mut BufWriter<File>,
) -> Result<Comparison> {
    let path = format!("/v1/replays/{projection}/compare");
    let mut last = server.post_for_lines(&path, body, file).await?;
    let problem = &last["problem"];
    if let Some(detail) = problem["detail"].as_str() {
        let status = problem["status"].as_u64().unwrap_or_default() as u16;
        return Err(Refused { status, detail: detail.to_owned() }.into());
    }
    serde_json::from_value(last["comparison"].take()).context("the server's last line is no comparison")
}
