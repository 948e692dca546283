//! Legs of swaps, and the coupons of floating-rate bonds.

use super::{Context, Flag, Par, finite};
use crate::calendar::{Calendar, Convention};
use crate::date::{Date, Tenor};
use crate::daycount::DayCount;
use crate::index::Index;
use crate::program::{Discounting, Flow, FlowInfo, Leg};
use crate::quality::Quality;
use crate::schedule::{Period, Rule};
use crate::terms::{LegKind, LegTerms};

/// A leg with what its par rate is solved with, and the worst quality of its
/// fixings.
pub struct Compiled {
    /// Its flows.
    pub leg: Leg,
    /// For a rate or spread of 1.
    pub par: Par,
    /// Of fixings.
    pub quality: Quality,
    /// The last date that it depends on.
    pub last: Date,
}

/// How a floating amount is projected.
pub(super) struct Floating<'a> {
    pub index: &'a Index,
    pub curve: usize,
    pub fixing_days: Option<i32>,
    pub par_coupons: bool,
}

/// An amount: N·τ·(rate + spread) as a · D(num)/D(den) + b.
pub(super) struct Amount {
    pub a: f64,
    pub b: f64,
    pub num: u32,
    pub den: u32,
    pub quality: Quality,
    pub last: Date,
}

/// Compiles a leg whose value is to be in a currency.
pub fn compile_leg(
    terms: &LegTerms,
    into: Option<&str>,
    context: &mut Context<'_>,
) -> Result<Compiled, Flag> {
    let sign = terms.side.sign();
    finite("notional", terms.notional)?;
    let index = match (&terms.index, terms.kind) {
        (_, LegKind::Fixed) => None,
        (Some(name), _) => Some(context.market.index(name).map_err(Flag::terms)?),
        (None, _) => return Err(Flag::terms("a floating leg needs an index")),
    };
    if let Some(index) = &index {
        let fits = index.overnight == (terms.kind == LegKind::Overnight);
        if !fits {
            return Err(Flag::terms(format!("{} is not an index of a leg of this type", index.name)));
        }
    }
    let currency = terms.currency.clone().or_else(|| index.as_ref().map(|i| i.currency.clone()));
    let currency = currency.ok_or_else(|| Flag::terms("a fixed leg needs a currency"))?;
    super::currency(&currency)?;
    let discounting = Discounting::from(context.discount(terms.discount_curve.as_deref(), &currency)?);
    let floating = match &index {
        Some(index) => Some(Floating {
            index,
            curve: context.market.projection(index).map_err(Flag::curve)?,
            fixing_days: terms.fixing_days,
            par_coupons: terms.par_coupons,
        }),
        None => None,
    };
    let calendar = context.market.calendar(terms.calendar.as_deref()).map_err(Flag::terms)?;
    let periods = periods(terms, index.as_ref(), &calendar)?;
    let fx = context.path(&currency, into.unwrap_or(&currency))?;
    let rate = terms.rate.unwrap_or(0.0);
    let mut compiled = Compiled {
        leg: Leg::new(&currency, fx.clone()),
        par: Par { annuity: Vec::new(), rate: if index.is_some() { terms.spread } else { rate }, fx },
        quality: Quality::Ok,
        last: terms.end,
    };
    if index.is_none() && terms.rate.is_none() {
        return Err(Flag::terms("a fixed leg needs a rate"));
    }
    finite("rate", rate)?;
    finite("spread", terms.spread)?;
    let day_count = terms.day_count.or(index.as_ref().map(|i| i.day_count)).unwrap_or(DayCount::Act360);
    let maker = Maker { terms, sign, discounting, calendar: &calendar, day_count };
    maker.exchange(periods[0].start, -terms.notional, &mut compiled, context);
    for (at, period) in periods.iter().enumerate() {
        let notional = terms.notional + terms.notional_step * at as f64;
        maker.coupon(period, at, notional, floating.as_ref(), &mut compiled, context)?;
        let next = if at + 1 == periods.len() { 0.0 } else { notional + terms.notional_step };
        maker.exchange(period.end, notional - next, &mut compiled, context);
    }
    Ok(compiled)
}

fn periods(terms: &LegTerms, index: Option<&Index>, calendar: &Calendar) -> Result<Vec<Period>, Flag> {
    let own = index.filter(|i| !i.overnight).map_or(Tenor::of_months(12), |i| i.tenor);
    let convention = terms.convention.unwrap_or(Convention::ModifiedFollowing);
    Rule {
        start: terms.start,
        end: terms.end,
        every: terms.frequency.map_or(Some(own), |f| f.0),
        stub: terms.stub,
        end_of_month: terms.end_of_month,
        calendar,
        convention,
        end_convention: convention,
    }
    .periods()
    .map_err(|reason| Flag::terms(format!("the leg {reason}")))
}

struct Maker<'a> {
    terms: &'a LegTerms,
    sign: f64,
    discounting: Discounting,
    calendar: &'a Calendar,
    day_count: DayCount,
}

