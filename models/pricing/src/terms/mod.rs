//! What a position says about its product. Amounts are in units of their
//! currency, rates and volatilities decimals, prices per 100 of face.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::date::{Date, Tenor};
use crate::daycount::DayCount;

mod cds;
mod credit;
mod options;
mod rates;

pub use cds::{CdsTerms, Protection};
pub use credit::{BondTerms, ExerciseTerms, GivenFlow, LoanTerms, Prepayment};
pub use options::{CallPut, EquityOptionTerms, FxOptionTerms};
pub use rates::{FraTerms, LegKind, LegTerms, Side, SwapTerms};

/// A product with its terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Product {
    /// Money, now or on a date.
    Cash(CashTerms),
    /// Simple interest on a sum.
    Deposit(DepositTerms),
    /// An exchange of two sums on one date; spots too.
    FxForward(FxTerms),
    /// Two of them, in opposite directions.
    FxSwap(FxSwapTerms),
    /// Coupons and redemption; also zero-coupon and floating-rate bonds, and those
    /// that can be ended early.
    Bond(Box<BondTerms>),
    /// Repaid in parts, by a plan or as given.
    Loan(Box<LoanTerms>),
    /// A forward rate agreement.
    Fra(FraTerms),
    /// Any number of legs: interest-rate, overnight and cross-currency swaps.
    Swap(SwapTerms),
    /// A European option on an exchange rate.
    FxOption(FxOptionTerms),
    /// A European option on a share.
    EquityOption(EquityOptionTerms),
    /// Protection against a default.
    Cds(Box<CdsTerms>),
}

impl Product {
    /// Reads the terms of a product type; the reason names what does not fit.
    pub fn read(product_type: &str, terms: &Value) -> Result<Self, String> {
        fn of<T: serde::de::DeserializeOwned>(terms: &Value) -> Result<T, String> {
            T::deserialize(terms).map_err(|e| format!("its terms do not hold: {e}"))
        }
        Ok(match product_type.to_ascii_uppercase().as_str() {
            "CASH" => Self::Cash(of(terms)?),
            "DEPOSIT" => Self::Deposit(of(terms)?),
            "FX_SPOT" | "FX_FWD" | "FX_FORWARD" => Self::FxForward(of(terms)?),
            "FX_SWAP" => Self::FxSwap(of(terms)?),
            "FIXED_BOND" => Self::Bond(Box::new(of::<BondTerms>(terms)?.straight()?.fixed()?)),
            "ZERO_BOND" => Self::Bond(Box::new(of::<BondTerms>(terms)?.straight()?.zero()?)),
            "FLOATING_RATE" | "FLOATING_BOND" => {
                Self::Bond(Box::new(of::<BondTerms>(terms)?.straight()?.floating()?))
            }
            "CALLABLE_BOND" => Self::Bond(Box::new(of::<BondTerms>(terms)?.embedded(true)?)),
            "PUTABLE_BOND" => Self::Bond(Box::new(of::<BondTerms>(terms)?.embedded(false)?)),
            "AMORT_LOAN" | "LOAN" => Self::Loan(Box::new(of(terms)?)),
            "FRA" => Self::Fra(of(terms)?),
            "SWAP" | "IRS" | "OIS" | "XCCY_SWAP" | "BASIS_SWAP" => Self::Swap(of(terms)?),
            "FX_OPTION" => Self::FxOption(of(terms)?),
            "EQUITY_OPTION" => Self::EquityOption(of(terms)?),
            "CDS" | "CREDIT_DEFAULT_SWAP" => Self::Cds(Box::new(of(terms)?)),
            other => {
                // Recorded with results: the list grows, the reason must not.
                return Err(format!("unsupported product {other}"));
            }
        })
    }
}

/// How often: a tenor, a word (`MONTHLY`, `QUARTERLY`, `SEMIANNUAL`, `ANNUAL`),
/// or `TERM` for once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Frequency(pub Option<Tenor>);

impl TryFrom<String> for Frequency {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let months = match text.to_ascii_uppercase().as_str() {
            "TERM" | "ONCE" | "ZERO" => return Ok(Self(None)),
            "MONTHLY" => 1,
            "QUARTERLY" => 3,
            "SEMIANNUAL" | "SEMI_ANNUAL" | "SEMI-ANNUAL" => 6,
            "ANNUAL" | "YEARLY" => 12,
            _ => {
                return text
                    .parse()
                    .map(|tenor| Self(Some(tenor)))
                    .map_err(|e: crate::date::InvalidDate| e.to_string());
            }
        };
        Ok(Self(Some(Tenor::of_months(months))))
    }
}

impl From<Frequency> for String {
    fn from(frequency: Frequency) -> Self {
        frequency.0.map_or("TERM".into(), |tenor| tenor.to_string())
    }
}

impl Frequency {
    /// So many months.
    pub const fn months(months: i32) -> Self {
        Self(Some(Tenor::of_months(months)))
    }
}

/// Money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CashTerms {
    /// Three letters.
    pub currency: String,
    /// Negative if owed.
    pub amount: f64,
    /// When it is paid; now unless given.
    #[serde(default)]
    pub date: Option<Date>,
}

/// Lent at simple interest (borrowed if the notional is negative).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositTerms {
    /// Three letters.
    pub currency: String,
    /// What is lent.
    #[serde(alias = "principal")]
    pub notional: f64,
    /// A year's rate.
    pub rate: f64,
    /// When it is lent.
    #[serde(alias = "start_date")]
    pub start: Date,
    /// When it is paid back.
    #[serde(alias = "maturity", alias = "end_date")]
    pub end: Date,
    /// ACT/360 unless given.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
}

/// Two sums exchanged on a date. Either the pair with amount and rate, or what
/// is bought and sold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FxTerms {
    /// `EURUSD`.
    #[serde(default, alias = "fx_pair")]
    pub pair: Option<String>,
    /// Of the first currency; bought if positive.
    #[serde(default, alias = "notional", alias = "notional_base")]
    pub amount: Option<f64>,
    /// Of the second currency for one of the first.
    #[serde(default, alias = "forward_rate", alias = "strike")]
    pub rate: Option<f64>,
    /// Bought.
    #[serde(default)]
    pub bought_currency: Option<String>,
    /// So much of it.
    #[serde(default)]
    pub bought_amount: Option<f64>,
    /// Sold.
    #[serde(default)]
    pub sold_currency: Option<String>,
    /// So much of it, positive.
    #[serde(default)]
    pub sold_amount: Option<f64>,
    /// When.
    #[serde(alias = "value_date", alias = "settle_date", alias = "settlement_date", alias = "maturity")]
    pub date: Date,
    /// Instead of the first currency's own.
    #[serde(default, alias = "discount_curve_foreign")]
    pub base_curve: Option<String>,
    /// Instead of the second currency's own.
    #[serde(default, alias = "discount_curve_domestic")]
    pub quote_curve: Option<String>,
}

/// Two exchanges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FxSwapTerms {
    /// The earlier.
    pub near: FxTerms,
    /// The later.
    pub far: FxTerms,
}
