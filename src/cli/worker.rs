//! `daybook worker`: a process that works on valuation runs and does nothing else.

use anyhow::{Result, anyhow};
use clap::Args;
use infra_runtime::Config;
use infra_runtime::shutdown::Signals;
use runs::Worker;
use tokio_util::sync::CancellationToken;

use super::exit;
use super::output::Output;
use crate::wiring;

#[derive(Args)]
pub struct WorkerArgs {
    /// End when no run has anything left to do
    #[arg(long)]
    until_idle: bool,
}

pub async fn run(
    args: WorkerArgs,
    config: &Config,
    services: commands::Services,
    out: &mut Output,
) -> Result<u8> {
    let mut signals = Signals::listen()?;
    let desk = wiring::desk(config, &services)?;
    let stop = CancellationToken::new();
    let ended = stop.clone();
    let stopping = tokio::spawn(async move {
        let _ = signals.next().await;
        ended.cancel();
    });
    out.line("working")?;
    out.flush()?;
    let worker = || Worker::new(desk.clone(), wiring::worker_name());
    let done = match args.until_idle {
        true => worker().run_until_idle(stop).await.map_err(|e| anyhow!("{}", e.detail())),
        false => {
            let all = (0..config.runs.concurrency).map(|_| tokio::spawn(worker().run(stop.clone())));
            for ended in all.collect::<Vec<_>>() {
                ended.await?;
            }
            Ok(())
        }
    };
    stopping.abort();
    done.map(|()| exit::OK)
}
