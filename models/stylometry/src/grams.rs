//! Numbering and counting of n-grams of characters.

use crate::counting::{BLOCK, NONE, Numbers};

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
    pub fn number(&mut self, gram: Gram, next: u32) -> u32 {
        match gram {
            Gram::Plain(key) => self.plain.number(key, next),
            Gram::Wide(key) => self.wide.number(key, next),
        }
    }

    /// Calls `visit` with the number of each n-gram of the text, of which new
    /// ones are added to `keys`.
    pub fn number_each(
        &mut self,
        text: &str,
        length: usize,
        keys: &mut Vec<Gram>,
        mut visit: impl FnMut(u32),
    ) {
        let mut numbers = [NONE; BLOCK];
        each_block(text, length, |block, wide| {
            self.plain.find_all(block, &mut numbers);
            let mut number = |grams: &mut Self, gram| {
                let number = grams.number(gram, keys.len() as u32);
                if number as usize == keys.len() {
                    keys.push(gram);
                }
                number
            };
            for (key, found) in block.iter().zip(&numbers) {
                visit(if *found == NONE { number(self, Gram::Plain(*key)) } else { *found });
            }
            if let Some(wide) = wide {
                visit(number(self, Gram::Wide(wide)));
            }
        });
    }

    /// Calls `visit` with the number of each n-gram of the text, if it has one.
    pub fn find_each(&self, text: &str, length: usize, mut visit: impl FnMut(Option<u32>)) {
        let mut numbers = [NONE; BLOCK];
        each_block(text, length, |block, wide| {
            self.plain.find_all(block, &mut numbers);
            for (key, found) in block.iter().zip(&numbers) {
                visit(if *found == NONE { self.plain.get(*key) } else { Some(*found) });
            }
            if let Some(wide) = wide {
                visit(self.wide.get(wide));
            }
        });
    }
}

/// The n-grams of a text in blocks: those of ASCII alone, then one that is not.
#[inline]
fn each_block(text: &str, length: usize, mut visit: impl FnMut(&[u64], Option<u128>)) {
    let (mut keys, mut count) = ([0; BLOCK], 0);
    each_gram(text, length, |gram| match gram {
        Gram::Plain(key) => {
            keys[count] = key;
            count += 1;
            if count == BLOCK {
                visit(&keys, None);
                count = 0;
            }
        }
        Gram::Wide(key) => {
            visit(&keys[..count], Some(key));
            count = 0;
        }
    });
    visit(&keys[..count], None);
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
        fn grams_in_blocks_are_the_grams_one_by_one(text in "([a-c]{1,30}|é){0,40}", length in 1usize..=3) {
            let (mut blocks, mut single, mut keys, mut found) =
                (Grams::default(), Grams::default(), Vec::new(), Vec::new());
            blocks.number_each(&text, length, &mut keys, |number| found.push(number));
            let (mut expected, mut known) = (Vec::new(), Vec::new());
            each_gram(&text, length, |gram| {
                let number = single.number(gram, known.len() as u32);
                if number as usize == known.len() {
                    known.push(gram);
                }
                expected.push(number);
            });
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(keys, known);
            let mut again = Vec::new();
            blocks.find_each(&text, length, |number| again.push(number));
            prop_assert_eq!(again, expected.into_iter().map(Some).collect::<Vec<_>>());
        }
    }
}
