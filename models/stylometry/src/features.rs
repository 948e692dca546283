//! Figures that describe one text: `features@1`. They say what a text is like,
//! not who wrote it: length and subject move most of them more than authors do.

use serde::Serialize;

use crate::counting::{Numbers, Tally};
use crate::grams::{Gram, each_gram};
use crate::hashing::FastMap;
use crate::reading::Reading;
use crate::tokens;

/// All figures of a text. Rates are per word unless said otherwise; what a text
/// is too short for is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Features {
    /// Words.
    pub words: usize,
    /// Different words.
    pub types: usize,
    /// Sentences.
    pub sentences: usize,
    /// Different words by words.
    pub type_token_ratio: f64,
    /// Mean length over which the ratio stays above 0.72, forwards and
    /// backwards (McCarthy and Jarvis 2010).
    pub mtld: f64,
    /// 10⁴·(Σ m²·V(m) − N)/N².
    pub yule_k: f64,
    /// Words that occur once, by words.
    pub hapax: f64,
    /// Words that occur twice, by different words.
    pub dis: f64,
    /// Mean characters of a word.
    pub word_length: f64,
    /// Their standard deviation.
    pub word_length_deviation: f64,
    /// Words of more than six letters.
    pub long_words: f64,
    /// Mean words of a sentence.
    pub sentence_length: f64,
    /// Their standard deviation.
    pub sentence_length_deviation: f64,
    /// Deviation by mean: how unevenly long sentences are.
    pub burstiness: f64,
    /// Mean difference of neighbouring sentences' lengths by their mean.
    pub sentence_rhythm: f64,
    /// Commas.
    pub commas: f64,
    /// Semicolons and colons.
    pub semicolons: f64,
    /// Exclamation and question marks.
    pub exclamations: f64,
    /// Dashes.
    pub dashes: f64,
    /// Quotation marks.
    pub quotes: f64,
    /// Parentheses and brackets.
    pub parentheses: f64,
    /// Digits.
    pub digits: f64,
    /// Words with an apostrophe.
    pub contractions: f64,
    /// English function words.
    pub function_words: f64,
    /// `I`, `me`, `my`, `we`, ….
    pub first_person: f64,
    /// Sentences that begin with the commonest beginning.
    pub same_start: f64,
    /// Different sentence beginnings by sentences.
    pub starts: f64,
    /// Occurrences of three-word sequences that occur again.
    pub repeated_trigrams: f64,
    /// Entropy of characters by pairs, in bits.
    pub gram_entropy: f64,
    /// Words per paragraph.
    pub paragraph_length: f64,
    /// Flesch 1948; English only.
    pub reading_ease: f64,
    /// Kincaid 1975; English only.
    pub grade: f64,
}

/// English words that carry grammar and not subject.
pub const FUNCTION_WORDS: &[&str] = &[
    "a",
    "about",
    "above",
    "after",
    "again",
    "all",
    "also",
    "although",
    "am",
    "among",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "down",
    "during",
    "each",
    "either",
    "even",
    "ever",
    "every",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "however",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "may",
    "me",
    "might",
    "mine",
    "more",
    "most",
    "much",
    "must",
    "my",
    "myself",
    "neither",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "one",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "out",
    "over",
    "own",
    "rather",
    "same",
    "shall",
    "she",
    "should",
    "so",
    "some",
    "such",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "though",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "upon",
    "us",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whom",
    "whose",
    "why",
    "will",
    "with",
    "without",
    "would",
    "yet",
    "you",
    "your",
    "yours",
];

