//! Accrual periods between two dates, with stubs.

use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, Convention};
use crate::date::{Date, Tenor};
use crate::daycount::Reference;

/// Where a period that is not regular stands, and from which end dates roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stub {
    /// Roll backwards from the end; a short period begins.
    #[default]
    #[serde(rename = "SHORT_INITIAL", alias = "BACKWARD")]
    ShortInitial,
    /// Roll backwards; the short period is joined with its neighbour.
    #[serde(rename = "LONG_INITIAL")]
    LongInitial,
    /// Roll forwards from the start; a short period ends.
    #[serde(rename = "SHORT_FINAL", alias = "FORWARD")]
    ShortFinal,
    /// Roll forwards; the short period is joined with its neighbour.
    #[serde(rename = "LONG_FINAL")]
    LongFinal,
}

/// How periods are made.
#[derive(Debug, Clone)]
pub struct Rule<'a> {
    /// First day of the first period.
    pub start: Date,
    /// Last day of the last.
    pub end: Date,
    /// Length of a regular period; `None` is one period for the whole term.
    pub every: Option<Tenor>,
    /// Where the irregular period stands.
    pub stub: Stub,
    /// From a month's end roll to months' ends.
    pub end_of_month: bool,
    /// Business days of the adjusted dates.
    pub calendar: &'a Calendar,
    /// How accrual dates are adjusted.
    pub convention: Convention,
    /// How the last date is adjusted.
    pub end_convention: Convention,
}

/// From one date to the next, as accrued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Adjusted first day.
    pub start: Date,
    /// Adjusted last day.
    pub end: Date,
    /// The last day before adjustment.
    pub unadjusted_end: Date,
    /// The regular period that it is, or is a part of.
    pub reference: Reference,
    /// Whether it has the regular length.
    pub regular: bool,
}

/// More periods than any product has: 100 years of weeks.
pub const MOST_PERIODS: usize = 5_200;

impl Rule<'_> {
    /// The periods, oldest first.
    pub fn periods(&self) -> Result<Vec<Period>, String> {
        if self.end <= self.start {
            return Err(format!("ends on {}, not after its start on {}", self.end, self.start));
        }
        let Some(every) = self.every else {
            return Ok(vec![self.period(self.start, self.end, self.start, self.end, true)]);
        };
        if every.months <= 0 && every.days <= 0 {
            return Err("has periods of no length".into());
        }
        let backwards = matches!(self.stub, Stub::ShortInitial | Stub::LongInitial);
        let dates = if backwards { self.backwards(every)? } else { self.forwards(every)? };
        Ok(self.pair(&dates, every, backwards))
    }

    fn pair(&self, dates: &[Date], every: Tenor, backwards: bool) -> Vec<Period> {
        let count = dates.len() - 1;
        let mut periods = Vec::with_capacity(count);
        for (i, pair) in dates.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            // The irregular one, if any, lies where rolling ended.
            let (reference_from, reference_to) = match backwards {
                true if i == 0 => (self.roll(to, every, -1), to),
                false if i + 1 == count => (from, self.roll(from, every, 1)),
                _ => (from, to),
            };
            periods.push(self.period(
                from,
                to,
                reference_from,
                reference_to,
                reference_from == from && reference_to == to,
            ));
        }
        periods
    }

    fn period(
        &self,
        from: Date,
        to: Date,
        reference_from: Date,
        reference_to: Date,
        regular: bool,
    ) -> Period {
        let last = if to == self.end { self.end_convention } else { self.convention };
        Period {
            start: self.calendar.adjust(from, self.convention),
            end: self.calendar.adjust(to, last),
            unadjusted_end: to,
            reference: Reference { start: reference_from, end: reference_to },
            regular,
        }
    }

    /// So many periods after a date (before, if negative).
    fn roll(&self, from: Date, every: Tenor, count: i32) -> Date {
        let date =
            from.plus_months(every.months.saturating_mul(count)).plus_days(every.days.saturating_mul(count));
        let month_ends = self.end_of_month && every.days == 0 && from.is_end_of_month();
        if month_ends { date.end_of_month() } else { date }
    }

    fn backwards(&self, every: Tenor) -> Result<Vec<Date>, String> {
        let mut dates = vec![self.end];
        loop {
            let date = self.roll(self.end, every, -(dates.len() as i32));
            if date <= self.start {
                // Month ends may roll past a start that is a day off.
                let whole = date == self.start;
                if !whole && self.stub == Stub::LongInitial && dates.len() > 1 {
                    dates.pop();
                }
                dates.push(self.start);
                break;
            }
            dates.push(date);
            too_many(&dates)?;
        }
        dates.reverse();
        Ok(dates)
    }

    fn forwards(&self, every: Tenor) -> Result<Vec<Date>, String> {
        let mut dates = vec![self.start];
        loop {
            let date = self.roll(self.start, every, dates.len() as i32);
            if date >= self.end {
                let whole = date == self.end;
                if !whole && self.stub == Stub::LongFinal && dates.len() > 1 {
                    dates.pop();
                }
                dates.push(self.end);
                return Ok(dates);
            }
            dates.push(date);
            too_many(&dates)?;
        }
    }
}

fn too_many(dates: &[Date]) -> Result<(), String> {
    match dates.len() > MOST_PERIODS {
        true => Err(format!("has more than {MOST_PERIODS} periods")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn ends(start: &str, end: &str, every: &str, stub: Stub) -> Vec<String> {
        let calendar = Calendar::none();
        let rule = Rule {
            start: date(start),
            end: date(end),
            every: Some(every.parse().unwrap()),
            stub,
            end_of_month: true,
            calendar: &calendar,
            convention: Convention::Unadjusted,
            end_convention: Convention::Unadjusted,
        };
        rule.periods().unwrap().iter().map(|p| p.end.to_string()).collect()
    }

    #[test]
    fn stubs_stand_where_they_are_asked_for() {
        let of = |stub| ends("2024-01-15", "2025-03-31", "6M", stub);
        assert_eq!(of(Stub::ShortInitial), ["2024-03-31", "2024-09-30", "2025-03-31"]);
        assert_eq!(of(Stub::LongInitial), ["2024-09-30", "2025-03-31"]);
        assert_eq!(of(Stub::ShortFinal), ["2024-07-15", "2025-01-15", "2025-03-31"]);
        assert_eq!(of(Stub::LongFinal), ["2024-07-15", "2025-03-31"]);
    }

    #[test]
    fn regular_periods_have_no_stub() {
        for stub in [Stub::ShortInitial, Stub::LongInitial, Stub::ShortFinal, Stub::LongFinal] {
            assert_eq!(ends("2024-01-31", "2024-07-31", "3M", stub), ["2024-04-30", "2024-07-31"]);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let calendar = Calendar::none();
        let rule = |start: &str, end: &str, every: &str| {
            Rule {
                start: date(start),
                end: date(end),
                every: Some(every.parse().unwrap()),
                stub: Stub::ShortInitial,
                end_of_month: false,
                calendar: &calendar,
                convention: Convention::Following,
                end_convention: Convention::Following,
            }
            .periods()
        };
        assert!(rule("2024-01-15", "2024-01-15", "3M").is_err());
        assert!(rule("2024-01-15", "2023-01-15", "3M").is_err());
        assert!(rule("1950-01-15", "2150-01-15", "1D").is_err());
        assert!(rule("2024-01-15", "2025-01-15", "0D").is_err());
    }
}
