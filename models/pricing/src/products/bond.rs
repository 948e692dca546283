//! Fixed, zero-coupon and floating-rate bonds.
//!
//! Prices and yields are for settlement: so many business days after the
//! valuation date. The yield's times are those of the coupons' day count, period
//! by period; those of zero bonds, and of flows as given, ACT/365F.

use super::leg::Floating;
use super::{Context, Debt, Details, Flag, Trade, callable, currency, finite, part};
use crate::calendar::{Calendar, Convention};
use crate::date::{Date, Tenor};
use crate::daycount::{DayCount, per_year};
use crate::program::{Discounting, Flow, FlowInfo, Leg, Program};
use crate::quality::Quality;
use crate::schedule::{Period, Rule};
use crate::terms::{BondTerms, GivenFlow};

pub fn bond(terms: &BondTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    currency(&terms.currency)?;
    for (name, value) in [
        ("the face", terms.face.unwrap_or(0.0)),
        ("the coupon", terms.coupon.unwrap_or(0.0)),
        ("the spread", terms.spread),
        ("the redemption", terms.redemption),
        ("the market price", terms.market_clean_price.unwrap_or(0.0)),
    ] {
        finite(name, value)?;
    }
    let discounting = context.discounting(
        terms.discount_curve.as_deref(),
        terms.spread_curve.as_deref(),
        &terms.currency,
    )?;
    let calendar = terms.calendar.as_deref().unwrap_or("WEEKENDS");
    let calendar = context.market.calendar(Some(calendar)).map_err(Flag::terms)?;
    let settlement = calendar.plus_business_days(
        calendar.adjust(context.as_of(), Convention::Following),
        terms.settlement_days.clamp(0, 30),
    );
    // Nothing is settled before it is there.
    let settlement = terms.start.map_or(settlement, |start| settlement.max(start));
    let maker = Maker {
        terms,
        discounting,
        calendar,
        settlement,
        leg: Leg::new(&terms.currency, Vec::new()),
        flows: Vec::new(),
        accrued: 0.0,
        quality: Quality::Ok,
    };
    if let Some(flows) = &terms.cashflows {
        return maker.given(flows, context);
    }
    if terms.coupon.is_none() && terms.index.is_none() {
        return maker.zero(context);
    }
    maker.coupons(context)
}

struct Maker<'a> {
    terms: &'a BondTerms,
    discounting: Discounting,
    calendar: Calendar,
    settlement: Date,
    leg: Leg,
    flows: Vec<(f64, usize)>,
    accrued: f64,
    quality: Quality,
}

