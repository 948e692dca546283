//! Minutes of an event made into a series without holes, in a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use models::buckets::buckets;
pub use models::buckets::{Bucket, Granularity, bucket};

use super::rows::{Minute, Tally};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub bucket: Bucket,
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    /// Not kept for ten seconds.
    pub detail: Option<Detail>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// Bands whose first tap at the event was then.
    pub new_bands: u64,
    pub modes: Tally,
}

/// The instants of the whole buckets that touch `from..to`; `None` if these
/// would be more than `max`.
pub fn span(
    from: Timestamp,
    to: Timestamp,
    granularity: Granularity,
    zone: &TimeZone,
    max: usize,
) -> Option<(Timestamp, Timestamp)> {
    // An hour or day cut short by a clock change makes one more at most.
    let length = to.duration_since(from).as_secs() / granularity.seconds();
    if usize::try_from(length).ok()? > max || to <= from {
        return None;
    }
    let last = bucket(to - jiff::SignedDuration::from_nanos(1), granularity, zone);
    Some((bucket(from, granularity, zone).start, last.end))
}

/// The minute that holds `at`: where the rows of a series begin.
pub fn minute_of(at: Timestamp) -> Timestamp {
    bucket(at, Granularity::Minute, &TimeZone::UTC).start
}

/// One point for each bucket of `from..to`. The minutes are in order, from
/// [`minute_of`] `from` on.
pub fn points(
    minutes: &[Minute],
    from: Timestamp,
    to: Timestamp,
    granularity: Granularity,
    zone: &TimeZone,
) -> Vec<Point> {
    let mut rest = minutes.iter().peekable();
    let mut out = Vec::new();
    for bucket in buckets(from, to, granularity, zone) {
        while rest.next_if(|m| before(m, bucket, granularity)).is_some() {}
        out.push(match granularity {
            Granularity::TenSeconds => ten_seconds(rest.peek().copied(), bucket),
            _ => {
                let mut point =
                    Point { bucket, taps: 0, bots: 0, previews: 0, detail: Some(Detail::default()) };
                while let Some(minute) = rest.next_if(|m| m.start < bucket.end) {
                    add(&mut point, minute);
                }
                point
            }
        });
    }
    out
}

/// Whether nothing of the minute is in the bucket or after it.
fn before(minute: &Minute, bucket: Bucket, granularity: Granularity) -> bool {
    match granularity {
        Granularity::TenSeconds => minute.start.duration_until(bucket.start).as_secs() >= 60,
        _ => minute.start < bucket.start,
    }
}

fn add(point: &mut Point, minute: &Minute) {
    point.taps += minute.taps;
    point.bots += minute.bots;
    point.previews += minute.previews;
    if let Some(detail) = &mut point.detail {
        detail.new_bands += minute.new_bands;
        for (mode, taps) in &minute.modes.0 {
            *detail.modes.0.entry(mode.clone()).or_default() += taps;
        }
    }
}

