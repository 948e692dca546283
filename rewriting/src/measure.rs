//! How near two texts are in meaning without any model, and what was changed.

use std::collections::BTreeMap;

use models_stylometry::features::FUNCTION_WORDS;
use models_stylometry::tokens::{each_lower, words};
use serde::Serialize;
use similar::{Algorithm, ChangeTag, TextDiff, capture_diff_slices};
use utoipa::ToSchema;

/// Cosine of the counts of words that are no function words: it sees which
/// words stayed, not what they mean.
pub const CONTENT_WORDS: &str = "content_words@1";

/// 0 to 1.
pub fn content_similarity(a: &str, b: &str) -> f64 {
    let count = |text: &str| {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        each_lower(text, |word| {
            if FUNCTION_WORDS.binary_search(&word).is_err() {
                *counts.entry(word.to_owned()).or_default() += 1.0;
            }
        });
        counts
    };
    let (a, b) = (count(a), count(b));
    let length = |counts: &BTreeMap<String, f64>| counts.values().map(|n| n * n).sum::<f64>().sqrt();
    let (one, other) = (length(&a), length(&b));
    if one == 0.0 || other == 0.0 {
        return if one == other { 1.0 } else { 0.0 };
    }
    let shared: f64 = a.iter().filter_map(|(word, n)| Some(n * b.get(word)?)).sum();
    (shared / (one * other)).clamp(0.0, 1.0)
}

/// Words taken out and put in by all words of both: 0 of the same words, 1 where
/// none stays in its place.
pub fn edits(a: &str, b: &str) -> f64 {
    let list = |text: &str| words(text).map(|(_, word)| word.to_lowercase()).collect::<Vec<_>>();
    let (a, b) = (list(a), list(b));
    let all = a.len() + b.len();
    if all == 0 {
        return 0.0;
    }
    let kept: usize = capture_diff_slices(Algorithm::Myers, &a, &b)
        .iter()
        .map(|op| match op.tag() {
            similar::DiffTag::Equal => op.old_range().len(),
            _ => 0,
        })
        .sum();
    (all - 2 * kept) as f64 / all as f64
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Equal,
    Delete,
    Insert,
}

/// A run of words of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    pub op: Op,
    pub text: String,
}

/// By words. What is equal or deleted is the first text, what is equal or
/// inserted the second.
pub fn changes(a: &str, b: &str) -> Vec<Change> {
    let diff = TextDiff::from_words(a, b);
    let mut found: Vec<Change> = Vec::new();
    for change in diff.iter_all_changes() {
        let op = match change.tag() {
            ChangeTag::Equal => Op::Equal,
            ChangeTag::Delete => Op::Delete,
            ChangeTag::Insert => Op::Insert,
        };
        match found.last_mut() {
            Some(last) if last.op == op => last.text.push_str(change.value()),
            _ => found.push(Change { op, text: change.value().to_owned() }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "The old house stood by the river.\n\nNobody lived there.";
    const B: &str = "Upon the river stood the old house; nobody dwelt there.";

    #[test]
    fn a_diff_holds_both_texts() {
        let found = changes(A, B);
        let side = |op: Op| {
            let of = found.iter().filter(|c| c.op == Op::Equal || c.op == op);
            of.map(|c| c.text.as_str()).collect::<String>()
        };
        assert_eq!((side(Op::Delete).as_str(), side(Op::Insert).as_str()), (A, B));
        assert!(found.windows(2).all(|pair| pair[0].op != pair[1].op));
        assert_eq!(changes("", ""), []);
    }

    #[test]
    fn edits_are_a_share_of_words() {
        assert_eq!(edits(A, A), 0.0);
        assert_eq!(edits("one two", "three four"), 1.0);
        assert_eq!(edits("one two three four", "one two three five"), 0.25);
        assert_eq!(edits("", ""), 0.0);
        assert_eq!(edits("", "one"), 1.0);
    }

    #[test]
    fn content_is_what_is_no_function_word() {
        assert_eq!(content_similarity(A, A), 1.0);
        assert_eq!(content_similarity("the of and", "a in"), 1.0);
        assert_eq!(content_similarity("river", "the"), 0.0);
        let near = content_similarity(A, B);
        assert!(near > 0.6 && near < 1.0, "{near}");
        assert!(content_similarity(A, "A different matter entirely: taxes rose.") < 0.1);
    }
}
