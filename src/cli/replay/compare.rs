//! `daybook replay compare`: what a generation would change.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use replays::compare::Comparison;
use replays::comparing::Ask;
use replays::report;
use serde_json::json;

use super::act::{post, with_runner};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::reach::Reach;

pub async fn compare(
    reach: &Reach,
    projection: &str,
    mut ask: Ask,
    ndjson: Option<PathBuf>,
    html: Option<PathBuf>,
    out: &mut Output,
) -> Result<u8> {
    let on_server = matches!(reach, Reach::Server(_));
    ensure!(!on_server || ndjson.is_none(), "--ndjson works on the database: leave --server out");
    if let Some(path) = &ndjson {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        ask.lines = Some(Box::new(BufWriter::new(file)));
    }
    let outcome: Comparison = match reach {
        Reach::Direct(direct) => {
            let comparing = async { Ok(direct.engine.compare(projection, ask, &direct.by).await?) };
            with_runner(direct, projection, comparing).await?
        }
        Reach::Server(_) => {
            let body = json!({"generation": ask.generation, "against": ask.against, "top": ask.top,
                "explain": ask.explain, "wait_seconds": ask.wait.as_secs()});
            post(reach, projection, "compare", body).await?
        }
    };
    if let Some(path) = &html {
        std::fs::write(path, report::html(&outcome))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    out.line(&if out.json { serde_json::to_string(&outcome)? } else { report::text(&outcome) })?;
    Ok(if outcome.same { exit::OK } else { exit::DISAGREES })
}
