//! Numbering and counting of words and n-grams. A key is numbered once and
//! counted by its number; numbers go by first appearance and never reach a
//! result.

use crate::hashing::FastMap;

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

    #[inline]
    pub fn get(&self, text: &str, start: usize, word: &str) -> Option<u32> {
        match short_key(text, start, word) {
            Some(key) => self.short.get(key),
            None => self.long.get(&*lowered(word)).copied(),
        }
    }

    #[cold]
    fn number_long(&mut self, word: &str, next: u32) -> u32 {
        *self.long.entry(lowered(word).into()).or_insert(next)
    }
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

/// An n-gram of characters: ASCII alone as bytes, others as 21 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gram {
    Plain(u64),
    Wide(u128),
}

impl Gram {
    /// As 21 bits for each character, which sorts as the characters do.
    pub fn packed(self) -> u128 {
        match self {
            Gram::Plain(plain) => widened(plain),
            Gram::Wide(wide) => wide,
        }
    }

    /// Of packed characters.
    pub fn of(packed: u128) -> Self {
        let (mut plain, mut rest, mut shift) = (0, packed, 0);
        while rest != 0 {
            let c = (rest & 0x1f_ffff) as u64;
            if c > 0x7f || shift > 56 {
                return Gram::Wide(packed);
            }
            plain |= c << shift;
            (rest, shift) = (rest >> 21, shift + 8);
        }
        Gram::Plain(plain)
    }
}

fn widened(plain: u64) -> u128 {
    plain.to_be_bytes().iter().fold(0, |wide, byte| (wide << 21) | u128::from(*byte))
}

/// N-grams with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grams {
    plain: Numbers<u64>,
    wide: Numbers<u128>,
}

impl Grams {
    #[inline]
    pub fn get(&self, gram: Gram) -> Option<u32> {
        match gram {
            Gram::Plain(key) => self.plain.get(key),
            Gram::Wide(key) => self.wide.get(key),
        }
    }

    #[inline]
    pub fn number(&mut self, gram: Gram, next: u32) -> u32 {
        match gram {
            Gram::Plain(key) => self.plain.number(key, next),
            Gram::Wide(key) => self.wide.number(key, next),
        }
    }
}

/// Longest n-gram: its characters fit 126 bits.
pub(crate) const LONGEST: usize = 6;

/// Not ASCII.
const WIDE: u8 = 0xff;

/// Lower-case letters; white space as a blank.
const LOWER: [u8; 256] = {
    let mut lower = [WIDE; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        lower[byte as usize] = match byte {
            b'\t'..=b'\r' => b' ',
            _ => byte.to_ascii_lowercase(),
        };
        byte += 1;
    }
    lower
};

/// Calls `visit` with each n-gram of the text's lower-case characters, in which
/// runs of white space are one blank.
#[inline]
pub(crate) fn each_gram(text: &str, length: usize, visit: impl FnMut(Gram)) {
    let length = length.clamp(1, LONGEST);
    let mut window = Window {
        length,
        short: u64::MAX >> (64 - 8 * length),
        long: (1 << (21 * length)) - 1,
        plain: 0,
        wide: 0,
        run: 0,
        seen: 0,
        visit,
    };
    let bytes = text.as_bytes();
    let (mut at, mut blank) = (0, false);
    while let Some(byte) = bytes.get(at) {
        let low = LOWER[*byte as usize];
        if low != WIDE {
            at += 1;
            if !(blank && low == b' ') {
                window.push(low);
            }
            blank = low == b' ';
            continue;
        }
        // A character that is not ASCII begins here.
        let Some(c) = text[at..].chars().next() else { break };
        at += c.len_utf8();
        if c.is_whitespace() {
            if !blank {
                window.push(b' ');
            }
            blank = true;
        } else {
            c.to_lowercase().for_each(|c| window.push_wide(c));
            blank = false;
        }
    }
}

struct Window<F> {
    length: usize,
    short: u64,
    long: u128,
    /// The last eight characters of a run of ASCII.
    plain: u64,
    /// The last characters; stale while a run fills the window.
    wide: u128,
    /// ASCII characters in a row, at most `length`.
    run: usize,
    /// Characters, at most `length`.
    seen: usize,
    visit: F,
}

impl<F: FnMut(Gram)> Window<F> {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.plain = (self.plain << 8) | u64::from(byte);
        if self.run == self.length {
            (self.visit)(Gram::Plain(self.plain & self.short));
            return;
        }
        self.wide = ((self.wide << 21) | u128::from(byte)) & self.long;
        self.run += 1;
        self.seen = self.length.min(self.seen + 1);
        if self.run == self.length {
            (self.visit)(Gram::Plain(self.plain & self.short));
        } else if self.seen == self.length {
            (self.visit)(Gram::Wide(self.wide));
        }
    }

    #[cold]
    fn push_wide(&mut self, c: char) {
        if c.is_ascii() {
            return self.push(c as u8);
        }
        if self.run == self.length {
            self.wide = widened(self.plain & self.short);
        }
        self.wide = ((self.wide << 21) | u128::from(c as u32)) & self.long;
        self.run = 0;
        self.seen = self.length.min(self.seen + 1);
        if self.seen == self.length {
            (self.visit)(Gram::Wide(self.wide));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    /// The same, character by character.
    fn slowly(text: &str, length: usize) -> Vec<u128> {
        let mut letters: Vec<char> = Vec::new();
        for c in text.chars() {
            match c {
                c if c.is_whitespace() && letters.last() == Some(&' ') => {}
                c if c.is_whitespace() => letters.push(' '),
                c => letters.extend(c.to_lowercase()),
            }
        }
        let packed = |w: &[char]| w.iter().fold(0, |all, c| (all << 21) | u128::from(*c as u32));
        letters.windows(length).map(packed).collect()
    }

    proptest! {
        #[test]
        fn grams_are_those_of_each_window(text in "([a-cA-C .\\t\\n]|\\PC|\u{a0}|İ|K|é){0,40}", length in 1usize..=6) {
            let mut found = Vec::new();
            each_gram(&text, length, |gram| {
                assert_eq!(gram, Gram::of(gram.packed()), "one key for each");
                found.push(gram.packed());
            });
            prop_assert_eq!(found, slowly(&text, length));
        }

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
