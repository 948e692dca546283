//! Curves from quotes of instruments.
//!
//! The zero rates of all nodes are solved at once (Newton's method on the par
//! rates), so that any interpolation reprices every quote. The instruments are
//! compiled as positions are; a curve reprices what is priced on it.

use crate::calendar::Convention;
use crate::curve::Curve;
use crate::date::{Date, Tenor};
use crate::daycount::DayCount;
use crate::market::{Market, curve_day_count, kind_of};
use crate::products::{Context, Details, compile_cds, compile_leg, standard_maturity};
use crate::program::{Discounting, Flow, Slots};
use crate::quality::Quality;
use crate::snapshot::{BootstrapSpec, CurveKind, CurveSpec, NodeSpec, ParInstrument};
use crate::terms::{CdsTerms, Frequency, LegKind, LegTerms, Side};

/// More instruments than any curve is made of.
pub const MOST_QUOTES: usize = 200;
/// How close each quote is repriced, at least.
pub const TOLERANCE: f64 = 1e-12;

/// An instrument whose rate is Σ of what floats over its annuity.
struct Quote {
    rate: f64,
    floats: Vec<Flow>,
    annuity: Vec<(u32, f64)>,
    last: Date,
    quality: Quality,
}

impl Quote {
    fn par(&self, dfs: &[f64]) -> f64 {
        let value: f64 = self.floats.iter().map(|flow| flow.pv(dfs)).sum();
        let annuity: f64 = self.annuity.iter().map(|(slot, weight)| weight * dfs[*slot as usize]).sum();
        value / annuity
    }
}

/// Bootstraps a par curve on a market that has the curve it is discounted with.
pub fn build(market: &Market, spec: &CurveSpec) -> Result<Curve, String> {
    let credit = kind_of(spec) == CurveKind::Credit;
    if spec.bootstrap.is_none() && !credit {
        return Err("a par curve must say how it is bootstrapped".into());
    }
    if spec.recovery.is_some_and(|recovery| !(0.0..1.0).contains(&recovery)) {
        return Err("its recovery must be from 0 to below 1".into());
    }
    let day_count = curve_day_count(spec)?;
    let quoted: Vec<&NodeSpec> = spec.nodes.iter().filter(|node| node.value.is_some()).collect();
    if quoted.is_empty() || quoted.len() > MOST_QUOTES {
        return Err(format!("a par curve has 1 to {MOST_QUOTES} quotes"));
    }
    // A market in which the curve already stands, so that instruments can be
    // compiled against it.
    let mut market = market.clone();
    let placeholder: Vec<_> = (0..quoted.len()).map(|n| (n as f64 + 1.0, 0.0, Quality::Ok)).collect();
    let interpolation = market.interpolation(spec);
    let provisional = Curve::new(&spec.curve_id, market.as_of, day_count, interpolation, &placeholder);
    market.add(spec, provisional.map_err(|e| e.to_string())?, &mut Vec::new());
    let own = market.curves.len() - 1;
    let mut slots = Slots::default();
    let mut quotes = Vec::new();
    for node in quoted {
        let made = match &spec.bootstrap {
            Some(how) if !credit => Maker { spec, how, own }.quote(node, &market, &mut slots),
            _ => default_swap(spec, node, &market, &mut slots),
        };
        quotes.push(made?);
    }
    // Spreads say how likely the loss is of what is lost.
    let first = |q: &Quote| if credit { q.rate * market.spread_weight(own) } else { q.rate };
    let nodes: Vec<_> =
        quotes.iter().map(|q| (market.curves[own].time(q.last), first(q), q.quality)).collect();
    market.curves[own] =
        Curve::new(&spec.curve_id, market.as_of, day_count, interpolation, &nodes).map_err(|e| e.reason)?;
    solve(&mut market, own, &slots, &quotes)?;
    if credit {
        let curve = &market.curves[own];
        let falls = |pair: &[f64]| curve.ln_df(pair[1]).total_cmp(&curve.ln_df(pair[0])).is_gt();
        if let Some(pair) = curve.times().windows(2).find(|pair| falls(pair)) {
            return Err(format!(
                "its spreads fall so steeply that survival rises after {:.2} years",
                pair[0]
            ));
        }
    }
    Ok(market.curves.swap_remove(own))
}

fn errors(market: &Market, slots: &Slots, quotes: &[Quote]) -> Vec<f64> {
    let dfs = slots.base(market);
    quotes.iter().map(|quote| quote.par(&dfs) - quote.rate).collect()
}

/// Infinite if any of them is no number.
fn largest(errors: &[f64]) -> f64 {
    let size = |e: &f64| if e.is_nan() { f64::INFINITY } else { e.abs() };
    errors.iter().map(size).fold(0.0, f64::max)
}

