//! Times in cron form: minute, hour, day of the month, month, day of the week,
//! in UTC. Each is `*`, a number, a range, a list, or one of these with a step.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Days that are looked through for the next time; some dates come every eight
/// years at most.
const MAX_DAYS: u32 = 366 * 9;

/// A set of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// With both restricted, a day of either kind will do.
    either: bool,
}

impl Cron {
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err("must have five fields: minute hour day month weekday".into());
        };
        let sunday = field("weekday", weekdays, 0, 7)?;
        let cron = Self {
            minutes: field("minute", minutes, 0, 59)?,
            hours: field("hour", hours, 0, 23)?,
            days: field("day", days, 1, 31)?,
            months: field("month", months, 1, 12)?,
            // 7 is Sunday as well.
            weekdays: sunday & 0x7f | (sunday >> 7 & 1),
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        match cron.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(cron),
            None => Err("never comes".into()),
        }
    }

    /// The first of these times past an instant.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let next = at.to_zoned(TimeZone::UTC).datetime().checked_add(1.minute()).ok()?;
        let mut day = next.date();
        let mut from = next.time();
        for _ in 0..MAX_DAYS {
            if self.day(day)
                && let Some(time) = self.time(from)
            {
                return DateTime::from_parts(day, time).to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
            }
            day = day.tomorrow().ok()?;
            from = Time::midnight();
        }
        None
    }

    fn day(&self, day: Date) -> bool {
        let has = |set: u64, bit: i8| set >> bit & 1 == 1;
        let (of_month, of_week) =
            (has(self.days, day.day()), has(self.weekdays, day.weekday().to_sunday_zero_offset()));
        let fits = if self.either { of_month || of_week } else { of_month && of_week };
        has(self.months, day.month()) && fits
    }

    fn time(&self, from: Time) -> Option<Time> {
        (from.hour()..24).filter(|hour| self.hours >> hour & 1 == 1).find_map(|hour| {
            let first = if hour == from.hour() { from.minute() } else { 0 };
            let minute = (first..60).find(|minute| self.minutes >> minute & 1 == 1)?;
            Some(Time::constant(hour, minute, 0, 0))
        })
    }
}

/// The numbers of one field as bits.
fn field(name: &str, text: &str, low: u32, high: u32) -> Result<u64, String> {
    let wrong = || format!("{name}: {text:?} is no list of {low} to {high}");
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| (low..=high).contains(n)).ok_or_else(wrong);
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|s| *s > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" => (low, high),
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(wrong());
        }
        (from..=to).step_by(step as usize).for_each(|n| set |= 1 << n);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, at: &str) -> String {
        Cron::parse(cron).unwrap().after(at.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_found() {
        assert_eq!(next("*/15 * * * *", "2026-11-22T04:23:20Z"), "2026-11-22T04:30:00Z");
        assert_eq!(next("*/15 * * * *", "2026-11-22T04:30:00Z"), "2026-11-22T04:45:00Z");
        assert_eq!(next("0 6 * * *", "2026-11-22T06:00:00Z"), "2026-11-23T06:00:00Z");
        assert_eq!(next("5,10 22-23 * * *", "2026-12-31T23:10:00Z"), "2027-01-01T22:05:00Z");
        // A Sunday, by both its numbers; the 13th or any Friday.
        assert_eq!(next("0 0 * * 7", "2026-11-22T04:00:00Z"), "2026-11-29T00:00:00Z");
        assert_eq!(next("0 0 * * 0", "2026-11-23T04:00:00Z"), "2026-11-29T00:00:00Z");
        assert_eq!(next("0 0 13 * 5", "2026-11-22T04:00:00Z"), "2026-11-27T00:00:00Z");
        assert_eq!(next("0 0 29 2 *", "2026-11-22T04:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next("30/20 3 * * *", "2026-11-22T03:30:00Z"), "2026-11-22T03:50:00Z");
    }

    #[test]
    fn what_is_no_cron_is_refused() {
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "x * * * *",
            "0 0 31 2 *",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad:?}");
        }
    }
}
