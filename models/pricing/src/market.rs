//! A snapshot made ready for pricing: curves built, rates and fixings looked up
//! by name. Built once for each snapshot and shared by everything priced on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bootstrap;
use crate::calendar::{Calendar, Convention, Listed};
use crate::curve::{Compounding, Curve, Interpolation};
use crate::date::Date;
use crate::daycount::DayCount;
use crate::fx::{FxQuote, FxRates, pair_of};
use crate::index::{Index, IndexSpec, currency_of};
use crate::model::Model;
use crate::quality::Quality;
use crate::snapshot::{CurveKind, CurveSpec, NodeSpec, NodeTimes, Snapshot, VolatilitySpec};

/// Why a snapshot is refused: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the market snapshot does not hold: {}", reasons.join("; "))]
pub struct MarketError {
    /// One sentence each.
    pub reasons: Vec<String>,
}

/// A share or an index of shares.
#[derive(Debug, Clone)]
pub struct Equity {
    /// Its name.
    pub underlying: String,
    /// Of its price.
    pub currency: String,
    /// The price.
    pub spot: f64,
    /// Continuous.
    pub dividend_yield: f64,
    /// How far it can be relied on.
    pub quality: Quality,
}

/// Volatilities at the money of one underlying.
#[derive(Debug, Clone)]
pub struct Volatility {
    /// What it is the volatility of; a pair as `EURUSD`.
    pub underlying: String,
    times: Vec<f64>,
    values: Vec<f64>,
    quality: Quality,
}

impl Volatility {
    /// At an expiry in years. Total variance is linear between nodes.
    pub fn at(&self, t: f64) -> f64 {
        let at = self.times.partition_point(|node| *node < t);
        match at {
            0 => self.values[0],
            at if at == self.times.len() => self.values[at - 1],
            at => {
                let variance = |i: usize| self.values[i] * self.values[i] * self.times[i];
                let weight = (t - self.times[at - 1]) / (self.times[at] - self.times[at - 1]);
                let total = variance(at - 1) + weight * (variance(at) - variance(at - 1));
                (total.max(0.0) / t).sqrt()
            }
        }
    }

    /// The worst of its nodes.
    pub fn quality(&self) -> Quality {
        self.quality
    }
}

/// Everything that prices are made of.
#[derive(Debug, Clone)]
pub struct Market {
    /// The snapshot's name.
    pub snapshot_id: String,
    /// The valuation date.
    pub as_of: Date,
    /// In the order of the snapshot; a curve's place is its number.
    pub curves: Vec<Curve>,
    /// What each curve is.
    pub kinds: Vec<CurveKind>,
    /// What a default leaves of 1, of curves of credit.
    pub recoveries: Vec<Option<f64>>,
    /// The currency of each, if it has one.
    pub currencies: Vec<Option<String>>,
    /// Exchange rates.
    pub fx: FxRates,
    /// Shares.
    pub equities: Vec<Equity>,
    /// Volatilities.
    pub volatilities: Vec<Volatility>,
    /// Holidays of its own.
    pub listed: Listed,
    /// What prices are made by.
    pub model: Model,
    fixings: BTreeMap<String, BTreeMap<Date, (f64, Quality)>>,
    indices: BTreeMap<String, IndexSpec>,
    projections: BTreeMap<String, usize>,
    discounting: BTreeMap<String, String>,
}

/// Nodes as times, continuous zero rates and qualities.
pub type Nodes = Vec<(f64, f64, Quality)>;

impl Market {
    /// As the first model has it.
    pub fn new(snapshot: &Snapshot) -> Result<Self, MarketError> {
        Self::by(snapshot, &Model::default())
    }

    /// Builds every curve; par curves after those that discount them.
    pub fn by(snapshot: &Snapshot, model: &Model) -> Result<Self, MarketError> {
        let mut reasons = Vec::new();
        let mut market = Self::empty(snapshot, model, &mut reasons);
        let bootstrapped = |spec: &&CurveSpec| matches!(kind_of(spec), CurveKind::Par | CurveKind::Credit);
        let (quoted, plain): (Vec<&CurveSpec>, Vec<_>) = snapshot.curves.iter().partition(bootstrapped);
        let (credit, par): (Vec<_>, Vec<_>) =
            quoted.into_iter().partition(|spec| kind_of(spec) == CurveKind::Credit);
        for spec in plain {
            match market.plain_curve(spec) {
                Ok(curve) => market.add(spec, curve, &mut reasons),
                Err(reason) => reasons.push(reason),
            }
        }
        // Which curve discounts a currency is known once all of its curves are there.
        market.bootstrap(par, &mut reasons);
        market.bootstrap(credit, &mut reasons);
        for (currency, curve) in &snapshot.discount_curves {
            if market.curve(curve).is_none() {
                reasons.push(format!("the discount curve {curve} of {currency} is not there"));
            }
        }
        for spec in &snapshot.indices {
            match spec.curve.as_deref().map(|id| (id, market.curve(id))) {
                Some((_, Some(at))) => drop(market.projections.insert(spec.name.clone(), at)),
                Some((id, None)) => reasons.push(format!("the curve {id} of {} is not there", spec.name)),
                None => {}
            }
        }
        if reasons.is_empty() { Ok(market) } else { Err(MarketError { reasons }) }
    }

