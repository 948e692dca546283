//! Lines that are not the author's: frames of electronic editions, and lines
//! that many texts of a collection begin or end with.

use std::collections::HashMap;

/// What stands between the marks of a Project Gutenberg file (`*** START OF
/// …`, `*** END OF …`); the whole text where there are none.
pub fn unframed(text: &str) -> &str {
    let (mut start, mut end, mut at) = (0, text.len(), 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if line.starts_with("***") {
            let line = line.to_ascii_uppercase();
            if line.contains("START OF") && line.contains("GUTENBERG") {
                start = next;
            } else if line.contains("END OF") && line.contains("GUTENBERG") {
                end = at;
                break;
            }
        }
        at = next;
    }
    text.get(start..end.max(start)).unwrap_or(text)
}

/// Paragraphs at either end that are looked at.
const EDGE: usize = 3;
/// Fewer texts have nothing that counts as shared.
const LEAST_TEXTS: usize = 4;
/// A longer paragraph is no heading or greeting.
const MOST_BYTES: usize = 200;

/// Paragraphs that more than half of the normalised texts have among their
/// first or last three: greetings, signatures, running titles. They say who
/// published and not who wrote.
pub fn shared_edges<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    if texts.len() < LEAST_TEXTS {
        return Vec::new();
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in texts {
        let mut edges = edges(text);
        edges.sort_unstable();
        edges.dedup();
        for edge in edges {
            *counts.entry(edge).or_default() += 1;
        }
    }
    let mut shared: Vec<&str> =
        counts.into_iter().filter(|(_, n)| *n * 2 > texts.len()).map(|(edge, _)| edge).collect();
    shared.sort_unstable();
    shared
}

fn edges(text: &str) -> Vec<&str> {
    let short = |p: &&str| !p.is_empty() && p.len() <= MOST_BYTES;
    let first = text.split("\n\n").take(EDGE).filter(short);
    let last = text.rsplit("\n\n").take(EDGE).filter(short);
    first.chain(last).collect()
}

/// The text without these paragraphs at its ends.
pub fn without(text: &str, shared: &[&str]) -> String {
    if shared.is_empty() {
        return text.to_owned();
    }
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    let last = paragraphs.len().saturating_sub(EDGE);
    let kept = paragraphs.iter().enumerate();
    let kept = kept.filter(|(i, p)| !((*i < EDGE || *i >= last) && shared.contains(p))).map(|(_, p)| *p);
    kept.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gutenberg_frames_are_left_out() {
        let text = "licence\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\nBody.\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nmore";
        assert_eq!(unframed(text), "Body.\n");
        assert_eq!(unframed("*** a star line\nBody."), "*** a star line\nBody.");
        assert_eq!(unframed("*** END OF GUTENBERG\n*** START OF GUTENBERG"), "");
    }

    #[test]
    fn a_greeting_that_most_texts_have_is_left_out_at_the_ends_only() {
        let texts = [
            "To the People:\n\nOne.\n\nTwo.\n\nThree.\n\nFour.\n\nPUBLIUS",
            "To the People:\n\nB",
            "To the People:\n\nC",
            "D",
        ];
        let shared = shared_edges(&texts);
        assert_eq!(shared, ["To the People:"]);
        assert_eq!(without(texts[1], &shared), "B");
        let within = "a\n\nb\n\nc\n\nTo the People:\n\nd\n\ne\n\nf";
        assert_eq!(without(within, &shared), within);
        assert!(shared_edges(&texts[..3]).is_empty());
    }
}
