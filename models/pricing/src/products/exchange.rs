//! Cash, exchanges of currencies, and European options.

use super::{Context, Details, Flag, Trade, currency, finite};
use crate::date::Date;
use crate::daycount::DayCount;
use crate::fx::pair_of;
use crate::program::{Discounting, FlowInfo, Leg, OptionTerm, Program, Underlying};
use crate::quality::Quality;
use crate::terms::{CallPut, CashTerms, EquityOptionTerms, FxOptionTerms, FxSwapTerms, FxTerms};

pub fn cash(terms: &CashTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    currency(&terms.currency)?;
    finite("amount", terms.amount)?;
    let as_of = context.as_of();
    let date = terms.date.unwrap_or(as_of);
    let mut leg = Leg::new(&terms.currency, Vec::new());
    if date >= as_of {
        let curve = match context.discount(None, &terms.currency) {
            Ok(curve) => curve,
            // Money that is here needs no curve; any slot of today is 1.
            Err(flag) if date > as_of || context.market.curves.is_empty() => return Err(flag),
            Err(_) => 0,
        };
        let pay = context.slot(curve, date);
        leg.known(pay, terms.amount, info(date, "principal", terms.amount));
    }
    let mut program = Program::new(&terms.currency);
    program.legs.push(leg);
    Ok(Trade { program, details: Details::Plain })
}

fn info(date: Date, kind: &'static str, notional: f64) -> FlowInfo {
    FlowInfo { date, kind, notional, accrual: None, rate: None, years: 0.0 }
}

/// What is received of the first and of the second currency.
struct Sums {
    base: (String, f64),
    quote: (String, f64),
}

fn sums(terms: &FxTerms) -> Result<Sums, Flag> {
    let FxTerms { pair, amount, rate, bought_currency, bought_amount, sold_currency, sold_amount, .. } =
        terms;
    let sums = match (pair, amount, rate, bought_currency, bought_amount, sold_currency, sold_amount) {
        (Some(pair), Some(amount), Some(rate), None, None, None, None) => {
            let (base, quote) = pair_of(pair).map_err(Flag::terms)?;
            Sums { base: (base, *amount), quote: (quote, -amount * rate) }
        }
        (None, None, None, Some(bought), Some(received), Some(sold), Some(paid)) => {
            Sums { base: (bought.clone(), *received), quote: (sold.clone(), -paid) }
        }
        _ => {
            return Err(Flag::terms(
                "an exchange needs pair, amount and rate, or bought and sold currencies and amounts",
            ));
        }
    };
    for (name, amount) in [&sums.base, &sums.quote] {
        currency(name)?;
        finite("the amount", *amount)?;
    }
    Ok(sums)
}

/// Adds both sums, if they are still to be exchanged; answers their slots.
fn add(
    terms: &FxTerms,
    into: &str,
    program: &mut Program,
    context: &mut Context<'_>,
) -> Result<Option<(u32, u32)>, Flag> {
    let sums = sums(terms)?;
    if terms.date < context.as_of() {
        return Ok(None);
    }
    let mut slots = [0; 2];
    let both = [(&sums.base, &terms.base_curve), (&sums.quote, &terms.quote_curve)];
    for (at, ((of, amount), curve)) in both.into_iter().enumerate() {
        let curve = context.discount(curve.as_deref(), of)?;
        let mut leg = Leg::new(of, context.path(of, into)?);
        slots[at] = context.slot(curve, terms.date);
        leg.known(slots[at], *amount, info(terms.date, "fx", amount.abs()));
        program.legs.push(leg);
    }
    Ok(Some((slots[0], slots[1])))
}

/// Valued in the second currency (of a pair), or the one that is sold.
pub fn forward(terms: &FxTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    let sums = sums(terms)?;
    let mut program = Program::new(&sums.quote.0);
    let slots = add(terms, &sums.quote.0, &mut program, context)?;
    let details = match slots {
        Some((base, quote)) => {
            Details::Exchange { base, quote, path: context.path(&sums.base.0, &sums.quote.0)? }
        }
        None => Details::Plain,
    };
    Ok(Trade { program, details })
}