pub(crate) const FIRST_PERSON: &[&str] =
    &["i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "i'm", "i've", "i'd", "i'll"];

/// Where the ratio of different words ends a stretch.
const MTLD_RATIO: f64 = 0.72;

impl Features {
    /// Of a normalised text.
    pub fn of(text: &str) -> Self {
        Self::read(&Reading::of(text))
    }

    pub(crate) fn read(read: &Reading<'_>) -> Self {
        let mut made = Self::default();
        made.vocabulary(read);
        made.lengths(read);
        made.rhythm(read);
        made.marks(read.text);
        made.lists(read);
        made.repetition(&read.ids);
        made.entropy(read.text);
        made.readability(read);
        made
    }

    fn vocabulary(&mut self, read: &Reading<'_>) {
        let (ids, types) = (&read.ids, read.types.len());
        (self.words, self.types) = (ids.len(), types);
        if ids.is_empty() {
            return;
        }
        let n = ids.len() as f64;
        let square: f64 = read.types.iter().map(|t| f64::from(t.count) * f64::from(t.count)).sum();
        let so_often = |times: u32| read.types.iter().filter(|t| t.count == times).count() as f64;
        self.type_token_ratio = types as f64 / n;
        self.yule_k = 1e4 * (square - n) / (n * n);
        self.hapax = so_often(1) / n;
        self.dis = so_often(2) / types as f64;
        let backwards: Vec<u32> = ids.iter().rev().copied().collect();
        self.mtld = (stretch(ids, types) + stretch(&backwards, types)) / 2.0;
    }

    fn lengths(&mut self, read: &Reading<'_>) {
        let of = |word: &str| if word.is_ascii() { word.len() } else { word.chars().count() };
        let lengths: Vec<f64> = read.words.iter().map(|(_, word)| of(word) as f64).collect();
        (self.word_length, self.word_length_deviation) = mean_and_deviation(&lengths);
        self.long_words = share(lengths.iter().filter(|l| **l > 6.0).count(), lengths.len());
        let paragraphs = paragraphs(read.text);
        self.paragraph_length = share(lengths.len(), paragraphs);
    }

    fn rhythm(&mut self, read: &Reading<'_>) {
        let text = read.text;
        let spans = tokens::sentences(text);
        let lengths: Vec<f64> = read.words_of(&spans).into_iter().map(|n| n as f64).collect();
        self.sentences = spans.len();
        (self.sentence_length, self.sentence_length_deviation) = mean_and_deviation(&lengths);
        if self.sentence_length > 0.0 {
            self.burstiness = self.sentence_length_deviation / self.sentence_length;
        }
        if lengths.len() > 1 {
            let steps: f64 = lengths.windows(2).map(|w| (w[0] - w[1]).abs()).sum();
            self.sentence_rhythm = steps / (lengths.len() - 1) as f64 / self.sentence_length;
        }
        let mut starts: FastMap<String, u32> = FastMap::default();
        for span in &spans {
            if let Some((_, word)) = tokens::words(span.of(text)).next() {
                *starts.entry(word.to_lowercase()).or_default() += 1;
            }
        }
        self.starts = share(starts.len(), spans.len());
        self.same_start = share(starts.values().max().map_or(0, |n| *n as usize), spans.len());
    }

    fn marks(&mut self, text: &str) {
        let mut plain = [0u32; 256];
        text.bytes().for_each(|b| plain[usize::from(b)] += 1);
        let mut wide: Vec<char> = Vec::new();
        if plain[0x80..].iter().any(|n| *n > 0) {
            wide.extend(text.chars().filter(|c| !c.is_ascii()));
        }
        let n = self.words.max(1) as f64;
        let rate = |ascii: &[u8], of: &dyn Fn(char) -> bool| {
            let ascii: u32 = ascii.iter().map(|b| plain[usize::from(*b)]).sum();
            (ascii as usize + wide.iter().filter(|c| of(**c)).count()) as f64 / n
        };
        self.commas = rate(b",", &|c| matches!(c, '،' | '、' | '，'));
        self.semicolons = rate(b";:", &|_| false);
        self.exclamations = rate(b"!?", &|c| matches!(c, '¿' | '¡' | '؟' | '！' | '？'));
        self.quotes = rate(b"\"", &|_| false);
        self.parentheses = rate(b"()[]", &|_| false);
        self.digits = rate(b"0123456789", &char::is_numeric);
        self.dashes = dashes(text) as f64 / n;
    }

    fn lists(&mut self, read: &Reading<'_>) {
        self.function_words = share(read.count(|t| t.function.is_some()), self.words);
        self.first_person = share(read.count(|t| t.first_person), self.words);
        self.contractions = share(read.count(|t| t.contracted), self.words);
    }

    fn repetition(&mut self, ids: &[u32]) {
        let (mut seen, mut next, mut tally) = (Numbers::<u128>::default(), 0, Tally::default());
        for w in ids.windows(3) {
            let key = (u128::from(w[0]) << 64) | (u128::from(w[1]) << 32) | u128::from(w[2]);
            let number = seen.number(key, next);
            next = next.max(number + 1);
            tally.add(number);
        }
        let mut again = 0;
        tally.drain(|_, count| again += if count > 1 { count as usize } else { 0 });
        self.repeated_trigrams = share(again, ids.len().saturating_sub(2));
    }

    fn entropy(&mut self, text: &str) {
        let (mut plain, mut wide) = (vec![0u32; 1 << 14], FastMap::<u128, u32>::default());
        each_gram(text, 2, |gram| match gram {
            // Two bytes below 128.
            Gram::Plain(pair) => plain[(((pair >> 1) & 0x3f80) | (pair & 0x7f)) as usize] += 1,
            Gram::Wide(pair) => *wide.entry(pair).or_default() += 1,
        });
        let mut counts: Vec<u32> = plain.into_iter().chain(wide.into_values()).filter(|n| *n > 0).collect();
        let total: f64 = counts.iter().map(|n| f64::from(*n)).sum();
        counts.sort_unstable();
        self.gram_entropy =
            -counts.iter().map(|n| f64::from(*n) / total).map(|p| p * p.log2()).sum::<f64>() + 0.0;
    }

    fn readability(&mut self, read: &Reading<'_>) {
        if self.words > 0 && self.sentences > 0 {
            let syllables: usize = read.types.iter().map(|t| t.count as usize * t.syllables).sum();
            let (per_sentence, per_word) =
                (self.words as f64 / self.sentences as f64, syllables as f64 / self.words as f64);
            self.reading_ease = 206.835 - 1.015 * per_sentence - 84.6 * per_word;
            self.grade = 0.39 * per_sentence + 11.8 * per_word - 15.59;
        }
    }
}

/// Words by stretches, the last counted in part.
fn stretch(ids: &[u32], types: usize) -> f64 {
    let mut last_in = vec![0u32; types];
    let (mut stretches, mut number, mut start, mut different) = (0.0, 1u32, 0, 0.0);
    for (i, id) in ids.iter().enumerate() {
        if last_in[*id as usize] != number {
            last_in[*id as usize] = number;
            different += 1.0;
        }
        if different / ((i + 1 - start) as f64) <= MTLD_RATIO {
            stretches += 1.0;
            (number, start, different) = (number + 1, i + 1, 0.0);
        }
    }
    if start < ids.len() {
        let ratio = different / (ids.len() - start) as f64;
        stretches += (1.0 - ratio) / (1.0 - MTLD_RATIO);
    }
    if stretches > 0.0 { ids.len() as f64 / stretches } else { ids.len() as f64 }
}

/// What `\n\n` keeps apart and is not empty.
fn paragraphs(text: &str) -> usize {
    let (mut found, mut start, mut from) = (0, 0, 0);
    while let Some(at) = text[from..].find('\n').map(|n| from + n) {
        from = at + 1;
        if text.as_bytes().get(from) == Some(&b'\n') {
            found += usize::from(at > start);
            from += 1;
            start = from;
        }
    }
    found + usize::from(start < text.len())
}

/// ` - `, none within another.
fn dashes(text: &str) -> usize {
    let (mut found, mut from) = (0, 0);
    while let Some(at) = text[from..].find('-').map(|n| from + n) {
        let blanks =
            at > from && text.as_bytes()[at - 1] == b' ' && text.as_bytes().get(at + 1) == Some(&b' ');
        found += usize::from(blanks);
        from = at + 1 + usize::from(blanks);
    }
    found
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn word_lists_are_in_order() {
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn figures_by_hand() {
        let f = Features::of("The cat sat. The cat, I think, didn't sit - ever!");
        assert_eq!((f.words, f.types, f.sentences), (10, 8, 2));
        assert!((f.yule_k - 1e4 * (6.0 + 8.0 - 10.0) / 100.0).abs() < 1e-9);
        assert!((f.hapax - 0.6).abs() < 1e-12 && (f.dis - 0.25).abs() < 1e-12);
        assert!((f.commas - 0.2).abs() < 1e-12 && (f.dashes - 0.1).abs() < 1e-12);
        assert!((f.burstiness - 2.0 / 5.0).abs() < 1e-12 && (f.same_start - 1.0).abs() < 1e-12);
        assert!((f.contractions - 0.1).abs() < 1e-12 && (f.first_person - 0.1).abs() < 1e-12);
    }

    #[test]
    fn paragraphs_and_dashes_are_what_stands_between() {
        for text in [
            "",
            "\n",
            "\n\n",
            "a",
            "a\n\nb",
            "a\n\n\nb",
            "a\n\n\n\nb\n",
            " - ",
            "a - - b",
            " -  - ",
            "--",
            "é - é-",
        ] {
            assert_eq!(paragraphs(text), text.split("\n\n").filter(|p| !p.is_empty()).count(), "{text:?}");
            assert_eq!(dashes(text), text.matches(" - ").count(), "{text:?}");
        }
    }

    #[test]
    fn a_text_three_times_over_is_the_same_style() {
        let text =
            "Whether it is a rule or an exception, I know not; but so it was. He came, and we talked.\n\n";
        let (once, thrice) = (Features::of(text), Features::of(&text.repeat(3)));
        assert!((once.sentence_length - thrice.sentence_length).abs() < 1e-12);
        assert!((once.word_length - thrice.word_length).abs() < 1e-12);
        assert!((once.commas - thrice.commas).abs() < 1e-12);
        assert!((once.grade - thrice.grade).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn every_figure_of_any_text_is_a_number(text in "(?s).{0,200}") {
            let json = serde_json::to_value(Features::of(&text)).unwrap();
            for (name, value) in json.as_object().unwrap() {
                prop_assert!(value.as_f64().is_some_and(f64::is_finite), "{} {}", name, value);
            }
        }
    }
}
