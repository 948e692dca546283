//! Numbering and counting of words and other keys. A key is numbered once and
//! counted by its number; numbers go by first appearance and never reach a
//! result.
//!
//! What is looked for lies anywhere in memory, so that looking takes longer
//! than computing: keys are looked for in blocks, all of a block at once.

use crate::hashing::FastMap;
use crate::tokens;

/// Keys that are looked for at once.
pub(crate) const BLOCK: usize = 64;

/// Of a key that was not found at the first look.
pub(crate) const NONE: u32 = u32::MAX;

/// What can be numbered.
pub(crate) trait Key: Copy + Eq {
    fn mixed(self) -> u64;
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(value: u64) -> u64 {
    let wide = u128::from(value ^ 0x2545_f491_4f6c_dd1d) * u128::from(MULTIPLIER);
    (wide as u64) ^ ((wide >> 64) as u64)
}

impl Key for u64 {
    fn mixed(self) -> u64 {
        mix(self)
    }
}

impl Key for u128 {
    fn mixed(self) -> u64 {
        mix(self as u64 ^ ((self >> 64) as u64).wrapping_mul(MULTIPLIER))
    }
}

/// Keys with their numbers: open addressing, at most a quarter full, so that most
/// are found or missed at the first look. Slots are small and what is frequent
/// comes early, so that counting stays in the caches.
#[derive(Debug, Clone)]
pub(crate) struct Numbers<K> {
    /// A place in `entries` and one; 0 is free.
    slots: Vec<u32>,
    /// By first appearance.
    entries: Vec<(K, u32)>,
}

impl<K: Key> Default for Numbers<K> {
    fn default() -> Self {
        Self { slots: vec![0; 256], entries: Vec::new() }
    }
}

impl<K: Key> Numbers<K> {
    /// The number of each key, or [`NONE`] if it takes another look or has none.
    #[inline]
    pub fn find_all(&self, keys: &[K], numbers: &mut [u32; BLOCK]) {
        let mask = self.slots.len() - 1;
        for (key, number) in keys.iter().zip(numbers.iter_mut()) {
            *number = self.slots[key.mixed() as usize & mask];
        }
        for (key, number) in keys.iter().zip(numbers.iter_mut()) {
            let entry = self.entries.get((*number as usize).wrapping_sub(1));
            *number = entry.filter(|(there, _)| there == key).map_or(NONE, |(_, known)| *known);
        }
    }

    #[inline]
    pub fn get(&self, key: K) -> Option<u32> {
        self.find(key).ok()
    }

    /// The key's number, which is `next` if it had none.
    #[inline]
    pub fn number(&mut self, key: K, next: u32) -> u32 {
        match self.find(key) {
            Ok(number) => number,
            Err(slot) => {
                self.insert(slot, key, next);
                next
            }
        }
    }

    /// The key's number, or the slot for it.
    #[inline]
    fn find(&self, key: K) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = key.mixed() as usize & mask;
        loop {
            let Some(at) = self.slots[slot].checked_sub(1) else { return Err(slot) };
            let (there, number) = self.entries[at as usize];
            if there == key {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, key: K, number: u32) {
        self.entries.push((key, number));
        self.slots[slot] = self.entries.len() as u32;
        if self.entries.len() * 4 > self.slots.len() {
            self.slots = vec![0; self.slots.len() * 2];
            for (place, (key, _)) in (1u32..).zip(&self.entries) {
                let mask = self.slots.len() - 1;
                let mut slot = key.mixed() as usize & mask;
                while self.slots[slot] != 0 {
                    slot = (slot + 1) & mask;
                }
                self.slots[slot] = place;
            }
        }
    }
}

/// Counts by number, emptied and used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    counts: Vec<u32>,
    touched: Vec<u32>,
}

impl Tally {
    #[inline]
    pub fn add(&mut self, number: u32) {
        if number as usize >= self.counts.len() {
            self.counts.resize((number as usize + 1).next_power_of_two(), 0);
        }
        let count = &mut self.counts[number as usize];
        if *count == 0 {
            self.touched.push(number);
        }
        *count += 1;
    }

    /// Calls `visit` with each number and its count, and forgets them.
    pub fn drain(&mut self, mut visit: impl FnMut(u32, u32)) {
        for number in self.touched.drain(..) {
            visit(number, std::mem::take(&mut self.counts[number as usize]));
        }
    }
}

/// Words in lower case with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lexicon {
    /// ASCII words of at most sixteen letters, as a number of theirs.
    short: Numbers<u128>,
    long: FastMap<Box<str>, u32>,
    /// All words, one behind the other, and where each ends.
    names: String,
    ends: Vec<usize>,
}