pub fn swap(terms: &FxSwapTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    if terms.far.date < terms.near.date {
        return Err(Flag::terms("the far exchange lies before the near one"));
    }
    let into = sums(&terms.far)?.quote.0;
    let mut program = Program::new(&into);
    add(&terms.near, &into, &mut program, context)?;
    add(&terms.far, &into, &mut program, context)?;
    Ok(Trade { program, details: Details::Plain })
}

struct Exercise {
    option: CallPut,
    amount: f64,
    strike: f64,
    expiry: Date,
    payment: Date,
}

impl Exercise {
    /// Checked; `None` if it has expired. On the day itself it is worth what
    /// exercising pays.
    fn years(&self, context: &Context<'_>) -> Result<Option<f64>, Flag> {
        finite("amount", self.amount)?;
        if !(self.strike.is_finite() && self.strike > 0.0) {
            return Err(Flag::terms(format!("the strike is {}", self.strike)));
        }
        if self.payment < self.expiry {
            return Err(Flag::terms("the payment lies before the expiry"));
        }
        let t = DayCount::Act365Fixed.years(context.as_of(), self.expiry, None);
        Ok((t >= 0.0).then_some(t))
    }

    fn term(
        &self,
        t: f64,
        pay: u32,
        underlying: Underlying,
        volatility: usize,
        context: &Context<'_>,
    ) -> OptionTerm {
        OptionTerm {
            phi: if self.option == CallPut::Call { 1.0 } else { -1.0 },
            amount: self.amount,
            strike: self.strike,
            t,
            pay,
            underlying,
            volatility,
            sigma: context.market.volatilities[volatility].at(t.max(1e-12)),
        }
    }
}

fn volatility(names: &[String], context: &Context<'_>) -> Result<usize, Flag> {
    let found = names.iter().find_map(|name| context.market.volatility(name));
    found.ok_or_else(|| Flag::new("missing_volatility", format!("missing volatility of {}", names[0])))
}

pub fn fx_option(terms: &FxOptionTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    let (base, quote) = pair_of(&terms.pair).map_err(Flag::terms)?;
    let exercise = Exercise {
        option: terms.option,
        amount: terms.amount,
        strike: terms.strike,
        expiry: terms.expiry,
        payment: terms.payment_date.unwrap_or(terms.expiry),
    };
    let mut program = Program::new(&quote);
    if let Some(t) = exercise.years(context)? {
        let path = context.path(&base, &quote)?;
        let foreign = context.discount(terms.base_curve.as_deref(), &base)?;
        let domestic = context.discount(terms.quote_curve.as_deref(), &quote)?;
        // The volatility of a rate is that of its inverse.
        let at = volatility(&[format!("{base}{quote}"), format!("{quote}{base}")], context)?;
        program.quality = context.market.volatilities[at].quality();
        let (foreign, pay) =
            (context.slot(foreign, exercise.payment), context.slot(domestic, exercise.payment));
        program.options.push(exercise.term(t, pay, Underlying::Fx { path, foreign }, at, context));
    }
    Ok(Trade { program, details: Details::Plain })
}

pub fn equity_option(terms: &EquityOptionTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    let equity = context.market.equities.iter().position(|e| e.underlying == terms.underlying);
    let equity =
        equity.ok_or_else(|| Flag::new("missing_rate", format!("missing price of {}", terms.underlying)))?;
    let of = context.market.equities[equity].clone();
    let exercise = Exercise {
        option: terms.option,
        amount: terms.amount,
        strike: terms.strike,
        expiry: terms.expiry,
        payment: terms.payment_date.unwrap_or(terms.expiry),
    };
    let mut program = Program::new(&of.currency);
    if let Some(t) = exercise.years(context)? {
        let curve = context.discount(terms.discount_curve.as_deref(), &of.currency)?;
        let at = volatility(std::slice::from_ref(&terms.underlying), context)?;
        program.quality = context.market.volatilities[at].quality().max(of.quality).max(Quality::Ok);
        let pay = context.slot(Discounting::from(curve), exercise.payment);
        let dividends = (-of.dividend_yield * t).exp();
        program.options.push(exercise.term(
            t,
            pay,
            Underlying::Equity { at: equity, dividends },
            at,
            context,
        ));
    }
    Ok(Trade { program, details: Details::Plain })
}
