//! `daybook serve`.

use anyhow::Result;
use infra_runtime::{Config, shutdown, telemetry};

use super::exit;
use super::output::Output;
use crate::wiring::{self, Running};

pub async fn run(config: Config, out: &mut Output) -> Result<u8> {
    telemetry::init_logs(&config.log)?;
    let running = wiring::start(&config).await?;
    // Scripts and tests wait for this line.
    out.line(&format!("listening on http://{}", running.address))?;
    out.flush()?;
    until_stopped(running).await?;
    Ok(exit::OK)
}

/// Serves until a signal, then finishes what was begun; a second signal ends
/// that at once. What was acknowledged is durable either way.
pub async fn until_stopped(running: Running) -> Result<()> {
    let signal = shutdown::signalled().await?;
    tracing::info!(signal, "stopping");
    tokio::select! {
        () = running.stop() => Ok(()),
        again = shutdown::signalled() => {
            tracing::warn!(signal = again?, "stopping at once");
            Ok(())
        }
    }
}
