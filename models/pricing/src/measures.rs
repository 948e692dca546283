//! What is computed of a position, and by which rule.

mod priced;

use priced::Priced;
use serde_json::{Value, json};

use crate::engine::{Bump, Engine, View};
use crate::products::{Details, Flag, Trade};
use crate::program::{Program, Underlying};
use crate::quality::Quality;
use crate::scenario::{BUCKETS, label, shift_at, triangle};
use crate::snapshot::CurveKind;

/// A measure. Amounts are those of the whole position (times its quantity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Present value in the trade's currency.
    Pv,
    /// Present value in the base currency.
    PvBase,
    /// Per 100 of face, for settlement, without accrued interest.
    CleanPrice,
    /// Per 100 of face, for settlement.
    DirtyPrice,
    /// Interest accrued on settlement.
    AccruedInterest,
    /// Of the market price if the position has one, else of the model's.
    Yield,
    /// Added to continuous zero rates so that the market price results.
    ZSpread,
    /// Of what can be ended early: added to continuous rates on its tree so that
    /// the market price results.
    Oas,
    /// The rate at which the value would be nothing.
    ParRate,
    /// PV(all rate curves + 1 bp) − PV: negative for who lends.
    Dv01,
    /// The same by curve and bucket, analytic: first order.
    Dv01Bucketed,
    /// PV(all spread curves + 1 bp) − PV.
    Cs01,
    /// Of price by yield, in years squared.
    Convexity,
    /// Years to the flows, weighted by their values at the yield.
    MacaulayDuration,
    /// −dP/dy / P.
    ModifiedDuration,
    /// −(P(+25 bp) − P(−25 bp)) / (2 · P · 25 bp), by all rate curves.
    EffectiveDuration,
    /// −∂P/∂z / P for triangular buckets of zero rates, by bucket.
    KeyRateDurations,
    /// Discounted amounts in other currencies than the trade's.
    FxDelta,
    /// By the underlying's price.
    Delta,
    /// Twice by it.
    Gamma,
    /// For 0.01 of volatility.
    Vega,
    /// For a calendar day.
    Theta,
    /// What is still to be paid, projected.
    Cashflows,
}

/// All measures with their names.
pub const MEASURES: &[(&str, Measure)] = &[
    ("PV", Measure::Pv),
    ("PV_BASE", Measure::PvBase),
    ("CLEAN_PRICE", Measure::CleanPrice),
    ("DIRTY_PRICE", Measure::DirtyPrice),
    ("ACCRUED_INTEREST", Measure::AccruedInterest),
    ("YIELD", Measure::Yield),
    ("Z_SPREAD", Measure::ZSpread),
    ("OAS", Measure::Oas),
    ("PAR_RATE", Measure::ParRate),
    ("DV01", Measure::Dv01),
    ("DV01_BUCKETED", Measure::Dv01Bucketed),
    ("CS01", Measure::Cs01),
    ("CONVEXITY", Measure::Convexity),
    ("MACAULAY_DURATION", Measure::MacaulayDuration),
    ("MODIFIED_DURATION", Measure::ModifiedDuration),
    ("EFFECTIVE_DURATION", Measure::EffectiveDuration),
    ("KEY_RATE_DURATIONS", Measure::KeyRateDurations),
    ("FX_DELTA", Measure::FxDelta),
    ("DELTA", Measure::Delta),
    ("GAMMA", Measure::Gamma),
    ("VEGA", Measure::Vega),
    ("THETA", Measure::Theta),
    ("CASHFLOWS", Measure::Cashflows),
];

impl Measure {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        MEASURES.iter().find(|(known, _)| *known == upper).map(|(_, measure)| *measure)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        MEASURES.iter().find(|(_, measure)| *measure == self).map_or("", |(name, _)| name)
    }

    /// Whether it is an amount of money, which is rounded where it leaves.
    pub fn is_money(self) -> bool {
        matches!(self, Self::Pv | Self::PvBase | Self::AccruedInterest)
    }

    /// Whether it is an amount of the trade's currency, so that it can be
    /// converted and summed over positions.
    pub fn is_amount(self) -> bool {
        matches!(
            self,
            Self::Pv
                | Self::AccruedInterest
                | Self::Dv01
                | Self::Dv01Bucketed
                | Self::Cs01
                | Self::Vega
                | Self::Theta
        )
    }

    /// Whether it grows with the quantity held.
    fn is_extensive(self) -> bool {
        !matches!(
            self,
            Self::CleanPrice
                | Self::DirtyPrice
                | Self::Yield
                | Self::ZSpread
                | Self::Oas
                | Self::ParRate
                | Self::Convexity
                | Self::MacaulayDuration
                | Self::ModifiedDuration
                | Self::EffectiveDuration
                | Self::KeyRateDurations
        )
    }
}

