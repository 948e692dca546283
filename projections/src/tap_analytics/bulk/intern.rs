//! Small numbers for texts and for pairs of numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use hashlink::DefaultHashBuilder;

use crate::bulk::Texts;

pub type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;

/// The number of a missing text.
pub const MISSING: u32 = u32::MAX;

/// Numbers texts in the order in which they come. They lie one after the other
/// in memory: histories have hundreds of thousands of them, looked up in no
/// order, and what counts is how many cache lines that touches.
#[derive(Default)]
pub struct Names {
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    texts: Joined,
}

#[derive(Default)]
struct Joined {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Joined {
    fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }
}

impl Names {
    pub fn number(&mut self, text: &str) -> u32 {
        let Self { numbers, hasher, texts } = self;
        let hash = hasher.hash_one(text);
        if let Some(number) = numbers.find(hash, |n| texts.get(*n) == text) {
            return *number;
        }
        let number = next(texts.ends.len());
        texts.bytes.push_str(text);
        texts.ends.push(texts.bytes.len());
        numbers.insert_unique(hash, number, |n| hasher.hash_one(texts.get(*n)));
        number
    }

    pub fn text(&self, number: u32) -> &str {
        self.texts.get(number)
    }

    /// The number of every row's text.
    pub fn column(&mut self, texts: &Texts) -> Column {
        Column { by_code: texts.values().map(|v| self.number(v)).collect(), missing: MISSING }
    }

    pub fn memory(&self) -> usize {
        self.texts.bytes.capacity()
            + self.texts.ends.capacity() * size_of::<usize>()
            + self.numbers.capacity() * 6
    }
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
