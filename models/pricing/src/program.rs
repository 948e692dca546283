//! What a trade is once its dates are known: sums over discount factors.
//!
//! Dates and conventions are worked out once for each trade and market; pricing
//! it again in another scenario only needs the discount factors of its slots. A
//! slot is a curve (with a spread curve on top, if any) and a date, and trades
//! share slots.

use std::collections::HashMap;

use crate::date::Date;
use crate::fx::Path;
use crate::market::Market;
use crate::quality::Quality;
use crate::tree::Embedded;

/// What discounts: a curve's number, and that of a spread curve on top of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Discounting {
    /// The rate curve.
    pub curve: usize,
    /// Its zero rates are added.
    pub spread: Option<usize>,
}

impl From<usize> for Discounting {
    fn from(curve: usize) -> Self {
        Self { curve, spread: None }
    }
}

/// A discount factor that something needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Which curves.
    pub of: Discounting,
    /// Years on the rate curve.
    pub t: f64,
    /// Years on the spread curve.
    pub spread_t: f64,
}

/// All discount factors that a book needs.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    list: Vec<Slot>,
    known: HashMap<(Discounting, Date, Date), u32>,
}

impl Slots {
    /// The slot of a date, found or made.
    pub fn at(&mut self, market: &Market, of: Discounting, date: Date) -> u32 {
        self.split(market, of, date, date)
    }

    /// The slot of one date on the rate curve and another on the spread curve.
    pub fn split(&mut self, market: &Market, of: Discounting, date: Date, spread_date: Date) -> u32 {
        *self.known.entry((of, date, spread_date)).or_insert_with(|| {
            let t = market.curves[of.curve].time(date);
            let spread_t = of.spread.map_or(0.0, |spread| market.curves[spread].time(spread_date));
            self.list.push(Slot { of, t, spread_t });
            (self.list.len() - 1) as u32
        })
    }

    /// In the order of their numbers.
    pub fn list(&self) -> &[Slot] {
        &self.list
    }

    /// Discount factors without a scenario.
    pub fn base(&self, market: &Market) -> Vec<f64> {
        self.list.iter().map(|slot| slot.ln_df(market).exp()).collect()
    }
}

impl Slot {
    /// The logarithm of its discount factor.
    pub fn ln_df(&self, market: &Market) -> f64 {
        let spread = self.of.spread.map_or(0.0, |spread| market.curves[spread].ln_df(self.spread_t));
        market.curves[self.of.curve].ln_df(self.t) + spread
    }

    /// The worst quality of the quotes behind it.
    pub fn quality(&self, market: &Market) -> Quality {
        let spread =
            self.of.spread.map_or(Quality::Ok, |spread| market.curves[spread].quality(self.spread_t));
        market.curves[self.of.curve].quality(self.t).max(spread)
    }
}

/// A payment: D(pay) · (a · D(num)/D(den) + b).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// Slot of the payment.
    pub pay: u32,
    /// Slot of the projected period's first day.
    pub num: u32,
    /// Slot of its last day.
    pub den: u32,
    /// 0 for an amount that is known.
    pub a: f64,
    /// The known part.
    pub b: f64,
}

/// A payment at the start of its period, discounted at the rate that is fixed
/// then: n · D(pay) · (x − k)/(1 + x), with x = a · (D(num)/D(den) − 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FraFlow {
    /// Slot of the payment.
    pub pay: u32,
    /// Slot of the period's first day.
    pub num: u32,
    /// Slot of its last day.
    pub den: u32,
    /// Notional, positive for who pays the fixed rate.
    pub n: f64,
    /// Accrual over the index's own accrual.
    pub a: f64,
    /// Fixed rate times accrual.
    pub k: f64,
}

/// What a flow is, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowInfo {
    /// When it is paid.
    pub date: Date,
    /// `interest`, `principal`, `floating`, `fx`, `fee`, `premium`; with the chance
    /// of a default in its discount factor `protection`, `accrual_on_default`.
    pub kind: &'static str,
    /// The amount that interest is of.
    pub notional: f64,
    /// First and last day of accrual.
    pub accrual: Option<(Date, Date)>,
    /// The fixed rate, or the spread.
    pub rate: Option<f64>,
    /// Years of accrual.
    pub years: f64,
}

