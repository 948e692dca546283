//! Day counts: years between two dates.
//!
//! Sources: ISDA 2006 definitions section 4.16; ICMA rule 251; the French
//! exact/exact of the AFB.

use serde::{Deserialize, Serialize};

use crate::date::{Date, Tenor, days_in_month, is_leap};

/// A convention for years between two dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DayCount {
    /// Actual days over 360.
    #[serde(rename = "ACT/360", alias = "Act/360", alias = "A360", alias = "ACTUAL/360")]
    Act360,
    /// Actual days over 365.
    #[serde(rename = "ACT/365F", alias = "Act/365F", alias = "A365", alias = "A365F", alias = "ACT/365")]
    Act365Fixed,
    /// Days in leap years over 366, the others over 365.
    #[serde(rename = "ACT/ACT ISDA", alias = "Act/Act ISDA", alias = "ACT/ACT", alias = "ACTACT")]
    ActActIsda,
    /// Days over the days of the coupon's regular period, times its length.
    #[serde(rename = "ACT/ACT ICMA", alias = "Act/Act ICMA", alias = "ACT/ACT ISMA", alias = "ACT/ACT BOND")]
    ActActIcma,
    /// Whole years back from the end, the rest over 365 or 366.
    #[serde(rename = "ACT/ACT AFB", alias = "Act/Act AFB")]
    ActActAfb,
    /// Months of 30 days; a 31st at the end stays unless the start is 30 or 31.
    #[serde(rename = "30/360", alias = "30/360 BondBasis", alias = "30A/360", alias = "BOND")]
    Thirty360,
    /// Months of 30 days, both 31sts are 30ths.
    #[serde(rename = "30E/360", alias = "30/360 EurobondBasis", alias = "EUROBOND")]
    Thirty360European,
    /// As 30/360, and the last of February is a 30th.
    #[serde(rename = "30U/360", alias = "30/360 USA", alias = "30/360 US")]
    Thirty360Us,
    /// One, whatever the dates.
    #[serde(rename = "1/1", alias = "ONE")]
    One,
}

/// The regular period that a date's coupon belongs to, for ACT/ACT ICMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Its first day.
    pub start: Date,
    /// Its last day.
    pub end: Date,
}

impl DayCount {
    /// Years from one date to the other; negative if it lies before. ACT/ACT
    /// ICMA takes the two dates as the reference if none is given.
    pub fn years(self, start: Date, end: Date, reference: Option<Reference>) -> f64 {
        if start > end {
            return -self.years(end, start, reference);
        }
        let days = f64::from(start.days_to(end));
        match self {
            Self::Act360 => days / 360.0,
            Self::Act365Fixed => days / 365.0,
            Self::ActActIsda => isda(start, end),
            Self::ActActIcma => icma(start, end, reference.unwrap_or(Reference { start, end })),
            Self::ActActAfb => afb(start, end),
            Self::Thirty360 | Self::Thirty360European | Self::Thirty360Us => self.thirty(start, end) / 360.0,
            Self::One => 1.0,
        }
    }

    fn thirty(self, start: Date, end: Date) -> f64 {
        let ((y1, m1, mut d1), (y2, m2, mut d2)) = (start.ymd(), end.ymd());
        let last_of_february = |y: i32, m: u32, d: u32| m == 2 && d == days_in_month(y, m);
        match self {
            Self::Thirty360European => (d1, d2) = (d1.min(30), d2.min(30)),
            Self::Thirty360Us => {
                if last_of_february(y1, m1, d1) {
                    if last_of_february(y2, m2, d2) {
                        d2 = 30;
                    }
                    d1 = 30;
                }
                if d2 == 31 && d1 >= 30 {
                    d2 = 30;
                }
                d1 = d1.min(30);
            }
            _ => {
                d1 = d1.min(30);
                if d2 == 31 && d1 == 30 {
                    d2 = 30;
                }
            }
        }
        f64::from(360 * (y2 - y1) + 30 * (m2 as i32 - m1 as i32) + d2 as i32 - d1 as i32)
    }
}

fn isda(start: Date, end: Date) -> f64 {
    let (first, last) = (start.year(), end.year());
    let length = |year: i32| 365.0 + f64::from(u8::from(is_leap(year)));
    if first == last {
        return f64::from(start.days_to(end)) / length(first);
    }
    // Years that we know begin and end.
    let january = |year: i32| Date::new(year, 1, 1).unwrap_or(start);
    f64::from(start.days_to(january(first + 1))) / length(first)
        + f64::from(last - first - 1)
        + f64::from(january(last).days_to(end)) / length(last)
}

