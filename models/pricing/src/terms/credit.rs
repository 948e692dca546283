//! Bonds and loans.

use serde::{Deserialize, Serialize};

use super::Frequency;
use crate::calendar::Convention;
use crate::date::Date;
use crate::daycount::DayCount;
use crate::schedule::Stub;

/// A cash flow as given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenFlow {
    /// When.
    #[serde(alias = "date")]
    pub pay_date: Date,
    /// The part that is interest.
    #[serde(default)]
    pub interest: Option<f64>,
    /// The part that pays back.
    #[serde(default)]
    pub principal: Option<f64>,
    /// Both; used where neither part is given.
    #[serde(default)]
    pub amount: Option<f64>,
}

/// A day on which a bond can be ended, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExerciseTerms {
    /// When.
    pub date: Date,
    /// Clean, per 100 of face.
    pub price: f64,
}

/// A bond that is held (owed, if the face is negative).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BondTerms {
    /// Three letters.
    pub currency: String,
    /// What is paid back.
    #[serde(alias = "notional", alias = "principal", default)]
    pub face: Option<f64>,
    /// A year's coupon; none for zero bonds.
    #[serde(default, alias = "coupon_rate", alias = "rate")]
    pub coupon: Option<f64>,
    /// Of a floating-rate bond.
    #[serde(default)]
    pub index: Option<String>,
    /// Above the index.
    #[serde(default)]
    pub spread: f64,
    /// First day of accrual.
    #[serde(default, alias = "start_date", alias = "issue_date", alias = "dated_date")]
    pub start: Option<Date>,
    /// The last day.
    #[serde(default, alias = "maturity_date", alias = "end")]
    pub maturity: Option<Date>,
    /// Of coupons: 6M unless given (of floating ones the index's tenor).
    #[serde(default, alias = "payment_frequency")]
    pub frequency: Option<Frequency>,
    /// ACT/ACT ICMA unless given (of floating coupons the index's).
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// Of payments and settlement; weekends unless given.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Of payments; following unless given.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Of accrual dates; unadjusted unless given.
    #[serde(default)]
    pub accrual_convention: Option<Convention>,
    /// Where an irregular coupon stands.
    #[serde(default)]
    pub stub: Stub,
    /// From a month's end to months' ends.
    #[serde(default)]
    pub end_of_month: bool,
    /// Business days from trade to settlement, for prices and yields. 0.
    #[serde(default)]
    pub settlement_days: i32,
    /// Per 1 of face.
    #[serde(default = "one")]
    pub redemption: f64,
    /// Flows as given, instead of a schedule.
    #[serde(default)]
    pub cashflows: Option<Vec<GivenFlow>>,
    /// Accrued interest as given, with flows as given.
    #[serde(default)]
    pub accrued_interest: Option<f64>,
    /// Clean, per 100: yields and spreads are of it instead of the model's.
    #[serde(default)]
    pub market_clean_price: Option<f64>,
    /// Business days from the fixing to a period's first day; the index's unless
    /// given.
    #[serde(default)]
    pub fixing_days: Option<i32>,
    /// Projected from accrual periods (`true`), or the index's own.
    #[serde(default)]
    pub par_coupons: bool,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
    /// Its zero rates are added to the discount curve's.
    #[serde(default)]
    pub spread_curve: Option<String>,
    /// When the issuer can end it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ExerciseTerms>,
    /// When the holder can end it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub puts: Vec<ExerciseTerms>,
    /// Of the short rate, instead of the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_reversion: Option<f64>,
    /// Of the short rate, instead of the market's or the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl BondTerms {
    /// A bond that its issuer (or its holder) can end.
    pub(super) fn embedded(self, callable: bool) -> Result<Self, String> {
        if self.cashflows.is_some() || self.index.is_some() {
            return Err("a callable or putable bond has a fixed coupon and a schedule".into());
        }
        match (callable, self.calls.is_empty(), self.puts.is_empty()) {
            (true, true, _) => Err("its terms do not hold: missing field `calls`".into()),
            (false, _, true) => Err("its terms do not hold: missing field `puts`".into()),
            _ if self.coupon.is_none() => Err("its terms do not hold: missing field `coupon`".into()),
            _ => Ok(self),
        }
    }

    /// Without rights to end it.
    pub(super) fn straight(self) -> Result<Self, String> {
        match self.calls.is_empty() && self.puts.is_empty() {
            true => Ok(self),
            false => Err("calls and puts are those of a CALLABLE_BOND or PUTABLE_BOND".into()),
        }
    }

    pub(super) fn fixed(self) -> Result<Self, String> {
        match (self.cashflows.is_some(), self.coupon, &self.index) {
            (_, _, Some(_)) => Err("a fixed bond has no index".into()),
            (false, None, _) => Err("its terms do not hold: missing field `coupon`".into()),
            _ => Ok(self),
        }
    }

    pub(super) fn zero(mut self) -> Result<Self, String> {
        if self.coupon.is_some_and(|coupon| coupon != 0.0) || self.index.is_some() {
            return Err("a zero bond has no coupon".into());
        }
        self.coupon = None;
        Ok(self)
    }

    pub(super) fn floating(self) -> Result<Self, String> {
        if self.index.is_none() {
            return Err("its terms do not hold: missing field `index`".into());
        }
        Ok(self)
    }
}

/// A loan that is repaid in parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoanTerms {
    /// Three letters.
    pub currency: String,
    /// What is owed on the valuation date.
    #[serde(alias = "current_principal", alias = "notional")]
    pub principal: f64,
    /// A year's rate.
    #[serde(alias = "coupon", alias = "rate")]
    pub coupon_rate: f64,
    /// Of accrued interest and, without given flows, of all interest. 30/360.
    #[serde(default)]
    pub day_count: Option<DayCount>,
    /// From when interest has accrued.
    #[serde(default)]
    pub last_payment_date: Option<Date>,
    /// Flows as given; else they are made of what follows.
    #[serde(default)]
    pub cashflows: Option<Vec<GivenFlow>>,
    /// How often is paid: 1M.
    #[serde(default, alias = "payment_frequency")]
    pub frequency: Option<Frequency>,
    /// Payments that are left.
    #[serde(default)]
    pub remaining_payments: Option<u32>,
    /// Of each; unless given, what repays in that number.
    #[serde(default, alias = "monthly_payment")]
    pub payment: Option<f64>,
    /// How fast is paid back early.
    #[serde(default)]
    pub prepayment: Option<Prepayment>,
    /// Business days of payments; every day unless given.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Of payments; following unless given.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Dirty, per 100 of principal: yields and spreads are of it.
    #[serde(default)]
    pub market_price: Option<f64>,
    /// Instead of the currency's own.
    #[serde(default)]
    pub discount_curve: Option<String>,
    /// Its zero rates are added to the discount curve's.
    #[serde(default)]
    pub spread_curve: Option<String>,
}

/// Early repayment: a constant yearly part of what is owed, or a percentage of
/// the PSA's ramp (0.2 % a month up to 6 %).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prepayment {
    /// A part of one year, as a decimal.
    Cpr(f64),
    /// The percentage, and how many months old the loan is.
    Psa {
        /// 100 is the standard.
        speed: f64,
        /// Months since it began.
        #[serde(default)]
        age_months: u32,
    },
}