impl Maker<'_> {
    fn face(&self) -> Result<f64, Flag> {
        self.terms.face.ok_or_else(|| Flag::terms("its terms do not hold: missing field `face`"))
    }

    fn maturity(&self) -> Result<Date, Flag> {
        self.terms.maturity.ok_or_else(|| Flag::terms("its terms do not hold: missing field `maturity`"))
    }

    fn payment(&self, date: Date) -> Date {
        self.calendar.adjust(date, self.terms.convention.unwrap_or(Convention::Following))
    }

    /// Adds a flow that is still to be paid; `years` from settlement.
    fn flow(
        &mut self,
        date: Date,
        flow: impl Fn(u32) -> Flow,
        info: FlowInfo,
        years: f64,
        context: &mut Context<'_>,
    ) {
        if date <= context.as_of() {
            return;
        }
        let pay = context.slot(self.discounting, date);
        if date > self.settlement {
            self.flows.push((years, self.leg.flows.len()));
        }
        self.leg.flows.push(flow(pay));
        self.leg.infos.push(info);
    }

    fn known(&mut self, date: Date, amount: f64, info: FlowInfo, years: f64, context: &mut Context<'_>) {
        self.flow(date, |pay| Flow { pay, num: pay, den: pay, a: 0.0, b: amount }, info, years, context);
    }

    fn zero(mut self, context: &mut Context<'_>) -> Result<Trade, Flag> {
        let (face, maturity) = (self.face()?, self.maturity()?);
        let date = self.payment(maturity);
        let years = DayCount::Act365Fixed.years(self.settlement, date, None);
        let info =
            FlowInfo { date, kind: "principal", notional: face, accrual: None, rate: None, years: 0.0 };
        self.known(date, face * self.terms.redemption, info, years, context);
        self.finish(face, 1.0, context)
    }

    fn given(mut self, flows: &[GivenFlow], context: &mut Context<'_>) -> Result<Trade, Flag> {
        let mut repaid = 0.0;
        for flow in flows {
            let amount = amount_of(flow)?;
            repaid += flow.principal.unwrap_or(0.0);
            let years = DayCount::Act365Fixed.years(self.settlement, flow.pay_date, None);
            let info = FlowInfo {
                date: flow.pay_date,
                kind: "given",
                notional: 0.0,
                accrual: None,
                rate: None,
                years: 0.0,
            };
            self.known(flow.pay_date, amount, info, years, context);
        }
        self.accrued = self.terms.accrued_interest.unwrap_or(0.0);
        let face = self.terms.face.unwrap_or(if repaid > 0.0 { repaid } else { 100.0 });
        self.finish(face, 1.0, context)
    }

    fn periods(&self, index_tenor: Option<Tenor>) -> Result<Vec<Period>, Flag> {
        let start =
            self.terms.start.ok_or_else(|| Flag::terms("its terms do not hold: missing field `start`"))?;
        let convention = self.terms.accrual_convention.unwrap_or(Convention::Unadjusted);
        Rule {
            start,
            end: self.maturity()?,
            every: self.terms.frequency.map_or(index_tenor.or(Some(Tenor::of_months(6))), |f| f.0),
            stub: self.terms.stub,
            end_of_month: self.terms.end_of_month,
            calendar: &self.calendar,
            convention,
            end_convention: convention,
        }
        .periods()
        .map_err(|reason| Flag::terms(format!("the bond {reason}")))
    }

    fn coupons(mut self, context: &mut Context<'_>) -> Result<Trade, Flag> {
        let face = self.face()?;
        let index = match &self.terms.index {
            Some(name) => Some(context.market.index(name).map_err(Flag::terms)?),
            None => None,
        };
        let projected = match &index {
            Some(index) => {
                let curve = context.market.projection(index).map_err(Flag::curve)?;
                Some(Floating {
                    index,
                    curve,
                    fixing_days: self.terms.fixing_days,
                    par_coupons: self.terms.par_coupons,
                })
            }
            None => None,
        };
        let periods = self.periods(index.as_ref().filter(|i| !i.overnight).map(|i| i.tenor))?;
        let own = index.as_ref().map_or(DayCount::ActActIcma, |i| i.day_count);
        let day_count = self.terms.day_count.unwrap_or(own);
        let mut years_so_far = 0.0;
        let mut last = self.settlement;
        for period in &periods {
            let date = self.payment(period.end);
            if date <= context.as_of() {
                continue;
            }
            let years = part(day_count, period.start, period.end, period.reference);
            if date > self.settlement {
                years_so_far += stretch(day_count, last, date, period, self.settlement);
                last = date;
            }
            self.coupon(face, period, years, years_so_far, projected.as_ref(), context)?;
            self.accrue(face, period, day_count, projected.as_ref(), context)?;
        }
        let end = periods.last().map_or(self.settlement, |p| p.end);
        let date = self.payment(end);
        let info =
            FlowInfo { date, kind: "principal", notional: face, accrual: None, rate: None, years: 0.0 };
        self.known(date, face * self.terms.redemption, info, years_so_far, context);
        let every = self.terms.frequency.map_or(Some(Tenor::of_months(6)), |f| f.0);
        let per_year = every.map_or(1.0, per_year);
        if self.terms.calls.is_empty() && self.terms.puts.is_empty() {
            return self.finish(face, per_year, context);
        }
        let coupon = self.terms.coupon.unwrap_or(0.0);
        let accrued = |date: Date, exercised: Date| {
            let within = periods.iter().find(|period| period.start < date && date < period.end);
            // What is paid by then is not accrued any more.
            let within = within.filter(|period| self.payment(period.end) > exercised);
            within.map_or(0.0, |p| coupon * part(day_count, p.start, date, p.reference))
        };
        let rights = callable::rights(self.terms, self.settlement, accrued, |date| self.payment(date))?;
        let (terms, discounting) = (self.terms, self.discounting);
        let trade = self.finish(face, per_year, context)?;
        callable::embed(terms, rights, trade, discounting, context)
    }

    fn coupon(
        &mut self,
        face: f64,
        period: &Period,
        years: f64,
        from_settlement: f64,
        projected: Option<&Floating<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Flag> {
        let date = self.payment(period.end);
        let mut info = FlowInfo {
            date,
            kind: "interest",
            notional: face,
            accrual: Some((period.start, period.end)),
            rate: self.terms.coupon,
            years,
        };
        let Some(floating) = projected else {
            let amount = face * years * self.terms.coupon.unwrap_or(0.0);
            self.known(date, amount, info, from_settlement, context);
            return Ok(());
        };
        let accrual = (period.start, period.end);
        let amount = match floating.index.overnight {
            true => floating.overnight(accrual, years, self.terms.spread, context)?,
            false => floating.term(accrual, years, self.terms.spread, context)?,
        };
        self.quality = self.quality.max(amount.quality);
        (info.kind, info.rate) = ("floating", Some(self.terms.spread));
        let of = |pay| Flow { pay, num: amount.num, den: amount.den, a: face * amount.a, b: face * amount.b };
        self.flow(date, of, info, from_settlement, context);
        Ok(())
    }

    /// Interest up to settlement of the period that it lies in.
    fn accrue(
        &mut self,
        face: f64,
        period: &Period,
        day_count: DayCount,
        projected: Option<&Floating<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Flag> {
        if !(period.start < self.settlement && self.settlement < period.end) {
            return Ok(());
        }
        let years = part(day_count, period.start, self.settlement, period.reference);
        let rate = match projected {
            None => self.terms.coupon.unwrap_or(0.0),
            Some(floating) if floating.index.overnight => {
                let so_far = (period.start, self.settlement);
                let amount = floating.overnight(so_far, years, self.terms.spread, context)?;
                let dfs = context.slots.base(context.market);
                let grown = amount.a * dfs[amount.num as usize] / dfs[amount.den as usize];
                self.accrued = face * (grown + amount.b);
                return Ok(());
            }
            Some(floating) => {
                // The rate of the whole period, which may still be a projection.
                let amount = floating.term((period.start, period.end), 1.0, self.terms.spread, context)?;
                let dfs = context.slots.base(context.market);
                amount.a * dfs[amount.num as usize] / dfs[amount.den as usize] + amount.b
            }
        };
        self.accrued = face * rate * years;
        Ok(())
    }

    fn finish(self, face: f64, periods: f64, context: &mut Context<'_>) -> Result<Trade, Flag> {
        let settle = context.slot(self.discounting, self.settlement);
        let per_face = if face == 0.0 { 0.0 } else { 100.0 * self.accrued / face };
        let debt = Debt {
            face,
            settlement: self.settlement,
            settle,
            accrued: self.accrued,
            flows: self.flows,
            periods,
            market_dirty: self.terms.market_clean_price.map(|clean| clean + per_face),
            discounting: self.discounting,
        };
        let mut program = Program::new(&self.terms.currency);
        program.quality = self.quality;
        program.legs.push(self.leg);
        Ok(Trade { program, details: Details::Debt(debt) })
    }
}

/// Years from the last date to a payment, by the coupons' own day count. Within
/// its period a date is measured from the period's first day, so that a whole
/// period has its whole length.
fn stretch(day_count: DayCount, last: Date, date: Date, period: &Period, settlement: Date) -> f64 {
    let years = |to: Date| day_count.years(period.start, to, Some(period.reference));
    match last == settlement && last > period.start {
        true => years(date) - years(last),
        false => day_count.years(last, date, Some(period.reference)),
    }
}

/// Its parts; the whole only if it has none.
pub(super) fn amount_of(flow: &GivenFlow) -> Result<f64, Flag> {
    let amount = match (flow.interest, flow.principal, flow.amount) {
        (None, None, None) => {
            return Err(Flag::terms(format!("the cash flow of {} has no amount", flow.pay_date)));
        }
        (None, None, Some(amount)) => amount,
        (interest, principal, _) => interest.unwrap_or(0.0) + principal.unwrap_or(0.0),
    };
    finite("a cash flow", amount)
}
