//! The language model that texts may be sent to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use commands::Services;
use domain::Secret;
use domain::language_use::Budget;
use domain::ports::rows::RowStore;
use infra_language::{HttpModel, Protocol, Settings};
use infra_runtime::Config;
use rewriting::{Rewriter, Sender};
use tokio_util::sync::CancellationToken;

/// Before the second attempt of a call.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which a provider rests, and for how long.
const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(60);
/// Between two attempts to begin.
const RETRY: Duration = Duration::from_secs(1);

/// `None` where no provider is set: nothing can leave then.
pub fn sender(config: &Config, services: &Services) -> Result<Option<Sender>> {
    let of = &config.language;
    let (protocol, setting, url, writer) = match (of.ollama_url.as_str(), of.openai_url.as_str()) {
        ("", "") => return Ok(None),
        ("", url) => (Protocol::OpenAi, "language.openai_url", url, &of.openai_model),
        (url, _) => (Protocol::Ollama, "language.ollama_url", url, &of.ollama_model),
    };
    let embedder = match (protocol, of.embedding_model.as_str()) {
        (Protocol::Ollama, "") => writer,
        _ => &of.embedding_model,
    };
    let settings = Settings {
        protocol,
        url: url.to_owned(),
        writer: writer.clone(),
        embedder: embedder.clone(),
        key: key(config)?,
        timeout: Duration::from_secs(of.timeout_seconds.into()),
        attempts: of.attempts,
        pause: PAUSE,
        failures: FAILURES,
        rest: REST,
    };
    let model = HttpModel::new(settings, env!("CARGO_PKG_VERSION"));
    let model = model.map_err(|e| config.invalid(setting, e))?;
    let budget = Budget { calls: of.calls_per_day, tokens: of.tokens_per_day };
    Ok(Some(Sender::new(services.clone(), Arc::new(model), budget)))
}

fn key(config: &Config) -> Result<Secret> {
    let of = &config.language;
    if of.api_key_file.as_os_str().is_empty() {
        return Ok(of.api_key.clone());
    }
    let text = std::fs::read_to_string(&of.api_key_file);
    let text = text.with_context(|| format!("language.api_key_file {}", of.api_key_file.display()))?;
    Ok(Secret::new(text.trim()))
}

/// Opens as soon as the log answers.
pub async fn rewriter(sender: Sender, rows: Arc<dyn RowStore>, stop: CancellationToken) {
    loop {
        match Rewriter::open(sender.clone(), rows.clone()).await {
            Ok(rewriter) => return rewriter.run(stop).await,
            Err(error) => tracing::warn!(%error, "rewriting: cannot begin yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}
