//! Loans that are repaid in parts: flows as given, or made of a level payment
//! and early repayments.

use super::bond::amount_of;
use super::{Context, Debt, Details, Flag, Trade, currency, finite};
use crate::calendar::Convention;
use crate::date::{Date, Tenor};
use crate::daycount::{DayCount, per_year};
use crate::program::{Discounting, FlowInfo, Leg, Program};
use crate::quality::Quality;
use crate::terms::{GivenFlow, LoanTerms, Prepayment};

/// More instalments than any loan has: 100 years of weeks.
const MOST_PAYMENTS: u32 = 5_200;

pub fn loan(terms: &LoanTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    currency(&terms.currency)?;
    finite("the principal", terms.principal)?;
    finite("the coupon rate", terms.coupon_rate)?;
    let discounting = context.discounting(
        terms.discount_curve.as_deref(),
        terms.spread_curve.as_deref(),
        &terms.currency,
    )?;
    let as_of = context.as_of();
    let day_count = terms.day_count.unwrap_or(DayCount::Thirty360);
    let mut program = Program::new(&terms.currency);
    let mut leg = Leg::new(&terms.currency, Vec::new());
    let mut flows = Vec::new();
    let mut add = |date: Date, interest: f64, principal: f64, context: &mut Context<'_>| {
        if date <= as_of {
            return;
        }
        let years = DayCount::Act365Fixed.years(as_of, date, None);
        for (kind, amount) in [("interest", interest), ("principal", principal)] {
            if amount != 0.0 {
                flows.push((years, leg.flows.len()));
                let pay = context.slot(discounting, date);
                leg.known(
                    pay,
                    amount,
                    FlowInfo { date, kind, notional: amount, accrual: None, rate: None, years: 0.0 },
                );
            }
        }
    };
    match &terms.cashflows {
        Some(given) => {
            for flow in given {
                let amount = amount_of(flow)?;
                let principal = flow.principal.unwrap_or(0.0);
                add(flow.pay_date, amount - principal, principal, context);
            }
            check(terms, given, as_of, &mut program);
        }
        None => {
            for (date, interest, principal) in plan(terms, day_count, context)? {
                add(date, interest, principal, context);
            }
        }
    }
    let accrued = match terms.last_payment_date {
        Some(last) if last < as_of => {
            terms.principal * terms.coupon_rate * day_count.years(last, as_of, None)
        }
        Some(_) => 0.0,
        None => {
            program.notes.push("accrued interest is taken as 0: last_payment_date is not given".into());
            0.0
        }
    };
    let debt = debt(terms, accrued, flows, discounting, context);
    program.legs.push(leg);
    Ok(Trade { program, details: Details::Debt(debt) })
}

fn debt(
    terms: &LoanTerms,
    accrued: f64,
    flows: Vec<(f64, usize)>,
    discounting: Discounting,
    context: &mut Context<'_>,
) -> Debt {
    let as_of = context.as_of();
    Debt {
        face: terms.principal,
        settlement: as_of,
        settle: context.slot(discounting, as_of),
        accrued,
        flows,
        periods: every(terms).map_or(12.0, per_year),
        market_dirty: terms.market_price,
        discounting,
    }
}

fn every(terms: &LoanTerms) -> Option<Tenor> {
    terms.frequency.map_or(Some(Tenor::of_months(1)), |f| f.0)
}

/// What given flows leave open is said, as nobody sees it in the value.
fn check(terms: &LoanTerms, given: &[GivenFlow], as_of: Date, program: &mut Program) {
    let ahead = || given.iter().filter(|flow| flow.pay_date > as_of);
    let repaid: f64 = ahead().filter_map(|flow| flow.principal).sum();
    let known = ahead().all(|flow| flow.principal.is_some());
    let slack = (terms.principal.abs() * 1e-6).max(0.01);
    if known && ahead().next().is_some() && (repaid - terms.principal).abs() > slack {
        let owed = terms.principal;
        program.notes.push(format!("the cash flows repay {repaid:.2} of the principal {owed:.2}"));
        program.quality = program.quality.max(Quality::Missing);
    }
    let differs = |flow: &&GivenFlow| match (flow.interest, flow.principal, flow.amount) {
        (Some(interest), Some(principal), Some(amount)) => (interest + principal - amount).abs() > 0.01,
        _ => false,
    };
    if let Some(flow) = ahead().find(differs) {
        program
            .notes
            .push(format!("on {} the amount is not interest + principal; their sum is used", flow.pay_date));
        program.quality = program.quality.max(Quality::Proxy);
    }
}

/// Date, interest and principal of each instalment.
fn plan(
    terms: &LoanTerms,
    day_count: DayCount,
    context: &Context<'_>,
) -> Result<Vec<(Date, f64, f64)>, Flag> {
    let every = every(terms).ok_or_else(|| Flag::terms("a loan is paid in instalments"))?;
    let from = terms
        .last_payment_date
        .ok_or_else(|| Flag::terms("a loan without cash flows needs last_payment_date"))?;
    let calendar = context.market.calendar(terms.calendar.as_deref()).map_err(Flag::terms)?;
    let convention = terms.convention.unwrap_or(Convention::Following);
    let rate = terms.coupon_rate / per_year(every);
    let payments = match (terms.remaining_payments, terms.payment) {
        (Some(n), _) if (1..=MOST_PAYMENTS).contains(&n) => n,
        (None, Some(payment)) if payment > terms.principal * rate => MOST_PAYMENTS,
        (None, Some(_)) => return Err(Flag::terms("the payment does not cover the interest")),
        _ => return Err(Flag::terms("a loan without cash flows needs remaining_payments or payment")),
    };
    let payment = terms.payment.unwrap_or_else(|| level(terms.principal, rate, payments));
    finite("the payment", payment)?;
    let (mut owed, mut rows, mut last) = (terms.principal, Vec::new(), from);
    for n in 1..=payments {
        let date = from.plus_months(every.months * n as i32).plus_days(every.days * n as i32);
        let interest = owed * terms.coupon_rate * day_count.years(last, date, None);
        let mut principal = if n == payments { owed } else { (payment - interest).min(owed) };
        principal += (owed - principal) * early(terms.prepayment, n, per_year(every));
        rows.push((calendar.adjust(date, convention), interest, principal));
        owed -= principal;
        last = date;
        if owed.abs() < 1e-9 * terms.principal.abs() {
            break;
        }
    }
    Ok(rows)
}

/// The payment that repays a sum in so many equal ones.
fn level(principal: f64, rate: f64, payments: u32) -> f64 {
    match rate == 0.0 {
        true => principal / f64::from(payments),
        false => principal * rate / (1.0 - (1.0 + rate).powi(-(payments as i32))),
    }
}

/// The part of what is left that is paid back early in a period.
fn early(prepayment: Option<Prepayment>, n: u32, per_year: f64) -> f64 {
    let of_year = match prepayment {
        None => return 0.0,
        Some(Prepayment::Cpr(cpr)) => cpr,
        Some(Prepayment::Psa { speed, age_months }) => {
            let month = f64::from(age_months) + f64::from(n) * 12.0 / per_year;
            (0.002 * month).min(0.06) * speed / 100.0
        }
    };
    1.0 - (1.0 - of_year.clamp(0.0, 1.0)).powf(1.0 / per_year)
}
