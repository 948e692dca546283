//! Business days: TARGET, US settlement, US government bonds, US dollar
//! overnight rates, UK settlement, weekends only, listed holidays, and joint
//! calendars (`US+UK`: open only where all are).
//!
//! Rules are those in force on each date: TARGET from 1999 with the one-off
//! 31 December of 1999 and 2001, the UK's moved and extra bank holidays,
//! Martin Luther King Day from 1983, Juneteenth from 2022.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::date::{Date, Tenor};

/// One set of holidays.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rules {
    Weekends,
    Target,
    UsSettlement,
    UsGovernment,
    UsRates,
    Uk,
    Listed(Arc<[Date]>),
}

/// The days on which something can be paid or fixed. Open only where every
/// part is; without parts every day is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar(Vec<Rules>);

/// Holidays that a snapshot brings under names of its own, sorted.
pub type Listed = BTreeMap<String, Arc<[Date]>>;

impl Calendar {
    /// Every day is a business day.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// By name: `NONE`, `WEEKENDS`, `TARGET` (`EUTA`), `US` (`NYC`, `USNY`),
    /// `USGS`, `USGB` (`SIFMA`), `UK` (`LON`, `GBLO`), or one that is listed;
    /// joined by `+` or `,`.
    pub fn named(name: &str, listed: &Listed) -> Result<Self, String> {
        let mut parts = Vec::new();
        for part in name.split(['+', ',']).map(str::trim) {
            if let Some(days) = listed.get(part) {
                parts.push(Rules::Listed(days.clone()));
                continue;
            }
            parts.push(match part.to_ascii_uppercase().as_str() {
                "" | "NONE" | "NULL" | "NOHOLIDAYS" => continue,
                "WEEKENDS" | "SATSUN" => Rules::Weekends,
                "TARGET" | "EUTA" | "TGT" => Rules::Target,
                "US" | "NYC" | "USNY" | "USD" => Rules::UsSettlement,
                "USGB" | "USGS" | "SIFMA" => Rules::UsGovernment,
                "USRATES" | "SOFR" => Rules::UsRates,
                "UK" | "LON" | "GBLO" | "GBP" => Rules::Uk,
                _ => return Err(format!("there is no calendar {part}")),
            });
        }
        Ok(Self(parts))
    }

    /// Whether nothing of it is closed on that day.
    pub fn is_business_day(&self, date: Date) -> bool {
        self.0.iter().all(|rules| rules.is_open(date))
    }

    /// The nearest business day by a rule.
    pub fn adjust(&self, date: Date, convention: Convention) -> Date {
        let roll = |step: i32| {
            let mut day = date;
            // No calendar of ours is closed for a month; a listed one may be.
            for _ in 0..60 {
                if self.is_business_day(day) {
                    break;
                }
                day = day.plus_days(step);
            }
            day
        };
        let month = |d: Date| (d.ymd().0, d.ymd().1);
        match convention {
            Convention::Unadjusted => date,
            Convention::Following => roll(1),
            Convention::Preceding => roll(-1),
            Convention::ModifiedFollowing => {
                let following = roll(1);
                if month(following) == month(date) { following } else { roll(-1) }
            }
            Convention::ModifiedPreceding => {
                let preceding = roll(-1);
                if month(preceding) == month(date) { preceding } else { roll(1) }
            }
        }
    }

    /// So many business days later (earlier if negative). Zero is the day
    /// itself, whatever it is.
    pub fn plus_business_days(&self, date: Date, days: i32) -> Date {
        let (mut day, step) = (date, days.signum());
        for _ in 0..days.unsigned_abs().min(5_000) {
            day = day.plus_days(step);
            day = self.adjust(day, if step > 0 { Convention::Following } else { Convention::Preceding });
        }
        day
    }

    /// A tenor later, adjusted. Tenors of days alone count business days, those
    /// of weeks calendar days. With the end-of-month rule a month's last business
    /// day leads to a month's last business day.
    pub fn plus_tenor(&self, date: Date, tenor: Tenor, convention: Convention, end_of_month: bool) -> Date {
        if tenor.months == 0 && tenor.days % 7 != 0 {
            return self.plus_business_days(date, tenor.days);
        }
        let target = date.plus(tenor);
        let last = |d: Date| self.adjust(d.end_of_month(), Convention::Preceding);
        if end_of_month && tenor.days == 0 && date >= last(date) {
            return last(target);
        }
        self.adjust(target, convention)
    }
}

