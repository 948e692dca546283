//! What the commands answer, as JSON.

use models_stylometry::attribute::Candidate;
use models_stylometry::delta::Deltas;
use models_stylometry::explain::{Explanation, Part};
use models_stylometry::features::Features;
use models_stylometry::language::Language;
use models_stylometry::verify::Verification;
use models_stylometry::warnings::Warning;
use serde::Serialize;

/// `attribute`: one object for each text.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    pub text: String,
    /// Of the normalised text; absent for frequencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    pub words: usize,
    pub language: Option<Language>,
    pub model: &'static str,
    /// `attributed`, `unsure` (the likeliest author is less likely than all
    /// others together) or `no_verdict` (too short).
    pub verdict: &'static str,
    /// Of an attributed text.
    pub author: Option<String>,
    /// Distance of the second minus that of the first.
    pub margin: f64,
    /// All of them, the nearest first.
    pub candidates: Vec<Candidate>,
    /// Whether the nearest one may have written it at all.
    pub verification: Option<Verification>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    pub warnings: Vec<Warning>,
}

/// `verify`: one object for each text.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    pub words: usize,
    pub language: Option<Language>,
    pub model: &'static str,
    /// All authors, or the one that was asked about; the likeliest first.
    /// `verdict` is null where the text is too short for one.
    pub candidates: Vec<VerifiedCandidate>,
    /// Of the one author that was asked about: whether known texts of one genre
    /// tell that a text of another is theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
    pub warnings: Vec<Warning>,
}

/// A control: a text that is the author's, of a genre that was left out of the
/// author's known texts. Where it is told to be somebody else's, a «different»
/// between genres says nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Register {
    pub genre: String,
    /// The author's longest text of it, by id.
    pub text: String,
    pub words: usize,
    /// The author's known texts that it was compared with, of other genres.
    pub known: usize,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Debug, Clone, Serialize)]
pub struct VerifiedCandidate {
    pub author: String,
    /// 1 − score: share of rounds that an imposter was nearer.
    pub distance: f64,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub verdict: Option<models_stylometry::verify::Verdict>,
    pub probability: Option<f64>,
    pub score: f64,
    pub advantage: f64,
    pub advantage_interval: [f64; 2],
    pub pieces: usize,
    pub imposters: usize,
}

/// `compare`: one object for each pair.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub first: String,
    pub second: String,
    /// Over the words of the reference; absent where there is none.
    pub deltas: Option<Deltas>,
    /// Over the words of both texts.
    pub min_max: f64,
    pub jensen_shannon: f64,
    /// General imposters: the first text's author as candidate, the known
    /// texts as imposters.
    pub same_author: Option<VerifiedCandidate>,
    /// Words that differ most: word, per thousand in either, and their part of
    /// the Jensen–Shannon divergence.
    pub words: Vec<WordDifference>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Serialize)]
pub struct WordDifference {
    pub word: String,
    pub first: f64,
    pub second: f64,
    pub part: f64,
}

/// `report`: everything about one text.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub text: String,
    pub words: usize,
    pub features: Features,
    pub attribution: Judged,
    pub verification: Verified,
    /// Distances between the authors' mean frequencies and the text, by Cosine
    /// Delta; the text is the last.
    pub matrix: Matrix,
    #[serde(skip)]
    pub content: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    pub names: Vec<String>,
    pub distances: Vec<Vec<f64>>,
}

/// The strongest parts of an explanation, shortened for a line.
pub fn named(parts: &[Part]) -> String {
    let names: Vec<String> = parts.iter().take(8).map(|p| p.feature.clone()).collect();
    names.join("  ")
}
