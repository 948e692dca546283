//! Small numbers for texts and for pairs of numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::ops::Range;

use background::Steps;
use hashlink::DefaultHashBuilder;

use crate::bulk::Texts;

pub type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;

/// The number of a missing text.
pub const MISSING: u32 = u32::MAX;

/// Texts that are looked up together.
const TOGETHER: usize = 16;

/// Numbers texts in the order in which they come. They lie one after the other
/// in memory: histories have hundreds of thousands of them, looked up in no
/// order, and what counts is how often that waits for memory. So several are
/// looked up together, step by step: they wait for each step at the same time.
#[derive(Default)]
pub struct Names {
    /// Where a text belongs by its hash, or the next place that is free. At
    /// most every second one is taken; their number is a power of two.
    places: Vec<Place>,
    hasher: DefaultHashBuilder,
    texts: Joined,
}

#[derive(Clone, Copy)]
struct Place {
    /// The upper half of the text's hash.
    tag: u32,
    /// [`MISSING`] if it is free.
    number: u32,
}

const FREE: Place = Place { tag: 0, number: MISSING };

#[derive(Default)]
struct Joined {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Joined {
    fn get(&self, number: u32) -> &str {
        &self.bytes[self.range(number)]
    }

    fn range(&self, number: u32) -> Range<usize> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[number]
    }
}

impl Names {
    pub fn number(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        self.find(text, hash)
    }

