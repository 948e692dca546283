//! FRAs and swaps.

use serde::{Deserialize, Serialize};

use super::Frequency;
use crate::calendar::Convention;
use crate::date::Date;
use crate::daycount::DayCount;
use crate::schedule::Stub;

/// Pay or receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Paid by the holder.
    #[serde(rename = "pay", alias = "PAY", alias = "Pay", alias = "buy", alias = "BUY")]
    Pay,
    /// Received.
    #[serde(rename = "receive", alias = "RECEIVE", alias = "Receive", alias = "sell", alias = "SELL")]
    Receive,
}

impl Side {
    /// −1 or 1.
    pub fn sign(self) -> f64 {
        if self == Self::Pay { -1.0 } else { 1.0 }
    }
}

/// A forward rate agreement: the fixed rate is paid (`pay`) or received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FraTerms {
    /// Three letters; the index's unless given.
    #[serde(default)]
    pub currency: Option<String>,
    /// What interest is of.
    pub notional: f64,
    /// Pays or receives the fixed rate.
    pub side: Side,
    /// The period's first day, when it is paid.
    pub start: Date,
    /// Its last day.
    pub end: Date,
    /// The fixed rate.
    pub rate: f64,
    /// What it is compared with.
    pub index: String,
    /// The index's unless given.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Of both dates.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Of both dates.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
}

/// Legs that are paid and received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapTerms {
    /// The currency that its value is in; the first leg's unless given.
    #[serde(default)]
    pub currency: Option<String>,
    /// At least one.
    pub legs: Vec<LegTerms>,
}

/// What a leg pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegKind {
    /// A rate that is known.
    Fixed,
    /// A term rate, fixed at each period's start.
    Ibor,
    /// An overnight rate, compounded over each period.
    Overnight,
}

/// One leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegTerms {
    /// What it pays.
    #[serde(rename = "type")]
    pub kind: LegKind,
    /// Paid or received.
    #[serde(alias = "pay_receive")]
    pub side: Side,
    /// Three letters; the index's unless given.
    #[serde(default)]
    pub currency: Option<String>,
    /// What interest is of, at first.
    pub notional: f64,
    /// How it changes from each period to the next.
    #[serde(default)]
    pub notional_step: f64,
    /// First day.
    #[serde(alias = "start_date")]
    pub start: Date,
    /// Last day.
    #[serde(alias = "end_date", alias = "maturity")]
    pub end: Date,
    /// 12M unless given (of `ibor` the index's tenor).
    #[serde(default)]
    pub frequency: Option<Frequency>,
    /// Of fixed legs ACT/360, else the index's, unless given.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Of a fixed leg.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Of a floating leg.
    #[serde(default)]
    pub index: Option<String>,
    /// Above the index.
    #[serde(default)]
    pub spread: f64,
    /// Business days of all dates.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Of accrual dates; modified following unless given.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Of payments; modified following unless given.
    #[serde(default)]
    pub payment_convention: Option<Convention>,
    /// Business days from a period's end to its payment.
    #[serde(default)]
    pub payment_lag: i32,
    /// Where an irregular period stands.
    #[serde(default)]
    pub stub: Stub,
    /// From a month's end to months' ends.
    #[serde(default)]
    pub end_of_month: bool,
    /// The rate of the first period, where it is agreed.
    #[serde(default)]
    pub first_rate: Option<f64>,
    /// Business days from the fixing to a period's first day; the index's unless
    /// given.
    #[serde(default)]
    pub fixing_days: Option<i32>,
    /// Projected from accrual periods (`true`), or the index's own.
    #[serde(default)]
    pub par_coupons: bool,
    /// Whether notionals are exchanged at the start, the end and on changes.
    #[serde(default)]
    pub exchange: bool,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
}
