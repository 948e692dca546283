//! Rates that are fixed: term rates and overnight rates, with the conventions
//! that their names stand for.

use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, Convention, Listed};
use crate::date::{Date, Tenor};
use crate::daycount::DayCount;

/// What a snapshot says about an index; a known name needs none of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSpec {
    /// Such as `USD-LIBOR-3M`.
    #[serde(alias = "index")]
    pub name: String,
    /// Three letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// `ON` for an overnight rate.
    #[serde(default)]
    pub tenor: Option<Tenor>,
    /// Of its accrual.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Business days from the fixing to the period's first day.
    #[serde(default)]
    pub fixing_lag: Option<i32>,
    /// Business days of fixings.
    #[serde(default)]
    pub calendar: Option<String>,
    /// How the period's last day is adjusted.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Whether a month's last business day leads to one.
    #[serde(default)]
    pub end_of_month: Option<bool>,
    /// The curve that it is projected from.
    #[serde(default)]
    pub curve: Option<String>,
}

/// An index with everything known.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its currency.
    pub currency: String,
    /// Length of its period; one day for overnight rates.
    pub tenor: Tenor,
    /// Whether it is an overnight rate.
    pub overnight: bool,
    /// Of its accrual.
    pub day_count: DayCount,
    /// Business days from the fixing to the period's first day.
    pub fixing_lag: i32,
    /// Business days of fixings.
    pub calendar: Calendar,
    /// How the period's last day is adjusted.
    pub convention: Convention,
    /// Whether a month's last business day leads to one.
    pub end_of_month: bool,
    /// The curve that the snapshot names for it.
    pub curve: Option<String>,
}

/// Conventions of the families that we know: day count, fixing lag, calendar,
/// end of month.
fn family(name: &str) -> Option<(DayCount, i32, &'static str, bool)> {
    let upper = name.to_ascii_uppercase().replace('_', "-");
    let starts = |prefix: &str| upper.starts_with(prefix);
    Some(match () {
        () if starts("USD-LIBOR") => (DayCount::Act360, 2, "UK", true),
        () if starts("GBP-LIBOR") => (DayCount::Act365Fixed, 0, "UK", true),
        () if starts("EUR-EURIBOR") || starts("EURIBOR") => (DayCount::Act360, 2, "TARGET", true),
        () if starts("USD-SOFR") || starts("SOFR") => (DayCount::Act360, 0, "USRATES", false),
        () if starts("USD-FED") => (DayCount::Act360, 0, "US", false),
        () if starts("EUR-ESTR") || starts("ESTR") || starts("EUR-EONIA") => {
            (DayCount::Act360, 0, "TARGET", false)
        }
        () if starts("GBP-SONIA") || starts("SONIA") => (DayCount::Act365Fixed, 0, "UK", false),
        () => return None,
    })
}

/// The currency that a name begins with, if it does.
pub fn currency_of(name: &str) -> Option<String> {
    let head = name.split(['-', '_']).next()?.to_ascii_uppercase();
    match head.as_str() {
        "SOFR" => Some("USD".into()),
        "ESTR" | "EURIBOR" => Some("EUR".into()),
        "SONIA" => Some("GBP".into()),
        _ => (head.len() == 3 && head.bytes().all(|b| b.is_ascii_uppercase())).then_some(head),
    }
}

impl Index {
    /// By its name alone, or by what the snapshot says beside it.
    pub fn new(name: &str, spec: Option<&IndexSpec>, listed: &Listed) -> Result<Self, String> {
        let known = family(name);
        let missing = |what: &str| format!("index {name} is not known; the snapshot must say its {what}");
        let from_name = name.rsplit(['-', '_']).next().and_then(|tail| tail.parse::<Tenor>().ok());
        let one_day = Tenor { months: 0, days: 1 };
        let overnight_name = known.is_some() && from_name.is_none();
        let tenor = spec.and_then(|s| s.tenor).or(from_name).or(overnight_name.then_some(one_day));
        let tenor = tenor.ok_or_else(|| missing("tenor"))?;
        let currency = spec.and_then(|s| s.currency.clone()).or_else(|| currency_of(name));
        let calendar = spec.and_then(|s| s.calendar.as_deref()).or(known.map(|k| k.2));
        Ok(Self {
            name: name.to_owned(),
            currency: currency.ok_or_else(|| missing("currency"))?,
            overnight: tenor == one_day,
            tenor,
            day_count: spec
                .and_then(|s| s.day_count)
                .or(known.map(|k| k.0))
                .ok_or_else(|| missing("day_count"))?,
            fixing_lag: spec.and_then(|s| s.fixing_lag).or(known.map(|k| k.1)).unwrap_or(0).clamp(0, 30),
            calendar: Calendar::named(calendar.ok_or_else(|| missing("calendar"))?, listed)?,
            convention: spec.and_then(|s| s.convention).unwrap_or(Convention::ModifiedFollowing),
            end_of_month: spec.and_then(|s| s.end_of_month).or(known.map(|k| k.3)).unwrap_or(false),
            curve: spec.and_then(|s| s.curve.clone()),
        })
    }

    /// The day on which the rate of a period that begins then is fixed, so many
    /// business days before.
    pub fn fixing_date(&self, start: Date, days: i32) -> Date {
        match days {
            0 => self.calendar.adjust(start, Convention::Preceding),
            days => self.calendar.plus_business_days(start, -days),
        }
    }

    /// The day from which a rate counts.
    pub fn after(&self, fixing: Date) -> Date {
        self.calendar.plus_business_days(fixing, self.fixing_lag)
    }

    /// The period that a fixing is for.
    pub fn period(&self, fixing: Date) -> (Date, Date) {
        let start = self.after(fixing);
        (start, self.calendar.plus_tenor(start, self.tenor, self.convention, self.end_of_month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_conventions() {
        let index = |name| Index::new(name, None, &Listed::new());
        let libor = index("USD-LIBOR-3M").unwrap();
        assert_eq!(
            (libor.currency.as_str(), libor.tenor, libor.overnight),
            ("USD", Tenor::of_months(3), false)
        );
        let start = Date::new(2014, 9, 12).unwrap();
        assert_eq!(libor.fixing_date(start, 2).to_string(), "2014-09-10");
        assert_eq!(libor.period(libor.fixing_date(start, 2)).1.to_string(), "2014-12-12");
        assert!(index("EUR-ESTR").unwrap().overnight);
        assert!(index("USD-FED-FUND").unwrap().overnight);
        assert!(index("XYZ-RATE-3M").is_err());
    }
}
