//! Small numbers for texts and for pairs of numbers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use hashlink::DefaultHashBuilder;

use crate::bulk::Texts;

pub type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;

/// The number of a missing text.
pub const MISSING: u32 = u32::MAX;

/// Numbers texts in the order in which they come.
#[derive(Default)]
pub struct Names {
    numbers: Map<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Names {
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = next(self.texts.len());
        let text: Arc<str> = text.into();
        self.bytes += text.len() + 72;
        self.numbers.insert(text.clone(), number);
        self.texts.push(text);
        number
    }

    pub fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }

    /// The number of every row's text.
    pub fn column(&mut self, texts: &Texts) -> Column {
        Column { by_code: texts.values().map(|v| self.number(v)).collect(), missing: MISSING }
    }

    pub fn memory(&self) -> usize {
        self.bytes
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
