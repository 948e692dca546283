//! Fingerprints: `fingerprint@1`. A text as a row of whole numbers, and rows of
//! texts summed for an author or a corpus.
//!
//! What is counted is fixed before any text is seen (function words, buckets of
//! character n-grams, figures of the text), so that no text changes another's
//! row. Sums are of whole numbers: taking a text out leaves exactly what was
//! there before it came.

mod nearest;
mod parameters;
mod sums;
#[cfg(test)]
mod tests;

use crate::counting::Tally;
use crate::features::{FUNCTION_WORDS, Features};
use crate::grams::Grams;
use crate::reading::Reading;

pub use nearest::{Labelled, Nearest, nearest};
pub use parameters::{BadParameter, Parameters};
pub use sums::{Estimate, Space, Sums, weighted};

/// The model's name.
pub const NAME: &str = "fingerprint";
/// What a new installation begins with.
pub const VERSION: u32 = 1;

/// Frequencies and shares are in millionths.
const MILLION: f64 = 1e6;
/// No number of a row is greater: figures are cut there.
pub const MOST: i64 = 1_000_000;
/// A text of more words weighs as one of so many.
const MOST_WEIGHING_WORDS: usize = 10_000;

/// A figure, and how many units are 1.
type Figure = (&'static str, fn(&Features) -> f64, f64);

/// The figures of a row. Lengths and indexes are in thousandths.
const FIGURES: &[Figure] = &[
    ("type_token_ratio", |f| f.type_token_ratio, MILLION),
    ("mtld", |f| f.mtld, 1e3),
    ("yule_k", |f| f.yule_k, 1e3),
    ("hapax", |f| f.hapax, MILLION),
    ("word_length", |f| f.word_length, 1e3),
    ("word_length_deviation", |f| f.word_length_deviation, 1e3),
    ("long_words", |f| f.long_words, MILLION),
    ("sentence_length", |f| f.sentence_length, 1e3),
    ("sentence_length_deviation", |f| f.sentence_length_deviation, 1e3),
    ("burstiness", |f| f.burstiness, 1e3),
    ("sentence_rhythm", |f| f.sentence_rhythm, 1e3),
    ("commas", |f| f.commas, MILLION),
    ("semicolons", |f| f.semicolons, MILLION),
    ("exclamations", |f| f.exclamations, MILLION),
    ("dashes", |f| f.dashes, MILLION),
    ("quotes", |f| f.quotes, MILLION),
    ("parentheses", |f| f.parentheses, MILLION),
    ("digits", |f| f.digits, MILLION),
    ("contractions", |f| f.contractions, MILLION),
    ("first_person", |f| f.first_person, MILLION),
    ("starts", |f| f.starts, MILLION),
    ("repeated_trigrams", |f| f.repeated_trigrams, MILLION),
    ("gram_entropy", |f| f.gram_entropy, 1e3),
    ("paragraph_length", |f| f.paragraph_length, 1e3),
];

/// Makes rows of texts.
pub struct Fingerprinter {
    parameters: Parameters,
}

impl Fingerprinter {
    /// By these parameters.
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters }
    }

    /// What it was made of.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.words() + self.parameters.gram_buckets + self.figures()
    }

    /// Those of them that are counted: words and buckets, which distances are
    /// made of. The figures follow.
    pub fn counted(&self) -> usize {
        self.words() + self.parameters.gram_buckets
    }

    /// Whether a number counts a bucket of n-grams, which has no meaning of its
    /// own.
    pub fn is_bucket(&self, at: usize) -> bool {
        (self.words()..self.counted()).contains(&at)
    }

    fn words(&self) -> usize {
        if self.parameters.function_words { FUNCTION_WORDS.len() } else { 0 }
    }

    fn figures(&self) -> usize {
        if self.parameters.figures { FIGURES.len() } else { 0 }
    }

    /// What the numbers are.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(self.width());
        if self.parameters.function_words {
            names.extend(FUNCTION_WORDS.iter().map(|w| (*w).to_owned()));
        }
        let length = self.parameters.gram_length;
        names.extend((0..self.parameters.gram_buckets).map(|i| format!("{length}-grams/{i}")));
        if self.parameters.figures {
            names.extend(FIGURES.iter().map(|(name, ..)| (*name).to_owned()));
        }
        names
    }

    /// Units of each number that are 1.
    pub fn units(&self) -> Vec<f64> {
        let mut units = vec![MILLION; self.counted()];
        units.extend(FIGURES.iter().take(self.figures()).map(|(.., unit)| *unit));
        units
    }

    /// The row of a normalised text: millionths of all words, of all n-grams,
    /// then the figures.
    pub fn row(&self, text: &str) -> Vec<i64> {
        let read = Reading::of(text);
        let mut counts = vec![0u64; self.counted()];
        let words = read.ids.len() as u64;
        let (known, buckets) = (self.words(), self.parameters.gram_buckets);
        if known > 0 {
            read.types.iter().filter_map(|t| Some((t.function?, t.count))).for_each(|(at, count)| {
                counts[at] += u64::from(count);
            });
        }
        let grams = match buckets {
            0 => 0,
            _ => count_buckets(text, self.parameters.gram_length, &mut counts[known..]),
        };
        let share = |(i, count): (usize, u64)| {
            let all = if i < known { words } else { grams }.max(1);
            // At most a million, since no count is above all.
            i64::try_from((u128::from(count) * 1_000_000 + u128::from(all / 2)) / u128::from(all))
                .unwrap_or(MOST)
        };
        let mut row: Vec<i64> = counts.into_iter().enumerate().map(share).collect();
        if self.parameters.figures {
            let features = Features::read(&read);
            row.extend(FIGURES.iter().map(|(_, of, unit)| whole(of(&features) * unit)));
        }
        row
    }
}

/// Rounded and cut; what is no number is 0.
fn whole(value: f64) -> i64 {
    let most = MOST as f64;
    if value.is_finite() { value.round().clamp(-most, most) as i64 } else { 0 }
}

/// Counts n-grams by bucket, and all of them. A bucket is found once for each
/// different one.
fn count_buckets(text: &str, length: usize, buckets: &mut [u64]) -> u64 {
    let (mut grams, mut keys, mut tally) = (Grams::default(), Vec::new(), Tally::default());
    grams.number_each(text, length, &mut keys, |number| tally.add(number));
    let (mut all, many) = (0, buckets.len());
    tally.drain(|number, count| {
        all += u64::from(count);
        buckets[bucket(keys[number as usize].packed(), many)] += u64::from(count);
    });
    all
}

/// Which bucket an n-gram falls into: FNV-1a over its characters, so that any
/// language can find it again.
fn bucket(gram: u128, buckets: usize) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in gram.to_le_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    // The high bits are the better mixed ones.
    ((u128::from(hash) * buckets as u128) >> 64) as usize
}

/// What a text of so many words weighs beside others: hundreds of words.
pub fn weight(words: usize) -> u64 {
    words.min(MOST_WEIGHING_WORDS).div_ceil(100) as u64
}
