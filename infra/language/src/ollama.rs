//! The protocol of Ollama.

use domain::ports::language::{Prompt, Trouble, Vectors, Written};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::{MAX_VECTORS_BYTES, MAX_WRITTEN_BYTES, TEMPERATURE};

/// Tokens of context beside those of text and answer.
const SPARE: u32 = 256;

#[derive(Serialize)]
struct Chat<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    options: Options,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct Options {
    seed: u64,
    temperature: f64,
    num_predict: u32,
    /// Unless it is told, the server cuts long texts without a word.
    num_ctx: u32,
}

#[derive(Deserialize)]
struct Chatted {
    message: Said,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Said {
    content: String,
}

pub async fn write(exchange: &Exchange, model: &str, prompt: &Prompt) -> Result<Written, Trouble> {
    // Two bytes a token is more than any text needs.
    let asked = u32::try_from((prompt.instructions.len() + prompt.text.len()) / 2).unwrap_or(u32::MAX);
    let chat = Chat {
        model,
        messages: [
            Message { role: "system", content: &prompt.instructions },
            Message { role: "user", content: &prompt.text },
        ],
        stream: false,
        options: Options {
            seed: prompt.seed,
            temperature: TEMPERATURE,
            num_predict: prompt.max_tokens,
            num_ctx: asked.saturating_add(prompt.max_tokens).saturating_add(SPARE),
        },
    };
    let said: Chatted = exchange.ask("api/chat", Some(&chat), MAX_WRITTEN_BYTES).await?;
    if said.done_reason.as_deref() == Some("length") {
        return Err(Trouble::Nonsense("it was cut off"));
    }
    let tokens = said.prompt_eval_count.zip(said.eval_count).map(|(asked, said)| asked.saturating_add(said));
    Ok(Written { text: said.message.content, tokens })
}

#[derive(Serialize)]
struct Embed<'a> {
    model: &'a str,
    input: &'a [String],
    /// What is too long is an error and not cut.
    truncate: bool,
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
}

pub async fn embed(exchange: &Exchange, model: &str, texts: &[String]) -> Result<Vectors, Trouble> {
    let asked = Embed { model, input: texts, truncate: false };
    let said: Embedded = exchange.ask("api/embed", Some(&asked), MAX_VECTORS_BYTES).await?;
    Ok(Vectors { vectors: said.embeddings, tokens: said.prompt_eval_count })
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    digest: Option<String>,
}

/// A name without a tag means the newest.
pub async fn digest(exchange: &Exchange, model: &str) -> Result<Option<String>, Trouble> {
    let tags: Tags = exchange.ask::<(), _>("api/tags", None, MAX_WRITTEN_BYTES).await?;
    let whole = match model.contains(':') {
        true => model.to_owned(),
        false => format!("{model}:latest"),
    };
    let found = tags.models.into_iter().find(|tag| tag.name == model || tag.name == whole);
    Ok(found.and_then(|tag| tag.digest).filter(|digest| digest.len() <= 128))
}
