//! From terms to programs: dates rolled, fixings looked up, curves chosen.
//!
//! Which cash flows count on the valuation date itself: those of swaps, FRAs,
//! exchanges of currencies, options and cash do, as they are still to be settled
//! that day; coupons, redemptions and instalments of bonds, loans and deposits and
//! premiums of credit default swaps do not, as their price is that of what comes after. What lies before never
//! counts.

mod bond;
mod callable;
mod cds;
mod exchange;
mod leg;
mod loan;
mod rates;

use crate::date::Date;
use crate::daycount::{DayCount, Reference};
use crate::market::Market;
use crate::program::{Discounting, Program, Slots};
use crate::terms::Product;

/// Why a position has no value: a stable code, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Flag {
    /// `unsupported_product`, `bad_terms`, `missing_curve`, `missing_rate`,
    /// `missing_fixing`, `missing_volatility`, `expired`, `not_defined`,
    /// `no_solution`.
    pub code: &'static str,
    /// What is wrong, naming it.
    pub reason: String,
}

impl Flag {
    /// With a code and a sentence.
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    fn terms(reason: impl Into<String>) -> Self {
        Self::new("bad_terms", reason)
    }

    fn curve(reason: String) -> Self {
        Self::new("missing_curve", reason)
    }
}

/// A trade's program, and what its measures need beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// What it pays.
    pub program: Program,
    /// What it is.
    pub details: Details,
}

/// What measures of some products need.
#[derive(Debug, Clone, PartialEq)]
pub enum Details {
    /// Nothing.
    Plain,
    /// Of what has a price and a yield.
    Debt(Debt),
    /// Of what has a par rate.
    Par(Par),
    /// Of a credit default swap.
    Credit(Credit),
    /// Of an exchange: the two currencies' amounts on one date.
    Exchange {
        /// Slot of the first currency's discount factor.
        base: u32,
        /// Of the second's.
        quote: u32,
        /// From the first to the second.
        path: crate::fx::Path,
    },
}

/// A bond or loan.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    /// What prices are per 100 of.
    pub face: f64,
    /// When a trade of today is settled.
    pub settlement: Date,
    /// Its slot.
    pub settle: u32,
    /// Accrued interest on settlement.
    pub accrued: f64,
    /// Years from settlement by the yield's convention, and slots: one for each
    /// flow after settlement, with its place in the program's leg.
    pub flows: Vec<(f64, usize)>,
    /// Compounding periods in a year of its yield; 0 for continuous.
    pub periods: f64,
    /// An observed dirty price per 100.
    pub market_dirty: Option<f64>,
    /// Whether its spread curve may be shifted (there is one).
    pub discounting: Discounting,
}

/// A credit default swap: its value is what `protection` adds up to, less its
/// spread times what `premium` does.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// Slots and weights that a spread of 1 would pay; less what has accrued.
    pub premium: Vec<(u32, f64)>,
    /// Slots and weights of what is paid on default.
    pub protection: Vec<(u32, f64)>,
    /// Premium accrued up to today, negative for who owes it.
    pub accrued: f64,
}

/// What is solved for a rate: the value is `rest` + rate · `annuity`.
#[derive(Debug, Clone, PartialEq)]
pub struct Par {
    /// Slots and weights that a rate of 1 would add.
    pub annuity: Vec<(u32, f64)>,
    /// The rate that is in the program now.
    pub rate: f64,
    /// Of a leg in another currency: its path to the trade's.
    pub fx: crate::fx::Path,
}

/// What compiling reads and fills.
pub struct Context<'a> {
    /// The market.
    pub market: &'a Market,
    /// The book's slots.
    pub slots: &'a mut Slots,
}

impl Context<'_> {
    fn as_of(&self) -> Date {
        self.market.as_of
    }

    fn slot(&mut self, of: impl Into<Discounting>, date: Date) -> u32 {
        self.slots.at(self.market, of.into(), date)
    }

    /// The named curve, or the currency's own.
    fn discount(&self, named: Option<&str>, currency: &str) -> Result<usize, Flag> {
        match named {
            Some(id) => self.market.curve(id).ok_or_else(|| Flag::curve(format!("missing curve {id}"))),
            None => self.market.discount_curve(currency).map_err(Flag::curve),
        }
    }

    fn discounting(
        &self,
        named: Option<&str>,
        spread: Option<&str>,
        currency: &str,
    ) -> Result<Discounting, Flag> {
        let curve = self.discount(named, currency)?;
        let spread = match spread {
            Some(id) => {
                Some(self.market.curve(id).ok_or_else(|| Flag::curve(format!("missing curve {id}")))?)
            }
            None => None,
        };
        Ok(Discounting { curve, spread })
    }

    /// From one currency to another, as a path over quoted rates.
    pub(crate) fn path(&self, from: &str, to: &str) -> Result<crate::fx::Path, Flag> {
        let path = self.market.fx.path(from, to);
        path.ok_or_else(|| Flag::new("missing_rate", format!("missing exchange rate {from}{to}")))
    }
}

/// Compiles a product on a market. Everything missing is named in the flag.
pub fn compile(product: &Product, context: &mut Context<'_>) -> Result<Trade, Flag> {
    let trade = match product {
        Product::Cash(terms) => exchange::cash(terms, context),
        Product::Deposit(terms) => rates::deposit(terms, context),
        Product::FxForward(terms) => exchange::forward(terms, context),
        Product::FxSwap(terms) => exchange::swap(terms, context),
        Product::Bond(terms) => bond::bond(terms, context),
        Product::Loan(terms) => loan::loan(terms, context),
        Product::Fra(terms) => rates::fra(terms, context),
        Product::Swap(terms) => rates::swap(terms, context),
        Product::FxOption(terms) => exchange::fx_option(terms, context),
        Product::EquityOption(terms) => exchange::equity_option(terms, context),
        Product::Cds(terms) => cds::cds(terms, context),
    }?;
    match trade.program.is_over() {
        true => Err(Flag::new("expired", "expired: nothing is left to be paid")),
        false => Ok(trade),
    }
}

pub(crate) use cds::{RECOVERY, cds as compile_cds, standard_maturity};
pub(crate) use leg::compile_leg;

/// A number that terms bring.
fn finite(name: &str, value: f64) -> Result<f64, Flag> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(Flag::terms(format!("{name} is {value}"))),
    }
}

/// Three capital letters.
fn currency(text: &str) -> Result<&str, Flag> {
    match text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        true => Ok(text),
        false => Err(Flag::terms(format!("{text:?} is no currency such as USD"))),
    }
}

/// Years of a coupon's part up to a date.
fn part(day_count: DayCount, start: Date, to: Date, reference: Reference) -> f64 {
    day_count.years(start, to, Some(reference))
}