    /// The number of each text.
    pub fn numbers<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(texts.size_hint().0);
        let mut texts = texts.fuse();
        let mut steps = Steps::of_nanos(1_000);
        while let Some(first) = texts.next() {
            steps.step();
            // What is missing at the end is the first once more.
            let (mut some, mut count) = ([first; TOGETHER], 1);
            for (place, text) in some[1..].iter_mut().zip(&mut texts) {
                *place = text;
                count += 1;
            }
            numbers.extend_from_slice(&self.some(&some)[..count]);
        }
        numbers
    }

    fn some(&mut self, texts: &[&str; TOGETHER]) -> [u32; TOGETHER] {
        let hashes = texts.map(|text| self.hasher.hash_one(text));
        let first = hashes.map(|hash| self.places.get(self.home(hash)).copied().unwrap_or(FREE));
        let mut likely = [MISSING; TOGETHER];
        for ((likely, hash), first) in likely.iter_mut().zip(hashes).zip(first) {
            *likely = if first.tag == tag(hash) { first.number } else { self.tagged(hash) };
        }
        let ranges = likely.map(|number| if number == MISSING { 0..0 } else { self.texts.range(number) });
        let mut numbers = likely;
        for (i, range) in ranges.into_iter().enumerate() {
            if likely[i] == MISSING || self.texts.bytes[range] != *texts[i] {
                numbers[i] = self.find(texts[i], hashes[i]);
            }
        }
        numbers
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & self.places.len().wrapping_sub(1)
    }

    /// The first text whose hash is very likely this one.
    fn tagged(&self, hash: u64) -> u32 {
        let found = self.from(hash).find(|place| place.number == MISSING || place.tag == tag(hash));
        found.map_or(MISSING, |place| place.number)
    }

    /// Places from that of a hash on.
    fn from(&self, hash: u64) -> impl Iterator<Item = Place> {
        let (before, after) = self.places.split_at(self.home(hash).min(self.places.len()));
        after.iter().chain(before).copied()
    }

    /// Adds it if it is new.
    fn find(&mut self, text: &str, hash: u64) -> u32 {
        let known = self
            .from(hash)
            .take_while(|place| place.number != MISSING)
            .find(|place| place.tag == tag(hash) && self.texts.get(place.number) == text);
        if let Some(known) = known {
            return known.number;
        }
        let number = next(self.texts.ends.len());
        self.texts.bytes.push_str(text);
        self.texts.ends.push(self.texts.bytes.len());
        if self.texts.ends.len() * 2 > self.places.len() {
            self.grow();
        } else {
            self.place(hash, number);
        }
        number
    }

    /// Makes room for twice as many, and places all anew.
    fn grow(&mut self) {
        let places = (self.texts.ends.len() * 4).next_power_of_two();
        self.places.clear();
        self.places.resize(places, FREE);
        for number in 0..next(self.texts.ends.len()) {
            let hash = self.hasher.hash_one(self.texts.get(number));
            self.place(hash, number);
        }
    }

    fn place(&mut self, hash: u64, number: u32) {
        let all = self.places.len();
        let mut at = self.home(hash);
        while self.places[at].number != MISSING {
            at = (at + 1) % all;
        }
        self.places[at] = Place { tag: tag(hash), number };
    }

    pub fn text(&self, number: u32) -> &str {
        self.texts.get(number)
    }

    /// By number.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        (0..next(self.texts.ends.len())).map(|number| self.text(number))
    }

    /// The number of every row's text.
    pub fn column(&mut self, texts: &Texts) -> Column {
        Column { by_code: self.numbers(texts.values()), missing: MISSING }
    }

    pub fn memory(&self) -> usize {
        self.texts.bytes.capacity()
            + self.texts.ends.capacity() * size_of::<usize>()
            + self.places.capacity() * size_of::<Place>()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A batch's dictionary in numbers.
pub struct Column {
    pub by_code: Vec<u32>,
    /// What rows without a value have.
    pub missing: u32,
}

impl Column {
    pub fn at(&self, texts: &Texts, row: usize) -> u32 {
        match usize::try_from(texts.codes[row]) {
            Ok(code) => self.by_code[code],
            Err(_) => self.missing,
        }
    }
}

/// What was remembered of a name the last time.
pub fn latest(of: &mut Vec<(u32, u32)>, name: u32) -> &mut (u32, u32) {
    let at = name as usize;
    if of.len() <= at {
        of.resize(at + 1, (MISSING, MISSING));
    }
    &mut of[at]
}

/// Values by key, numbered in the order in which they come.
pub struct Table<K, V> {
    numbers: Map<K, u32>,
    pub keys: Vec<K>,
    pub values: Vec<V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { numbers: Map::default(), keys: Vec::new(), values: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    pub fn number(&mut self, key: K) -> u32 {
        let fresh = next(self.values.len());
        let number = *self.numbers.entry(key).or_insert(fresh);
        if number == fresh {
            self.keys.push(key);
            self.values.push(V::default());
        }
        number
    }

    pub fn entry(&mut self, key: K) -> &mut V {
        let number = self.number(key);
        &mut self.values[number as usize]
    }

    pub fn get(&self, key: K) -> Option<&V> {
        self.numbers.get(&key).map(|number| &self.values[*number as usize])
    }

    pub fn memory(&self) -> usize {
        // A hash table is at most half empty after it has grown.
        self.keys.capacity() * (3 * size_of::<K>() + 8) + self.values.capacity() * size_of::<V>()
    }
}

/// More than four thousand million would not fit in memory anyway; the last
/// number stands for a missing text.
fn next(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(MISSING - 1).min(MISSING - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_keep_their_numbers(batches in prop::collection::vec(prop::collection::vec("[a-c]{0,5}", 0..60), 0..20)) {
            let (mut names, mut known) = (Names::default(), Vec::<String>::new());
            for (turn, batch) in batches.iter().enumerate() {
                let mut expected = Vec::new();
                for text in batch {
                    let number = known.iter().position(|k| k == text).unwrap_or_else(|| {
                        known.push(text.clone());
                        known.len() - 1
                    });
                    expected.push(number as u32);
                }
                let numbers = if turn % 2 == 0 {
                    names.numbers(batch.iter().map(|text| &**text))
                } else {
                    batch.iter().map(|text| names.number(text)).collect()
                };
                prop_assert_eq!(numbers, expected);
            }
            prop_assert!(names.all().eq(known.iter().map(|k| &**k)));
        }
    }
}
