//! Credit default swaps.

use serde::{Deserialize, Serialize};

use super::Frequency;
use crate::calendar::Convention;
use crate::date::Date;
use crate::daycount::DayCount;
use crate::schedule::Stub;

/// Bought or sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    /// The holder pays the premium.
    #[serde(rename = "buy", alias = "BUY", alias = "Buy", alias = "pay")]
    Buy,
    /// The holder pays on default.
    #[serde(rename = "sell", alias = "SELL", alias = "Sell", alias = "receive")]
    Sell,
}

impl Protection {
    /// 1 or −1.
    pub fn sign(self) -> f64 {
        if self == Self::Buy { 1.0 } else { -1.0 }
    }
}

/// Protection against a default, for a premium until then. What is not given is
/// as in the standard contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdsTerms {
    /// Three letters.
    pub currency: String,
    /// What is protected.
    pub notional: f64,
    /// Bought or sold.
    #[serde(alias = "side")]
    pub protection: Protection,
    /// A year's premium.
    #[serde(alias = "coupon", alias = "premium")]
    pub spread: f64,
    /// First day of accrual; the last 20th of March, June, September or December.
    #[serde(default, alias = "start_date")]
    pub start: Option<Date>,
    /// The last day of protection.
    #[serde(alias = "maturity_date", alias = "end")]
    pub maturity: Date,
    /// Of premiums: 3M.
    #[serde(default, alias = "payment_frequency")]
    pub frequency: Option<Frequency>,
    /// ACT/360.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Weekends.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Of payments and of accrual dates but the last; following.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Of the last accrual date; unadjusted.
    #[serde(default)]
    pub end_convention: Option<Convention>,
    /// Where an irregular period stands.
    #[serde(default)]
    pub stub: Stub,
    /// Whether the last premium is for the last day, too.
    #[serde(default = "yes")]
    pub last_day: bool,
    /// Whether the premium accrued up to a default is paid.
    #[serde(default = "yes")]
    pub accrual_on_default: bool,
    /// Of 1; the credit curve's, else 0.4.
    #[serde(default, alias = "recovery_rate")]
    pub recovery: Option<f64>,
    /// Chances of survival: of kind `credit`, or a spread curve of hazard rates.
    pub credit_curve: String,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
}

impl CdsTerms {
    /// Protection of 1 that is bought, as the standard contract has it.
    pub(crate) fn standard(currency: &str, maturity: Date, credit_curve: &str) -> Self {
        Self {
            currency: currency.to_owned(),
            notional: 1.0,
            protection: Protection::Buy,
            spread: 0.0,
            start: None,
            maturity,
            frequency: None,
            day_count: None,
            calendar: None,
            convention: None,
            end_convention: None,
            stub: Stub::default(),
            last_day: true,
            accrual_on_default: true,
            recovery: None,
            credit_curve: credit_curve.to_owned(),
            discount_curve: None,
        }
    }
}

fn yes() -> bool {
    true
}