impl Lexicon {
    /// The word of a number.
    pub fn name(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start..self.ends[number]]
    }

    /// All words, by their numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0u32..).zip(&self.ends).map(|(number, _)| self.name(number))
    }

    /// The number of the word that stands in the text at `start`, in lower case;
    /// a new one if it had none.
    #[inline]
    pub fn number(&mut self, text: &str, start: usize, word: &str) -> u32 {
        let next = self.ends.len() as u32;
        let number = match short_key(text, start, word) {
            Some(key) => self.short.number(key, next),
            None => self.number_long(word, next),
        };
        if number == next {
            lower(word, |c| self.names.push(c));
            self.ends.push(self.names.len());
        }
        number
    }

    fn get(&self, text: &str, start: usize, word: &str) -> Option<u32> {
        match short_key(text, start, word) {
            Some(key) => self.short.get(key),
            None => self.long.get(&*lowered(word)).copied(),
        }
    }

    /// Calls `visit` with the place, the letters and the number of each word of
    /// the text.
    pub fn number_each<'a>(&mut self, text: &'a str, mut visit: impl FnMut(usize, &'a str, u32)) {
        let mut numbers = [NONE; BLOCK];
        each_block(text, |words, keys| {
            self.short.find_all(keys, &mut numbers);
            for ((start, word), number) in words.iter().zip(&numbers) {
                let number = if *number == NONE { self.number(text, *start, word) } else { *number };
                visit(*start, word, number);
            }
        });
    }

    /// Calls `visit` with the number of each word of the text, if it has one.
    pub fn find_each(&self, text: &str, mut visit: impl FnMut(Option<u32>)) {
        let mut numbers = [NONE; BLOCK];
        each_block(text, |words, keys| {
            self.short.find_all(keys, &mut numbers);
            for ((start, word), number) in words.iter().zip(&numbers) {
                visit(if *number == NONE { self.get(text, *start, word) } else { Some(*number) });
            }
        });
    }

    #[cold]
    fn number_long(&mut self, word: &str, next: u32) -> u32 {
        *self.long.entry(lowered(word).into()).or_insert(next)
    }
}

/// The words of a text in blocks, with their short keys; 0 for a long one.
#[inline]
fn each_block<'a>(text: &'a str, mut visit: impl FnMut(&[(usize, &'a str)], &[u128])) {
    let (mut words, mut keys, mut count) = ([(0, ""); BLOCK], [0; BLOCK], 0);
    for (start, word) in tokens::words(text) {
        words[count] = (start, word);
        keys[count] = short_key(text, start, word).unwrap_or(0);
        count += 1;
        if count == BLOCK {
            visit(&words, &keys);
            count = 0;
        }
    }
    visit(&words[..count], &keys[..count]);
}

fn lowered(word: &str) -> String {
    let mut buffer = String::with_capacity(word.len());
    lower(word, |c| buffer.push(c));
    buffer
}

fn lower(word: &str, push: impl FnMut(char)) {
    word.chars().flat_map(char::to_lowercase).for_each(push);
}

const ONES: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;

/// The bytes of a short ASCII word in lower case. No word holds a zero byte, so
/// they say its length too.
#[inline]
fn short_key(text: &str, start: usize, word: &str) -> Option<u128> {
    if word.is_empty() || word.len() > 16 {
        return None;
    }
    let bytes = match text.as_bytes().get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => u128::from_le_bytes(*chunk) & (u128::MAX >> (128 - 8 * word.len())),
        None => {
            let mut chunk = [0; 16];
            chunk[..word.len()].copy_from_slice(word.as_bytes());
            u128::from_le_bytes(chunk)
        }
    };
    if bytes & (0x80 * ONES) != 0 {
        return None;
    }
    let from = bytes + (0x80 - u128::from(b'A')) * ONES;
    let beyond = bytes + (0x7f - u128::from(b'Z')) * ONES;
    Some(bytes | ((from & !beyond & (0x80 * ONES)) >> 2))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_has_one_number(words in proptest::collection::vec("[abAB'Éé]{1,20}|[a-z]{1,4}", 0..300)) {
            let text = words.join(" ");
            let (mut lexicon, mut expected) = (Lexicon::default(), HashMap::new());
            let mut start = 0;
            for word in &words {
                let lower: String = word.chars().flat_map(char::to_lowercase).collect();
                let next = expected.len() as u32;
                let number = *expected.entry(lower.clone()).or_insert(next);
                prop_assert_eq!(lexicon.number(&text, start, word), number);
                prop_assert_eq!(lexicon.get(&text, start, word), Some(number));
                prop_assert_eq!(lexicon.name(number), lower);
                start += word.len() + 1;
            }
            prop_assert_eq!(lexicon.get("?", 0, "?"), None);
        }

        #[test]
        fn words_in_blocks_are_the_words_one_by_one(words in proptest::collection::vec("[a-c]{1,2}|[a-bB]{17,18}|é?[abÉ]{1,2}", 0..400)) {
            let text = words.join(" ");
            let (mut blocks, mut single, mut found) = (Lexicon::default(), Lexicon::default(), Vec::new());
            blocks.number_each(&text, |start, word, number| found.push((start, word, number)));
            let expected: Vec<_> =
                tokens::words(&text).map(|(start, word)| (start, word, single.number(&text, start, word))).collect();
            prop_assert_eq!(&found, &expected);
            let mut known = Lexicon::default();
            expected.iter().filter(|(_, _, n)| n % 2 == 0).for_each(|(_, word, _)| { known.number(word, 0, word); });
            let mut again = Vec::new();
            known.find_each(&text, |number| again.push(number));
            let expected: Vec<_> = expected.iter().map(|(start, word, _)| known.get(&text, *start, word)).collect();
            prop_assert_eq!(again, expected);
        }

        #[test]
        fn many_keys_keep_their_numbers(keys in proptest::collection::vec(0u64..5_000, 0..3_000)) {
            let (mut numbers, mut expected, mut tally) = (Numbers::default(), HashMap::new(), Tally::default());
            for key in &keys {
                let next = expected.len() as u32;
                let entry = expected.entry(*key).or_insert((next, 0u32));
                entry.1 += 1;
                prop_assert_eq!(numbers.number(*key, next), entry.0);
                tally.add(entry.0);
            }
            prop_assert!(expected.iter().all(|(key, (n, _))| numbers.get(*key) == Some(*n)));
            let mut counted: Vec<(u32, u32)> = expected.into_values().collect();
            counted.sort_unstable();
            let mut found = Vec::new();
            tally.drain(|number, count| found.push((number, count)));
            found.sort_unstable();
            prop_assert_eq!(found, counted);
            tally.drain(|_, _| panic!("it was emptied"));
        }
    }
}
