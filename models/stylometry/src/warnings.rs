//! What a reader has to know beside a figure.

use serde::Serialize;

use crate::language::{self, Language};
use crate::{ENOUGH_WORDS, MIN_WORDS, tokens};

/// A word for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// Stable.
    pub code: &'static str,
    /// May change.
    pub message: String,
}

impl Warning {
    /// Of any message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What is known of a text before any comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Words of it.
    pub words: usize,
    /// Its language, where one was recognised.
    pub language: Option<Language>,
    /// Whether verdicts may be given at all.
    pub enough: bool,
    /// Why not, and what else weakens them.
    pub warnings: Vec<Warning>,
}

/// Looks a normalised text over.
pub fn quality(text: &str) -> Quality {
    let words = tokens::count_words(text);
    let language = language::detect(text);
    let mut warnings = Vec::new();
    match words {
        0 => warnings.push(Warning::new("no_words", "the text holds no words")),
        w if w < MIN_WORDS => warnings.push(Warning::new(
            "too_short",
            format!("{w} words: under {MIN_WORDS} no verdict is given, figures are chance as much as style"),
        )),
        w if w < ENOUGH_WORDS => warnings.push(Warning::new(
            "short",
            format!("{w} words: under {ENOUGH_WORDS} attributions are often wrong"),
        )),
        _ => {}
    }
    match &language {
        Some(l) if !l.reliable && words >= MIN_WORDS => warnings.push(Warning::new(
            "language_unsure",
            format!("the language may be {}, but may be another", l.name),
        )),
        Some(l) if l.reliable && !language::is_english(l.code) => warnings.push(Warning::new(
            "not_english",
            format!(
                "{}: only features that hold in any language are used, without word lists or readability",
                l.name
            ),
        )),
        _ => {}
    }
    Quality { words, enough: words >= MIN_WORDS, language, warnings }
}

/// That a text is in another language than the texts it is compared with.
pub fn other_language(text: &Quality, known: &[&Quality]) -> Option<Warning> {
    let of = |q: &Quality| q.language.as_ref().filter(|l| l.reliable).map(|l| l.name);
    let (asked, mut names) = (of(text)?, known.iter().filter_map(|q| of(q)).collect::<Vec<_>>());
    names.sort_unstable();
    names.dedup();
    (!names.is_empty() && !names.contains(&asked)).then(|| {
        let names = names.join(", ");
        Warning::new(
            "other_language",
            format!("the text is {asked}, the known texts are {names}: the comparison says nothing"),
        )
    })
}
