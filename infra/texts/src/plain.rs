//! Bytes as characters: UTF-8, UTF-16 with a mark, else Windows-1252.

use crate::TextError;

/// Bytes 0x80 to 0x9f of Windows-1252; the others are those of Unicode.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub(crate) fn decode(bytes: &[u8]) -> Result<String, TextError> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let control = |b: &&u8| **b < 0x20 && !matches!(**b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1a);
    if bytes.contains(&0) {
        return Err(TextError::Binary("it holds bytes that are 0"));
    }
    if bytes.iter().filter(control).count() * 100 > bytes.len() {
        return Err(TextError::Binary("it holds control characters"));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    let high = bytes.iter().filter(|b| **b >= 0x80).count();
    if high * 3 > bytes.len() {
        return Err(TextError::Binary("it is neither UTF-8 nor a western encoding"));
    }
    let character = |b: &u8| match *b {
        b @ 0x80..=0x9f => WINDOWS[usize::from(b - 0x80)],
        b => char::from(b),
    };
    Ok(bytes.iter().map(character).collect())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, TextError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
    let text = text.ok_or(TextError::Binary("it begins as UTF-16 and is none"))?;
    if text.contains('\0') {
        return Err(TextError::Binary("it holds characters that are 0"));
    }
    Ok(text)
}