    /// All but the curves.
    fn empty(snapshot: &Snapshot, model: &Model, reasons: &mut Vec<String>) -> Self {
        let as_of = snapshot.as_of_time;
        let listed: Listed = snapshot
            .calendars
            .iter()
            .map(|(name, days)| {
                let mut days = days.clone();
                days.sort_unstable();
                (name.clone(), Arc::from(days))
            })
            .collect();
        let fx = fx_rates(snapshot).unwrap_or_else(|reason| {
            reasons.push(reason);
            FxRates::default()
        });
        let volatilities = snapshot
            .volatilities
            .iter()
            .filter_map(|spec| volatility(spec, as_of).map_err(|reason| reasons.push(reason)).ok())
            .collect();
        let equities = snapshot.equities.iter().filter_map(|spec| {
            if !(spec.spot.is_finite() && spec.spot > 0.0 && spec.dividend_yield.is_finite()) {
                reasons.push(format!("the price of {} is {}", spec.underlying, spec.spot));
                return None;
            }
            Some(Equity {
                underlying: spec.underlying.clone(),
                currency: spec.currency.clone(),
                spot: spec.spot,
                dividend_yield: spec.dividend_yield,
                quality: spec.quality,
            })
        });
        Self {
            snapshot_id: snapshot.snapshot_id.clone(),
            as_of,
            curves: Vec::new(),
            kinds: Vec::new(),
            recoveries: Vec::new(),
            currencies: Vec::new(),
            fx,
            equities: equities.collect(),
            volatilities,
            listed,
            model: model.clone(),
            fixings: fixings(snapshot),
            indices: snapshot.indices.iter().map(|s| (s.name.clone(), s.clone())).collect(),
            projections: BTreeMap::new(),
            discounting: snapshot.discount_curves.clone(),
        }
    }

