//! Which words and character n-grams are counted, and counting them.

use std::ops::Range;

use crate::counting::{Lexicon, NONE, Tally};
use crate::grams::{Gram, Grams, LONGEST};
use crate::hashing::FastMap;

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
    /// Numbered by column.
    words: Lexicon,
    grams: Vec<(usize, Grams)>,
    blocks: Vec<Range<usize>>,
}

/// What a vocabulary counts in a text.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Of each kind: how many there are in all, and (column, count).
    blocks: Vec<Counts>,
}

impl Counted {
    /// Relative frequencies, as [`Vocabulary::frequencies`] says them, of so
    /// many features.
    pub fn frequencies(&self, features: usize) -> Vec<f64> {
        let mut values = vec![0.0; features];
        for (total, counts) in &self.blocks {
            let total = (*total).max(1) as f64;
            counts.iter().for_each(|(at, count)| values[*at as usize] = f64::from(*count) / total);
        }
        values
    }
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

impl Vocabulary {
    /// Of texts with the numbers of their authors, the texts of one author
    /// beside each other. Features are ranked by the sum of their relative
    /// frequencies over the texts.
    pub fn of(texts: &[(u32, &str)], sizes: &Sizes) -> Self {
        Self::choose(texts, sizes, None)
    }

    /// The same, and what it counts in each of the texts, which are read once.
    pub fn fit(texts: &[(u32, &str)], sizes: &Sizes) -> (Self, Vec<Counted>) {
        let mut counted = vec![Counted::default(); texts.len()];
        let made = Self::choose(texts, sizes, Some(&mut counted));
        (made, counted)
    }

