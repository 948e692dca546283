//! Where things lie in the warehouse. Nothing else makes up a path.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

const DIGITS: usize = 16;
pub const MANIFESTS: &str = "manifest";
pub const PLANS: &str = "plan";
/// The newest manifest's number, as far as was noted.
pub const NEWEST: &str = "manifest/newest";

pub fn manifest(number: u64) -> String {
    format!("{MANIFESTS}/{number:0DIGITS$}.json")
}

/// The plan of the batch that begins past this position.
pub fn plan(after: u64) -> String {
    format!("{PLANS}/{after:0DIGITS$}.json")
}

pub fn number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

/// An hour in UTC, as the folders are named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hour {
    pub year: i16,
    pub month: i8,
    pub day: i8,
    pub hour: i8,
}

impl Hour {
    pub fn of(at: Timestamp) -> Self {
        let at = Offset::UTC.to_datetime(at);
        Self { year: at.year(), month: at.month(), day: at.day(), hour: at.hour() }
    }

    /// The instant at which it ends; none past the calendar's end.
    pub fn end(&self) -> Option<Timestamp> {
        let begin = jiff::civil::DateTime::new(self.year, self.month, self.day, self.hour, 0, 0, 0).ok()?;
        Offset::UTC.to_timestamp(begin).ok()?.checked_add(jiff::SignedDuration::from_hours(1)).ok()
    }

    /// The values of the partition's columns, as they stand in the path.
    pub fn parts(&self) -> [(&'static str, String); 4] {
        let Self { year, month, day, hour } = self;
        [
            ("year", format!("{year:04}")),
            ("month", format!("{month:02}")),
            ("day", format!("{day:02}")),
            ("hour", format!("{hour:02}")),
        ]
    }
}

pub fn tenant(tenant: &str) -> String {
    format!("tenant={}", escaped(tenant))
}

pub fn events(of: &str) -> String {
    format!("{}/events", tenant(of))
}

pub fn list(of: &str) -> String {
    format!("{}/files/current.parquet", tenant(of))
}

/// `tenant=acme/events/app_id=shop/year=2026/month=07/day=01/hour=12/0000000000000001-0000000000000100.parquet`
pub fn file(of: &str, app: &str, hour: &Hour, first: u64, last: u64) -> String {
    let mut path = format!("{}/app_id={}", events(of), escaped(app));
    for (name, value) in hour.parts() {
        path.push_str(&format!("/{name}={value}"));
    }
    path + &format!("/{first:0DIGITS$}-{last:0DIGITS$}.parquet")
}

/// The name for a file whose own is taken by another content; nothing is
/// overwritten.
pub fn beside(path: &str, sha256: &str) -> String {
    let stem = path.strip_suffix(".parquet").unwrap_or(path);
    format!("{stem}-{}.parquet", sha256.get(..8).unwrap_or(sha256))
}

/// The last position that a file's name says.
pub fn last_of(path: &str) -> Option<u64> {
    let stem = path.rsplit('/').next()?.strip_suffix(".parquet")?;
    stem.split('-').nth(1)?.parse().ok()
}

/// A partition's value as Hive writes it: what is not a letter, a digit, `-`,
/// `_` or `.` becomes `%` and two hex digits, which every engine reads back. So
/// no value can leave its folder or mean a pattern.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_what_they_name_and_nothing_else() {
        let hour = Hour::of("2026-07-01T23:59:59.999999Z".parse().unwrap());
        let path = file("acme", "shop", &hour, 1, 100);
        assert_eq!(
            path,
            "tenant=acme/events/app_id=shop/year=2026/month=07/day=01/hour=23/\
             0000000000000001-0000000000000100.parquet"
        );
        assert_eq!(last_of(&path), Some(100));
        assert_eq!(last_of(&beside(&path, "0011223344")), Some(100));
        for (app, folder) in [
            ("../..", "app_id=..%2F.."),
            ("a:b*c=d", "app_id=a%3Ab%2Ac%3Dd"),
            ("100%", "app_id=100%25"),
            ("ä", "app_id=%C3%A4"),
        ] {
            let path = file("acme", app, &hour, 1, 1);
            assert_eq!(path.split('/').nth(2).unwrap(), folder);
            assert_eq!(path.split('/').count(), 8);
        }
        assert!(file("a", "a", &hour, 9, 9) < file("a", "a", &hour, 10, 10));
        assert_eq!(number(&manifest(12)), Some(12));
    }

    #[test]
    fn hours_are_those_of_utc() {
        let at = |text: &str| Hour::of(text.parse().unwrap());
        assert_eq!(at("2026-01-01T00:30:00+02:00"), at("2025-12-31T22:59:59Z"));
        assert_ne!(at("2026-01-01T00:00:00Z"), at("2025-12-31T23:59:59.999999Z"));
        assert_eq!(at("2025-12-31T23:10:00Z").end(), "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(at("1969-12-31T23:59:59Z").parts()[0].1, "1969");
        assert_eq!(at("2300-01-01T00:00:00Z").parts()[0].1, "2300");
        assert_eq!(at("0001-01-01T00:00:00Z").parts()[0].1, "0001");
        assert_eq!(Hour { year: 9999, month: 12, day: 31, hour: 23 }.end(), None);
    }
}
