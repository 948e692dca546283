//! Instants and zones. Daybook keeps instants to the microsecond, which every
//! store it uses can hold exactly.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Cuts an instant to whole microseconds (towards the past).
pub fn to_micros(at: Timestamp) -> Timestamp {
    let cut = at.as_nanosecond().div_euclid(1_000);
    // The quotient of an instant in range stays in range.
    i64::try_from(cut).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(at)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    #[error("is not an RFC 3339 time; write 2026-07-01T19:00:00-04:00, or 2026-07-01T19:00 for local time")]
    Unreadable,
    #[error("does not exist in {zone}: the clock skips it; write an instant with an offset")]
    InGap { zone: String },
    #[error("happens twice in {zone}; write it with an offset, {first} or {second}")]
    InFold { zone: String, first: String, second: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not an IANA time zone such as Europe/Berlin")]
pub struct UnknownZone;

/// Looks an IANA zone up in the time zone database compiled into the binary,
/// so that the same facts fold to the same rows on every machine.
pub fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    if name.len() > 64 {
        return Err(UnknownZone);
    }
    TimeZone::get(name).map_err(|_| UnknownZone)
}

/// Reads a time from a client: an RFC 3339 instant with offset or `Z`, or a
/// local time of `zone`. A local time in a DST gap is refused; one in a fold
/// needs an explicit offset.
pub fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, InvalidTime> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(to_micros(at));
    }
    let local: DateTime = text.parse().map_err(|_| InvalidTime::Unreadable)?;
    let name = || zone.iana_name().unwrap_or("this zone").to_owned();
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            offset.to_timestamp(local).map(to_micros).map_err(|_| InvalidTime::Unreadable)
        }
        AmbiguousOffset::Gap { .. } => Err(InvalidTime::InGap { zone: name() }),
        AmbiguousOffset::Fold { before, after } => {
            Err(InvalidTime::InFold { zone: name(), first: before.to_string(), second: after.to_string() })
        }
    }
}
