//! Deposits, FRAs and swaps.

use super::leg::Floating;
use super::{Context, Details, Flag, Par, Trade, compile_leg, currency, finite};
use crate::date::Date;
use crate::daycount::DayCount;
use crate::program::{Discounting, FlowInfo, FraFlow, Leg, Program};
use crate::terms::{DepositTerms, FraTerms, LegKind, Side, SwapTerms};

pub fn deposit(terms: &DepositTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    currency(&terms.currency)?;
    finite("notional", terms.notional)?;
    finite("rate", terms.rate)?;
    if terms.end <= terms.start {
        return Err(Flag::terms(format!(
            "the deposit ends on {}, not after its start on {}",
            terms.end, terms.start
        )));
    }
    let discounting = Discounting::from(context.discount(terms.discount_curve.as_deref(), &terms.currency)?);
    let years = terms.day_count.unwrap_or(DayCount::Act360).years(terms.start, terms.end, None);
    let mut leg = Leg::new(&terms.currency, Vec::new());
    let as_of = context.as_of();
    let mut pay = |date: Date, amount: f64, kind: &'static str, context: &mut Context<'_>| {
        if date > as_of {
            let slot = context.slot(discounting, date);
            let accrual = (kind == "interest").then_some((terms.start, terms.end));
            let rate = accrual.map(|_| terms.rate);
            leg.known(slot, amount, FlowInfo { date, kind, notional: terms.notional, accrual, rate, years });
            Some(slot)
        } else {
            None
        }
    };
    pay(terms.start, -terms.notional, "principal", context);
    pay(terms.end, terms.notional, "principal", context);
    let slot = pay(terms.end, terms.notional * terms.rate * years, "interest", context);
    let annuity = slot.map(|slot| vec![(slot, terms.notional * years)]).unwrap_or_default();
    let mut program = Program::new(&terms.currency);
    program.legs.push(leg);
    Ok(Trade { program, details: Details::Par(Par { annuity, rate: terms.rate, fx: Vec::new() }) })
}

pub fn fra(terms: &FraTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    finite("notional", terms.notional)?;
    finite("rate", terms.rate)?;
    let index = context.market.index(&terms.index).map_err(Flag::terms)?;
    let of = terms.currency.clone().unwrap_or_else(|| index.currency.clone());
    currency(&of)?;
    let calendar = context.market.calendar(terms.calendar.as_deref()).map_err(Flag::terms)?;
    let convention = terms.convention.unwrap_or_default();
    let (start, end) = (calendar.adjust(terms.start, convention), calendar.adjust(terms.end, convention));
    if end <= start {
        return Err(Flag::terms(format!("the FRA ends on {end}, not after its start on {start}")));
    }
    let mut program = Program::new(&of);
    let mut leg = Leg::new(&of, Vec::new());
    // Who pays the fixed rate gains when rates rise.
    let n = -terms.side.sign() * terms.notional;
    let years = terms.day_count.unwrap_or(index.day_count).years(start, end, None);
    let mut annuity = Vec::new();
    if start >= context.as_of() {
        let curve = context.market.projection(&index).map_err(Flag::curve)?;
        let discounting = Discounting::from(context.discount(terms.discount_curve.as_deref(), &of)?);
        let floating = Floating { index: &index, curve, fixing_days: None, par_coupons: false };
        let amount = floating.term((start, end), years, 0.0, context)?;
        let pay = context.slot(discounting, start);
        program.quality = amount.quality;
        annuity.push((pay, -n * years));
        let info = FlowInfo {
            date: start,
            kind: "floating",
            notional: terms.notional,
            accrual: Some((start, end)),
            rate: Some(terms.rate),
            years,
        };
        if amount.a == 0.0 {
            let settled = n * (amount.b - terms.rate * years) / (1.0 + amount.b);
            leg.known(pay, settled, info);
        } else {
            leg.fras.push(FraFlow {
                pay,
                num: amount.num,
                den: amount.den,
                n,
                a: amount.a,
                k: terms.rate * years,
            });
            leg.infos.push(info);
        }
    }
    program.legs.push(leg);
    // The rate at which nothing is paid; solved from the forward, not an annuity.
    Ok(Trade { program, details: Details::Par(Par { annuity, rate: terms.rate, fx: Vec::new() }) })
}

pub fn swap(terms: &SwapTerms, context: &mut Context<'_>) -> Result<Trade, Flag> {
    if terms.legs.is_empty() {
        return Err(Flag::terms("a swap needs legs"));
    }
    let mut into = terms.currency.clone();
    let mut legs = Vec::new();
    for leg in &terms.legs {
        let compiled = compile_leg(leg, into.as_deref(), context)?;
        into.get_or_insert_with(|| compiled.leg.currency.clone());
        legs.push(compiled);
    }
    let own = into.unwrap_or_default();
    let mut program = Program::new(&own);
    // The par rate is that of the first fixed leg; without one, the spread of
    // the last leg.
    let fixed = terms.legs.iter().position(|leg| leg.kind == LegKind::Fixed);
    let solved = fixed.unwrap_or(terms.legs.len() - 1);
    let mut par = None;
    for (at, compiled) in legs.into_iter().enumerate() {
        program.quality = program.quality.max(compiled.quality);
        if at == solved {
            par = Some(compiled.par);
        }
        program.legs.push(compiled.leg);
    }
    let same = terms.legs.iter().all(|leg| leg.side == Side::Pay)
        || terms.legs.iter().all(|leg| leg.side == Side::Receive);
    if terms.legs.len() > 1 && same {
        program.notes.push("all legs are on one side".into());
    }
    Ok(Trade { program, details: par.map_or(Details::Plain, Details::Par) })
}
