//! `daybook serve`.

use anyhow::Result;
use infra_runtime::shutdown::Signals;
use infra_runtime::{Config, telemetry};

use super::exit;
use super::output::Output;
use crate::wiring::{self, Running};

pub async fn run(config: Config, out: &mut Output) -> Result<u8> {
    telemetry::init_logs(&config.log)?;
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        running = wiring::start(&config) => running?,
        // Nothing was acknowledged yet.
        _ = signals.next() => return Ok(exit::OK),
    };
    // Scripts and tests wait for this line.
    out.line(&format!("listening on http://{}", running.address))?;
    out.flush()?;
    until_stopped(running, signals).await
}

/// Serves until a signal, then finishes what was begun; a second signal ends
/// that at once. What was acknowledged is durable either way.
pub async fn until_stopped(running: Running, mut signals: Signals) -> Result<u8> {
    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    tokio::select! {
        () = running.stop() => {}
        signal = signals.next() => tracing::warn!(signal, "stopping at once"),
    }
    Ok(exit::OK)
}
