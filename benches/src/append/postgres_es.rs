//! cqrs-es with postgres-es, in a program of its own: its dependencies do not
//! resolve beside ours.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{Case, PAYLOAD, with_database};

pub async fn run(case: &Case) -> Result<f64> {
    with_database(case, async |url| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/postgres-es/Cargo.toml");
        let output = Command::new("cargo")
            .args(["run", "--release", "--quiet", "--manifest-path", manifest, "--", &url])
            .args([case.writers.to_string(), case.duration.as_secs().to_string(), PAYLOAD.to_owned()])
            .output()
            .await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rate = String::from_utf8(output.stdout)?;
        rate.trim().parse().context("postgres-es printed no number")
    })
    .await
}