fn solve(market: &mut Market, own: usize, slots: &Slots, quotes: &[Quote]) -> Result<(), String> {
    const STEP: f64 = 1e-6;
    let n = quotes.len();
    let mut zeros = market.curves[own].zeros().to_vec();
    for _ in 0..50 {
        let error = errors(market, slots, quotes);
        let worst = largest(&error);
        if !worst.is_finite() {
            break;
        }
        if worst < TOLERANCE {
            return Ok(());
        }
        let mut jacobian = vec![vec![0.0; n]; n];
        for column in 0..n {
            let before = zeros[column];
            zeros[column] = before + STEP;
            market.curves[own].set_zeros(&zeros);
            let bumped = errors(market, slots, quotes);
            zeros[column] = before;
            for (row, (up, base)) in bumped.iter().zip(&error).enumerate() {
                jacobian[row][column] = (up - base) / STEP;
            }
        }
        let step = linear(jacobian, error).ok_or("its quotes do not determine it")?;
        for (zero, change) in zeros.iter_mut().zip(step) {
            *zero -= change;
        }
        market.curves[own].set_zeros(&zeros);
    }
    let worst = largest(&errors(market, slots, quotes));
    // Rounding of long annuities may be above the aim, never above the promise.
    if worst < 1e-10 { Ok(()) } else { Err(format!("its quotes are missed by {worst:e}")) }
}

