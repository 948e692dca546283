//! Rights to end a bond before its time.
//!
//! They are exercised on the days that the terms name, rolled as payments are,
//! at a clean price plus what has accrued; a coupon of the same day is paid
//! first. Days up to settlement don't count, nor does maturity.

use std::collections::BTreeMap;

use super::{Context, Flag, Trade, finite};
use crate::date::Date;
use crate::daycount::DayCount;
use crate::model::ShortRate;
use crate::program::Discounting;
use crate::terms::{BondTerms, ExerciseTerms};
use crate::tree::{Embedded, Level};

/// More days than any bond has.
const MOST: usize = 1_000;

/// A right to end it: on which day, for how much of 1 of face.
pub struct Right {
    pub date: Date,
    pub price: f64,
    pub is_call: bool,
}

/// The rights that are still ahead: `accrued` is what 1 of face has earned on a
/// day if the right to it is exercised on another, `payment` rolls it.
pub fn rights(
    terms: &BondTerms,
    settlement: Date,
    accrued: impl Fn(Date, Date) -> f64,
    payment: impl Fn(Date) -> Date,
) -> Result<Vec<Right>, Flag> {
    let maturity = terms.maturity.unwrap_or(settlement);
    let mut rights = Vec::new();
    for (name, list, is_call) in [("calls", &terms.calls, true), ("puts", &terms.puts, false)] {
        if list.len() > MOST {
            return Err(Flag::terms(format!("it has more than {MOST} {name}")));
        }
        if list.windows(2).any(|pair| pair[1].date <= pair[0].date) {
            return Err(Flag::terms(format!("its {name} must rise in date")));
        }
        for ExerciseTerms { date, price } in list {
            finite("the price of an exercise", *price)?;
            if *date > maturity {
                return Err(Flag::terms(format!("its {name} go beyond maturity: {date}")));
            }
            let on = payment(*date);
            if on > settlement && *date < maturity {
                rights.push(Right { date: on, price: price / 100.0 + accrued(*date, on), is_call });
            }
        }
    }
    Ok(rights)
}

/// The bond with its rights, on a tree.
pub fn embed(
    terms: &BondTerms,
    rights: Vec<Right>,
    mut trade: Trade,
    discounting: Discounting,
    context: &mut Context<'_>,
) -> Result<Trade, Flag> {
    let face = terms.face.unwrap_or(0.0);
    let as_of = context.as_of();
    let mut levels: BTreeMap<Date, Level> = BTreeMap::new();
    let level = |date: Date, context: &mut Context<'_>| -> Level {
        let slot = context.slot(discounting, date);
        let t = DayCount::Act365Fixed.years(as_of, date, None);
        Level { slot, t, coupon: 0.0, call: f64::INFINITY, put: f64::NEG_INFINITY }
    };
    levels.insert(as_of, level(as_of, context));
    let leg = trade.program.legs.first();
    for (flow, info) in leg.into_iter().flat_map(|leg| leg.flows.iter().zip(&leg.infos)) {
        let made = level(info.date, context);
        levels.entry(info.date).or_insert(made).coupon += if face == 0.0 { 0.0 } else { flow.b / face };
    }
    for right in rights {
        let made = level(right.date, context);
        let at = levels.entry(right.date).or_insert(made);
        match right.is_call {
            true => at.call = at.call.min(right.price),
            false => at.put = at.put.max(right.price),
        }
    }
    if levels.len() > MOST {
        return Err(Flag::terms(format!("it pays or can be ended on more than {MOST} days")));
    }
    let model = context.market.model.short_rate(&terms.currency);
    let mean_reversion = terms.mean_reversion.unwrap_or(model.mean_reversion);
    let last = levels.values().next_back().map_or(0.0, |level| level.t);
    let (volatility, own) = match terms.volatility {
        Some(volatility) => (volatility, None),
        None => match context.market.volatility(&format!("{}-SHORT-RATE", terms.currency)) {
            Some(at) => (context.market.volatilities[at].at(last), Some(at)),
            None => (model.volatility, None),
        },
    };
    let short_rate = ShortRate { mean_reversion, volatility };
    short_rate.check("").map_err(|e| Flag::terms(format!("its short rate does not hold: {e}")))?;
    if let Some(at) = own {
        trade.program.quality = trade.program.quality.max(context.market.volatilities[at].quality());
    }
    trade.program.embedded = Some(Box::new(Embedded {
        levels: levels.into_values().collect(),
        face,
        short_rate,
        volatility: own,
    }));
    Ok(trade)
}
