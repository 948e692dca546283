//! The protocol of OpenAI, as far as many servers speak it.

use domain::ports::language::{Prompt, Trouble, Vectors, Written};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::{MAX_VECTORS_BYTES, MAX_WRITTEN_BYTES, TEMPERATURE};

#[derive(Serialize)]
struct Completions<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    seed: u64,
    temperature: f64,
    max_tokens: u32,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Completed {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<u64>,
}

pub async fn write(exchange: &Exchange, model: &str, prompt: &Prompt) -> Result<Written, Trouble> {
    let asked = Completions {
        model,
        messages: [
            Message { role: "system", content: &prompt.instructions },
            Message { role: "user", content: &prompt.text },
        ],
        stream: false,
        seed: prompt.seed,
        temperature: TEMPERATURE,
        max_tokens: prompt.max_tokens,
    };
    let said: Completed = exchange.ask("v1/chat/completions", Some(&asked), MAX_WRITTEN_BYTES).await?;
    let tokens = said.usage.and_then(|usage| usage.total_tokens);
    let first = said.choices.into_iter().next().ok_or(Trouble::Nonsense("it has no choices"))?;
    match first.finish_reason.as_deref() {
        Some("length") => Err(Trouble::Nonsense("it was cut off")),
        Some("content_filter") => Err(Trouble::Nonsense("it was held back by a filter")),
        _ => Ok(Written { text: first.message.content.unwrap_or_default(), tokens }),
    }
}

#[derive(Serialize)]
struct Embeddings<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Embedded {
    data: Vec<Placed>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Placed {
    index: usize,
    embedding: Vec<f32>,
}

pub async fn embed(exchange: &Exchange, model: &str, texts: &[String]) -> Result<Vectors, Trouble> {
    let asked = Embeddings { model, input: texts, encoding_format: "float" };
    let mut said: Embedded = exchange.ask("v1/embeddings", Some(&asked), MAX_VECTORS_BYTES).await?;
    said.data.sort_by_key(|placed| placed.index);
    if said.data.iter().enumerate().any(|(at, placed)| placed.index != at) {
        return Err(Trouble::Nonsense("its vectors are not numbered one by one"));
    }
    let vectors = said.data.into_iter().map(|placed| placed.embedding).collect();
    Ok(Vectors { vectors, tokens: said.usage.and_then(|usage| usage.total_tokens) })
}
