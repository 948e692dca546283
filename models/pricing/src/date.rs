//! Civil dates as day numbers, and tenors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A day, counted from 1970-01-01. Years 1900 to 2299.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(i32);

/// Text that is no date or no tenor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDate(String);

const FIRST_YEAR: i32 = 1900;
const LAST_YEAR: i32 = 2299;

impl Date {
    /// `None` if there is no such day, or it is outside the years we know.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let known = (FIRST_YEAR..=LAST_YEAR).contains(&year) && (1..=12).contains(&month);
        (known && day >= 1 && day <= days_in_month(year, month)).then(|| Self::from_civil(year, month, day))
    }

    /// Days from the civil calendar's era of 400 years, counted from March.
    pub(crate) fn from_civil(year: i32, month: u32, day: u32) -> Self {
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let day_of_year = (153 * ((month as i32 + 9) % 12) + 2) / 5 + day as i32 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// Year, month 1 to 12, day 1 to 31.
    pub fn ymd(self) -> (i32, u32, u32) {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
        (year_of_era + era * 400 + i32::from(month <= 2), month, day)
    }

    /// The year.
    pub fn year(self) -> i32 {
        self.ymd().0
    }

    /// The day's number; differences are actual days.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Actual days from this day to the other; negative if it lies before.
    pub fn days_to(self, other: Self) -> i32 {
        other.0 - self.0
    }

    /// So many days later, kept within the years we know.
    pub fn plus_days(self, days: i32) -> Self {
        let (first, last) = (Self::from_civil(FIRST_YEAR, 1, 1).0, Self::from_civil(LAST_YEAR, 12, 31).0);
        Self(self.0.saturating_add(days).clamp(first, last))
    }

    /// So many months later, on the same day of the month or its last.
    pub fn plus_months(self, months: i32) -> Self {
        let (year, month, day) = self.ymd();
        let index = (year * 12 + month as i32 - 1).saturating_add(months);
        let index = index.clamp(FIRST_YEAR * 12, LAST_YEAR * 12 + 11);
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
        Self::from_civil(year, month, day.min(days_in_month(year, month)))
    }

    /// So much later: months first, then days.
    pub fn plus(self, tenor: Tenor) -> Self {
        self.plus_months(tenor.months).plus_days(tenor.days)
    }

    /// 0 = Monday … 6 = Sunday.
    pub fn weekday(self) -> u32 {
        (self.0 + 3).rem_euclid(7) as u32
    }

    /// The last day of its month.
    pub fn end_of_month(self) -> Self {
        let (year, month, _) = self.ymd();
        Self::from_civil(year, month, days_in_month(year, month))
    }

    /// Whether it is the last day of its month.
    pub fn is_end_of_month(self) -> bool {
        self == self.end_of_month()
    }
}

/// Whether the year has 366 days.
pub fn is_leap(year: i32) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// The number of days of a month.
pub fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    /// `2026-01-23`, or an instant that begins so (`2026-01-23T17:00:00Z`: its
    /// date as written).
    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let invalid = || InvalidDate(format!("{text:?} is not a date such as 2026-01-23"));
        let (date, rest) = text.split_at_checked(10).ok_or_else(invalid)?;
        if !(rest.is_empty() || rest.starts_with(['T', ' '])) {
            return Err(invalid());
        }
        let bytes = date.as_bytes();
        let digits = bytes.iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
        if !digits {
            return Err(invalid());
        }
        let number = |range: std::ops::Range<usize>| date[range].parse::<u32>().map_err(|_| invalid());
        Self::new(number(0..4)? as i32, number(5..7)?, number(8..10)?).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Date {
    type Error = InvalidDate;
    fn try_from(text: String) -> Result<Self, InvalidDate> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

/// A length of time: `ON`, `1D`, `2W`, `3M`, `10Y`, `1Y6M`, `1.5M` is 45 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenor {
    /// Whole months.
    pub months: i32,
    /// Days beside them.
    pub days: i32,
}

impl Tenor {
    /// So many months.
    pub const fn of_months(months: i32) -> Self {
        Self { months, days: 0 }
    }

