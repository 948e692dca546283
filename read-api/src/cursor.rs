//! Opaque cursors: where a list goes on. A cursor belongs to one list of one
//! tenant; a changed one, or one of another list, is refused. The check is no
//! secret: what a forged cursor could reach is what its tenant can read anyway.

use daybook_http::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

const CHECK_BYTES: usize = 6;
const MAX_BYTES: usize = 8 << 10;

pub fn encode(list: &[&str], after: &impl Serialize) -> Result<String, Problem> {
    let after = serde_json::to_vec(after).map_err(Problem::internal)?;
    let mut bytes = check(list, &after).to_vec();
    bytes.extend_from_slice(&after);
    Ok(hex::encode(bytes))
}

/// `list` names the list: the operation, the tenant, the filters.
pub fn decode<T: DeserializeOwned>(list: &[&str], cursor: &str) -> Result<T, Problem> {
    let wrong = || Problem::parameter("cursor", "is not one that this list gave out");
    if cursor.len() > MAX_BYTES {
        return Err(wrong());
    }
    let bytes = hex::decode(cursor).map_err(|_| wrong())?;
    let (given, after) = bytes.split_at_checked(CHECK_BYTES).ok_or_else(wrong)?;
    if given != check(list, after) {
        return Err(wrong());
    }
    serde_json::from_slice(after).map_err(|_| wrong())
}

fn check(list: &[&str], after: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    for part in list {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(after);
    let digest = hash.finalize();
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&digest[..CHECK_BYTES]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_only() {
        let cursor = encode(&["bands", "acme"], &("show-1/band-7", 3)).unwrap();
        let back: (String, u32) = decode(&["bands", "acme"], &cursor).unwrap();
        assert_eq!(back, ("show-1/band-7".into(), 3));
        assert!(decode::<(String, u32)>(&["bands", "umbrella"], &cursor).is_err());
        assert!(decode::<(String, u32)>(&["band", "sacme"], &cursor).is_err());
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let cursor = encode(&["bands"], &"x").unwrap();
        for i in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[i] = if bytes[i] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(decode::<String>(&["bands"], &changed).is_err(), "{changed}");
        }
        for bad in ["", "zz", "00", &"0".repeat(20_000)] {
            assert!(decode::<String>(&["bands"], bad).is_err());
        }
    }
}