/// ICMA rule 251: whole regular periods and parts of them, also outside the
/// reference, which is continued forwards and backwards.
fn icma(start: Date, end: Date, reference: Reference) -> f64 {
    let Reference { start: from, end: to } = reference;
    let days = f64::from(from.days_to(to));
    if start == end || days <= 0.0 {
        return 0.0;
    }
    // The reference's length in whole months; shorter ones are a year's part.
    let months = (0.5 + 12.0 * days / 365.0) as i32;
    let (months, from, to) = match months {
        0 => (12, start, start.plus_months(12)),
        n => (n, from, to),
    };
    let period = f64::from(months) / 12.0;
    let part = |a: Date, b: Date, from: Date, to: Date| {
        period * f64::from(a.days_to(b)) / f64::from(from.days_to(to)).max(1.0)
    };
    let mut years = 0.0;
    if start < from {
        // A long first coupon: regular periods before the reference.
        let mut upper = from;
        for n in 1..=1_200 {
            let lower = before(from, to, months * n);
            years += part(start.max(lower), end.min(upper).max(start.max(lower)), lower, upper);
            upper = lower;
            if lower <= start {
                break;
            }
        }
    }
    if end > from && start < to {
        years += part(start.max(from), end.min(to), from, to);
    }
    if end > to {
        let mut lower = to;
        for n in 1..=1_200 {
            let upper = to.plus_months(months * n);
            years += part(start.max(lower).min(end), end.min(upper), lower, upper);
            lower = upper;
            if upper >= end {
                break;
            }
        }
    }
    years
}

/// So many months before the reference's start; month ends stay month ends if
/// both of its dates are.
fn before(from: Date, to: Date, months: i32) -> Date {
    let date = from.plus_months(-months);
    if from.is_end_of_month() && to.is_end_of_month() { date.end_of_month() } else { date }
}

fn afb(start: Date, end: Date) -> f64 {
    let (mut whole, mut rest) = (0, end);
    loop {
        let year_before = end.plus_months(-12 * (whole + 1));
        let (_, month, day) = end.ymd();
        // From 28 February a leap year's last day is meant.
        let year_before = match (month, day) {
            (2, 28) if is_leap(year_before.year()) => year_before.plus_days(1),
            _ => year_before,
        };
        if year_before < start {
            break;
        }
        whole += 1;
        rest = year_before;
    }
    let leap_day = |year: i32| Date::new(year, 2, 29);
    let within = (start.year()..=rest.year()).filter_map(leap_day).any(|day| day >= start && day < rest);
    f64::from(whole) + f64::from(start.days_to(rest)) / if within { 366.0 } else { 365.0 }
}

/// Periods in a year of a tenor of months.
pub fn per_year(tenor: Tenor) -> f64 {
    match tenor.months {
        0 => 365.0 / f64::from(tenor.days.max(1)),
        months => 12.0 / f64::from(months),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn thirty_day_months_differ_at_their_ends() {
        let days = |dc: DayCount, a: &str, b: &str| (dc.years(date(a), date(b), None) * 360.0).round();
        assert_eq!(days(DayCount::Thirty360, "2024-01-15", "2024-01-31"), 16.0);
        assert_eq!(days(DayCount::Thirty360European, "2024-01-15", "2024-01-31"), 15.0);
        assert_eq!(days(DayCount::Thirty360Us, "2024-02-29", "2024-03-31"), 30.0);
        assert_eq!(days(DayCount::Thirty360, "2024-02-29", "2024-03-31"), 32.0);
    }

    #[test]
    fn backwards_is_negative_and_nothing_is_nothing() {
        for dc in [
            DayCount::Act360,
            DayCount::ActActIsda,
            DayCount::ActActIcma,
            DayCount::Thirty360,
            DayCount::ActActAfb,
        ] {
            let (a, b) = (date("2024-01-15"), date("2025-03-31"));
            assert_eq!(dc.years(b, a, None), -dc.years(a, b, None), "{dc:?}");
            assert_eq!(dc.years(a, a, None), 0.0, "{dc:?}");
        }
    }

    #[test]
    fn names_are_read() {
        for (text, dc) in [
            ("ACT/360", DayCount::Act360),
            ("30E/360", DayCount::Thirty360European),
            ("ACT/365F", DayCount::Act365Fixed),
        ] {
            let read: DayCount = serde_json::from_value(text.into()).unwrap();
            assert_eq!(read, dc);
            assert_eq!(serde_json::to_value(dc).unwrap(), text);
        }
    }
}