/// One measure of one position in one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The number.
    pub value: f64,
    /// Its parts, where it has some.
    pub detail: Option<Value>,
    /// The currency, where it is an amount.
    pub currency: Option<String>,
    /// The worst of everything it was made of.
    pub quality: Quality,
}

/// One scenario with the bumps that measures need, made once for all positions.
pub struct Views<'a> {
    base: View<'a>,
    rates_up: View<'a>,
    spreads_up: View<'a>,
    far_up: View<'a>,
    far_down: View<'a>,
}

const BP: f64 = 1e-4;
const FAR: f64 = 25.0 * BP;

impl<'a> Views<'a> {
    /// Of one scenario.
    pub fn new(engine: &'a Engine<'a>, scenario: usize) -> Self {
        let view = |rates, spreads| engine.view(scenario, Bump { rates, spreads });
        Self {
            base: view(0.0, 0.0),
            rates_up: view(BP, 0.0),
            spreads_up: view(0.0, BP),
            far_up: view(FAR, 0.0),
            far_down: view(-FAR, 0.0),
        }
    }

    /// The scenario itself.
    pub fn base(&self) -> &View<'a> {
        &self.base
    }
}

/// A position's trade in its market, ready for measures.
pub struct Valued<'a> {
    /// The trade.
    pub trade: &'a Trade,
    /// How many of it.
    pub quantity: f64,
    /// From the trade's currency to the base currency, and its name.
    pub base: Option<(&'a crate::fx::Path, &'a str)>,
    /// The worst quality of what its value rests on.
    pub quality: Quality,
    /// Names of curves, for details.
    pub curves: &'a [crate::curve::Curve],
}

