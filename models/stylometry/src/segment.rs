//! Words and sentences by UAX #29. Where a text is plain ASCII the rules come
//! down to a few bytes, and are read here; the rest is left to
//! `unicode-segmentation`, in stretches that no rule looks across. Tests hold
//! both to the same places.

use unicode_segmentation::{UnicodeSegmentation, UnicodeWordIndices};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Belongs to no word.
    Other,
    Letter,
    Digit,
    /// `_`, which joins what stands beside it.
    Low,
    /// `.` and `'`, within words and within numbers.
    Within,
    /// `:`, within words.
    Colon,
    /// `,` and `;`, within numbers.
    Comma,
    /// Not ASCII.
    Wide,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'_' => Class::Low,
            b'.' | b'\'' => Class::Within,
            b':' => Class::Colon,
            b',' | b';' => Class::Comma,
            0x80..=0xff => Class::Wide,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// Words that hold a letter, with their places in bytes.
pub struct Words<'a> {
    text: &'a str,
    at: usize,
    wide: Option<(usize, UnicodeWordIndices<'a>)>,
}

enum Step {
    Word(usize, usize),
    /// From here on the other rules are needed.
    Wide(usize),
    End,
}

impl<'a> Words<'a> {
    /// Of a text.
    pub fn of(text: &'a str) -> Self {
        Self { text, at: 0, wide: None }
    }

    fn step(&mut self) -> Step {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            let from = at;
            loop {
                let Some(byte) = bytes.get(at) else { return Step::End };
                match class(*byte) {
                    Class::Letter | Class::Digit | Class::Low => break,
                    Class::Wide => return Step::Wide(before(bytes, from, at)),
                    _ => at += 1,
                }
            }
            let start = at;
            let mut letters = false;
            loop {
                let run = letters_from(bytes, at);
                letters |= run > 0;
                at += run;
                let Some(byte) = bytes.get(at) else { break };
                let joined = match class(*byte) {
                    Class::Letter | Class::Digit | Class::Low => true,
                    Class::Other => false,
                    Class::Wide => return Step::Wide(start),
                    mark => match bytes.get(at + 1).map(|next| class(*next)) {
                        Some(Class::Wide) => return Step::Wide(start),
                        Some(next) => joins(class(bytes[at - 1]), mark, next),
                        None => false,
                    },
                };
                if !joined {
                    break;
                }
                letters |= class(*byte) == Class::Letter;
                at += 1;
            }
            if letters {
                self.at = at;
                return Step::Word(start, at);
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((offset, words)) = &mut self.wide {
                match words.find(|(_, word)| word.chars().any(char::is_alphabetic)) {
                    Some((at, word)) => return Some((*offset + at, word)),
                    None => self.wide = None,
                }
            }
            match self.step() {
                Step::Word(start, end) => return Some((start, &self.text[start..end])),
                Step::End => return None,
                Step::Wide(start) => {
                    self.at = apart(self.text.as_bytes(), start);
                    self.wide = Some((start, self.text[start..self.at].unicode_word_indices()));
                }
            }
        }
    }
}

/// WB6, 7, 11 and 12: a mark between two letters or two digits.
fn joins(before: Class, mark: Class, after: Class) -> bool {
    match mark {
        Class::Within => before == after && matches!(before, Class::Letter | Class::Digit),
        Class::Colon => before == Class::Letter && after == Class::Letter,
        _ => before == Class::Digit && after == Class::Digit,
    }
}

/// What a character that is not ASCII may belong to: the byte before it, or all
/// blanks before it, from `least` on.
fn before(bytes: &[u8], least: usize, at: usize) -> usize {
    let mut start = at;
    while start > least && bytes[start - 1] == b' ' {
        start -= 1;
    }
    if start == at && at > least { at - 1 } else { start }
}

/// The next place after `start` that no word reaches across, whatever stands
/// there: a line's end, or a blank behind a visible ASCII character, and not
/// before the first character that is not ASCII.
fn apart(bytes: &[u8], start: usize) -> usize {
    let wide = bytes[start..].iter().position(|b| !b.is_ascii()).map_or(bytes.len(), |n| start + n);
    (wide + 1..bytes.len())
        .find(|at| match bytes[*at] {
            b'\n' => true,
            b' ' => bytes[*at - 1].is_ascii_graphic(),
            _ => false,
        })
        .unwrap_or(bytes.len())
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x80 * ONES;

/// How many ASCII letters stand from `at` on, eight bytes at a time.
#[inline]
fn letters_from(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some(chunk) = bytes.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let low = (word | (0x20 * ONES)) & !TOPS;
        let letters = (low + (0x80 - u64::from(b'a')) * ONES) & !(low + (0x7f - u64::from(b'z')) * ONES);
        let others = !(letters & !word) & TOPS;
        if others != 0 {
            return end + others.trailing_zeros() as usize / 8 - at;
        }
        end += 8;
    }
    while bytes.get(end).is_some_and(u8::is_ascii_alphabetic) {
        end += 1;
    }
    end - at
}

/// Calls `visit` with each piece between two sentence boundaries, and where it
/// begins. Lines are independent of each other (SB4).
pub fn each_sentence<'a>(text: &'a str, mut visit: impl FnMut(usize, &'a str)) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.is_ascii() && !line.contains('\r') {
            plain_sentences(line, |from, to| visit(start + from, &line[from..to]));
        } else {
            each_bounded(line, |from, part| {
                part.split_sentence_bound_indices().for_each(|(at, piece)| visit(start + from + at, piece));
            });
        }
        start += line.len();
    }
}

