//! Which words and character n-grams are counted, and counting them.

use std::ops::Range;

use crate::hashing::FastMap;
use crate::tokens;

/// What is counted: so many of the most frequent of each kind.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sizes {
    /// Most frequent words.
    pub words: usize,
    /// Lengths of character n-grams (1 to 6), and how many of each.
    pub grams: Vec<(usize, usize)>,
    /// A feature counts only if at least this share of the authors (and two of
    /// them) use it: names of one story's people are not style.
    pub authors: f64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { words: 2_000, grams: vec![(3, 2_000), (4, 3_000)], authors: 0.25 }
    }
}

/// Most frequent words and n-grams of a collection, in the order of rank.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    names: Vec<String>,
    words: FastMap<Box<str>, u32>,
    grams: Vec<(usize, FastMap<u128, u32>)>,
    blocks: Vec<Range<usize>>,
}

#[derive(Default, Clone, Copy)]
struct Seen {
    share: f64,
    authors: u32,
    last: u32,
}

impl Seen {
    fn add(&mut self, share: f64, author: u32) {
        self.share += share;
        if self.authors == 0 || self.last != author {
            self.authors += 1;
            self.last = author;
        }
    }
}

/// Longest n-gram: its characters fit 126 bits.
const LONGEST: usize = 6;

impl Vocabulary {
    /// Of texts with the numbers of their authors, the texts of one author
    /// beside each other. Features are ranked by the sum of their relative
    /// frequencies over the texts.
    pub fn of(texts: &[(u32, &str)], sizes: &Sizes) -> Self {
        let authors = texts.iter().map(|(a, _)| *a).collect::<std::collections::BTreeSet<_>>().len();
        let least = ((sizes.authors * authors as f64).ceil() as u32).max(if authors > 1 { 2 } else { 1 });
        let mut made =
            Self { names: Vec::new(), words: FastMap::default(), grams: Vec::new(), blocks: Vec::new() };
        let chosen = top(&seen_words(texts), least, sizes.words);
        made.blocks.push(0..chosen.len());
        for (i, word) in chosen.into_iter().enumerate() {
            made.names.push(word.to_string());
            made.words.insert(word, i as u32);
        }
        for (length, count) in &sizes.grams {
            let length = (*length).clamp(1, LONGEST);
            let chosen = top(&seen_grams(texts, length), least, *count);
            let first = made.names.len();
            let mut index = FastMap::default();
            for (i, gram) in chosen.into_iter().enumerate() {
                made.names.push(unpack(gram));
                index.insert(gram, (first + i) as u32);
            }
            made.blocks.push(first..made.names.len());
            made.grams.push((length, index));
        }
        made
    }

    /// Words as they are, n-grams with `·` for a blank.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The words, then each length of n-grams.
    pub fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// Relative frequencies: of all words, of all n-grams of the length.
    pub fn frequencies(&self, text: &str) -> Vec<f64> {
        let mut counts = vec![0.0; self.names.len()];
        let mut total = 0u64;
        tokens::each_lower(text, |word| {
            total += 1;
            if let Some(at) = self.words.get(word) {
                counts[*at as usize] += 1.0;
            }
        });
        let mut totals = vec![total];
        let letters = letters(text);
        for (length, index) in &self.grams {
            let mut total = 0u64;
            each_gram(&letters, *length, |_, gram| {
                total += 1;
                if let Some(at) = index.get(&gram) {
                    counts[*at as usize] += 1.0;
                }
            });
            totals.push(total);
        }
        for (block, total) in self.blocks.iter().zip(totals) {
            let total = total.max(1) as f64;
            counts[block.clone()].iter_mut().for_each(|c| *c /= total);
        }
        counts
    }

    /// How often each feature stands in the text: (feature, count) of those
    /// that do, by feature.
    pub fn counts(&self, text: &str) -> Vec<(usize, u32)> {
        let mut counts: FastMap<u64, u32> = FastMap::default();
        tokens::each_lower(text, |word| {
            if let Some(at) = self.words.get(word) {
                *counts.entry(u64::from(*at)).or_default() += 1;
            }
        });
        let letters = letters(text);
        for (length, index) in &self.grams {
            each_gram(&letters, *length, |_, gram| {
                if let Some(at) = index.get(&gram) {
                    *counts.entry(u64::from(*at)).or_default() += 1;
                }
            });
        }
        let mut counts: Vec<(usize, u32)> = counts.into_iter().map(|(at, n)| (at as usize, n)).collect();
        counts.sort_unstable();
        counts
    }
}

