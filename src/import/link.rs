//! Links and paths as ids of bands.

use domain::ids::MAX_ID_BYTES;
use sha2::{Digest, Sha256};

/// Stands before the hash of a link that was cut.
const CUT: &str = "~~";
const HASH_DIGITS: usize = 32;

/// The id for a link. Different links have different ids, and an id that was
/// not cut can be read back: `/` is written as `:`, any byte that ids may not
/// have as `~` and two hex digits, and so are `:` and `~` themselves. An id
/// that would be too long ends in `~~` and part of the link's hash.
pub fn id_of(link: &str) -> String {
    if matches!(link, "." | "..") {
        return link.replace('.', "~2E");
    }
    let mut id = String::with_capacity(link.len());
    for byte in link.bytes() {
        match byte {
            b'/' => id.push(':'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => id.push(char::from(byte)),
            _ if b"-._@!$*+=,;()".contains(&byte) => id.push(char::from(byte)),
            _ => id.push_str(&format!("~{byte:02X}")),
        }
    }
    if id.len() > MAX_ID_BYTES {
        let hash = hex::encode(Sha256::digest(link));
        id.truncate(MAX_ID_BYTES - CUT.len() - HASH_DIGITS);
        id.push_str(CUT);
        id.push_str(&hash[..HASH_DIGITS]);
    }
    id
}

#[cfg(test)]
mod tests {
    use domain::ids::check_id;

    use super::*;

    #[test]
    fn ids_are_valid_and_say_which_link() {
        let cases = [
            ("A6qOVH", "A6qOVH"),
            ("/", ":"),
            ("/blog/a b.html", ":blog:a~20b.html"),
            ("/~user/x:y", ":~7Euser:x~3Ay"),
            (".", "~2E"),
            ("..", "~2E~2E"),
            ("ü", "~C3~BC"),
        ];
        for (link, id) in cases {
            assert_eq!(id_of(link), id);
            check_id(id).unwrap();
        }
    }

    #[test]
    fn long_links_stay_apart() {
        let long = "/x".repeat(500);
        let (a, b) = (id_of(&format!("{long}a")), id_of(&format!("{long}b")));
        assert_ne!(a, b);
        for id in [a, b] {
            assert_eq!(id.len(), MAX_ID_BYTES);
            check_id(&id).unwrap();
        }
        check_id(&id_of(&"ü".repeat(400))).unwrap();
    }
}
