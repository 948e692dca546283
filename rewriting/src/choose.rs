//! Candidates measured beside the sample and the target, and the best of them.

use domain::rewrite::{Candidate, Figures, MAX_TEXT_BYTES};
use models_stylometry::features::Features;
use models_stylometry::fingerprint::Fingerprinter;
use models_stylometry::normalise::normalise;
use models_stylometry::tokens::count_words;
use projections::style_fingerprints::rows::{AuthorRow, CorpusRow};
use styles::distance;

/// Similarities below which a candidate says something else: of vectors, and of
/// content words, of which a new style changes many.
pub const LEAST_COSINE: f64 = 0.8;
pub const LEAST_CONTENT: f64 = 0.4;
/// A candidate may be so many times longer or shorter.
const MOST_TIMES: usize = 3;

/// A model's answer as a text: without the fence that some put around it.
pub fn cleaned(answer: &str) -> String {
    let mut text = answer.trim();
    if let Some(inner) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        // The first line of a fence names a language.
        text = inner.split_once('\n').map_or(inner, |(_, rest)| rest);
    }
    normalise(text)
}

/// Why a text is no candidate.
pub fn rejected(original: &str, text: &str) -> Option<&'static str> {
    let (before, after) = (count_words(original), count_words(text));
    if after == 0 {
        return Some("it holds no words");
    }
    if text.len() > 2 * MAX_TEXT_BYTES || after > before * MOST_TIMES + 20 {
        return Some("it is much longer than the text");
    }
    if after * MOST_TIMES < before {
        return Some("it is much shorter than the text");
    }
    (text == original).then_some("it is the text itself")
}

pub fn figures(maker: &Fingerprinter, author: &AuthorRow, corpus: &CorpusRow, text: &str) -> Figures {
    let features = Features::of(text);
    Figures {
        words: features.words as u64,
        distance: distance(maker, &maker.row(text), &author.estimate, &corpus.sums),
        sentence_words: features.sentence_length,
        word_letters: features.word_length,
    }
}

/// The nearest to the target among those that still say the same; of equally
/// near ones the one that says it more. Where none does, the one that says it
/// most, and false.
pub fn best(candidates: &[Candidate], least: f64) -> Option<(usize, bool)> {
    let measured = || {
        candidates
            .iter()
            .enumerate()
            .filter_map(|(at, c)| Some((at, c.figures.as_ref()?.distance, c.similarity?)))
    };
    let near = measured()
        .filter(|(.., similarity)| *similarity >= least)
        .min_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
    if let Some((at, ..)) = near {
        return Some((at, true));
    }
    measured().max_by(|a, b| a.2.total_cmp(&b.2)).map(|(at, ..)| (at, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(distance: f64, similarity: f64) -> Candidate {
        let figures = Figures { words: 9, distance, sentence_words: 9.0, word_letters: 4.0 };
        Candidate {
            seed: 0,
            rejected: None,
            figures: Some(figures),
            similarity: Some(similarity),
            edits: Some(0.5),
        }
    }

    #[test]
    fn the_nearest_that_says_the_same_is_chosen() {
        let near_and_false = candidate(0.1, 0.3);
        let none =
            Candidate { rejected: Some("x".into()), figures: None, similarity: None, ..candidate(0.0, 1.0) };
        let all = [near_and_false.clone(), candidate(0.9, 0.95), candidate(0.5, 0.85), none.clone()];
        assert_eq!(best(&all, LEAST_COSINE), Some((2, true)));
        assert_eq!(best(&[candidate(0.5, 0.85), candidate(0.5, 0.9)], LEAST_COSINE), Some((1, true)));
        assert_eq!(best(&[near_and_false, candidate(0.9, 0.5)], LEAST_COSINE), Some((1, false)));
        assert_eq!(best(&[none], LEAST_COSINE), None);
    }

    #[test]
    fn answers_are_texts_or_are_rejected() {
        assert_eq!(cleaned("```text\nA new  text.\n```"), "A new text.");
        assert_eq!(cleaned(" “A”\n"), "\"A\"");
        let original = "One two three four five six seven eight nine ten.";
        assert_eq!(rejected(original, "Ten nine eight seven."), None);
        for (text, why) in [
            ("", "no words"),
            ("…!", "no words"),
            ("One two.", "shorter"),
            (&"word ".repeat(60), "longer"),
            (original, "itself"),
        ] {
            assert!(rejected(original, text).is_some_and(|said| said.contains(why)), "{text}");
        }
    }
}