/// Gaussian elimination with partial pivoting.
fn linear(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for column in 0..n {
        let pivot =
            (column..n).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        if matrix[pivot][column].abs() < 1e-14 {
            return None;
        }
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..n {
            let factor = matrix[row][column] / matrix[column][column];
            if factor != 0.0 {
                let (upper, lower) = matrix.split_at_mut(row);
                for (target, source) in lower[0][column..].iter_mut().zip(&upper[column][column..]) {
                    *target -= factor * source;
                }
                right[row] -= factor * right[column];
            }
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    Some(right)
}

/// A standard credit default swap, at the spread that costs nothing today.
fn default_swap(
    spec: &CurveSpec,
    node: &NodeSpec,
    market: &Market,
    slots: &mut Slots,
) -> Result<Quote, String> {
    let rate = node.value.filter(|v| v.is_finite() && *v >= 0.0).ok_or("a spread is no number from 0")?;
    let tenor = node.tenor.map(|tenor| standard_maturity(market.as_of, tenor));
    let maturity = node.date.or(tenor).ok_or("a quote needs a tenor or a date")?;
    let currency = spec.currency.as_deref().ok_or("a curve of credit needs a currency")?;
    let discount = spec.bootstrap.as_ref().and_then(|how| how.discount_curve.as_deref());
    let terms = CdsTerms {
        calendar: spec.calendar.clone(),
        convention: spec.convention,
        discount_curve: discount.map(str::to_owned),
        ..CdsTerms::standard(currency, maturity, &spec.curve_id)
    };
    let trade = compile_cds(&terms, &mut Context { market, slots }).map_err(|flag| flag.reason)?;
    let Details::Credit(credit) = trade.details else { return Err("it is no credit default swap".into()) };
    let known = |(slot, b): (u32, f64)| Flow { pay: slot, num: slot, den: slot, a: 0.0, b };
    let floats = credit.protection.into_iter().map(known).collect();
    Ok(Quote { rate, floats, annuity: credit.premium, last: maturity, quality: node.quality })
}

struct Maker<'a> {
    spec: &'a CurveSpec,
    how: &'a BootstrapSpec,
    own: usize,
}

impl Maker<'_> {
    fn quote(&self, node: &NodeSpec, market: &Market, slots: &mut Slots) -> Result<Quote, String> {
        let rate = node.value.filter(|v| v.is_finite()).ok_or("a quote is no number")?;
        let mut quote = match node.instrument.unwrap_or(self.how.instrument) {
            ParInstrument::Deposit | ParInstrument::Fra => self.simple(node, market, slots)?,
            ParInstrument::Swap | ParInstrument::Ois => self.swap(node, market, slots)?,
            ParInstrument::Treasury => self.treasury(node, market, slots)?,
        };
        quote.rate = rate;
        quote.quality = node.quality;
        Ok(quote)
    }

    /// The first day of an instrument.
    fn spot(&self, node: &NodeSpec, market: &Market) -> Result<Date, String> {
        let lag = node.spot_lag.or(self.spec.spot_lag).unwrap_or(0).clamp(0, 30);
        let calendar = market.calendar(self.spec.calendar.as_deref())?;
        Ok(calendar.plus_business_days(calendar.adjust(market.as_of, Convention::Following), lag))
    }

    fn end(&self, node: &NodeSpec, spot: Date, market: &Market) -> Result<Date, String> {
        let calendar = market.calendar(self.spec.calendar.as_deref())?;
        let convention = self.spec.convention.unwrap_or_default();
        match (node.date, node.tenor) {
            (Some(date), _) => Ok(date),
            (None, Some(tenor)) => Ok(calendar.plus_tenor(spot, tenor, convention, false)),
            (None, None) => Err("a quote needs a tenor or a date".into()),
        }
    }

    fn simple(&self, node: &NodeSpec, market: &Market, slots: &mut Slots) -> Result<Quote, String> {
        let spot = self.spot(node, market)?;
        let calendar = market.calendar(self.spec.calendar.as_deref())?;
        let start = match node.start {
            Some(after) => calendar.plus_tenor(spot, after, self.spec.convention.unwrap_or_default(), false),
            None => spot,
        };
        let end = self.end(node, spot, market)?;
        let day_count = match &self.how.index {
            Some(name) => market.index(name)?.day_count,
            None => self.how.fixed_day_count.unwrap_or(DayCount::Act360),
        };
        self.interest(start, end, day_count, market, slots)
    }

    /// Simple interest between two dates, as a flow on the first.
    fn interest(
        &self,
        start: Date,
        end: Date,
        day_count: DayCount,
        market: &Market,
        slots: &mut Slots,
    ) -> Result<Quote, String> {
        let years = day_count.years(start, end, None);
        if years <= 0.0 {
            return Err(format!("an instrument ends on {end}, not after its start on {start}"));
        }
        let of = Discounting::from(self.own);
        let pay = slots.at(market, of, market.as_of);
        let (num, den) = (slots.at(market, of, start), slots.at(market, of, end));
        let floats = vec![Flow { pay, num, den, a: 1.0, b: -1.0 }];
        Ok(Quote { rate: 0.0, floats, annuity: vec![(pay, years)], last: end, quality: Quality::Ok })
    }

    fn swap(&self, node: &NodeSpec, market: &Market, slots: &mut Slots) -> Result<Quote, String> {
        let name = self.how.index.as_deref().ok_or("swaps need an index")?;
        let index = market.index(name)?;
        let start = self.spot(node, market)?;
        let discount = self.how.discount_curve.clone().unwrap_or_else(|| self.spec.curve_id.clone());
        let fixed = LegTerms {
            kind: LegKind::Fixed,
            side: Side::Receive,
            currency: Some(index.currency.clone()),
            notional: 1.0,
            notional_step: 0.0,
            start,
            end: self.unadjusted_end(node, start)?,
            frequency: Some(Frequency(Some(self.how.fixed_frequency.unwrap_or(Tenor::of_months(12))))),
            day_count: self.how.fixed_day_count.or(Some(index.day_count)),
            rate: Some(0.0),
            index: None,
            spread: 0.0,
            calendar: self.spec.calendar.clone(),
            convention: self.spec.convention,
            payment_convention: self.spec.convention,
            payment_lag: self.how.payment_lag.unwrap_or(0),
            stub: Default::default(),
            end_of_month: false,
            first_rate: None,
            fixing_days: None,
            par_coupons: self.how.par_coupons,
            exchange: false,
            discount_curve: Some(discount),
        };
        let floating = LegTerms {
            kind: if index.overnight { LegKind::Overnight } else { LegKind::Ibor },
            frequency: if index.overnight { fixed.frequency } else { None },
            day_count: None,
            rate: None,
            index: Some(name.to_owned()),
            ..fixed.clone()
        };
        let mut context = Context { market, slots };
        let fixed = compile_leg(&fixed, None, &mut context).map_err(|flag| flag.reason)?;
        let floating = compile_leg(&floating, None, &mut context).map_err(|flag| flag.reason)?;
        Ok(Quote {
            rate: 0.0,
            floats: floating.leg.flows,
            annuity: fixed.par.annuity,
            last: fixed.last.max(floating.last),
            quality: Quality::Ok,
        })
    }

    /// Legs adjust their dates themselves.
    fn unadjusted_end(&self, node: &NodeSpec, start: Date) -> Result<Date, String> {
        node.date
            .or(node.tenor.map(|tenor| start.plus(tenor)))
            .ok_or_else(|| "a quote needs a tenor or a date".into())
    }

    /// A bond at par with a coupon each half year, or simple interest.
    fn treasury(&self, node: &NodeSpec, market: &Market, slots: &mut Slots) -> Result<Quote, String> {
        let tenor = node.tenor.ok_or("a treasury yield needs a tenor")?;
        let start = market.as_of;
        if tenor.months <= 6 {
            return self.interest(start, start.plus(tenor), DayCount::ActActIsda, market, slots);
        }
        if tenor.months % 6 != 0 || tenor.days != 0 {
            return Err(format!("a treasury yield of {tenor} has no whole half years"));
        }
        let of = Discounting::from(self.own);
        let halves: Vec<Date> = (1..=tenor.months / 6).map(|n| start.plus_months(6 * n)).collect();
        let annuity = halves.iter().map(|date| (slots.at(market, of, *date), 0.5)).collect();
        let today = slots.at(market, of, start);
        let last = start.plus(tenor);
        let end = slots.at(market, of, last);
        // The bond costs 1 now and pays 1 at the end: its coupons are worth the rest.
        let floats = vec![Flow { pay: end, num: today, den: end, a: 1.0, b: -1.0 }];
        Ok(Quote { rate: 0.0, floats, annuity, last, quality: Quality::Ok })
    }
}
