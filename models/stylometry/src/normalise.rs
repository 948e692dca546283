//! Brings texts into one form, so that what is counted is the author's and not
//! the transcriber's. The rule `normalise@1`, in this order:
//!
//! 1. Unicode NFC.
//! 2. `\r\n` and `\r` are `\n`; other control characters, soft hyphens, zero
//!    width characters, directional marks and `_` are dropped; every other
//!    white space is a blank.
//! 3. Curly, low and angle quotes are `'` or `"`; `…` is `...`.
//! 4. Dashes (en, em, bar, two or more hyphens) are ` - `; other hyphens `-`.
//! 5. A letter, a hyphen, a line's end and a lower-case letter: the word goes
//!    on, without the hyphen.
//! 6. Lines of a paragraph are joined by blanks, runs of blanks become one,
//!    paragraphs stand apart by `\n\n`.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text by the rule above. Doing it again changes nothing.
pub fn normalise(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !is_dropped(*c)).collect();
    let composed: String = match is_nfc_quick(kept.chars()) {
        IsNormalized::Yes => kept,
        _ => kept.nfc().collect(),
    };
    let plain = plain_characters(&composed);
    let joined = join_words(&plain);
    let text = paragraphs(&joined);
    // Joining a word may bring two characters together that compose.
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => text.nfc().collect(),
    }
}

fn is_dropped(c: char) -> bool {
    match c {
        '\n' | '\r' | '\u{85}' | '\u{c}' | '\u{b}' | '\t' => false,
        '_' | '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2060}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

fn plain_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{c}' | '\u{b}' => out.push('\n'),
            '‘' | '’' | '‚' | '‛' | '‹' | '›' | '´' | '`' | 'ʼ' | '′' => out.push('\''),
            '“' | '”' | '„' | '‟' | '«' | '»' | '″' => out.push('"'),
            '…' => out.push_str("..."),
            '–' | '—' | '―' | '⸺' | '⸻' => dash(&mut out),
            '‐' | '‑' | '‒' | '−' | '-' => {
                let mut run = 1;
                while chars.next_if(|c| matches!(c, '‐' | '‑' | '‒' | '−' | '-')).is_some() {
                    run += 1;
                }
                match run {
                    1 => out.push('-'),
                    _ => dash(&mut out),
                }
            }
            c if c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn dash(out: &mut String) {
    if !out.ends_with(" - ") {
        out.push_str(" - ");
    }
}

fn join_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("-\n") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        out.push_str(before);
        let next = after.trim_start_matches(' ');
        let goes_on = before.chars().next_back().is_some_and(char::is_alphabetic)
            && next.chars().next().is_some_and(char::is_lowercase);
        if goes_on {
            rest = next;
        } else {
            out.push_str("-\n");
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut ended = false;
    for line in text.split('\n') {
        let mut words = line.split(' ').filter(|w| !w.is_empty()).peekable();
        if words.peek().is_none() {
            ended = !out.is_empty();
            continue;
        }
        if ended {
            out.push_str("\n\n");
            ended = false;
        }
        for word in words {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_dashes_and_blanks_follow_the_rule() {
        let text = "\u{feff}“It’s — well\u{a0}—\r\nfine,” he\tsaid--once…  \r\n\r\n\r\n_Next_ «one».";
        assert_eq!(normalise(text), "\"It's - well - fine,\" he said - once...\n\nNext \"one\".");
    }

    #[test]
    fn a_word_cut_at_a_line_end_is_whole_again() {
        assert_eq!(normalise("the gov-\nernment of Anglo-\nSaxon"), "the government of Anglo- Saxon");
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same() {
        assert_eq!(normalise("cafe\u{301}"), normalise("caf\u{e9}"));
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "(?s).{0,200}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn nothing_panics_on_marks(text in "[-_*\\n\\r '\u{301}\u{ad}STARTGUENB]{0,120}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