/// Within a line of ASCII: after `.`, `!`, `?` with what closes and blanks.
fn plain_sentences(line: &str, mut visit: impl FnMut(usize, usize)) {
    let bytes = line.as_bytes();
    let (mut start, mut at) = (0, 0);
    // What the search for a small letter found, so that no byte is looked at twice.
    let mut looked = (0, false);
    while let Some(mark) = bytes[at..].iter().position(|b| matches!(b, b'.' | b'!' | b'?')) {
        let mark = at + mark;
        let closed = mark + 1 + bytes[mark + 1..].iter().take_while(|b| closes(**b)).count();
        let blank = closed + bytes[closed..].iter().take_while(|b| is_blank(**b)).count();
        at = mark + 1;
        let Some(next) = bytes.get(blank) else { break };
        let full = bytes[mark] == b'.';
        // SB6, 7
        if full && blank == mark + 1 {
            let capital = next.is_ascii_uppercase() && mark > 0 && bytes[mark - 1].is_ascii_alphabetic();
            if capital || next.is_ascii_digit() {
                continue;
            }
        }
        // SB8a, and SB4 for the line's end
        if matches!(next, b'.' | b'!' | b'?' | b',' | b'-' | b':' | b';' | b'\n') {
            continue;
        }
        // SB8
        if full && goes_on_small(bytes, blank, &mut looked) {
            continue;
        }
        visit(start, blank);
        (start, at) = (blank, blank);
    }
    if start < bytes.len() {
        visit(start, bytes.len());
    }
}

/// Whether the first letter, mark or line's end from `at` on is a small letter.
fn goes_on_small(bytes: &[u8], at: usize, looked: &mut (usize, bool)) -> bool {
    if looked.0 > at {
        return looked.1;
    }
    let stop = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'.' | b'!' | b'?' | b'\n');
    let found = bytes[at..].iter().position(stop).map_or(bytes.len(), |n| at + n);
    *looked = (found, bytes.get(found).is_some_and(u8::is_ascii_lowercase));
    looked.1
}

fn closes(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'(' | b')' | b'[' | b']' | b'{' | b'}')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c)
}

/// So many characters after a full stop without a letter end a sentence: what
/// looks for that letter looks again from each of them.
const MOST_MARKS: usize = 64;

/// The line in parts that have no longer runs of characters without a letter.
fn each_bounded<'a>(line: &'a str, mut visit: impl FnMut(usize, &'a str)) {
    let (mut start, mut run, mut after_stop) = (0, 0, false);
    for (at, c) in line.char_indices() {
        // Halfwidth voicing marks are letters that sentences go on after.
        let mark = unicode_normalization::char::is_combining_mark(c) || matches!(c, '\u{ff9e}' | '\u{ff9f}');
        if c.is_alphabetic() && !mark {
            (run, after_stop) = (0, false);
            continue;
        }
        after_stop |= matches!(c, '.' | '\u{2024}' | '\u{fe52}' | '\u{ff0e}');
        run += usize::from(after_stop);
        if run > MOST_MARKS {
            visit(start, &line[start..at]);
            (start, run, after_stop) = (at, 0, false);
        }
    }
    visit(start, &line[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(text: &str) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        each_sentence(text, |at, piece| found.push((at, piece)));
        found
    }

    /// What the rules turn on, beside each other: ASCII of every class, letters
    /// of other alphabets, what extends them, blanks that are none, and line
    /// ends of all kinds.
    fn nasty() -> impl Strategy<Value = String> {
        const PARTS: &[&str] = &[
            "a", "B", "cd", "7", "_", ".", "'", ":", ",", ";", "!", "?", "\"", "(", ")", "-", " ", "  ",
            "\t", "\n", "\r", "\r\n", "\u{b}", "é", "Ж", "ж", "ß", "中", "か", "カ", "א", "״", "ا", "ก",
            "\u{301}", "\u{903}", "\u{200d}", "\u{ad}", "\u{a0}", "\u{2003}", "\u{3000}", "\u{2028}",
            "\u{85}", "·", "…", "。", "’", "“", "–", "١", "٫", "👩", "🇩", "🇪", "©", "a.b", "3.5", "don't",
            "x. y", "e.g. ", ".) ",
        ];
        proptest::collection::vec(proptest::sample::select(PARTS), 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn words_stand_where_unicode_says(text in prop_oneof![nasty(), "[ -~\\n]{0,60}", "(?s).{0,60}"]) {
            let expected: Vec<(usize, &str)> =
                text.unicode_word_indices().filter(|(_, w)| w.chars().any(char::is_alphabetic)).collect();
            prop_assert_eq!(Words::of(&text).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn sentences_end_where_unicode_says(text in prop_oneof![nasty(), "[ -~\\n]{0,60}", "(?s).{0,60}"]) {
            let expected: Vec<(usize, &str)> = text.split_sentence_bound_indices().collect();
            prop_assert_eq!(places(&text), expected);
        }
    }

    /// Looking ahead from each of them would take hours.
    #[test]
    fn a_million_closing_brackets_are_read_once() {
        for (text, most) in [("a.", ")"), ("é.", ")"), ("é.", "）"), ("é.", "\u{301}"), ("é.", ")\u{ff9e}")]
            .map(|(head, c)| (format!("{head}{}", c.repeat(1_000_000)), 1 + 2_000_000 / MOST_MARKS))
        {
            assert!(places(&text).len() <= most);
        }
    }

    #[test]
    fn numbers_without_a_full_stop_are_one_sentence() {
        let text = format!("In é there were {}houses in the town.", "12 ".repeat(40));
        assert_eq!(places(&text).len(), 1);
    }
}
