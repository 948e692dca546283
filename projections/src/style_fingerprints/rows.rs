//! The rows, as they are stored. With the parameters of a new installation a
//! vector is 450 numbers: a sample's row is about 2.5 kB, an author's 5 kB, a
//! year's and a corpus' 10 kB. Whatever the parameters, a vector is at most
//! 2,300 numbers.

use std::collections::BTreeMap;

use domain::sample::Label;
use models_stylometry::fingerprint::{Estimate, Sums};
use serde::{Deserialize, Serialize};

use crate::working_set::Row;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its text is not whole yet.
    #[default]
    Pending,
    Recorded,
    Withdrawn,
    /// Its text is gone, and all that was known of it with it.
    Erased,
}

/// A sample. Withdrawn or erased, it has no vector and counts for nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRow {
    pub id: String,
    /// Of its stream.
    pub version: u64,
    pub state: State,
    /// Whose personal data the text is: `author:<subject>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(flatten)]
    pub label: Label,
    /// What it was taken from.
    #[serde(default)]
    pub format: String,
    /// Of the normalised text.
    #[serde(default)]
    pub bytes: u64,
    #[serde(default)]
    pub parts: u32,
    #[serde(default)]
    pub recorded: u32,
    #[serde(default)]
    pub words: u64,
    /// ISO 639-3, where the language was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
    /// Codes of what weakens every figure.
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    pub vector: Vec<i64>,
}

/// A part of a text whose other parts are still to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    pub text: String,
}

/// A sample in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<jiff::civil::Date>,
    pub words: u64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
}

/// An author's samples of one year, or those without a date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct YearRow(pub Sums);

/// An author.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorRow {
    pub id: String,
    pub name: String,
    pub samples: u64,
    pub words: u64,
    /// Samples too short to count.
    #[serde(default)]
    pub passed_over: u64,
    /// Samples that count without a date.
    #[serde(default)]
    pub undated: u64,
    /// Samples that count, by year.
    #[serde(default)]
    pub years: BTreeMap<i16, u64>,
    /// Samples by the language that was recognised.
    #[serde(default)]
    pub languages: BTreeMap<String, u64>,
    /// Codes of what weakens every figure.
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    pub estimate: Estimate,
}

/// A corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusRow {
    pub id: String,
    pub samples: u64,
    pub words: u64,
    #[serde(default)]
    pub languages: BTreeMap<String, u64>,
    /// Of the samples that are long enough to count.
    #[serde(default)]
    pub sums: Sums,
}

fn numbers(sums: &Sums) -> usize {
    8 * (sums.first.capacity() + sums.second.capacity())
}

impl Row for SampleRow {
    fn memory(&self) -> usize {
        size_of::<Self>() + 8 * self.vector.capacity() + 600
    }
}

impl Row for PartRow {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.text.capacity()
    }
}

impl Row for Brief {}

impl Row for YearRow {
    fn memory(&self) -> usize {
        size_of::<Self>() + numbers(&self.0)
    }
}

impl Row for AuthorRow {
    fn memory(&self) -> usize {
        let half = self.estimate.half.as_ref().map_or(0, Vec::capacity);
        let names = 64 * (self.years.len() + self.languages.len() + self.flags.len());
        size_of::<Self>() + 8 * (self.estimate.mean.capacity() + half) + names + 300
    }
}

impl Row for CorpusRow {
    fn memory(&self) -> usize {
        size_of::<Self>() + numbers(&self.sums) + 64 * self.languages.len() + 100
    }
}
