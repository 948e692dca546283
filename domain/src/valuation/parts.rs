//! Texts that are longer than one event's payload: kept as several events that
//! are recorded together.

/// Of one part. As a JSON text it is at most twice as long, since what is cut has
/// no control characters.
pub const MAX_PART_BYTES: usize = 480_000;
/// Of the whole: written as JSON it still goes into one append.
pub const MAX_TEXT_BYTES: usize = 7_500_000;

/// The parts of a text, in order.
pub fn cut(text: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let mut end = rest.len().min(MAX_PART_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part.to_owned());
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_text_again() {
        let text = "aé".repeat(MAX_PART_BYTES / 2);
        let parts = cut(&text);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= MAX_PART_BYTES));
        assert_eq!(parts.concat(), text);
        assert!(cut("").is_empty());
    }
}
