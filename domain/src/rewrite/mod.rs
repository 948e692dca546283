//! `Rewrite`: a sample's text written anew in the direction of an author's
//! style by a language model outside this process. Stream kind `rewrite`. What
//! the model answered is a fact, so that nothing that folds it asks again.

mod decision;
#[cfg(test)]
mod tests;

pub use decision::{MAX_ATTEMPTS, MAX_TEXT_BYTES, MOST_CANDIDATES};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::personal::{Personal, PersonalText};

pub const KIND: &str = "rewrite";
pub const REQUESTED: &str = "rewrite.requested";
pub const STARTED: &str = "rewrite.started";
pub const COMPLETED: &str = "rewrite.completed";
pub const FAILED: &str = "rewrite.failed";

/// Of `rewrite.completed`: the text is the author's whose sample it was made of.
pub const PERSONAL: Personal =
    Personal { kind: crate::sample::SUBJECT_KIND, member: "subject", fields: &["text"] };

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Formality {
    Formal,
    Neutral,
    Informal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    Plain,
    Rich,
}

/// What is wanted beside the target's style.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Controls {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formality: Option<Formality>,
    /// Mean words of a sentence, 3 to 80; the target's unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence_words: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// Words to use, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
    /// Words to avoid, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<String>,
}

/// Payload of `rewrite.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    pub sample: String,
    /// The target, by the subject of the author's texts.
    pub author_id: String,
    pub controls: Controls,
    /// Texts to choose among.
    pub candidates: u32,
    pub seed: u64,
    pub asked_by: String,
}

/// Payload of `rewrite.started`: somebody works on it until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// From 1.
    pub attempt: u32,
    pub until: Timestamp,
}

/// What was measured of a text beside the sample and the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    pub words: u64,
    /// Cosine Delta to the target's fingerprint, 0 to 2.
    pub distance: f64,
    pub sentence_words: f64,
    pub word_letters: f64,
}

/// One of the texts that were chosen among.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    pub seed: u64,
    /// Why it was not considered; nothing else is known of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// 0 to 1, by `meaning` of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// Share of words that are another, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<f64>,
}

/// Payload of `rewrite.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Whose personal data the text is: `author:<subject>`.
    pub subject: String,
    pub text: PersonalText,
    /// Which candidate it is, from 0.
    pub chosen: u32,
    pub candidates: Vec<Candidate>,
    /// Of the sample.
    pub before: Figures,
    /// How meaning was compared.
    pub meaning: String,
    /// The rules of instructions and choice.
    pub rules: String,
    /// Of the instructions as they were sent.
    pub instructions_sha256: String,
    /// The model of fingerprints that distances were taken by.
    pub fingerprint: String,
    pub provider: String,
    pub model: String,
    /// Of the model's weights, where the provider says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Payload of `rewrite.failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// For programs.
    pub code: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "rewrite.requested")]
    Requested(Requested),
    #[serde(rename = "rewrite.started")]
    Started(Started),
    #[serde(rename = "rewrite.completed")]
    Completed(Box<Completed>),
    #[serde(rename = "rewrite.failed")]
    Failed(Failed),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Request(Requested),
    /// Begin to work on it, until then.
    Start {
        until: Timestamp,
    },
    /// Made while nothing was decided about the text's subject past this version
    /// of its stream.
    Complete(Box<Completed>, u64),
    Fail(Failed),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    #[default]
    Open,
    Completed(Box<Completed>),
    Failed(Failed),
}

/// State folded from a rewrite's stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rewrite {
    pub requested: Option<Requested>,
    pub started: Option<Started>,
    pub outcome: Outcome,
}

/// The id of what is asked for: asking the same again is the same rewrite.
pub fn id_of(sample: &str, author_id: &str, controls: &Controls, candidates: u32, seed: u64) -> String {
    let mut hash = Sha256::new();
    // Controls are texts and numbers: they always serialise.
    let controls = serde_json::to_string(controls).unwrap_or_default();
    for part in [sample, author_id, &controls, &candidates.to_string(), &seed.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..20])
}
