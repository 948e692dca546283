//! The market as it was observed: what a snapshot's file says.
//!
//! Everything optional has its default named here, so that a file says only
//! what differs. The shape of the old service (`curve_type`, nodes with
//! `zero_rate`, `fx_spots` with `spot`) is read too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calendar::Convention;
use crate::curve::{Compounding, Interpolation};
use crate::date::{Date, Tenor};
use crate::daycount::DayCount;
use crate::index::IndexSpec;
use crate::quality::Quality;

/// One observation of a market. Its `quality`, if there, is kept as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    #[serde(default)]
    pub snapshot_id: String,
    /// The valuation date, or an instant on it.
    #[serde(alias = "as_of")]
    pub as_of_time: Date,
    /// Who delivered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// What it covers.
    #[serde(default, alias = "universe", skip_serializing_if = "Option::is_none")]
    pub universe_id: Option<String>,
    /// Rate and spread curves.
    #[serde(default)]
    pub curves: Vec<CurveSpec>,
    /// Exchange rates.
    #[serde(default)]
    pub fx_spots: Vec<FxSpot>,
    /// Spots of shares and indices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equities: Vec<EquitySpec>,
    /// Volatilities at the money, by expiry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volatilities: Vec<VolatilitySpec>,
    /// Past fixings: index → date → rate as a decimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixings: BTreeMap<String, BTreeMap<Date, Value>>,
    /// Holidays under names of the snapshot's own (weekends are closed too).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendars: BTreeMap<String, Vec<Date>>,
    /// Conventions of indices that are not known, and their curves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indices: Vec<IndexSpec>,
    /// Currency → the curve that its cash flows are discounted with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub discount_curves: BTreeMap<String, String>,
}

/// A number, alone or with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// The number.
    Plain(f64),
    /// And more.
    Quote {
        /// `null` if it could not be observed.
        value: Option<f64>,
        /// Who said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// When.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ts: Option<String>,
        /// How far it can be relied on.
        #[serde(default)]
        quality: Quality,
    },
}

impl Value {
    /// The number and its quality; `None` if it is missing.
    pub fn get(&self) -> Option<(f64, Quality)> {
        match self {
            Self::Plain(value) => Some((*value, Quality::Ok)),
            Self::Quote { value, quality, .. } => value.map(|v| (v, *quality)),
        }
    }
}

/// What the values of a curve's nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// Zero rates.
    Zero,
    /// Discount factors.
    Discount,
    /// Quotes of instruments, to be bootstrapped.
    Par,
    /// Zero rates that are added to another curve's.
    Spread,
    /// Spreads of standard credit default swaps, to be bootstrapped to chances of
    /// survival. The hazard rate is constant between their last days.
    Credit,
}

impl CurveKind {
    /// Whether it stands on top of a rate curve.
    pub fn is_spread(self) -> bool {
        matches!(self, Self::Spread | Self::Credit)
    }
}

/// How times are made of tenors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeTimes {
    /// Of the date that lies a tenor after the valuation date (or spot).
    Date,
    /// Of the tenor itself: months/12, weeks/52, days/365.
    Fraction,
}

/// A curve as quoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveSpec {
    /// Its name.
    #[serde(alias = "id")]
    pub curve_id: String,
    /// Three letters; unless given, those that the name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Unless given: `spread` for the old type `SPREAD`, else `zero`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CurveKind>,
    /// The old service's word: `DISCOUNT`, `FORWARD`, `SPREAD`. With it nodes
    /// have the times of their tenors, as there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve_type: Option<String>,
    /// Of the curve's times. ACT/365F unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_count: Option<DayCount>,
    /// Of zero rates.
    #[serde(default)]
    pub compounding: Compounding,
    /// Between nodes.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// `date` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_times: Option<NodeTimes>,
    /// Business days of node dates. None unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// How node dates are adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convention: Option<Convention>,
    /// Business days from the valuation date to where tenors begin. 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_lag: Option<i32>,
    /// Indices that are projected from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indices: Vec<String>,
    /// Of kind `credit`: what a default leaves of 1. 0.4 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<f64>,
    /// How quotes of kind `par` are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapSpec>,
    /// What was observed.
    pub nodes: Vec<NodeSpec>,
}

/// The instruments of a curve that is bootstrapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapSpec {
    /// What nodes are quotes of unless they say it themselves.
    pub instrument: ParInstrument,
    /// The index of swaps, deposits and FRAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The curve that flows are discounted with; itself unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_curve: Option<String>,
    /// Of the fixed leg; a year unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_frequency: Option<Tenor>,
    /// Of the fixed leg; the index's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_day_count: Option<DayCount>,
    /// Business days from a period's end to its payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_lag: Option<i32>,
    /// Whether swaps are projected from accrual periods, as legs may be.
    #[serde(default)]
    pub par_coupons: bool,
}

/// What a par quote is the rate of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParInstrument {
    /// Simple interest from spot to the tenor.
    Deposit,
    /// A forward rate agreement from `start` to `tenor`.
    Fra,
    /// Fixed against the index.
    Swap,
    /// Fixed against the compounded overnight index.
    Ois,
    /// A semi-annual bond at par; up to six months simple interest
    /// (bond-equivalent yield).
    Treasury,
}

/// One point of a curve. One of tenor, date and time says where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// After the valuation date, or spot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenor: Option<Tenor>,
    /// On a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// In years by the curve's day count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// A rate as a decimal, or a discount factor. `null`: could not be observed;
    /// the node is left out, and what is interpolated across says so.
    #[serde(default, alias = "zero_rate", alias = "rate", alias = "discount_factor", alias = "spread")]
    pub value: Option<f64>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// How far it can be relied on.
    #[serde(default)]
    pub quality: Quality,
    /// Of a par curve: what it is the quote of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<ParInstrument>,
    /// Of a FRA: its first day, after spot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Tenor>,
    /// Of an instrument: business days from the valuation date to its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_lag: Option<i32>,
}

/// An exchange rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FxSpot {
    /// `EURUSD`: dollars for one euro.
    pub pair: String,
    /// The rate.
    #[serde(alias = "value", alias = "rate")]
    pub spot: f64,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How far it can be relied on.
    #[serde(default)]
    pub quality: Quality,
}

/// A share or an index of shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EquitySpec {
    /// Its name.
    #[serde(alias = "id")]
    pub underlying: String,
    /// Three letters.
    pub currency: String,
    /// The price.
    #[serde(alias = "value")]
    pub spot: f64,
    /// Continuous.
    #[serde(default)]
    pub dividend_yield: f64,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// How far it can be relied on.
    #[serde(default)]
    pub quality: Quality,
}

/// Lognormal volatilities of a pair (`EURUSD`) or an underlying. Between nodes
/// the total variance is linear in time (ACT/365F), outside the volatility is
/// flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolatilitySpec {
    /// A pair of currencies or an underlying.
    #[serde(alias = "id", alias = "pair")]
    pub underlying: String,
    /// By expiry, as decimals.
    pub nodes: Vec<NodeSpec>,
}