impl Maker<'_> {
    fn payment(&self, end: Date) -> Date {
        let adjusted = self.calendar.adjust(end, self.terms.payment_convention.unwrap_or_default());
        self.calendar.plus_business_days(adjusted, self.terms.payment_lag)
    }

    /// A notional that changes hands, if the leg exchanges notionals.
    fn exchange(&self, on: Date, amount: f64, compiled: &mut Compiled, context: &mut Context<'_>) {
        let date = self.payment(on);
        if !self.terms.exchange || amount == 0.0 || date < context.as_of() {
            return;
        }
        let pay = context.slot(self.discounting, date);
        let info = FlowInfo {
            date,
            kind: "principal",
            notional: amount.abs(),
            accrual: None,
            rate: None,
            years: 0.0,
        };
        compiled.leg.known(pay, self.sign * amount, info);
    }

    fn coupon(
        &self,
        period: &Period,
        at: usize,
        notional: f64,
        floating: Option<&Floating<'_>>,
        compiled: &mut Compiled,
        context: &mut Context<'_>,
    ) -> Result<(), Flag> {
        let date = self.payment(period.end);
        if date < context.as_of() || notional == 0.0 {
            return Ok(());
        }
        let years = self.day_count.years(period.start, period.end, Some(period.reference));
        let pay = context.slot(self.discounting, date);
        compiled.par.annuity.push((pay, self.sign * notional * years));
        let scale = self.sign * notional;
        let first = self.terms.first_rate.filter(|_| at == 0);
        let mut info = FlowInfo {
            date,
            kind: "interest",
            notional,
            accrual: Some((period.start, period.end)),
            rate: self.terms.rate,
            years,
        };
        match (floating, first) {
            (None, _) => {
                compiled.leg.known(pay, scale * years * self.terms.rate.unwrap_or(0.0), info);
            }
            (Some(_), Some(rate)) => {
                info.rate = Some(rate);
                compiled.leg.known(pay, scale * years * rate, info);
            }
            (Some(floating), None) => {
                let amount = match floating.index.overnight {
                    true => {
                        floating.overnight((period.start, period.end), years, self.terms.spread, context)?
                    }
                    false => floating.term((period.start, period.end), years, self.terms.spread, context)?,
                };
                compiled.quality = compiled.quality.max(amount.quality);
                compiled.last = compiled.last.max(amount.last);
                info.kind = "floating";
                info.rate = Some(self.terms.spread);
                compiled.leg.flows.push(Flow {
                    pay,
                    num: amount.num,
                    den: amount.den,
                    a: scale * amount.a,
                    b: scale * amount.b,
                });
                compiled.leg.infos.push(info);
            }
        }
        compiled.last = compiled.last.max(date);
        Ok(())
    }
}

impl Floating<'_> {
    /// A term rate: known if it was fixed, else simple interest between two
    /// discount factors. On the fixing day itself a fixing is used if there is
    /// one.
    pub fn term(
        &self,
        period: (Date, Date),
        years: f64,
        spread: f64,
        context: &mut Context<'_>,
    ) -> Result<Amount, Flag> {
        let as_of = context.as_of();
        let days = self.fixing_days.unwrap_or(self.index.fixing_lag).clamp(0, 30);
        let fixing = self.index.fixing_date(period.0, days);
        let unused = context.slot(self.curve, as_of);
        if fixing <= as_of {
            match context.market.fixing(&self.index.name, fixing) {
                Some((rate, quality)) => {
                    let b = years * (rate + spread);
                    return Ok(Amount { a: 0.0, b, num: unused, den: unused, quality, last: fixing });
                }
                None if fixing < as_of => return Err(missing_fixing(self.index, fixing)),
                None => {}
            }
        }
        let (start, end) = match self.par_coupons {
            // From where this period's rate begins to where the next one's would.
            true => (self.index.after(fixing), self.index.after(self.index.fixing_date(period.1, days))),
            false => self.index.period(fixing),
        };
        let own = self.index.day_count.years(start, end, None);
        if own <= 0.0 {
            return Err(Flag::terms(format!("the period of {} from {start} is empty", self.index.name)));
        }
        let (num, den) = (context.slot(self.curve, start), context.slot(self.curve, end));
        let a = years / own;
        Ok(Amount { a, b: years * spread - a, num, den, quality: Quality::Ok, last: end })
    }

    /// An overnight rate: what was fixed is compounded day by day, the rest is the
    /// ratio of two discount factors.
    pub fn overnight(
        &self,
        period: (Date, Date),
        years: f64,
        spread: f64,
        context: &mut Context<'_>,
    ) -> Result<Amount, Flag> {
        let as_of = context.as_of();
        let (start, end) = period;
        let calendar = &self.index.calendar;
        let (mut day, mut growth, mut quality) =
            (calendar.adjust(start, Convention::Preceding), 1.0, Quality::Ok);
        let mut from = start;
        while from < end && day <= as_of {
            let next = calendar.plus_business_days(day, 1).min(end);
            let Some((rate, fixed)) = context.market.fixing(&self.index.name, day) else {
                if day < as_of {
                    return Err(missing_fixing(self.index, day));
                }
                break;
            };
            growth *= 1.0 + rate * self.index.day_count.years(from, next, None);
            quality = quality.max(fixed);
            (day, from) = (next, next);
        }
        let rest = years * spread - 1.0;
        if from >= end {
            let slot = context.slot(self.curve, as_of);
            return Ok(Amount { a: 0.0, b: growth + rest, num: slot, den: slot, quality, last: end });
        }
        let (num, den) = (context.slot(self.curve, from), context.slot(self.curve, end));
        Ok(Amount { a: growth, b: rest, num, den, quality, last: end })
    }
}

fn missing_fixing(index: &Index, date: Date) -> Flag {
    Flag::new("missing_fixing", format!("missing fixing of {} on {date}", index.name))
}