impl Valued<'_> {
    /// A measure, or why it has none.
    pub fn measure(&self, measure: Measure, views: &Views<'_>) -> Result<Cell, Flag> {
        let program = &self.trade.program;
        let scale = if measure.is_extensive() { self.quantity } else { 1.0 };
        let own = || Some(program.currency.clone());
        let number = |value: f64, currency: Option<String>| (value, None, currency);
        let view = &views.base;
        let (value, detail, currency) = match measure {
            Measure::Pv => number(view.value(program), own()),
            Measure::PvBase => {
                let (path, name) = self.base.ok_or_else(|| not_defined("there is no base currency"))?;
                number(view.value(program) * view.fx(path), Some(name.to_owned()))
            }
            Measure::Dv01 => number(views.rates_up.value(program) - view.value(program), own()),
            Measure::Cs01 => number(views.spreads_up.value(program) - view.value(program), own()),
            Measure::Dv01Bucketed => self.bucketed(view, BP * scale, own()),
            Measure::KeyRateDurations => {
                let value = nonzero(view.value(program))?;
                self.bucketed(view, -1.0 / value, None)
            }
            Measure::EffectiveDuration => {
                let [value, up, down] = self.far(views)?;
                number(-(up - down) / (2.0 * nonzero(value)? * FAR), None)
            }
            Measure::ParRate => number(self.par_rate(view)?, None),
            Measure::FxDelta => self.fx_delta(view)?,
            Measure::Delta | Measure::Gamma | Measure::Vega | Measure::Theta => {
                number(self.greek(measure, view)?, None)
            }
            Measure::Cashflows => {
                let rows = cashflows(program, view, self.quantity);
                (rows.len() as f64, Some(Value::Array(rows)), None)
            }
            _ => self.debt_measure(measure, view)?,
        };
        let value =
            if matches!(measure, Measure::Cashflows | Measure::Dv01Bucketed) { value } else { value * scale };
        if !value.is_finite() {
            return Err(Flag::new("no_solution", format!("{} is no finite number", measure.name())));
        }
        Ok(Cell { value, detail, currency, quality: self.quality })
    }

    /// Values now and 25 bp up and down; with a market price and rights to end it,
    /// all at its own spread.
    fn far(&self, views: &Views<'_>) -> Result<[f64; 3], Flag> {
        let program = &self.trade.program;
        let all = [&views.base, &views.far_up, &views.far_down];
        match (&program.embedded, &self.trade.details) {
            (Some(embedded), Details::Debt(debt)) if debt.market_dirty.is_some() => {
                let spread = Priced::new(debt, program, &views.base)?.oas(embedded, &views.base)?;
                Ok(all.map(|view| view.ended(embedded, &view.lattice(embedded), spread)))
            }
            _ => Ok(all.map(|view| view.value(program))),
        }
    }

    /// By curve and bucket, times a scale; the value is their sum.
    fn bucketed(
        &self,
        view: &View<'_>,
        scale: f64,
        currency: Option<String>,
    ) -> (f64, Option<Value>, Option<String>) {
        let gradient = view.gradient(&self.trade.program);
        let rates = |kind: CurveKind| !kind.is_spread();
        let (mut total, mut rows) = (0.0, serde_json::Map::new());
        for (at, bucket) in BUCKETS.into_iter().enumerate() {
            let points = triangle(&BUCKETS, at);
            for (curve, slope) in view.sensitivity(&gradient, rates, |t| shift_at(&points, t)) {
                total += slope * scale;
                let id = self.curves[curve].id.as_str();
                let of_curve = rows.entry(id).or_insert_with(|| json!({}));
                if let Value::Object(buckets) = of_curve {
                    buckets.insert(label(bucket), json!(slope * scale));
                }
            }
        }
        (total, Some(Value::Object(rows)), currency)
    }

    fn par_rate(&self, view: &View<'_>) -> Result<f64, Flag> {
        match &self.trade.details {
            Details::Par(par) if !par.annuity.is_empty() => {
                let program = &self.trade.program;
                if let Some(fra) = program.legs.first().and_then(|leg| leg.fras.first()) {
                    // The forward rate itself.
                    let x = fra.a * (view.df(fra.num) / view.df(fra.den) - 1.0);
                    let years = program.legs[0].infos.last().map_or(1.0, |info| info.years);
                    return Ok(x / years);
                }
                let annuity: f64 = par.annuity.iter().map(|(slot, weight)| weight * view.df(*slot)).sum();
                Ok(par.rate - view.value(program) / nonzero(annuity * view.fx(&par.fx))?)
            }
            Details::Credit(credit) => {
                let sum = |of: &[(u32, f64)]| of.iter().map(|(slot, weight)| weight * view.df(*slot)).sum();
                let (protection, premium): (f64, f64) = (sum(&credit.protection), sum(&credit.premium));
                Ok(protection / nonzero(premium)?)
            }
            Details::Exchange { base, quote, path } => Ok(view.fx(path) * view.df(*base) / view.df(*quote)),
            _ => Err(not_defined("it has no par rate")),
        }
    }

    fn fx_delta(&self, view: &View<'_>) -> Result<(f64, Option<Value>, Option<String>), Flag> {
        let program = &self.trade.program;
        let mut exposures = std::collections::BTreeMap::<String, f64>::new();
        for leg in &program.legs {
            let flows: f64 = leg.flows.iter().map(|flow| flow.pv(&view.dfs)).sum();
            let fras: f64 = leg.fras.iter().map(|fra| view.df(fra.pay) * fra.amount(&view.dfs)).sum();
            *exposures.entry(leg.currency.clone()).or_default() += flows + fras;
        }
        let mut of_options = 0.0;
        for option in program.options.iter().filter(|o| matches!(o.underlying, Underlying::Fx { .. })) {
            of_options += view.option(option).delta;
        }
        let others: f64 =
            exposures.iter().filter(|(name, _)| **name != program.currency).map(|(_, v)| v).sum();
        let foreign = exposures.keys().filter(|name| **name != program.currency).count();
        if foreign == 0 && program.options.iter().all(|o| !matches!(o.underlying, Underlying::Fx { .. })) {
            return Err(not_defined("it depends on no exchange rate"));
        }
        if foreign > 1 {
            return Err(not_defined("it has amounts in several other currencies"));
        }
        let scaled = exposures.iter().map(|(name, value)| (name.clone(), json!(value * self.quantity)));
        Ok((others + of_options, Some(Value::Object(scaled.collect())), None))
    }

    fn greek(&self, measure: Measure, view: &View<'_>) -> Result<f64, Flag> {
        let options = &self.trade.program.options;
        if options.is_empty() {
            return Err(not_defined("it is no option"));
        }
        let of = |option| {
            let greeks = view.option(option);
            match measure {
                Measure::Delta => greeks.delta,
                Measure::Gamma => greeks.gamma,
                Measure::Vega => greeks.vega,
                _ => greeks.theta,
            }
        };
        Ok(options.iter().map(of).sum())
    }

    fn debt_measure(
        &self,
        measure: Measure,
        view: &View<'_>,
    ) -> Result<(f64, Option<Value>, Option<String>), Flag> {
        if let (Details::Credit(credit), Measure::AccruedInterest) = (&self.trade.details, measure) {
            return Ok((credit.accrued, None, Some(self.trade.program.currency.clone())));
        }
        let Details::Debt(debt) = &self.trade.details else {
            return Err(not_defined("it is neither bond nor loan"));
        };
        if measure == Measure::AccruedInterest {
            return Ok((debt.accrued, None, Some(self.trade.program.currency.clone())));
        }
        let priced = Priced::new(debt, &self.trade.program, view)?;
        let value = match measure {
            Measure::DirtyPrice => priced.model_dirty,
            Measure::CleanPrice => priced.model_dirty - 100.0 * debt.accrued / nonzero(debt.face)?,
            Measure::ZSpread => priced.z_spread()?,
            Measure::Oas => {
                let embedded = self.trade.program.embedded.as_ref();
                priced.oas(embedded.ok_or_else(|| not_defined("nobody can end it early"))?, view)?
            }
            Measure::Yield => priced.solved_yield()?,
            _ => {
                let rate = priced.solved_yield()?;
                let (price, first, second, macaulay) = priced.at_yield(rate);
                match measure {
                    Measure::MacaulayDuration => macaulay,
                    Measure::ModifiedDuration => -first / nonzero(price)?,
                    _ => second / nonzero(price)?,
                }
            }
        };
        Ok((value, None, None))
    }
}