    fn choose(texts: &[(u32, &str)], sizes: &Sizes, mut counted: Option<&mut Vec<Counted>>) -> Self {
        let authors = texts.iter().map(|(a, _)| *a).collect::<std::collections::BTreeSet<_>>().len();
        let least = ((sizes.authors * authors as f64).ceil() as u32).max(if authors > 1 { 2 } else { 1 });
        let mut made =
            Self { names: Vec::new(), words: Lexicon::default(), grams: Vec::new(), blocks: Vec::new() };
        let (mut seen, lexicon) = seen_words(texts, counted.is_some());
        let chosen = top(&seen.all, least, sizes.words, |number| lexicon.name(number));
        for number in &chosen {
            let word = lexicon.name(*number);
            made.words.number(word, 0, word);
            made.names.push(word.to_owned());
        }
        made.blocks.push(0..made.names.len());
        keep(counted.as_deref_mut(), &mut seen, &chosen, 0);
        for (length, count) in &sizes.grams {
            let length = (*length).clamp(1, LONGEST);
            let (mut seen, keys) = seen_grams(texts, length, counted.is_some());
            let first = made.names.len();
            let mut index = Grams::default();
            let packed = |number: u32| keys[number as usize].packed();
            let chosen = top(&seen.all, least, *count, packed);
            for gram in chosen.iter().map(|number| packed(*number)) {
                index.number(Gram::of(gram), made.names.len() as u32);
                made.names.push(unpack(gram));
            }
            made.blocks.push(first..made.names.len());
            made.grams.push((length, index));
            keep(counted.as_deref_mut(), &mut seen, &chosen, first);
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
        let mut add = |total: &mut u64, found: Option<u32>| {
            *total += 1;
            if let Some(at) = found {
                counts[at as usize] += 1.0;
            }
        };
        self.words.find_each(text, |found| add(&mut total, found));
        let mut totals = vec![total];
        for (length, index) in &self.grams {
            let mut total = 0u64;
            index.find_each(text, *length, |found| add(&mut total, found));
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
        let mut add = |found: Option<u32>| {
            if let Some(at) = found {
                *counts.entry(u64::from(at)).or_default() += 1;
            }
        };
        self.words.find_each(text, &mut add);
        for (length, index) in &self.grams {
            index.find_each(text, *length, &mut add);
        }
        let mut counts: Vec<(usize, u32)> = counts.into_iter().map(|(at, n)| (at as usize, n)).collect();
        counts.sort_unstable();
        counts
    }
}

/// The numbers with the `most` highest shares of what enough authors use; ties
/// by key.
fn top<K: Ord>(seen: &[Seen], least: u32, most: usize, key: impl Fn(u32) -> K) -> Vec<u32> {
    let numbers = (0u32..).zip(seen).filter(|(_, s)| s.authors >= least);
    let mut all: Vec<(f64, u32)> = numbers.map(|(number, s)| (s.share, number)).collect();
    let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then_with(|| key(a.1).cmp(&key(b.1)));
    if all.len() > most && most > 0 {
        all.select_nth_unstable_by(most - 1, order);
    }
    all.truncate(most);
    all.sort_unstable_by(order);
    all.into_iter().map(|(_, number)| number).collect()
}

/// What all texts have of one kind.
#[derive(Default)]
struct AllSeen {
    /// By number.
    all: Vec<Seen>,
    tally: Tally,
    /// Of each text, if it is wanted: how many there are, and (number, count).
    texts: Option<Vec<Counts>>,
}

type Counts = (u64, Vec<(u32, u32)>);

impl AllSeen {
    fn new(keep: bool) -> Self {
        Self { texts: keep.then(Vec::new), ..Self::default() }
    }

    /// Ends a text.
    fn add(&mut self, total: u64, author: u32) {
        let mut counts = Vec::new();
        self.tally.drain(|number, count| {
            let at = number as usize;
            if at >= self.all.len() {
                self.all.resize(at + 1, Seen::default());
            }
            self.all[at].add(f64::from(count) / total as f64, author);
            if self.texts.is_some() {
                counts.push((number, count));
            }
        });
        if let Some(texts) = &mut self.texts {
            texts.push((total, counts));
        }
    }
}

fn seen_words(texts: &[(u32, &str)], keep: bool) -> (AllSeen, Lexicon) {
    let (mut seen, mut lexicon) = (AllSeen::new(keep), Lexicon::default());
    for (author, text) in texts {
        let mut total = 0u64;
        lexicon.number_each(text, |_, _, number| {
            total += 1;
            seen.tally.add(number);
        });
        seen.add(total, *author);
    }
    (seen, lexicon)
}

fn seen_grams(texts: &[(u32, &str)], length: usize, keep: bool) -> (AllSeen, Vec<Gram>) {
    let (mut seen, mut grams, mut keys) = (AllSeen::new(keep), Grams::default(), Vec::new());
    for (author, text) in texts {
        let mut total = 0u64;
        grams.number_each(text, length, &mut keys, |number| {
            total += 1;
            seen.tally.add(number);
        });
        seen.add(total, *author);
    }
    (seen, keys)
}

/// Of what was counted in each text, what was chosen; its columns begin at
/// `first`.
fn keep(counted: Option<&mut Vec<Counted>>, seen: &mut AllSeen, chosen: &[u32], first: usize) {
    let (Some(counted), Some(texts)) = (counted, seen.texts.take()) else { return };
    let mut columns = vec![NONE; seen.all.len()];
    for (column, number) in (first as u32..).zip(chosen) {
        columns[*number as usize] = column;
    }
    for (made, (total, counts)) in counted.iter_mut().zip(texts) {
        let columns = counts.iter().map(|(number, count)| (columns[*number as usize], *count));
        made.blocks.push((total, columns.filter(|(column, _)| *column != NONE).collect()));
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
    fn what_is_counted_on_the_way_is_what_is_counted_after() {
        let texts = [(0, "the cat saw Harry, naïve as the dog"), (1, "the naïve cat and a cow"), (2, "")];
        for sizes in [Sizes { words: 4, grams: vec![(3, 9), (2, 0)], authors: 0.0 }, Sizes::default()] {
            let (made, counted) = Vocabulary::fit(&texts, &sizes);
            assert_eq!(made.names(), Vocabulary::of(&texts, &sizes).names());
            for ((_, text), counted) in texts.iter().zip(counted) {
                assert_eq!(counted.frequencies(made.names().len()), made.frequencies(text), "{text}");
            }
        }
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
        crate::grams::each_gram("Ab  Ç\n", 3, |gram| found.push(unpack(gram.packed())));
        assert_eq!(found, ["ab·", "b·ç", "·ç·"]);
    }
}
