//! Webhooks: where they may lead to, and who sends them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use commands::{Services, Webhooks};
use domain::delivery::Schedule;
use domain::endpoint::address::Guard;
use domain::ports::clock::Ids;
use domain::ports::rows::RowStore;
use domain::target_url::UrlPolicy;
use infra_runtime::{Config, RandomIds};
use infra_webhooks::HttpSender;
use tokio_util::sync::CancellationToken;
use workers::dispatcher::{self, DispatcherConfig, Parts};

pub fn guard(config: &Config) -> Result<Guard> {
    let guard = Guard::new(&config.webhooks.allow_networks);
    Ok(guard.map_err(|e| config.invalid("webhooks.allow_networks", e))?)
}

/// For the commands.
pub fn commanded(config: &Config, services: &Services) -> Result<Webhooks> {
    let urls = UrlPolicy { allow_http: config.webhooks.allow_http, allowed_hosts: Vec::new() };
    let seals = config.privacy.encrypt;
    Ok(Webhooks { services: services.clone(), seals, urls, guard: Arc::new(guard(config)?) })
}

/// Sends until `stop`.
pub fn dispatcher(
    config: &Config,
    services: &Services,
    rows: Arc<dyn RowStore>,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>> {
    let settings = &config.webhooks;
    let sender = HttpSender::new(guard(config)?, env!("CARGO_PKG_VERSION"));
    let sender = Arc::new(sender.map_err(|e| anyhow!("the client of webhooks: {e}"))?);
    let schedule = Schedule {
        delays: settings.retry_after.iter().map(|wait| wait.0).collect(),
        jitter_percent: settings.jitter_percent,
        max_retry_after: Duration::from_secs(settings.max_retry_after_seconds.into()),
    };
    let config = DispatcherConfig {
        owner: format!("{}-{}", std::process::id(), RandomIds.next()),
        schedule,
        concurrency: settings.concurrency,
        disable_after: Duration::from_secs(u64::from(settings.disable_after_hours) * 3_600),
    };
    let Services { log, clock, ids, .. } = services.clone();
    Ok(dispatcher::run(Parts { log, rows, clock, ids, sender }, config, stop))
}
