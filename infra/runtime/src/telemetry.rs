//! Logs to standard error, metrics for Prometheus.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Seconds; from a redirect out of memory to a wait for a position.
const DURATION_BUCKETS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Starts logging for the whole process, of panics too.
pub fn init_logs(settings: &LogSettings) -> anyhow::Result<()> {
    // PostgreSQL tells of every table that is there already.
    let filter = format!("sqlx::postgres::notice=warn,{}", settings.level);
    let filter = EnvFilter::try_new(filter).context("the log level is not a filter")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let result = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    result.map_err(|e| anyhow::anyhow!("logging was started already: {e}"))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    Ok(())
}

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder, once for the process.
    pub fn install() -> anyhow::Result<Self> {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        if let Some(metrics) = INSTALLED.get() {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS)
            .context("metric buckets")?
            .install_recorder()
            .context("metrics were started already")?;
        Ok(INSTALLED.get_or_init(|| Self(handle)).clone())
    }

    /// The Prometheus text.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps memory bounded when nobody scrapes; runs until dropped.
    pub async fn upkeep(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            self.0.run_upkeep();
        }
    }
}
