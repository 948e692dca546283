//! Why: the features that a result rests on, and where in the text they stand.

use serde::Serialize;

use crate::attribute::Attributor;
use crate::tokens::{self, Span};
use crate::vocabulary::Vocabulary;

/// A feature's part in a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// A word, or an n-gram with `·` for a blank.
    pub feature: String,
    /// What it adds to the first author's lead; below 0 it speaks for the
    /// second. All parts sum to the lead before biases.
    pub contribution: f64,
    /// Frequency in the text, per thousand.
    pub text: f64,
    /// Mean frequency in the first author's known texts, per thousand.
    pub first: f64,
    /// The same of the second.
    pub second: f64,
}

/// A sentence and which way it leans.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heat {
    /// Where it stands in the normalised text.
    pub span: Span,
    /// Words of it.
    pub words: usize,
    /// What its features add to the lead: each occurrence carries an equal
    /// part of its feature's contribution.
    pub contribution: f64,
}

/// Why one author leads another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Who leads.
    pub first: String,
    /// Who is led.
    pub second: String,
    /// Response of the first minus that of the second.
    pub lead: f64,
    /// Strongest parts for the first, the strongest first.
    pub for_first: Vec<Part>,
    /// Strongest parts for the second.
    pub for_second: Vec<Part>,
    /// Sentences in order. What is said by features that are absent stands in
    /// none of them.
    pub sentences: Vec<Heat>,
}

/// Explains a text's lead by at most `most` features either way.
pub fn explain(
    attributor: &Attributor,
    vocabulary: Option<&Vocabulary>,
    text: &str,
    values: &[f64],
    (first, second): (&str, &str),
    most: usize,
) -> Option<Explanation> {
    let contributions = attributor.contributions(values, first, second)?;
    let (of_first, of_second) = (attributor.frequencies(first)?, attributor.frequencies(second)?);
    let mut order: Vec<usize> = (0..contributions.len()).filter(|i| contributions[*i] != 0.0).collect();
    order.sort_by(|a, b| contributions[*b].total_cmp(&contributions[*a]).then(a.cmp(b)));
    let part = |i: &usize| Part {
        feature: attributor.table().features[*i].clone(),
        contribution: contributions[*i],
        text: values[*i] * 1e3,
        first: of_first[*i] * 1e3,
        second: of_second[*i] * 1e3,
    };
    let strong = order.iter().filter(|i| contributions[**i] > 0.0).take(most).map(part).collect();
    let against = order.iter().rev().filter(|i| contributions[**i] < 0.0).take(most).map(part).collect();
    Some(Explanation {
        first: first.to_owned(),
        second: second.to_owned(),
        lead: contributions.iter().sum(),
        for_first: strong,
        for_second: against,
        sentences: vocabulary.map_or(Vec::new(), |v| heat(v, text, &contributions)),
    })
}

/// Distributes contributions over the sentences in which the features stand.
pub fn heat(vocabulary: &Vocabulary, text: &str, contributions: &[f64]) -> Vec<Heat> {
    let mut each = vec![0.0; contributions.len()];
    for (feature, count) in vocabulary.counts(text) {
        each[feature] = contributions[feature] / f64::from(count);
    }
    let warm = |span: Span| {
        let sentence = span.of(text);
        let counted = vocabulary.counts(sentence);
        Heat {
            span,
            words: tokens::count_words(sentence),
            contribution: counted.iter().map(|(feature, count)| each[*feature] * f64::from(*count)).sum(),
        }
    };
    tokens::sentences(text).into_iter().map(warm).collect()
}

/// What a pair's Burrows distance is made of: (feature, |Δz|/n), the largest
/// first.
pub fn pair(names: &[String], a: &[f64], b: &[f64], most: usize) -> Vec<(String, f64)> {
    let n = a.len().min(b.len()).max(1) as f64;
    let mut parts: Vec<(String, f64)> =
        names.iter().zip(a.iter().zip(b)).map(|(name, (a, b))| (name.clone(), (a - b).abs() / n)).collect();
    parts.sort_by(|x, y| y.1.total_cmp(&x.1).then_with(|| x.0.cmp(&y.0)));
    parts.truncate(most);
    parts
}
