//! `Sample`: a text that somebody wrote, with what is known of it. Stream kind
//! `sample`; the id is the SHA-256 of the text, so that the same text is the
//! same sample.
//!
//! The text is personal data of its author. It is sealed under the subject
//! `author:<subject>`, which is fixed when the text is submitted: a label given
//! later says who wrote it, not whose data it is.

mod decision;
mod library;
#[cfg(test)]
mod tests;

pub use decision::{MAX_ENCODED_BYTES, MAX_NAME_BYTES, MAX_TEXT_BYTES, PART_BYTES};
pub use library::{Entry, Library};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::ids::{MAX_ID_BYTES, check_id};
use crate::personal::{Personal, PersonalText};

pub const KIND: &str = "sample";
pub const SUBMITTED: &str = "sample.submitted";
pub const PART_RECORDED: &str = "sample.part_recorded";
pub const LABELLED: &str = "sample.labelled";
pub const WITHDRAWN: &str = "sample.withdrawn";

/// The corpus of all samples.
pub const ALL: &str = "all";

/// Kind of the subject that a text belongs to.
pub const SUBJECT_KIND: &str = "author";

/// Of `sample.submitted`.
pub const PERSONAL_TITLE: Personal = Personal { kind: SUBJECT_KIND, member: "subject", fields: &["title"] };
/// Of `sample.part_recorded`.
pub const PERSONAL_TEXT: Personal = Personal { kind: SUBJECT_KIND, member: "subject", fields: &["text"] };

/// What is known of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// As people write it. Absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Date, `1787-11-27`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub written_at: Option<jiff::civil::Date>,
    /// Genre or register: `novel`, `essay`, `email`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// ISO 639 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The collection that it belongs to, an id. Every sample is in [`ALL`]
    /// beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<String>,
}

/// Payload of `sample.submitted`. The text follows in parts, in the same append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Whose personal data it is: `author:<subject>`.
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<PersonalText>,
    #[serde(flatten)]
    pub label: Label,
    /// What it was taken from: `text`, `markdown`, `html`, `docx`, `pdf`.
    pub format: String,
    /// The rule by which the text was normalised.
    pub normalisation: String,
    /// Of the normalised text, 64 hex digits.
    pub sha256: String,
    /// Of the normalised text.
    pub bytes: u64,
    pub parts: u32,
}

/// Payload of `sample.part_recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub subject: String,
    /// From 1.
    pub part: u32,
    pub text: PersonalText,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "sample.submitted")]
    Submitted(Submitted),
    #[serde(rename = "sample.part_recorded")]
    PartRecorded(Part),
    /// Holds all of the label, changed or not.
    #[serde(rename = "sample.labelled")]
    Labelled(Label),
    /// Takes the sample out of every fingerprint; its text stays until its
    /// subject is erased.
    #[serde(rename = "sample.withdrawn")]
    Withdrawn { reason: String },
}

/// A normalised text with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    pub title: Option<String>,
    #[serde(default)]
    pub label: Label,
    pub format: String,
    pub normalisation: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Submit(Submit),
    Label(Label),
    Withdraw { reason: String },
}

/// State folded from a sample's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub submitted: Option<Submitted>,
    /// As it is now.
    pub label: Label,
    pub withdrawn: bool,
    /// A part of the text cannot be read any more.
    pub erased: bool,
}

/// The id of a normalised text's stream.
pub fn id_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The subject of an author's texts: the name where it is an id, else the name
/// with what an id may not have replaced and a hash that keeps names apart.
pub fn subject_of(author: &str) -> String {
    if check_id(author).is_ok() {
        return author.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
    let mut id: String = author.chars().map(plain).collect();
    let hash = hex::encode(&Sha256::digest(author.as_bytes())[..8]);
    id.truncate(MAX_ID_BYTES - hash.len() - 1);
    format!("{id}~{hash}")
}