/// The `most` highest shares of what enough authors use; ties by name.
fn top<K: Ord + Clone>(seen: &FastMap<K, Seen>, least: u32, most: usize) -> Vec<K> {
    let mut all: Vec<(&K, f64)> =
        seen.iter().filter(|(_, s)| s.authors >= least).map(|(k, s)| (k, s.share)).collect();
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    all.into_iter().take(most).map(|(k, _)| k.clone()).collect()
}

fn seen_words(texts: &[(u32, &str)]) -> FastMap<Box<str>, Seen> {
    let mut seen: FastMap<Box<str>, Seen> = FastMap::default();
    for (author, text) in texts {
        let mut counts: FastMap<Box<str>, u32> = FastMap::default();
        let mut total = 0u64;
        tokens::each_lower(text, |word| {
            total += 1;
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.into(), 1);
                }
            }
        });
        for (word, count) in counts {
            seen.entry(word).or_default().add(f64::from(count) / total as f64, *author);
        }
    }
    seen
}

fn seen_grams(texts: &[(u32, &str)], length: usize) -> FastMap<u128, Seen> {
    let mut seen: FastMap<u128, Seen> = FastMap::default();
    for (author, text) in texts {
        let mut counts: FastMap<u128, u32> = FastMap::default();
        let mut total = 0u64;
        each_gram(&letters(text), length, |_, gram| {
            total += 1;
            *counts.entry(gram).or_default() += 1;
        });
        for (gram, count) in counts {
            seen.entry(gram).or_default().add(f64::from(count) / total as f64, *author);
        }
    }
    seen
}

/// Lower-case characters with runs of white space as one blank.
pub(crate) fn letters(text: &str) -> Vec<char> {
    let mut letters = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() => {
                if letters.last() != Some(&' ') {
                    letters.push(' ');
                }
            }
            c if c.is_ascii() => letters.push(c.to_ascii_lowercase()),
            c => letters.extend(c.to_lowercase()),
        }
    }
    letters
}

/// Calls `visit` with each n-gram's place and packed characters, 21 bits each.
pub(crate) fn each_gram(letters: &[char], length: usize, mut visit: impl FnMut(usize, u128)) {
    let mask = if length >= LONGEST { (1u128 << (21 * LONGEST)) - 1 } else { (1u128 << (21 * length)) - 1 };
    let mut packed = 0u128;
    for (i, c) in letters.iter().enumerate() {
        packed = ((packed << 21) | u128::from(*c as u32)) & mask;
        if i + 1 >= length {
            visit(i + 1 - length, packed);
        }
    }
}

fn unpack(gram: u128) -> String {
    let mut chars = Vec::new();
    let mut rest = gram;
    while rest != 0 {
        let c = char::from_u32((rest & 0x1f_ffff) as u32).unwrap_or('\u{fffd}');
        chars.push(if c == ' ' { '·' } else { c });
        rest >>= 21;
    }
    chars.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_come_first_and_names_of_one_author_not_at_all() {
        let texts = [(0, "the cat saw Harry and the dog"), (1, "the cat and a cow")];
        let sizes = Sizes { words: 3, grams: vec![(3, 2)], authors: 0.0 };
        let made = Vocabulary::of(&texts, &sizes);
        assert_eq!(made.names()[..3], ["the", "and", "cat"]);
        assert_eq!(made.blocks(), [0..3, 3..5]);
        let found = made.frequencies("The the and");
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-15 && (found[1] - 1.0 / 3.0).abs() < 1e-15);
        assert!(!Vocabulary::of(&texts, &Sizes::default()).names().contains(&"harry".to_owned()));
    }

    #[test]
    fn counts_are_the_frequencies() {
        let texts = [(0, "the cat saw the dog"), (1, "the cat saw a dog, the cow")];
        let made = Vocabulary::of(&texts, &Sizes::default());
        let frequencies = made.frequencies(texts[1].1);
        let words = made.blocks()[0].clone();
        let counted: Vec<f64> = made
            .counts(texts[1].1)
            .iter()
            .filter(|(at, _)| words.contains(at))
            .map(|(_, n)| f64::from(*n) / 7.0)
            .collect();
        let expected: Vec<f64> = frequencies[words].iter().copied().filter(|f| *f > 0.0).collect();
        assert_eq!(counted, expected);
    }

    #[test]
    fn n_grams_read_as_they_stand() {
        let mut found = Vec::new();
        each_gram(&letters("Ab  Ç\n"), 3, |at, gram| found.push((at, unpack(gram))));
        assert_eq!(found, [(0, "ab·".to_owned()), (1, "b·ç".to_owned()), (2, "·ç·".to_owned())]);
    }
}
