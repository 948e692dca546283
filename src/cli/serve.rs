//! `daybook serve`.

use anyhow::Result;
use infra_runtime::{Config, shutdown, telemetry};

use super::exit;
use super::output::Output;
use crate::wiring;

pub async fn run(config: Config, out: &mut Output) -> Result<u8> {
    telemetry::init_logs(&config.log)?;
    let running = wiring::start(&config).await?;
    // Scripts and tests wait for this line.
    out.line(&format!("listening on http://{}", running.address))?;
    out.flush()?;
    let signal = shutdown::signalled().await?;
    tracing::info!(signal, "stopping");
    running.stop().await;
    Ok(exit::OK)
}
