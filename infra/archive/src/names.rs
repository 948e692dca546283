//! Where things lie in the archive. Nothing else makes up a path.

use object_store::path::Path;

/// Digits of a position in a name, so that names sort like positions.
const DIGITS: usize = 16;
/// The newest manifest's number, as far as was noted; see `store.rs`.
pub const NEWEST: &str = "manifest/newest";
pub const MANIFESTS: &str = "manifest";
pub const SEGMENTS: &str = "log";
pub const ERASED: &str = "privacy/erased";

/// What somebody asked for, beside what is sealed.
pub fn export(name: &str) -> String {
    format!("exports/{name}")
}

/// `log/band.tapped/0000000000000001-0000000000001000.parquet`
pub fn segment(event_type: &str, first: u64, last: u64) -> String {
    format!("{SEGMENTS}/{event_type}/{first:0DIGITS$}-{last:0DIGITS$}.parquet")
}

/// By the position of the decision, and a key: a log that was set back may
/// decide about another subject there.
pub fn erased(position: u64, key: &str) -> String {
    format!("{ERASED}/{position:0DIGITS$}-{key}.json")
}

pub fn manifest(number: u64) -> String {
    format!("{MANIFESTS}/{number:0DIGITS$}.json")
}

pub fn manifest_number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

/// The name for a segment whose own is taken by a file with another content,
/// which may be somebody's; nothing is overwritten.
pub fn beside(path: &str, sha256: &str) -> String {
    let stem = path.strip_suffix(".parquet").unwrap_or(path);
    format!("{stem}-{}.parquet", sha256.get(..8).unwrap_or(sha256))
}

/// The positions that a segment's name says it covers.
pub fn range_of(path: &str) -> Option<(u64, u64)> {
    let stem = path.rsplit('/').next()?.strip_suffix(".parquet")?;
    let mut parts = stem.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub fn path(name: &str) -> Path {
    Path::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_cover_and_sort_like_it() {
        let name = segment("band.tapped", 1, 1_000);
        assert_eq!(name, "log/band.tapped/0000000000000001-0000000000001000.parquet");
        assert_eq!(range_of(&name), Some((1, 1_000)));
        assert_eq!(range_of(&beside(&name, "00112233445566")), Some((1, 1_000)));
        assert!(segment("band.tapped", 9, 9) < segment("band.tapped", 10, 10));
        assert_eq!(manifest_number(&manifest(12)), Some(12));
        assert_eq!(range_of("log/band.tapped/readme.txt"), None);
    }
}