    fn bootstrap(&mut self, mut waiting: Vec<&CurveSpec>, reasons: &mut Vec<String>) {
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|spec| {
                let discount = spec.bootstrap.as_ref().and_then(|b| b.discount_curve.as_deref());
                let own = spec.currency.as_deref().filter(|_| kind_of(spec) == CurveKind::Credit);
                let ready = match (discount, own) {
                    (Some(id), _) => id == spec.curve_id || self.curve(id).is_some(),
                    (None, Some(currency)) => self.discount_curve(currency).is_ok(),
                    (None, None) => true,
                };
                if ready {
                    match bootstrap::build(self, spec) {
                        Ok(curve) => self.add(spec, curve, reasons),
                        Err(reason) => reasons.push(format!("curve {}: {reason}", spec.curve_id)),
                    }
                }
                !ready
            });
            if waiting.len() == before {
                for spec in waiting.drain(..) {
                    reasons.push(format!("curve {}: its discount curve is not there", spec.curve_id));
                }
            }
        }
    }

    pub(crate) fn add(&mut self, spec: &CurveSpec, curve: Curve, reasons: &mut Vec<String>) {
        if self.curve(&spec.curve_id).is_some() {
            reasons.push(format!("curve {} is there twice", spec.curve_id));
            return;
        }
        let at = self.curves.len();
        for index in &spec.indices {
            self.projections.insert(index.clone(), at);
        }
        self.curves.push(curve);
        self.kinds.push(kind_of(spec));
        let recovery = || spec.recovery.or(Some(crate::products::RECOVERY));
        self.recoveries.push((kind_of(spec) == CurveKind::Credit).then(recovery).flatten());
        let named = || match kind_of(spec) {
            CurveKind::Spread | CurveKind::Credit => None,
            _ => currency_of(&spec.curve_id),
        };
        self.currencies.push(spec.currency.clone().or_else(named));
    }

    fn plain_curve(&self, spec: &CurveSpec) -> Result<Curve, String> {
        let day_count = curve_day_count(spec)?;
        let mut nodes: Nodes = Vec::with_capacity(spec.nodes.len());
        let mut gap = false;
        for node in &spec.nodes {
            let Some(value) = node.value else {
                // Its neighbours have to stand for it.
                gap = true;
                if let Some(last) = nodes.last_mut() {
                    last.2 = last.2.max(Quality::Interpolated);
                }
                continue;
            };
            let t = self.node_time(spec, node, day_count)?;
            let zero = match kind_of(spec) {
                CurveKind::Discount if value > 0.0 && t > 0.0 => -value.ln() / t,
                CurveKind::Discount => {
                    return Err(format!("curve {}: the discount factor {value} at {t} years", spec.curve_id));
                }
                _ => spec.compounding.continuous(value, t).ok_or_else(|| {
                    format!("curve {}: nothing is left of 1 at the rate {value}", spec.curve_id)
                })?,
            };
            let quality = if gap { node.quality.max(Quality::Interpolated) } else { node.quality };
            gap = false;
            nodes.push((t, zero, quality));
        }
        Curve::new(&spec.curve_id, self.as_of, day_count, self.interpolation(spec), &nodes)
            .map_err(|e| e.to_string())
    }

    /// How the model has a curve go between its nodes.
    pub(crate) fn interpolation(&self, spec: &CurveSpec) -> Interpolation {
        match kind_of(spec) {
            // What its quotes stand for, in every model.
            CurveKind::Credit => Interpolation::LogLinearDf,
            kind => self.model.interpolation(&spec.curve_id, kind == CurveKind::Spread, spec.interpolation),
        }
    }

    /// Years to a node.
    pub(crate) fn node_time(
        &self,
        spec: &CurveSpec,
        node: &NodeSpec,
        day_count: DayCount,
    ) -> Result<f64, String> {
        let old = spec.curve_type.is_some();
        let times = spec.node_times.unwrap_or(if old { NodeTimes::Fraction } else { NodeTimes::Date });
        match (node.time, node.date, node.tenor) {
            (Some(time), None, None) => Ok(time),
            (None, Some(date), None) => Ok(day_count.years(self.as_of, date, None)),
            (None, None, Some(tenor)) if times == NodeTimes::Fraction => Ok(tenor.in_years()),
            (None, None, Some(tenor)) => {
                let calendar = Calendar::named(spec.calendar.as_deref().unwrap_or("NONE"), &self.listed)?;
                let convention = spec.convention.unwrap_or(Convention::Following);
                let spot = calendar.plus_business_days(self.as_of, spec.spot_lag.unwrap_or(0).clamp(0, 30));
                let date = calendar.plus_tenor(spot, tenor, convention, false);
                Ok(day_count.years(self.as_of, date, None))
            }
            _ => Err(format!("curve {}: a node needs one of tenor, date and time", spec.curve_id)),
        }
    }

    /// A curve's number.
    pub fn curve(&self, id: &str) -> Option<usize> {
        self.curves.iter().position(|curve| curve.id == id)
    }

    /// What flows of a currency are discounted with: what the snapshot names,
    /// else `<CCY>-OIS`, else the only rate curve of that currency.
    pub fn discount_curve(&self, currency: &str) -> Result<usize, String> {
        if let Some(id) = self.discounting.get(currency) {
            return self.curve(id).ok_or_else(|| format!("missing curve {id}"));
        }
        if let Some(at) = self.curve(&format!("{currency}-OIS")) {
            return Ok(at);
        }
        let rates = |at: &usize| {
            self.currencies[*at].as_deref() == Some(currency)
                && !self.kinds[*at].is_spread()
                && !self.projections.values().any(|projected| projected == at)
        };
        let mut fitting = (0..self.curves.len()).filter(rates);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(format!("missing curve: none discounts {currency}")),
            (Some(_), Some(_)) => {
                Err(format!("missing curve: several could discount {currency}; name one in discount_curves"))
            }
        }
    }

    /// How far a curve's continuous rates move where a spread moves by 1: the
    /// hazard rate by 1/(1 − recovery), as it is what is lost that is insured.
    pub fn spread_weight(&self, curve: usize) -> f64 {
        1.0 / (1.0 - self.recoveries[curve].unwrap_or(0.0))
    }

    /// What an index is projected from: what the snapshot names, a curve of the
    /// index's own name, else for overnight rates the currency's discount curve.
    pub fn projection(&self, index: &Index) -> Result<usize, String> {
        if let Some(at) = self.projections.get(&index.name).copied().or_else(|| self.curve(&index.name)) {
            return Ok(at);
        }
        if let Some(id) = &index.curve {
            return self.curve(id).ok_or_else(|| format!("missing curve {id}"));
        }
        match index.overnight {
            true => self.discount_curve(&index.currency),
            false => Err(format!("missing curve: none projects {}", index.name)),
        }
    }

    /// An index by name.
    pub fn index(&self, name: &str) -> Result<Index, String> {
        Index::new(name, self.indices.get(name), &self.listed)
    }

    /// A calendar by name.
    pub fn calendar(&self, name: Option<&str>) -> Result<Calendar, String> {
        Calendar::named(name.unwrap_or("NONE"), &self.listed)
    }

    /// What was fixed on a day.
    pub fn fixing(&self, index: &str, date: Date) -> Option<(f64, Quality)> {
        self.fixings.get(index)?.get(&date).copied()
    }

    /// A volatility's number: of an underlying, or of a pair in either direction.
    pub fn volatility(&self, underlying: &str) -> Option<usize> {
        self.volatilities.iter().position(|v| v.underlying == underlying)
    }
}