/// What becomes of a date that is no business day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Convention {
    /// It stays.
    #[serde(alias = "U", alias = "NONE", alias = "UNADJUSTED")]
    Unadjusted,
    /// The next business day.
    #[serde(alias = "F", alias = "FOLLOWING")]
    Following,
    /// The next, unless that is in another month; then the one before.
    #[default]
    #[serde(alias = "MF", alias = "MODIFIED_FOLLOWING")]
    ModifiedFollowing,
    /// The one before.
    #[serde(alias = "P", alias = "PRECEDING")]
    Preceding,
    /// The one before, unless that is in another month; then the next.
    #[serde(alias = "MP", alias = "MODIFIED_PRECEDING")]
    ModifiedPreceding,
}

impl Rules {
    fn is_open(&self, date: Date) -> bool {
        if date.weekday() >= 5 {
            return false;
        }
        match self {
            Self::Weekends => true,
            Self::Listed(days) => days.binary_search(&date).is_err(),
            Self::Target => !is_target_holiday(date),
            Self::UsSettlement => !is_us_holiday(date, true),
            Self::UsGovernment => !is_us_government_holiday(date, true),
            Self::UsRates => !is_us_government_holiday(date, false),
            Self::Uk => !is_uk_holiday(date),
        }
    }
}

/// Easter Sunday of the Gregorian calendar (the anonymous algorithm).
fn easter(year: i32) -> Date {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let (month, day) = ((h + l - 7 * m + 114) / 31, (h + l - 7 * m + 114) % 31 + 1);
    Date::from_civil(year, month as u32, day as u32)
}

fn is_target_holiday(date: Date) -> bool {
    let (year, month, day) = date.ymd();
    let from_easter = easter(year).days_to(date);
    match (month, day) {
        (1, 1) => true,
        (12, 25) => true,
        (5, 1) | (12, 26) if year >= 2000 => true,
        (12, 31) => matches!(year, 1998 | 1999 | 2001),
        _ => year >= 2000 && (from_easter == -2 || from_easter == 1),
    }
}

/// A holiday on a weekend is kept on Friday (if it falls on Saturday) or Monday.
fn observed(date: Date, month: u32, day: u32, friday: bool) -> bool {
    let (_, m, d) = date.ymd();
    match date.weekday() {
        0 => (m, d) == (month, day) || (m, d) == (month, day + 1),
        4 => (m, d) == (month, day) || (friday && (m, d + 1) == (month, day)),
        _ => (m, d) == (month, day),
    }
}

/// The n-th weekday (0 = Monday) of a month.
fn is_nth(date: Date, month: u32, weekday: u32, nth: u32) -> bool {
    let (_, m, d) = date.ymd();
    m == month && date.weekday() == weekday && (d - 1) / 7 + 1 == nth
}

/// The last Monday of a month of 31 days.
fn is_last_monday(date: Date, month: u32) -> bool {
    let (_, m, d) = date.ymd();
    m == month && date.weekday() == 0 && d >= 25
}

fn is_us_holiday(date: Date, fridays: bool) -> bool {
    let (year, month, day) = date.ymd();
    // New Year's Day of the next year, on a Saturday, is kept on 31 December.
    let new_year =
        observed(date, 1, 1, false) || (fridays && (month, day) == (12, 31) && date.weekday() == 4);
    let monday_act = year >= 1971;
    let washington = if monday_act { is_nth(date, 2, 0, 3) } else { observed(date, 2, 22, true) };
    let memorial = if monday_act { is_last_monday(date, 5) } else { observed(date, 5, 30, true) };
    let columbus = monday_act && is_nth(date, 10, 0, 2);
    let veterans =
        if (1971..=1977).contains(&year) { is_nth(date, 10, 0, 4) } else { observed(date, 11, 11, fridays) };
    new_year
        || (year >= 1983 && is_nth(date, 1, 0, 3))
        || washington
        || memorial
        || (year >= 2022 && observed(date, 6, 19, true))
        || observed(date, 7, 4, true)
        || is_nth(date, 9, 0, 1)
        || columbus
        || veterans
        || is_nth(date, 11, 3, 4)
        || observed(date, 12, 25, true)
}