/// Flows of one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Three letters.
    pub currency: String,
    /// From its currency to the trade's.
    pub fx: Path,
    /// In order of payment where they were made so.
    pub flows: Vec<Flow>,
    /// One for each flow.
    pub infos: Vec<FlowInfo>,
    /// FRAs.
    pub fras: Vec<FraFlow>,
}

/// What an option is on.
#[derive(Debug, Clone, PartialEq)]
pub enum Underlying {
    /// A rate of exchange: its path, and the slot of the base currency's
    /// discount factor.
    Fx {
        /// From the base currency to the quote currency.
        path: Path,
        /// D of the base currency.
        foreign: u32,
    },
    /// A share's number, and its dividends' factor exp(−q·t).
    Equity {
        /// Its place in the market.
        at: usize,
        /// exp(−q·t).
        dividends: f64,
    },
}

/// A European option, by Black's formula on the forward.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionTerm {
    /// 1 for a call, −1 for a put.
    pub phi: f64,
    /// Units of the underlying, negative if sold.
    pub amount: f64,
    /// In the payment's currency.
    pub strike: f64,
    /// Years to expiry, ACT/365F; 0 on the day itself.
    pub t: f64,
    /// Slot of the payment.
    pub pay: u32,
    /// What it is on.
    pub underlying: Underlying,
    /// The volatility's number.
    pub volatility: usize,
    /// The volatility at that expiry.
    pub sigma: f64,
}

/// A trade ready to be priced, in any scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The currency that its value is in.
    pub currency: String,
    /// Its flows.
    pub legs: Vec<Leg>,
    /// Its options, all paid in `currency`.
    pub options: Vec<OptionTerm>,
    /// Rights to end it; its legs are then what is paid if nobody does.
    pub embedded: Option<Box<Embedded>>,
    /// The worst quality of what was used to make it (fixings, its own data).
    pub quality: Quality,
    /// What a reader of its value should know.
    pub notes: Vec<String>,
}

impl Program {
    /// Without anything.
    pub fn new(currency: &str) -> Self {
        Self {
            currency: currency.to_owned(),
            legs: Vec::new(),
            options: Vec::new(),
            embedded: None,
            quality: Quality::Ok,
            notes: Vec::new(),
        }
    }

    /// Whether nothing is left to be paid.
    pub fn is_over(&self) -> bool {
        self.options.is_empty() && self.legs.iter().all(|leg| leg.flows.is_empty() && leg.fras.is_empty())
    }

    /// Every slot that it reads.
    pub fn slots(&self) -> Vec<u32> {
        let mut used = Vec::new();
        for leg in &self.legs {
            for flow in &leg.flows {
                used.push(flow.pay);
                if flow.a != 0.0 {
                    used.extend([flow.num, flow.den]);
                }
            }
            used.extend(leg.fras.iter().flat_map(|fra| [fra.pay, fra.num, fra.den]));
        }
        for option in &self.options {
            used.push(option.pay);
            if let Underlying::Fx { foreign, .. } = option.underlying {
                used.push(foreign);
            }
        }
        used.extend(self.embedded.iter().flat_map(|embedded| embedded.levels.iter().map(|level| level.slot)));
        used.sort_unstable();
        used.dedup();
        used
    }
}

impl Leg {
    /// Without flows.
    pub fn new(currency: &str, fx: Path) -> Self {
        Self { currency: currency.to_owned(), fx, flows: Vec::new(), infos: Vec::new(), fras: Vec::new() }
    }

    /// Adds a known amount.
    pub fn known(&mut self, pay: u32, amount: f64, info: FlowInfo) {
        self.flows.push(Flow { pay, num: pay, den: pay, a: 0.0, b: amount });
        self.infos.push(info);
    }
}

impl Flow {
    /// Its amount when it is paid.
    pub fn amount(&self, dfs: &[f64]) -> f64 {
        if self.a == 0.0 {
            return self.b;
        }
        self.a * dfs[self.num as usize] / dfs[self.den as usize] + self.b
    }

    /// Its present value.
    pub fn pv(&self, dfs: &[f64]) -> f64 {
        dfs[self.pay as usize] * self.amount(dfs)
    }
}

impl FraFlow {
    /// Its amount when it is paid.
    pub fn amount(&self, dfs: &[f64]) -> f64 {
        let x = self.a * (dfs[self.num as usize] / dfs[self.den as usize] - 1.0);
        self.n * (x - self.k) / (1.0 + x)
    }
}
