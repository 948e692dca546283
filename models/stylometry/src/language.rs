//! Which language a text is in.

use serde::Serialize;
use whatlang::{Detector, Lang};

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Language {
    /// ISO 639-3, such as `eng`.
    pub code: &'static str,
    /// Its English name.
    pub name: &'static str,
    /// The script of most letters.
    pub script: String,
    /// 0 to 1, of trigrams compared with the next likely language.
    pub confidence: f64,
    /// Whether that is far enough from the next.
    pub reliable: bool,
}

/// Bytes that are looked at: enough for any text, and bounded.
const LOOKED_AT: usize = 20_000;

/// The language of a normalised text, or nothing where no script is known.
pub fn detect(text: &str) -> Option<Language> {
    let mut end = text.len().min(LOOKED_AT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let found = Detector::new().detect(&text[..end])?;
    Some(Language {
        code: found.lang().code(),
        name: found.lang().eng_name(),
        script: found.script().name().to_owned(),
        confidence: found.confidence(),
        reliable: found.is_reliable(),
    })
}

/// Whether a code is English, for which word lists and readability hold.
pub fn is_english(code: &str) -> bool {
    code == Lang::Eng.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let of = |text: &str| detect(text).map(|l| l.code);
        assert_eq!(
            of("It was the best of times, it was the worst of times, it was the age of wisdom."),
            Some("eng")
        );
        assert_eq!(
            of("Als Gregor Samsa eines Morgens aus unruhigen Träumen erwachte, fand er sich"),
            Some("deu")
        );
        assert_eq!(of("כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם"), Some("heb"));
        assert_eq!(of("... 12 !"), None);
    }
}
