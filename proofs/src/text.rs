//! The small pieces that all the texts consist of, each with one spelling.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::tree::{Hash, MAX_SIZE};

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

pub(crate) fn hash(text: &str) -> Option<Hash> {
    from_base64(text)?.try_into().ok()
}

/// Digits, no leading zero, at most the size of the largest tree.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    let number: u64 =
        if digits && (text == "0" || !text.starts_with('0')) { text.parse().ok()? } else { return None };
    (number <= MAX_SIZE).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("281474976710656"), Some(MAX_SIZE));
        for bad in
            ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "281474976710657", "18446744073709551617", "٣"]
        {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn hashes_have_one_spelling() {
        let text = base64([7; 32]);
        assert_eq!(hash(&text), Some([7; 32]));
        // The last letter before the padding has bits that stand for nothing.
        let other = text.replace("Bwc=", "Bwd=");
        assert_ne!(text, other);
        for bad in [other.as_str(), text.trim_end_matches('='), &base64([7; 31]), &format!("{text}\r")] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}
