//! Language models over HTTP. Two protocols: Ollama's own, and the one of
//! OpenAI that many servers speak. Every exchange is bounded in time and in
//! bytes; what may be better later is tried again, a few times; and a provider
//! that keeps failing is left alone for a while.

mod breaker;
mod exchange;
mod ollama;
mod openai;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use domain::Secret;
use domain::embedding::MAX_DIMENSION;
use domain::ports::language::{LanguageModel, Prompt, Trouble, Vectors, Written};

use exchange::Exchange;
pub use exchange::SetupError;

/// How freely a model draws its words: candidates should differ.
const TEMPERATURE: f64 = 0.8;
/// Longest answer in words.
const MAX_WRITTEN_BYTES: usize = 1 << 20;
/// Longest answer in vectors.
const MAX_VECTORS_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Ollama,
    OpenAi,
}

/// Where the provider is and how it is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub protocol: Protocol,
    pub url: String,
    /// Empty: none.
    pub writer: String,
    pub embedder: String,
    /// Empty: none. Sent as a bearer's token.
    pub key: Secret,
    /// Of one attempt.
    pub timeout: Duration,
    /// How often one call is tried.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after.
    pub pause: Duration,
    /// Failures in a row after which the provider rests, and for how long.
    pub failures: u32,
    pub rest: Duration,
}

/// A provider.
pub struct HttpModel {
    protocol: Protocol,
    exchange: Exchange,
    writer: Option<String>,
    embedder: Option<String>,
}

impl HttpModel {
    /// Connects to nothing yet.
    pub fn new(settings: Settings, version: &str) -> Result<Self, SetupError> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let (writer, embedder) = (named(&settings.writer), named(&settings.embedder));
        if writer.is_none() && embedder.is_none() {
            return Err(SetupError::NoModel);
        }
        let protocol = settings.protocol;
        Ok(Self { protocol, exchange: Exchange::new(settings, version)?, writer, embedder })
    }
}

#[async_trait]
impl LanguageModel for HttpModel {
    fn provider(&self) -> &'static str {
        match self.protocol {
            Protocol::Ollama => "ollama",
            Protocol::OpenAi => "openai",
        }
    }

    fn writer(&self) -> Option<&str> {
        self.writer.as_deref()
    }

    fn embedder(&self) -> Option<&str> {
        self.embedder.as_deref()
    }

    fn attempts(&self) -> u32 {
        self.exchange.attempts()
    }

    async fn digest(&self, model: &str) -> Result<Option<String>, Trouble> {
        match self.protocol {
            Protocol::Ollama => ollama::digest(&self.exchange, model).await,
            Protocol::OpenAi => Ok(None),
        }
    }

    async fn write(&self, prompt: &Prompt) -> Result<Written, Trouble> {
        let model = self.writer.as_deref().ok_or(Trouble::Nonsense("there is no model that writes"))?;
        let written = match self.protocol {
            Protocol::Ollama => ollama::write(&self.exchange, model, prompt).await?,
            Protocol::OpenAi => openai::write(&self.exchange, model, prompt).await?,
        };
        match written.text.trim().is_empty() {
            true => Err(Trouble::Nonsense("it is empty")),
            false => Ok(written),
        }
    }

    async fn embed(&self, texts: &[String]) -> Result<Vectors, Trouble> {
        let model = self.embedder.as_deref().ok_or(Trouble::Nonsense("there is no model for vectors"))?;
        let found = match self.protocol {
            Protocol::Ollama => ollama::embed(&self.exchange, model, texts).await?,
            Protocol::OpenAi => openai::embed(&self.exchange, model, texts).await?,
        };
        checked(found, texts.len())
    }
}

/// One vector for each text, all of one length, each with a direction.
fn checked(found: Vectors, texts: usize) -> Result<Vectors, Trouble> {
    if found.vectors.len() != texts {
        return Err(Trouble::Nonsense("it has not one vector for each text"));
    }
    let length = found.vectors.first().map_or(0, Vec::len);
    if length == 0 || length > MAX_DIMENSION as usize {
        return Err(Trouble::Nonsense("its vectors have no dimensions, or too many"));
    }
    if found.vectors.iter().any(|vector| vector.len() != length) {
        return Err(Trouble::Nonsense("its vectors differ in dimension"));
    }
    let directed =
        |vector: &Vec<f32>| vector.iter().all(|n| n.is_finite()) && vector.iter().any(|n| *n != 0.0);
    if !found.vectors.iter().all(directed) {
        return Err(Trouble::Nonsense("a vector of it has no direction"));
    }
    Ok(found)
}
