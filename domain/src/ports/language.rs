//! A language model outside this process: it writes, and it says where texts
//! lie beside each other. Whoever calls it sends texts away.

use async_trait::async_trait;

/// What is asked of a model that writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// How to work.
    pub instructions: String,
    /// What to work on.
    pub text: String,
    /// For models that draw: the same seed, the same words, as far as they can.
    pub seed: u64,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

/// What a model wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// As the provider counts them, asked and answered together.
    pub tokens: Option<u64>,
}

/// Where texts lie: a vector for each, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    pub vectors: Vec<Vec<f32>>,
    pub tokens: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("the provider did not answer in time")]
    Timeout,
    #[error("the provider cannot be reached")]
    Unreachable,
    /// A status that may be another one later.
    #[error("the provider has no answer for now (status {0})")]
    Busy(u16),
    #[error("the provider refused (status {0})")]
    Refused(u16),
    #[error("the provider's answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the provider's answer is no answer: {0}")]
    Nonsense(&'static str),
    /// It failed so often that it is left alone for a while.
    #[error("the provider failed so often that it is not asked for a while")]
    Resting,
}

impl Trouble {
    /// For facts and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Busy(_) => "busy",
            Self::Refused(_) => "refused",
            Self::TooLong(_) => "too_long",
            Self::Nonsense(_) => "nonsense",
            Self::Resting => "resting",
        }
    }
}

#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// `ollama` or `openai`.
    fn provider(&self) -> &'static str;

    /// The model that writes, if there is one.
    fn writer(&self) -> Option<&str>;

    /// The model that makes vectors, if there is one.
    fn embedder(&self) -> Option<&str>;

    /// How often one call may send its text at most.
    fn attempts(&self) -> u32;

    /// What names a model's very weights, where the provider says it. Sends no
    /// text.
    async fn digest(&self, model: &str) -> Result<Option<String>, Trouble>;

    async fn write(&self, prompt: &Prompt) -> Result<Written, Trouble>;

    async fn embed(&self, texts: &[String]) -> Result<Vectors, Trouble>;
}
