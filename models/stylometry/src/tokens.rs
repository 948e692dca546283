//! Words and sentences by the rules of Unicode (UAX #29).

use crate::segment::{Words, each_sentence};

/// The words of a normalised text with their places in bytes: what UAX #29
/// calls a word and holds a letter. `don't` is one word, `well-known` two.
pub fn words(text: &str) -> Words<'_> {
    Words::of(text)
}

/// Calls `visit` with each word in lower case.
pub fn each_lower(text: &str, mut visit: impl FnMut(&str)) {
    let mut buffer = String::new();
    for (_, word) in words(text) {
        if word.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'') {
            visit(word);
            continue;
        }
        buffer.clear();
        match word.is_ascii() {
            true => {
                buffer.push_str(word);
                buffer.make_ascii_lowercase();
            }
            false => buffer.extend(word.chars().flat_map(char::to_lowercase)),
        }
        visit(&buffer);
    }
}

/// How many words the text has.
pub fn count_words(text: &str) -> usize {
    words(text).count()
}

/// Ends of sentences that are none.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "st", "messrs", "mme", "mlle", "prof", "rev", "hon", "capt", "col", "gen",
    "lieut", "sgt", "esq", "jr", "sr", "vol", "no", "vs", "viz", "cf", "etc", "e.g", "i.e", "fig", "art",
];

/// A sentence: where it stands in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The sentence itself.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// The sentences of a text: by UAX #29, joined again after common
/// abbreviations and initials, and always apart at a paragraph's end. What
/// holds no word is left out.
pub fn sentences(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut open, mut apart) = (false, true);
    each_sentence(text, |start, piece| {
        let trimmed = piece.trim_end();
        let end = start + trimmed.len();
        let begin = start + (piece.len() - piece.trim_start().len());
        if begin >= end {
            apart |= piece.contains('\n');
            return;
        }
        // "Did he?" she said.
        let lower = trimmed.trim_start().starts_with(char::is_lowercase);
        match spans.last_mut() {
            Some(last) if !apart && (open || lower) => last.end = end,
            _ => spans.push(Span { start: begin, end }),
        }
        apart = piece.ends_with('\n');
        open = goes_on(trimmed);
    });
    spans.retain(|span| words(span.of(text)).next().is_some());
    spans
}

fn goes_on(sentence: &str) -> bool {
    let Some(before) = sentence.strip_suffix('.') else { return false };
    let last = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(')).next();
    let Some(last) = last.filter(|l| !l.is_empty() && l.len() <= 6) else { return false };
    let mut letters = last.chars();
    if letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && last != "I" {
        return true;
    }
    ABBREVIATIONS.contains(&last.to_ascii_lowercase().as_str())
}

/// The text in pieces of about `size` words, cut at words; one piece if it has
/// less than one and a half times as many.
pub fn pieces(text: &str, size: usize) -> Vec<&str> {
    let starts: Vec<usize> = words(text).map(|(at, _)| at).collect();
    let count = (starts.len() as f64 / size.max(1) as f64).round().max(1.0) as usize;
    let cut = |i: usize| match i {
        0 => 0,
        i if i == count => text.len(),
        i => starts.get(i * starts.len() / count).copied().unwrap_or(text.len()),
    };
    (0..count).map(|i| text.get(cut(i)..cut(i + 1)).unwrap_or_default()).collect()
}

/// The beginning of the text that holds at most `count` words.
pub fn first_words(text: &str, count: usize) -> &str {
    match words(text).nth(count) {
        Some((at, _)) => text.get(..at).unwrap_or(text),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_unicode_with_a_letter() {
        let found: Vec<&str> = words("Don't 3 well-known 2nd наш дом 中 - !").map(|(_, w)| w).collect();
        assert_eq!(found, ["Don't", "well", "known", "2nd", "наш", "дом", "中"]);
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        let text = "Mr. Bennet came. \"Did he?\" she said.\n\nHeading\n\nJ. Smith went home! 12. ...";
        let found: Vec<&str> = sentences(text).iter().map(|s| s.of(text)).collect();
        assert_eq!(found, ["Mr. Bennet came.", "\"Did he?\" she said.", "Heading", "J. Smith went home!"]);
    }

    #[test]
    fn pieces_hold_everything_once() {
        let text = "a b c d e f g h i j";
        let cut = pieces(text, 3);
        assert_eq!(cut.len(), 3);
        assert_eq!(cut.concat(), text);
        assert_eq!(pieces("", 100), [""]);
        assert_eq!(first_words(text, 2), "a b ");
    }

    proptest! {
        #[test]
        fn any_text_can_be_cut(text in "(?s).{0,300}", size in 0usize..20) {
            prop_assert_eq!(pieces(&text, size).concat(), text.clone());
            let mut end = 0;
            for span in sentences(&text) {
                prop_assert!(span.start >= end && span.end > span.start);
                prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
                end = span.end;
            }
        }
    }
}