    /// In years, without a calendar: months/12, and for days 1/365, or 1/52 for
    /// each whole week.
    pub fn in_years(self) -> f64 {
        let days = match self.days % 7 {
            0 => f64::from(self.days / 7) / 52.0,
            _ => f64::from(self.days) / 365.0,
        };
        f64::from(self.months) / 12.0 + days
    }
}

impl FromStr for Tenor {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let invalid = || InvalidDate(format!("{text:?} is not a tenor such as 3M, 2W or 10Y"));
        let upper = text.trim().to_ascii_uppercase();
        match upper.as_str() {
            "ON" | "O/N" => return Ok(Self { months: 0, days: 1 }),
            "TN" | "T/N" => return Ok(Self { months: 0, days: 2 }),
            "1.5M" => return Ok(Self { months: 0, days: 45 }),
            _ => {}
        }
        let (mut months, mut days, mut number, mut parts) = (0_i32, 0_i32, None::<i32>, 0);
        for c in upper.chars() {
            if let Some(digit) = c.to_digit(10) {
                let so_far = number.unwrap_or(0);
                number = Some(
                    so_far.checked_mul(10).and_then(|n| n.checked_add(digit as i32)).ok_or_else(invalid)?,
                );
                continue;
            }
            let n = number.take().filter(|n| *n <= 40_000).ok_or_else(invalid)?;
            parts += 1;
            match c {
                'Y' => months += n * 12,
                'M' => months += n,
                'W' => days += n * 7,
                'D' => days += n,
                _ => return Err(invalid()),
            }
        }
        if number.is_some() || parts == 0 || months > 400 * 12 {
            return Err(invalid());
        }
        Ok(Self { months, days })
    }
}

impl fmt::Display for Tenor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.months, self.days) {
            (0, days) if days % 7 == 0 && days > 0 => write!(f, "{}W", days / 7),
            (0, days) => write!(f, "{days}D"),
            (months, 0) if months % 12 == 0 => write!(f, "{}Y", months / 12),
            (months, 0) => write!(f, "{months}M"),
            (months, days) => write!(f, "{months}M{days}D"),
        }
    }
}

impl TryFrom<String> for Tenor {
    type Error = InvalidDate;
    fn try_from(text: String) -> Result<Self, InvalidDate> {
        text.parse()
    }
}

impl From<Tenor> for String {
    fn from(tenor: Tenor) -> Self {
        tenor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_one_to_one() {
        let mut day = Date::new(1900, 1, 1).unwrap();
        let last = Date::new(2299, 12, 31).unwrap();
        while day < last {
            let (year, month, of_month) = day.ymd();
            assert_eq!(Date::new(year, month, of_month), Some(day));
            day = day.plus_days(1);
        }
        assert_eq!(Date::new(1970, 1, 1).unwrap().number(), 0);
        assert_eq!("2026-01-23".parse::<Date>().unwrap().weekday(), 4);
        assert_eq!(last.plus_days(5), last);
    }

    #[test]
    fn text_that_is_no_date_is_refused() {
        for text in [
            "",
            "2026-02-30",
            "2026-1-23",
            "26-01-23",
            "2026-01-23x",
            "2026/01/23",
            "9999-01-01",
            "é026-01-23",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!("2026-01-23T17:00:00Z".parse::<Date>().unwrap().to_string(), "2026-01-23");
    }

    #[test]
    fn tenors() {
        let tenor = |text: &str| text.parse::<Tenor>();
        assert_eq!(tenor("1Y6M").unwrap(), Tenor::of_months(18));
        assert_eq!(tenor("2W").unwrap().to_string(), "2W");
        assert_eq!(tenor("ON").unwrap().in_years(), 1.0 / 365.0);
        assert_eq!(tenor("1W").unwrap().in_years(), 1.0 / 52.0);
        for text in ["", "M", "3", "3X", "-3M", "99999999999Y"] {
            assert!(tenor(text).is_err(), "{text}");
        }
        assert_eq!(Date::new(2024, 1, 31).unwrap().plus_months(1).to_string(), "2024-02-29");
    }
}
