use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    domain::time::zone(name).unwrap()
}

/// `(local start, minutes)` of every bucket of the civil day that holds noon
/// UTC of `date`.
fn of_day(date: &str, granularity: Granularity, zone_name: &str) -> Vec<(String, i64)> {
    let zone = zone(zone_name);
    let noon: Timestamp = format!("{date}T12:00:00Z").parse().unwrap();
    let day = bucket(noon, Granularity::Day, &zone);
    buckets(day.start, day.end, granularity, &zone)
        .map(|b| {
            let start = b.start.to_zoned(zone.clone());
            let minutes = b.end.duration_since(b.start).as_mins();
            (start.strftime("%d %H:%M %:z").to_string(), minutes)
        })
        .collect()
}

fn day_minutes(date: &str, zone_name: &str) -> i64 {
    of_day(date, Granularity::Day, zone_name)[0].1
}

/// The hours of a day that are not 60 minutes, or come second of their name.
fn odd_hours(date: &str, zone_name: &str) -> Vec<(String, i64)> {
    let hours = of_day(date, Granularity::Hour, zone_name);
    let name = |h: &(String, i64)| h.0[..5].to_owned();
    let repeated = |i: usize| i > 0 && name(&hours[i]) == name(&hours[i - 1]);
    (0..hours.len()).filter(|i| hours[*i].1 != 60 || repeated(*i)).map(|i| hours[i].clone()).collect()
}

#[test]
fn kolkata_is_half_an_hour_off_utc() {
    let hours = of_day("2026-03-10", Granularity::Hour, "Asia/Kolkata");
    assert_eq!(hours.len(), 24);
    assert_eq!(hours[0], ("10 00:00 +05:30".into(), 60));
    let late: Timestamp = "2026-03-10T18:29:59.999999Z".parse().unwrap();
    let b = bucket(late, Granularity::Hour, &zone("Asia/Kolkata"));
    assert_eq!(b.start.to_string(), "2026-03-10T17:30:00Z");
    assert_eq!(bucket(late, Granularity::Day, &zone("Asia/Kolkata")).end.to_string(), "2026-03-10T18:30:00Z");
}

#[test]
fn tehran_changed_its_clocks_until_2022() {
    // At midnight from 21 to 22 March 2022 clocks jumped to 01:00.
    assert_eq!(day_minutes("2022-03-22", "Asia/Tehran"), 23 * 60);
    assert_eq!(of_day("2022-03-22", Granularity::Hour, "Asia/Tehran")[0].0, "22 01:00 +04:30");
    assert_eq!(day_minutes("2022-09-21", "Asia/Tehran"), 25 * 60);
    assert_eq!(odd_hours("2022-09-21", "Asia/Tehran"), [("21 23:00 +03:30".into(), 60)]);
    assert_eq!(day_minutes("2023-03-22", "Asia/Tehran"), 24 * 60);
    assert_eq!(day_minutes("2023-09-21", "Asia/Tehran"), 24 * 60);
    assert_eq!(of_day("2023-07-01", Granularity::Hour, "Asia/Tehran")[0].0, "01 00:00 +03:30");
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let island = "Australia/Lord_Howe";
    for (back, forward) in [("2025-04-06", "2025-10-05"), ("2026-04-05", "2026-10-04")] {
        assert_eq!(day_minutes(back, island), 24 * 60 + 30);
        let day = &of_day(back, Granularity::Day, island)[0].0[..2];
        assert_eq!(odd_hours(back, island), [(format!("{day} 01:30 +10:30"), 30)]);
        assert_eq!(day_minutes(forward, island), 23 * 60 + 30);
        let day = &of_day(forward, Granularity::Day, island)[0].0[..2];
        assert_eq!(odd_hours(forward, island), [(format!("{day} 02:30 +11:00"), 30)]);
    }
}

#[test]
fn new_york_has_days_of_23_and_25_hours() {
    assert_eq!(day_minutes("2026-03-08", "America/New_York"), 23 * 60);
    let spring = of_day("2026-03-08", Granularity::Hour, "America/New_York");
    assert_eq!(spring[1].0, "08 01:00 -05:00");
    assert_eq!(spring[2].0, "08 03:00 -04:00");
    assert_eq!(day_minutes("2026-11-01", "America/New_York"), 25 * 60);
    assert_eq!(odd_hours("2026-11-01", "America/New_York"), [("01 01:00 -05:00".into(), 60)]);
}

