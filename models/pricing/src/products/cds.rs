//! Credit default swaps.
//!
//! A curve of survival stands on the discount curve as a spread curve does, so a
//! premium is a known amount at the product of both. Defaults happen in the
//! middle of each premium's period (of what is left of it) and are settled
//! there: sums of products of the discount factor of one day and the survival
//! to another, which slots hold as they hold all others.

use super::{Context, Credit, Details, Flag, Trade, currency, finite};
use crate::calendar::Convention;
use crate::date::{Date, Tenor};
use crate::daycount::DayCount;
use crate::program::{Discounting, FlowInfo, Leg, Program};
use crate::schedule::{Period, Rule};
use crate::terms::CdsTerms;

/// Of contracts on curves that have none.
pub const RECOVERY: f64 = 0.4;

pub fn cds(terms: &CdsTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    currency(&terms.currency)?;
    finite("notional", terms.notional)?;
    finite("spread", terms.spread)?;
    let credit = credit_curve(terms, context)?;
    let curve = context.discount(terms.discount_curve.as_deref(), &terms.currency)?;
    if context.market.kinds[curve].is_spread() {
        let reason = "a curve of spreads discounts nothing".to_owned();
        return Err(Flag::terms(reason));
    }
    let recovery = terms.recovery.or(context.market.recoveries[credit]).unwrap_or(RECOVERY);
    if !(0.0..1.0).contains(&recovery) {
        return Err(Flag::terms(format!("recovery is {recovery}, not from 0 to below 1")));
    }
    let of = Discounting { curve, spread: Some(credit) };
    let mut leg = Leg::new(&terms.currency, Vec::new());
    let mut credit = Credit { premium: Vec::new(), protection: Vec::new(), accrued: 0.0 };
    let calendar = context.market.calendar(Some(terms.calendar.as_deref().unwrap_or("WEEKENDS")));
    let calendar = calendar.map_err(Flag::terms)?;
    let convention = terms.convention.unwrap_or(Convention::Following);
    let periods = Rule {
        start: terms.start.unwrap_or_else(|| last_roll(context.as_of(), &[3, 6, 9, 12])),
        end: terms.maturity,
        every: terms.frequency.map_or(Some(Tenor::of_months(3)), |f| f.0),
        stub: terms.stub,
        end_of_month: false,
        calendar: &calendar,
        convention,
        end_convention: terms.end_convention.unwrap_or(Convention::Unadjusted),
    };
    let periods = periods.periods().map_err(|reason| Flag::terms(format!("the swap {reason}")))?;
    let scale = terms.protection.sign() * terms.notional;
    let count = periods.len();
    for (at, period) in periods.into_iter().enumerate() {
        let pay = calendar.adjust(period.end, convention);
        if pay > context.as_of() {
            let part = Part { terms, of, period, pay, last: at + 1 == count, scale, recovery };
            part.add(&mut leg, &mut credit, context);
        }
    }
    let mut program = Program::new(&terms.currency);
    program.legs.push(leg);
    Ok(Trade { program, details: Details::Credit(credit) })
}

fn credit_curve(terms: &CdsTerms, context: &Context<'_>) -> Result<usize, Flag> {
    let id = &terms.credit_curve;
    let at = context.market.curve(id).ok_or_else(|| Flag::curve(format!("missing curve {id}")))?;
    match context.market.kinds[at].is_spread() {
        true => Ok(at),
        false => Err(Flag::terms(format!("{id} is no curve of credit or spreads"))),
    }
}

/// One premium, and the protection of its period.
struct Part<'a> {
    terms: &'a CdsTerms,
    of: Discounting,
    period: Period,
    pay: Date,
    last: bool,
    /// The notional, positive for who has bought protection.
    scale: f64,
    recovery: f64,
}

impl Part<'_> {
    /// From the period's first day, the last day of the contract included.
    fn years(&self, to: Date) -> f64 {
        let more = i32::from(self.last && self.terms.last_day);
        let day_count = self.terms.day_count.unwrap_or(DayCount::Act360);
        day_count.years(self.period.start, to.plus_days(more), Some(self.period.reference))
    }

    fn info(&self, date: Date, kind: &'static str, years: f64) -> FlowInfo {
        let accrual = Some((self.period.start, self.period.end));
        let rate = Some(self.terms.spread);
        FlowInfo { date, kind, notional: self.terms.notional, accrual, rate, years }
    }

    fn add(&self, leg: &mut Leg, credit: &mut Credit, context: &mut Context<'_>) {
        let (as_of, start, end) = (context.as_of(), self.period.start, self.period.end);
        let premium = -self.scale * self.terms.spread;
        let years = self.years(end);
        let survives = context.slot(self.of, self.pay);
        leg.known(survives, premium * years, self.info(self.pay, "premium", years));
        credit.premium.push((survives, self.scale * years));
        if end <= as_of {
            return;
        }
        let from = start.max(as_of);
        let middle = from.plus_days(from.days_to(end) / 2);
        let alive = context.slots.split(context.market, self.of, middle, from);
        let gone = context.slots.split(context.market, self.of, middle, end);
        let mut on_default = |amount: f64, info: FlowInfo| {
            leg.known(alive, amount, info.clone());
            leg.known(gone, -amount, info);
        };
        if self.terms.accrual_on_default {
            let years = self.years(middle);
            on_default(premium * years, self.info(middle, "accrual_on_default", years));
            credit.premium.extend([(alive, self.scale * years), (gone, -self.scale * years)]);
        }
        let paid = self.scale * (1.0 - self.recovery);
        on_default(paid, self.info(middle, "protection", 0.0));
        credit.protection.extend([(alive, paid), (gone, -paid)]);
        if start <= as_of {
            // Who buys today pays for the period's days up to today, and is paid back
            // for all of them: a rate that costs nothing is of the days from then on.
            let day_count = self.terms.day_count.unwrap_or(DayCount::Act360);
            let years = day_count.years(start, as_of.plus_days(1), Some(self.period.reference));
            credit.accrued = premium * years;
            let today = context.slot(self.of.curve, as_of);
            credit.premium.push((today, -self.scale * years));
        }
    }
}

/// The last 20th of one of these months, that day included.
pub fn last_roll(date: Date, months: &[u32]) -> Date {
    let (mut year, mut month, day) = date.ymd();
    if day < 20 {
        month -= 1;
    }
    while !months.contains(&month) {
        if month == 0 {
            (year, month) = (year - 1, 12);
        } else {
            month -= 1;
        }
    }
    Date::new(year, month, 20).unwrap_or(date)
}

/// The last day of a standard contract that begins on a day: half-yearly rolls.
pub fn standard_maturity(date: Date, tenor: Tenor) -> Date {
    last_roll(date, &[3, 9]).plus_months(3).plus(tenor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_roll_on_the_twentieth() {
        let of = |text: &str| text.parse::<Date>().unwrap();
        let quarters = |text| last_roll(of(text), &[3, 6, 9, 12]).to_string();
        assert_eq!(quarters("2026-01-23"), "2025-12-20");
        assert_eq!(quarters("2026-03-19"), "2025-12-20");
        assert_eq!(quarters("2026-03-20"), "2026-03-20");
        let five = |text| standard_maturity(of(text), Tenor::of_months(60)).to_string();
        assert_eq!(five("2026-01-23"), "2030-12-20");
        assert_eq!(five("2026-03-19"), "2030-12-20");
        assert_eq!(five("2026-03-20"), "2031-06-20");
        assert_eq!(five("2026-09-19"), "2031-06-20");
    }
}