/// What a curve's values are.
pub fn kind_of(spec: &CurveSpec) -> CurveKind {
    let old = spec.curve_type.as_deref().map(str::to_ascii_uppercase);
    let spread = old.as_deref().is_some_and(|word| word.contains("SPREAD"));
    spec.kind.unwrap_or(if spread { CurveKind::Spread } else { CurveKind::Zero })
}

pub(crate) fn curve_day_count(spec: &CurveSpec) -> Result<DayCount, String> {
    match spec.day_count.unwrap_or(DayCount::Act365Fixed) {
        DayCount::ActActIcma | DayCount::One => {
            Err(format!("curve {}: its times need a day count without coupon periods", spec.curve_id))
        }
        day_count => Ok(day_count),
    }
}

fn fx_rates(snapshot: &Snapshot) -> Result<FxRates, String> {
    let quotes = snapshot.fx_spots.iter().map(|spot| {
        let (base, quote) = pair_of(&spot.pair)?;
        Ok(FxQuote { base, quote, rate: spot.spot, quality: spot.quality })
    });
    FxRates::new(quotes.collect::<Result<_, String>>()?)
}

fn fixings(snapshot: &Snapshot) -> BTreeMap<String, BTreeMap<Date, (f64, Quality)>> {
    let of = |days: &BTreeMap<Date, crate::snapshot::Value>| {
        days.iter()
            .filter_map(|(date, value)| Some((*date, value.get().filter(|(v, _)| v.is_finite())?)))
            .collect()
    };
    snapshot.fixings.iter().map(|(index, days)| (index.clone(), of(days))).collect()
}

fn volatility(spec: &VolatilitySpec, as_of: Date) -> Result<Volatility, String> {
    let name = pair_of(&spec.underlying).map_or(spec.underlying.clone(), |(a, b)| a + &b);
    let mut nodes: Nodes = Vec::new();
    for node in &spec.nodes {
        let Some(value) = node.value else { continue };
        let date = node.date.or(node.tenor.map(|tenor| as_of.plus(tenor)));
        let t = node.time.or(date.map(|d| DayCount::Act365Fixed.years(as_of, d, None)));
        let t = t.ok_or_else(|| format!("volatility {name}: a node needs one of tenor, date and time"))?;
        if !(value.is_finite() && value > 0.0 && t > 0.0) {
            return Err(format!("volatility {name}: {value} at {t} years"));
        }
        nodes.push((t, value, node.quality));
    }
    if nodes.is_empty() || nodes.windows(2).any(|pair| pair[1].0 <= pair[0].0) {
        return Err(format!("volatility {name}: nodes must be there and rise in time"));
    }
    Ok(Volatility {
        underlying: name,
        times: nodes.iter().map(|n| n.0).collect(),
        values: nodes.iter().map(|n| n.1).collect(),
        quality: nodes.iter().map(|n| n.2).max().unwrap_or_default(),
    })
}

/// A flat curve, for tests and for what needs no market.
pub fn flat(
    id: &str,
    as_of: Date,
    day_count: DayCount,
    rate: f64,
) -> Result<Curve, crate::curve::CurveError> {
    let zero = Compounding::Continuous.continuous(rate, 1.0).unwrap_or(rate);
    Curve::new(id, as_of, day_count, Default::default(), &[(1.0, zero, Quality::Ok)])
}
