//! Buckets of time. In a zone, an hour is the instants that share a civil hour
//! and an offset, and a day is a civil day: 23 or 25 hours, or half an hour off
//! in Lord Howe, when clocks change. Buckets of a kind touch and never overlap.

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Granularity {
    #[serde(rename = "10s")]
    TenSeconds,
    #[serde(rename = "minute")]
    Minute,
    #[serde(rename = "hour")]
    Hour,
    #[serde(rename = "day")]
    Day,
}

impl Granularity {
    /// Length on an ordinary day, in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::TenSeconds => 10,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// The instants `start <= t < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// The bucket that holds `at`. Ten seconds and minutes are those of UTC; every
/// zone has had whole-minute offsets since 1972, so they nest in its hours.
pub fn bucket(at: Timestamp, granularity: Granularity, zone: &TimeZone) -> Bucket {
    match granularity {
        Granularity::TenSeconds | Granularity::Minute => {
            let length = granularity.seconds();
            let start = floor(at).div_euclid(length) * length;
            Bucket { start: second(start), end: second(start + length) }
        }
        Granularity::Hour => hour(at, zone),
        Granularity::Day => day(at, zone),
    }
}

/// The buckets that hold any instant of `from <= t < to`, in order.
pub fn buckets(
    from: Timestamp,
    to: Timestamp,
    granularity: Granularity,
    zone: &TimeZone,
) -> impl Iterator<Item = Bucket> + use<> {
    let zone = zone.clone();
    let mut next = from;
    std::iter::from_fn(move || {
        (next < to).then(|| {
            let found = bucket(next, granularity, &zone);
            // At the end of representable time a bucket may end where it starts.
            next = if found.end > next { found.end } else { to };
            found
        })
    })
}

fn hour(at: Timestamp, zone: &TimeZone) -> Bucket {
    let offset = zone.to_offset(at);
    let shift = i64::from(offset.seconds());
    let start = (floor(at) + shift).div_euclid(3_600) * 3_600 - shift;
    let (start, end) = (second(start), second(start + 3_600));
    Bucket {
        start: last_change(zone, at, start).unwrap_or(start),
        end: first_change(zone, at, end).unwrap_or(end),
    }
}

/// When the offset that holds at `at` began, if that is after `start`.
fn last_change(zone: &TimeZone, at: Timestamp, start: Timestamp) -> Option<Timestamp> {
    let offset = zone.to_offset(at);
    // `preceding` is strict, and `at` itself may be the instant of the change.
    let after = at.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(at);
    zone.preceding(after)
        .map(|change| change.timestamp())
        .take_while(|change| *change > start)
        .find(|change| offset_before(zone, *change) != offset)
}

fn first_change(zone: &TimeZone, at: Timestamp, end: Timestamp) -> Option<Timestamp> {
    let offset = zone.to_offset(at);
    zone.following(at)
        .take_while(|change| change.timestamp() < end)
        .find(|change| change.offset() != offset)
        .map(|change| change.timestamp())
}

fn offset_before(zone: &TimeZone, at: Timestamp) -> Offset {
    zone.to_offset(at.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(at))
}

fn day(at: Timestamp, zone: &TimeZone) -> Bucket {
    let mut date = zone.to_datetime(at).date();
    // Where clocks went back over midnight, the hour lived twice carries the
    // date of the evening but comes after the first midnight: it belongs to
    // the day that had begun.
    while let Ok(next) = date.tomorrow()
        && first_instant(next, zone) <= at
    {
        date = next;
    }
    let start = first_instant(date, zone);
    let end = date.tomorrow().map_or(Timestamp::MAX, |next| first_instant(next, zone));
    Bucket { start, end }
}

/// The first instant whose civil date is `date`; if the zone skipped the date,
/// the instant at which it was skipped.
fn first_instant(date: Date, zone: &TimeZone) -> Timestamp {
    let midnight = date.to_datetime(Time::midnight());
    let at = |offset: Offset| offset.to_timestamp(midnight);
    let found = match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset),
        AmbiguousOffset::Fold { before, .. } => at(before),
        // Read with the offset from before the gap, midnight is an instant
        // at or after the change; the change is the first of the new day.
        AmbiguousOffset::Gap { before, .. } => at(before).map(|instant| {
            let after = instant.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(instant);
            zone.preceding(after).next().map_or(instant, |change| change.timestamp())
        }),
    };
    // Only the first and the last day of representable time can be out of it.
    found.unwrap_or(if date.year() < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Whole seconds, towards the past.
fn floor(at: Timestamp) -> i64 {
    let second = at.as_second();
    if at.subsec_nanosecond() < 0 { second - 1 } else { second }
}

fn second(second: i64) -> Timestamp {
    let out_of_range = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(second).unwrap_or(out_of_range)
}

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;