#[test]
fn days_that_were_skipped_or_began_twice() {
    // Samoa had no 30 December 2011.
    let samoa = zone("Pacific/Apia");
    let from: Timestamp = "2011-12-28T12:00:00Z".parse().unwrap();
    let to: Timestamp = "2012-01-01T00:00:00Z".parse().unwrap();
    let days: Vec<_> = buckets(from, to, Granularity::Day, &samoa)
        .map(|b| b.start.to_zoned(samoa.clone()).date().to_string())
        .collect();
    assert_eq!(days, ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]);
    // St. John's went back from 00:01 to 23:01 of the day before.
    let first_midnight: Timestamp = "2010-11-07T02:30:00Z".parse().unwrap();
    let again: Timestamp = "2010-11-07T02:45:00Z".parse().unwrap();
    let b = bucket(again, Granularity::Day, &zone("America/St_Johns"));
    assert_eq!(b.start, first_midnight);
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for name in ["America/New_York", "Asia/Kolkata", "UTC"] {
        for at in [Timestamp::MIN, Timestamp::MAX] {
            for g in [Granularity::TenSeconds, Granularity::Minute, Granularity::Hour, Granularity::Day] {
                let b = bucket(at, g, &zone(name));
                assert!(b.start <= at && at <= b.end, "{name} {at} {g:?}: {b:?}");
                assert!(buckets(at, Timestamp::MAX, g, &zone(name)).take(3).count() <= 3);
            }
        }
    }
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Asia/Kolkata",
        "Asia/Tehran",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "America/New_York",
        "America/St_Johns",
        "America/Sao_Paulo",
        "Africa/Cairo",
        "Pacific/Apia",
        "Europe/Dublin",
        "Antarctica/Troll",
    ])
}

fn any_granularity() -> impl Strategy<Value = Granularity> {
    use Granularity::{Day, Hour, Minute, TenSeconds};
    prop::sample::select(vec![TenSeconds, Minute, Hour, Day])
}

proptest! {
    /// Every instant is in one bucket: its own bucket holds it, all instants of
    /// that bucket name the same one, and its neighbours touch it.
    #[test]
    fn buckets_partition_time(
        us in 0i64..4_102_444_800_000_000,
        name in any_zone(),
        g in any_granularity(),
        share in 0.0f64..1.0,
    ) {
        let zone = zone(name);
        let at = Timestamp::from_microsecond(us).unwrap();
        let b = bucket(at, g, &zone);
        prop_assert!(b.start <= at && at < b.end);
        let length = b.end.duration_since(b.start);
        let inside = b.start + length.mul_f64(share);
        prop_assert_eq!(bucket(inside, g, &zone), b);
        prop_assert_eq!(bucket(b.start, g, &zone), b);
        prop_assert_eq!(bucket(b.end - SignedDuration::from_micros(1), g, &zone), b);
        prop_assert_eq!(bucket(b.end, g, &zone).start, b.end);
        prop_assert_eq!(bucket(b.start - SignedDuration::from_micros(1), g, &zone).end, b.start);
    }

    /// Around changes of the clock, minutes nest in hours and these in days.
    #[test]
    fn smaller_buckets_nest(n in 0usize..60, minutes in -1_500i64..1_500, name in any_zone()) {
        let zone = zone(name);
        let since: Timestamp = "2004-01-01T00:00:00Z".parse().unwrap();
        let near = zone.following(since).nth(n).map_or(since, |t| t.timestamp());
        let at = near + SignedDuration::from_mins(minutes);
        let [minute, hour, day] =
            [Granularity::Minute, Granularity::Hour, Granularity::Day].map(|g| bucket(at, g, &zone));
        prop_assert!(hour.start <= minute.start && minute.end <= hour.end);
        let local = |t: Timestamp| zone.to_datetime(t).date();
        prop_assert!(day.start <= at && at < day.end);
        prop_assert!(local(day.start) >= local(day.start - SignedDuration::from_micros(1)));
        let (first, last) = (hour.start, hour.end - SignedDuration::from_micros(1));
        prop_assert_eq!(zone.to_offset(first), zone.to_offset(last));
        prop_assert_eq!(zone.to_datetime(first).hour(), zone.to_datetime(last).hour());
    }
}
