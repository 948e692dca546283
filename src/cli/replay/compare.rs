//! `daybook replay compare`: what a generation would change.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use replays::comparing::Ask;
use replays::report;

use super::act::with_runner;
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
    // Rows of all tenants are told, which no server gives to one of them.
    let Reach::Direct(direct) = reach else { bail!("compare works on the database: leave --server out") };
    if let Some(path) = &ndjson {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        ask.lines = Some(Box::new(BufWriter::new(file)));
    }
    let comparing = async { Ok(direct.engine.compare(projection, ask, &direct.by).await?) };
    let outcome = with_runner(direct, projection, comparing).await?;
    if let Some(path) = &html {
        std::fs::write(path, report::html(&outcome))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    out.line(&if out.json { serde_json::to_string(&outcome)? } else { report::text(&outcome) })?;
    Ok(if outcome.same { exit::OK } else { exit::DISAGREES })
}