/// The bucket lies in the minute, if it is the bucket's.
fn ten_seconds(minute: Option<&Minute>, bucket: Bucket) -> Point {
    let tens = minute.and_then(|m| {
        let second = m.start.duration_until(bucket.start).as_secs();
        m.tens.get(usize::try_from(second).ok()? / 10).copied()
    });
    let [taps, bots, previews] = tens.unwrap_or_default();
    Point { bucket, taps, bots, previews, detail: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONES: [&str; 4] = ["Asia/Kolkata", "Asia/Tehran", "Australia/Lord_Howe", "America/New_York"];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minute(start: &str, taps: u64) -> Minute {
        let mut tens = [[0; 3]; 6];
        tens[2] = [taps, 0, 0];
        let modes = Tally([("live".to_owned(), taps)].into());
        Minute { start: at(start), taps, new_bands: 1, modes, tens, ..Minute::default() }
    }

    fn series(minutes: &[Minute], range: [&str; 2], g: Granularity, zone: &str) -> Vec<(String, u64)> {
        let zone = domain::time::zone(zone).unwrap();
        let (from, to) = span(at(range[0]), at(range[1]), g, &zone, 1_000).unwrap();
        let label = |b: Bucket| b.start.to_zoned(zone.clone()).strftime("%dT%H:%M%:z").to_string();
        points(minutes, from, to, g, &zone).into_iter().map(|p| (label(p.bucket), p.taps)).collect()
    }

    fn tapped(points: Vec<(String, u64)>) -> Vec<(String, u64)> {
        points.into_iter().filter(|p| p.1 > 0).collect()
    }

    #[test]
    fn an_hour_is_the_zones_hour() {
        let minutes = [minute("2026-07-01T18:29:00Z", 1), minute("2026-07-01T18:30:00Z", 2)];
        let range = ["2026-07-01T17:45:00Z", "2026-07-01T20:00:00Z"];
        let hours = |zone| tapped(series(&minutes, range, Granularity::Hour, zone));
        assert_eq!(hours("Asia/Kolkata"), [("01T23:00+05:30".into(), 1), ("02T00:00+05:30".into(), 2)]);
        assert_eq!(hours("Asia/Tehran"), [("01T21:00+03:30".into(), 1), ("01T22:00+03:30".into(), 2)]);
        assert_eq!(
            hours("Australia/Lord_Howe"),
            [("02T04:00+10:30".into(), 1), ("02T05:00+10:30".into(), 2)]
        );
        assert_eq!(hours("America/New_York"), [("01T14:00-04:00".into(), 3)]);
    }

    #[test]
    fn the_hour_lived_twice_is_two_points() {
        let minutes = [minute("2026-11-01T05:30:00Z", 1), minute("2026-11-01T06:30:00Z", 2)];
        let range = ["2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"];
        let hours = series(&minutes, range, Granularity::Hour, "America/New_York");
        assert_eq!(hours.len(), 25);
        assert_eq!(hours[1..3], [("01T01:00-04:00".into(), 1), ("01T01:00-05:00".into(), 2)]);
        let days = series(&minutes, range, Granularity::Day, "America/New_York");
        assert_eq!(days, [("01T00:00-04:00".into(), 3)]);
        let minutes = [minute("2026-04-04T14:45:00Z", 1), minute("2026-04-04T15:15:00Z", 2)];
        let range = ["2026-04-04T13:00:00Z", "2026-04-05T13:00:00Z"];
        let hours = tapped(series(&minutes, range, Granularity::Hour, "Australia/Lord_Howe"));
        assert_eq!(hours, [("05T01:00+11:00".into(), 1), ("05T01:30+10:30".into(), 2)]);
    }

    #[test]
    fn ten_seconds_are_found_in_their_minute() {
        let minutes = [minute("2026-07-01T19:00:00Z", 4), minute("2026-07-01T19:02:00Z", 5)];
        let range = ["2026-07-01T18:59:55Z", "2026-07-01T19:03:05Z"];
        let tens = series(&minutes, range, Granularity::TenSeconds, "UTC");
        assert_eq!(tens.len(), 20);
        let found: Vec<_> = (0..20).filter(|i| tens[*i].1 > 0).map(|i| (i, tens[i].1)).collect();
        assert_eq!(found, [(3, 4), (15, 5)]);
    }

    #[test]
    fn nothing_is_lost_between_granularities() {
        for zone in ZONES {
            let tz = domain::time::zone(zone).unwrap();
            let (start, end) = (at("2026-10-03T00:00:00Z"), at("2026-11-03T00:00:00Z"));
            let minutes: Vec<Minute> = (0..31 * 24 * 2 - 2)
                .map(|i| minute(&(start + jiff::SignedDuration::from_mins(i * 30 + 7)).to_string(), 1))
                .collect();
            for g in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
                let (from, to) = span(start, end, g, &tz, 100_000).unwrap();
                let points = points(&minutes, from, to, g, &tz);
                assert_eq!(points.iter().map(|p| p.taps).sum::<u64>(), minutes.len() as u64, "{zone} {g:?}");
                let detail = |p: &Point| p.detail.clone().unwrap();
                assert!(
                    points.iter().all(|p| detail(p).modes.sum() == p.taps && detail(p).new_bands == p.taps)
                );
                assert!(points.windows(2).all(|w| w[0].bucket.end == w[1].bucket.start));
            }
        }
    }

    #[test]
    fn too_many_points_are_refused_before_they_are_made() {
        let zone = TimeZone::UTC;
        let wide = (Timestamp::MIN, Timestamp::MAX);
        assert_eq!(span(wide.0, wide.1, Granularity::Day, &zone, 10_000), None);
        assert_eq!(span(wide.1, wide.0, Granularity::Day, &zone, 10_000), None);
    }
}
