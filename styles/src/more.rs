//! Groups of texts, passages of one, indicators.

use models_stylometry::attribute::{self, Attributor, PIECE_WORDS};
use models_stylometry::cluster::{Clusters, Merge, apartness, matrix};
use models_stylometry::corpus::{Corpus, Known};
use models_stylometry::indicators::{self, Indications, SentenceIndication};
use models_stylometry::rolling::{Window, windows};
use models_stylometry::scale::Scale;
use models_stylometry::vocabulary::Sizes;
use models_stylometry::warnings::{Warning, quality};
use serde::Serialize;

use crate::analysis::{Asked, Reference, StyleError};

/// `cluster`.
#[derive(Debug, Clone, Serialize)]
pub struct Grouped {
    pub texts: Vec<GroupedText>,
    /// A number below `texts` is a text, one above it what an earlier merge made.
    pub merges: Vec<Merge>,
    /// Texts in the order of a dendrogram.
    pub order: Vec<usize>,
    /// Cosine Delta over the 500 most frequent words of these texts.
    pub distances: Vec<Vec<f64>>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Serialize)]
pub struct GroupedText {
    pub text: String,
    pub words: usize,
    /// From 0.
    pub group: usize,
    /// Above 3.5 it stands apart from the others.
    pub apart: f64,
}

/// Groups texts by Cosine Delta.
pub fn grouped(asked: &[Asked], groups: Option<usize>) -> Grouped {
    // Each its own author, so that each counts the same and is one piece.
    let names: Vec<String> = (0..asked.len()).map(|i| format!("{i:08}")).collect();
    let known = asked.iter().zip(&names).map(|(a, name)| Known { author: name, work: name, text: &a.text });
    let known: Vec<Known<'_>> = known.collect();
    let corpus = Corpus::new(&known, &Sizes { words: 500, grams: vec![], authors: 0.0 }, usize::MAX / 4);
    let table = corpus.table();
    let scale = Scale::of_texts(&table);
    let rows: Vec<Vec<f64>> =
        asked.iter().map(|a| scale.apply(&corpus.vocabulary().frequencies(&a.text))).collect();
    let distances = matrix(&rows);
    let found = Clusters::of(&distances);
    let jump = |at: &usize| found.merges[*at].distance - found.merges[*at - 1].distance;
    let last = (1..found.merges.len()).max_by(|a, b| jump(a).total_cmp(&jump(b)));
    let groups = groups.unwrap_or_else(|| last.map_or(1, |at| asked.len() - at));
    let apart = apartness(&distances);
    let (cut, qualities) = (found.cut(groups), asked.iter().map(|a| quality(&a.text)).collect::<Vec<_>>());
    let warnings = asked.iter().zip(&qualities).flat_map(|(a, q)| {
        q.warnings.iter().map(|w| Warning::new(w.code, format!("{}: {}", a.name, w.message)))
    });
    let warnings = warnings.collect();
    let texts = asked.iter().enumerate().map(|(i, a)| GroupedText {
        text: a.name.clone(),
        words: qualities[i].words,
        group: cut[i],
        apart: apart[i],
    });
    Grouped { texts: texts.collect(), merges: found.merges, order: found.order, distances, warnings }
}

/// `rolling`.
#[derive(Debug, Clone, Serialize)]
pub struct Rolled {
    pub text: String,
    pub authors: Vec<String>,
    pub windows: Vec<Window>,
    pub warnings: Vec<Warning>,
}

impl Reference {
    /// Windows of one text.
    pub fn rolling(&self, asked: &Asked, size: usize, step: usize) -> Result<Rolled, StyleError> {
        let (text, known) = (self.own_words(&asked.text), self.known());
        let corpus = Corpus::new(&known, &Sizes::default(), PIECE_WORDS);
        let attributor = Attributor::of_corpus(&corpus, attribute::Settings::default())?;
        let mut warnings = self.warnings(&quality(&text), &text);
        if size < models_stylometry::MIN_WORDS {
            let least = models_stylometry::MIN_WORDS;
            warnings.push(Warning::new(
                "short_windows",
                format!("windows under {least} words are chance as much as style"),
            ));
        }
        Ok(Rolled {
            text: asked.name.clone(),
            authors: attributor.table().authors.clone(),
            windows: windows(&attributor, corpus.vocabulary(), &text, size, step),
            warnings,
        })
    }
}

/// `indicators`.
#[derive(Debug, Clone, Serialize)]
pub struct Indicated {
    pub text: String,
    pub words: usize,
    #[serde(flatten)]
    pub found: Indications,
    pub sentences: Vec<SentenceIndication>,
}

/// By the table that the model ships.
pub fn indicated(asked: &Asked) -> Indicated {
    let model = indicators::fitted();
    let found = model.indications(&asked.text);
    // Sentences of a text of which nothing is said say nothing either.
    let sentences = if found.probability.is_some() { model.sentences(&asked.text) } else { Vec::new() };
    Indicated { text: asked.name.clone(), words: quality(&asked.text).words, found, sentences }
}