/// Bonds also keep Good Friday (not where the employment report fell on it),
/// and days of mourning; no Friday for a New Year's Day on Saturday.
fn is_us_government_holiday(date: Date, bonds: bool) -> bool {
    let (year, month, day) = date.ymd();
    let good_friday = easter(year).days_to(date) == -2;
    let worked = bonds && matches!(year, 2012 | 2015 | 2021 | 2023);
    let single = [(2004, 6, 11), (2007, 1, 2), (2012, 10, 30), (2018, 12, 5), (2025, 1, 9)];
    let veterans_friday = date.weekday() == 4 && (month, day) == (11, 10);
    let regular = if month == 12 && day == 31 { false } else { is_us_holiday(date, true) };
    (regular && !veterans_friday)
        || (good_friday && !worked)
        || (bonds && single.contains(&(year, month, day)))
}

fn is_uk_holiday(date: Date) -> bool {
    let (year, month, day) = date.ymd();
    let from_easter = easter(year).days_to(date);
    let weekday = date.weekday();
    let new_year = match (month, day) {
        (1, 1) => true,
        (1, 2 | 3) => weekday == 0,
        _ => false,
    };
    let early_may = match year {
        1995 | 2020 => (month, day) == (5, 8),
        _ => is_nth(date, 5, 0, 1),
    };
    let spring = match year {
        2002 => (month, day) == (6, 4),
        2012 => (month, day) == (6, 4),
        2022 => (month, day) == (6, 2),
        _ => is_last_monday(date, 5),
    };
    let christmas = match (month, day) {
        (12, 25 | 26) => true,
        (12, 27) => weekday == 0 || weekday == 1,
        (12, 28) => weekday == 0 || weekday == 1,
        _ => false,
    };
    let single = [
        (1999, 12, 31),
        (2002, 6, 3),
        (2011, 4, 29),
        (2012, 6, 5),
        (2022, 6, 3),
        (2022, 9, 19),
        (2023, 5, 8),
    ];
    new_year
        || from_easter == -2
        || from_easter == 1
        || early_may
        || spring
        || is_last_monday(date, 8)
        || christmas
        || single.contains(&(year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn named(name: &str) -> Calendar {
        Calendar::named(name, &Listed::new()).unwrap()
    }

    #[test]
    fn dates_are_adjusted() {
        let target = named("TARGET");
        let saturday = date("2026-01-31");
        let adjusted = |convention| target.adjust(saturday, convention).to_string();
        assert_eq!(adjusted(Convention::Following), "2026-02-02");
        assert_eq!(adjusted(Convention::ModifiedFollowing), "2026-01-30");
        assert_eq!(adjusted(Convention::Preceding), "2026-01-30");
        assert_eq!(adjusted(Convention::Unadjusted), "2026-01-31");
        assert_eq!(
            target.adjust(date("2026-03-01"), Convention::ModifiedPreceding).to_string(),
            "2026-03-02"
        );
    }

    #[test]
    fn joint_calendars_are_open_where_all_are() {
        let joint = named("US+UK");
        // Thanksgiving, and the late August bank holiday.
        for closed in ["2024-11-28", "2024-08-26"] {
            assert!(!joint.is_business_day(date(closed)), "{closed}");
        }
        assert!(named("UK").is_business_day(date("2024-11-28")));
        assert!(Calendar::named("US+MARS", &Listed::new()).is_err());
        assert!(Calendar::none().is_business_day(date("2026-01-31")));
    }

    #[test]
    fn a_listed_calendar_may_be_closed_for_long() {
        let first = date("2026-01-01");
        let days: Vec<Date> = (0..400).map(|n| first.plus_days(n)).collect();
        let listed = Listed::from([("SHUT".to_owned(), days.into())]);
        let shut = Calendar::named("SHUT", &listed).unwrap();
        assert!(shut.adjust(first, Convention::Following) > first);
    }

    #[test]
    fn the_last_business_day_leads_to_the_last() {
        let target = named("TARGET");
        let month = Tenor::of_months(1);
        let later = |eom| target.plus_tenor(date("2026-02-27"), month, Convention::ModifiedFollowing, eom);
        assert_eq!(later(true).to_string(), "2026-03-31");
        assert_eq!(later(false).to_string(), "2026-03-27");
    }
}
