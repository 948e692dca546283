//! A text read once: its words with their numbers, and what each different
//! word is. Figures and rows are made of it.

use crate::counting::Lexicon;
use crate::features::{FIRST_PERSON, FUNCTION_WORDS};
use crate::tokens::{self, Span};

/// A different word of a text.
pub(crate) struct Type {
    pub count: u32,
    /// Its place among the function words.
    pub function: Option<usize>,
    pub first_person: bool,
    pub contracted: bool,
    pub syllables: usize,
}

/// A text and its words.
pub(crate) struct Reading<'a> {
    pub text: &'a str,
    pub words: Vec<(usize, &'a str)>,
    /// Of each word, the number of its type.
    pub ids: Vec<u32>,
    pub types: Vec<Type>,
}

impl<'a> Reading<'a> {
    pub fn of(text: &'a str) -> Self {
        let mut lexicon = Lexicon::default();
        let mut made = Self { text, words: Vec::new(), ids: Vec::new(), types: Vec::new() };
        lexicon.number_each(text, |start, word, id| {
            made.words.push((start, word));
            made.ids.push(id);
        });
        made.types.extend(lexicon.names().map(Type::of));
        made.ids.iter().for_each(|id| made.types[*id as usize].count += 1);
        made
    }

    /// The words of all types of which something holds.
    pub fn count(&self, holds: impl Fn(&Type) -> bool) -> usize {
        self.types.iter().filter(|t| holds(t)).map(|t| t.count as usize).sum()
    }

    /// How many words each of the sentences has, which stand in order.
    pub fn words_of(&self, spans: &[Span]) -> Vec<usize> {
        let mut next = 0;
        let mut of = |span: &Span| {
            let end = |at: usize| self.words[at].0 + self.words[at].1.len();
            while next < self.words.len() && end(next) <= span.start {
                next += 1;
            }
            let first = next;
            while next < self.words.len() && self.words[next].0 < span.end {
                next += 1;
            }
            let cut = next > first && (self.words[first].0 < span.start || end(next - 1) > span.end);
            match cut {
                // A sentence may end within a word: `a.क` is one word and two sentences.
                true => {
                    next -= usize::from(end(next - 1) > span.end);
                    tokens::count_words(span.of(self.text))
                }
                false => next - first,
            }
        };
        spans.iter().map(&mut of).collect()
    }
}

impl Type {
    fn of(word: &str) -> Self {
        Self {
            count: 0,
            function: FUNCTION_WORDS.binary_search(&word).ok(),
            first_person: FIRST_PERSON.contains(&word),
            contracted: word.contains('\''),
            syllables: syllables(word),
        }
    }
}

/// Groups of vowels, without a silent e; at least one. Of a word in lower case.
fn syllables(word: &str) -> usize {
    let vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'à'..='æ' | 'è'..='ï' | 'ò'..='ö' | 'ù'..='ý');
    let (mut groups, mut before) = (0, false);
    for c in word.chars() {
        groups += usize::from(vowel(c) && !before);
        before = vowel(c);
    }
    let silent = word.ends_with('e') && !word.ends_with("le") && groups > 1;
    (groups - usize::from(silent)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn syllables_are_counted_roughly() {
        for (word, n) in [("cat", 1), ("table", 2), ("make", 1), ("beautiful", 3), ("the", 1), ("rhythm", 1)]
        {
            assert_eq!(syllables(word), n, "{word}");
        }
    }

    #[test]
    fn a_sentence_that_ends_within_a_word_is_counted_for_itself() {
        let text = "a.क b. Ca.क";
        let spans = tokens::sentences(text);
        assert!(spans.len() > 2, "{spans:?}");
        let expected: Vec<usize> = spans.iter().map(|s| tokens::count_words(s.of(text))).collect();
        assert_eq!(Reading::of(text).words_of(&spans), expected);
    }

    proptest! {
        #[test]
        fn words_of_sentences_are_those_of_each(text in "([a-cA-C.!' \\n]|\\PC|क){0,60}") {
            let spans = tokens::sentences(&text);
            let expected: Vec<usize> = spans.iter().map(|s| tokens::count_words(s.of(&text))).collect();
            prop_assert_eq!(Reading::of(&text).words_of(&spans), expected);
        }
    }
}
