//! Options.

use serde::{Deserialize, Serialize};

use crate::date::Date;

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallPut {
    /// The right to buy.
    #[serde(rename = "call", alias = "CALL", alias = "Call")]
    Call,
    /// The right to sell.
    #[serde(rename = "put", alias = "PUT", alias = "Put")]
    Put,
}

/// A European option on a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FxOptionTerms {
    /// `EURUSD`: on euros, paid in dollars.
    pub pair: String,
    /// Of the first currency; negative if sold.
    #[serde(alias = "notional")]
    pub amount: f64,
    /// Of the second currency for one of the first.
    pub strike: f64,
    /// Call or put on the first currency.
    pub option: CallPut,
    /// The day on which it can be exercised.
    pub expiry: Date,
    /// When it is paid; on expiry unless given.
    #[serde(default)]
    pub payment_date: Option<Date>,
    /// Instead of the first currency's own.
    #[serde(default)]
    pub base_curve: Option<String>,
    /// Instead of the second currency's own.
    #[serde(default)]
    pub quote_curve: Option<String>,
}

/// A European option on a share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EquityOptionTerms {
    /// Its name in the snapshot.
    pub underlying: String,
    /// Shares; negative if sold.
    #[serde(alias = "shares")]
    pub amount: f64,
    /// In the share's currency.
    pub strike: f64,
    /// Call or put.
    pub option: CallPut,
    /// The day on which it can be exercised.
    pub expiry: Date,
    /// When it is paid; on expiry unless given.
    #[serde(default)]
    pub payment_date: Option<Date>,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
}