fn not_defined(reason: &str) -> Flag {
    Flag::new("not_defined", reason)
}

fn nonzero(value: f64) -> Result<f64, Flag> {
    match value == 0.0 || !value.is_finite() {
        true => Err(not_defined("it would be divided by nothing")),
        false => Ok(value),
    }
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_default()
}

/// One row for each payment, in order of time.
fn cashflows(program: &Program, view: &View<'_>, quantity: f64) -> Vec<Value> {
    let mut rows = Vec::new();
    for leg in &program.legs {
        let amounts = leg.flows.iter().map(|flow| (flow.amount(&view.dfs), view.df(flow.pay)));
        let fras = leg.fras.iter().map(|fra| (fra.amount(&view.dfs), view.df(fra.pay)));
        for ((amount, df), info) in amounts.chain(fras).zip(&leg.infos) {
            let mut row = json!({
                "date": info.date, "currency": leg.currency, "kind": info.kind,
                "amount": amount * quantity, "discount_factor": df, "pv": amount * df * quantity,
            });
            if let (Some((start, end)), Value::Object(row)) = (info.accrual, &mut row) {
                row.insert("accrual_start".into(), json!(start));
                row.insert("accrual_end".into(), json!(end));
                row.insert("accrual_years".into(), json!(info.years));
                row.insert("notional".into(), json!(info.notional * quantity));
            }
            // What is paid on default: its slots are those of being alive before and
            // after, so its factor is the discount factor times the chance.
            let last = rows.last_mut().filter(|_| matches!(info.kind, "protection" | "accrual_on_default"));
            match last
                .filter(|(date, last): &&mut (_, Value)| *date == info.date && last["kind"] == info.kind)
            {
                Some((_, last)) => {
                    last["discount_factor"] = json!(number(last, "discount_factor") - df);
                    last["pv"] = json!(number(last, "pv") + amount * df * quantity);
                }
                None => rows.push((info.date, row)),
            }
        }
    }
    rows.sort_by_key(|(date, _)| *date);
    rows.into_iter().map(|(_, row)| row).collect()
}
