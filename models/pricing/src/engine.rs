//! Programs priced in many scenarios at once.
//!
//! A block holds the discount factors of all slots in some scenarios, scenario
//! by scenario next to each other, so that every inner loop runs over scenarios.
//! One scenario alone is a [`View`].

use std::ops::Range;

use crate::fx::Path;
use crate::market::Market;
use crate::normal::black;
use crate::program::{OptionTerm, Program, Slots, Underlying};
use crate::scenario::{Grid, Shifts};
use crate::snapshot::CurveKind;
use crate::tree::{Embedded, Lattice};

/// A shift on top of every scenario: of all rate curves, of all spread curves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bump {
    /// Added to zero rates of rate curves.
    pub rates: f64,
    /// Added to zero rates of spread curves.
    pub spreads: f64,
}

/// Market, slots and scenarios together.
pub struct Engine<'a> {
    /// What is shifted.
    pub market: &'a Market,
    /// By how much.
    pub shifts: &'a Shifts,
    slots: &'a Slots,
    /// Logarithms of discount factors without a scenario.
    base: Vec<f64>,
    /// Slots that flows divide by.
    divisors: Vec<bool>,
}

/// Scenarios that are priced together. A line of 128 numbers is a kilobyte.
pub const BLOCK: usize = 128;

/// Discount factors of some scenarios.
#[derive(Debug, Clone, Default)]
pub struct Block {
    range: Range<usize>,
    dfs: Vec<f64>,
    /// Their inverses, where something divides by them.
    inverses: Vec<f64>,
}

/// One scenario.
#[derive(Clone)]
pub struct View<'a> {
    engine: &'a Engine<'a>,
    scenario: usize,
    /// Discount factors by slot.
    pub dfs: Vec<f64>,
}

impl<'a> Engine<'a> {
    /// For programs compiled on this market with these slots.
    pub fn new<'p>(
        market: &'a Market,
        slots: &'a Slots,
        shifts: &'a Shifts,
        programs: impl IntoIterator<Item = &'p Program>,
    ) -> Self {
        let mut divisors = vec![false; slots.list().len()];
        for program in programs {
            for leg in &program.legs {
                for flow in leg.flows.iter().filter(|flow| flow.a != 0.0) {
                    divisors[flow.den as usize] = true;
                }
            }
        }
        let base = slots.list().iter().map(|slot| slot.ln_df(market)).collect();
        Self { market, shifts, slots, base, divisors }
    }

    fn bump_of(&self, curve: usize, bump: Bump) -> f64 {
        match self.market.kinds[curve].is_spread() {
            true => bump.spreads * self.market.spread_weight(curve),
            false => bump.rates,
        }
    }

    /// −(shift · time) of one curve in a range of scenarios, added to a row.
    fn shift(&self, curve: usize, t: f64, bump: Bump, range: &Range<usize>, row: &mut [f64]) {
        if t <= 0.0 {
            return;
        }
        let bump = self.bump_of(curve, bump);
        if bump != 0.0 {
            row.iter_mut().for_each(|ln| *ln -= bump * t);
        }
        let Some(Grid { times, rows }) = &self.shifts.curves[curve] else { return };
        let count = self.shifts.count();
        let line = |at: usize| &rows[at * count + range.start..at * count + range.end];
        let at = times.partition_point(|time| *time < t);
        if at == 0 || at == times.len() {
            let values = line(at.min(times.len() - 1));
            row.iter_mut().zip(values).for_each(|(ln, shift)| *ln -= shift * t);
            return;
        }
        let weight = (t - times[at - 1]) / (times[at] - times[at - 1]);
        let (left, right) = ((1.0 - weight) * t, weight * t);
        for ((ln, a), b) in row.iter_mut().zip(line(at - 1)).zip(line(at)) {
            *ln -= a * left + b * right;
        }
    }

    /// Fills a block with a range of scenarios, at most [`BLOCK`] of them.
    pub fn fill(&self, range: Range<usize>, bump: Bump, block: &mut Block) {
        let width = range.len();
        block.range = range.clone();
        block.dfs.resize(self.base.len() * width, 0.0);
        block.inverses.resize(self.base.len() * width, 0.0);
        for (at, slot) in self.slots.list().iter().enumerate() {
            let row = &mut block.dfs[at * width..(at + 1) * width];
            row.fill(self.base[at]);
            self.shift(slot.of.curve, slot.t, bump, &range, row);
            if let Some(spread) = slot.of.spread {
                self.shift(spread, slot.spread_t, bump, &range, row);
            }
            if self.divisors[at] {
                let inverses = &mut block.inverses[at * width..(at + 1) * width];
                for (inverse, ln) in inverses.iter_mut().zip(row.iter()) {
                    *inverse = exp(-ln);
                }
            }
            row.iter_mut().for_each(|ln| *ln = exp(*ln));
        }
    }

    /// The rate of a path in a scenario.
    pub fn fx(&self, path: &Path, scenario: usize) -> f64 {
        let count = self.shifts.count();
        self.market.fx.along(path, |quote| self.shifts.fx[quote * count + scenario])
    }

    /// Values in the trade's currency, one for each scenario of the block.
    pub fn price(&self, program: &Program, block: &Block, values: &mut [f64]) {
        if let Some(embedded) = &program.embedded {
            return self.on_tree(embedded, block, values);
        }
        let width = block.range.len();
        values.fill(0.0);
        let mut own = [0.0; BLOCK];
        for leg in &program.legs {
            let own = &mut own[..width];
            own.fill(0.0);
            for flow in &leg.flows {
                let pay = block.row(flow.pay);
                if flow.a == 0.0 {
                    own.iter_mut().zip(pay).for_each(|(sum, d)| *sum += d * flow.b);
                    continue;
                }
                let (num, inverse) = (block.row(flow.num), block.inverse(flow.den));
                for (((sum, d), n), i) in own.iter_mut().zip(pay).zip(num).zip(inverse) {
                    *sum += d * (flow.a * n * i + flow.b);
                }
            }
            for fra in &leg.fras {
                let (pay, num, den) = (block.row(fra.pay), block.row(fra.num), block.row(fra.den));
                for (((sum, d), n), e) in own.iter_mut().zip(pay).zip(num).zip(den) {
                    let x = fra.a * (n / e - 1.0);
                    *sum += fra.n * d * (x - fra.k) / (1.0 + x);
                }
            }
            if leg.fx.is_empty() {
                values.iter_mut().zip(own.iter()).for_each(|(value, sum)| *value += sum);
                continue;
            }
            for (at, (value, sum)) in values.iter_mut().zip(own.iter()).enumerate() {
                *value += sum * self.fx(&leg.fx, block.range.start + at);
            }
        }
        for option in &program.options {
            for (at, value) in values.iter_mut().enumerate() {
                let df = |slot: u32| block.dfs[slot as usize * width + at];
                *value += self.option(option, df, block.range.start + at).value;
            }
        }
    }

    /// How the short rate of a scenario moves.
    fn volatility(&self, embedded: &Embedded, scenario: usize) -> f64 {
        let Some(at) = embedded.volatility else { return embedded.short_rate.volatility };
        let (times, plus) = self.shifts.volatilities[at * self.shifts.count() + scenario];
        (embedded.short_rate.volatility * times + plus).max(0.0)
    }

    /// Scenarios next to each other that share a volatility share a lattice.
    fn on_tree(&self, embedded: &Embedded, block: &Block, values: &mut [f64]) {
        let width = block.range.len();
        let volatility = |lane: usize| self.volatility(embedded, block.range.start + lane);
        let mut start = 0;
        while start < width {
            let own = volatility(start);
            let end = (start + 1..width).find(|lane| volatility(*lane) != own).unwrap_or(width);
            let df = |level: usize, lane: usize| {
                block.dfs[embedded.levels[level].slot as usize * width + start + lane]
            };
            embedded.lattice(own).values(&embedded.levels, df, &mut values[start..end]);
            start = end;
        }
        values.iter_mut().for_each(|value| *value *= embedded.face);
    }

    /// The underlying's price now, its forward and its volatility.
    fn underlying(&self, option: &OptionTerm, df: impl Fn(u32) -> f64, scenario: usize) -> (f64, f64, f64) {
        let count = self.shifts.count();
        let (spot, carried) = match &option.underlying {
            Underlying::Fx { path, foreign } => (self.fx(path, scenario), df(*foreign)),
            Underlying::Equity { at, dividends } => {
                (self.market.equities[*at].spot * self.shifts.equities[at * count + scenario], *dividends)
            }
        };
        let (times, plus) = self.shifts.volatilities[option.volatility * count + scenario];
        (spot, spot * carried / df(option.pay), (option.sigma * times + plus).max(0.0))
    }

    /// An option in one scenario.
    pub fn option(&self, option: &OptionTerm, df: impl Fn(u32) -> f64, scenario: usize) -> Greeks {
        let (spot, forward, sigma) = self.underlying(option, &df, scenario);
        let (root, discount) = (option.t.sqrt(), df(option.pay));
        let of = black(option.phi, forward, option.strike, sigma * root, root);
        let scale = option.amount * discount;
        let carry = forward / spot;
        // Rates are those that the two discount factors stand for.
        let theta = if option.t > 0.0 {
            let (r, growth) = (-discount.ln() / option.t, (forward / spot).ln() / option.t);
            scale * (r * of.value - growth * forward * of.delta - of.vega * sigma / (2.0 * option.t)) / 365.0
        } else {
            0.0
        };
        Greeks {
            value: scale * of.value,
            delta: scale * of.delta * carry,
            gamma: scale * of.gamma * carry * carry,
            vega: scale * of.vega * 0.01,
            theta,
            forward_delta: scale * of.delta * forward,
        }
    }

    /// One scenario, with a bump on top.
    pub fn view(&'a self, scenario: usize, bump: Bump) -> View<'a> {
        let mut block = Block::default();
        self.fill(scenario..scenario + 1, bump, &mut block);
        View { engine: self, scenario, dfs: block.dfs }
    }
}

/// e^x. The compiler's own, so that every build on a platform agrees.
fn exp(x: f64) -> f64 {
    x.exp()
}

/// An option's value and derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greeks {
    /// In the payment's currency.
    pub value: f64,
    /// By the underlying's price.
    pub delta: f64,
    /// Twice by it.
    pub gamma: f64,
    /// For one point (0.01) of volatility.
    pub vega: f64,
    /// For one calendar day, all else the same.
    pub theta: f64,
    /// By the logarithm of the forward.
    pub forward_delta: f64,
}

impl Block {
    fn row(&self, slot: u32) -> &[f64] {
        let width = self.range.len();
        &self.dfs[slot as usize * width..(slot as usize + 1) * width]
    }

    fn inverse(&self, slot: u32) -> &[f64] {
        let width = self.range.len();
        &self.inverses[slot as usize * width..(slot as usize + 1) * width]
    }

    /// The scenarios that it holds.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl View<'_> {
    /// Discount factor of a slot.
    pub fn df(&self, slot: u32) -> f64 {
        self.dfs[slot as usize]
    }

    /// The rate of a path.
    pub fn fx(&self, path: &Path) -> f64 {
        self.engine.fx(path, self.scenario)
    }

    /// An option.
    pub fn option(&self, option: &OptionTerm) -> Greeks {
        self.engine.option(option, |slot| self.df(slot), self.scenario)
    }

    /// The lattice of a bond that can be ended.
    pub fn lattice(&self, embedded: &Embedded) -> Lattice {
        embedded.lattice(self.engine.volatility(embedded, self.scenario))
    }

    /// Its value with a spread on all continuous rates.
    pub fn ended(&self, embedded: &Embedded, lattice: &Lattice, spread: f64) -> f64 {
        let df = |level: usize, _: usize| {
            let level = &embedded.levels[level];
            self.df(level.slot) * (-spread * level.t).exp()
        };
        let mut value = [0.0];
        lattice.values(&embedded.levels, df, &mut value);
        value[0] * embedded.face
    }

    /// Value in the trade's currency.
    pub fn value(&self, program: &Program) -> f64 {
        if let Some(embedded) = &program.embedded {
            return self.ended(embedded, &self.lattice(embedded), 0.0);
        }
        let legs: f64 = program
            .legs
            .iter()
            .map(|leg| {
                let flows: f64 = leg.flows.iter().map(|flow| flow.pv(&self.dfs)).sum();
                let fras: f64 = leg.fras.iter().map(|fra| self.df(fra.pay) * fra.amount(&self.dfs)).sum();
                (flows + fras) * self.fx(&leg.fx)
            })
            .sum();
        legs + program.options.iter().map(|option| self.option(option).value).sum::<f64>()
    }

    /// The derivative of the value by the logarithm of each discount factor.
    pub fn gradient(&self, program: &Program) -> Vec<(u32, f64)> {
        let mut gradient = Vec::new();
        if let Some(embedded) = &program.embedded {
            let df = |level: usize| self.df(embedded.levels[level].slot);
            let slopes = self.lattice(embedded).gradient(&embedded.levels, df);
            let of = |(level, slope): (&crate::tree::Level, f64)| (level.slot, slope * embedded.face);
            return embedded.levels.iter().zip(slopes).map(of).collect();
        }
        for leg in &program.legs {
            let fx = self.fx(&leg.fx);
            for flow in &leg.flows {
                let pay = self.df(flow.pay);
                if flow.a == 0.0 {
                    gradient.push((flow.pay, fx * pay * flow.b));
                    continue;
                }
                let floating = flow.a * self.df(flow.num) / self.df(flow.den);
                gradient.push((flow.pay, fx * pay * (floating + flow.b)));
                gradient.push((flow.num, fx * pay * floating));
                gradient.push((flow.den, -fx * pay * floating));
            }
            for fra in &leg.fras {
                let ratio = self.df(fra.num) / self.df(fra.den);
                let x = fra.a * (ratio - 1.0);
                let pay = fx * fra.n * self.df(fra.pay);
                let slope = pay * (1.0 + fra.k) / ((1.0 + x) * (1.0 + x)) * fra.a * ratio;
                gradient.push((fra.pay, pay * (x - fra.k) / (1.0 + x)));
                gradient.push((fra.num, slope));
                gradient.push((fra.den, -slope));
            }
        }
        for option in &program.options {
            // The forward is spot · D(foreign)/D(pay).
            let greeks = self.option(option);
            gradient.push((option.pay, greeks.value - greeks.forward_delta));
            if let Underlying::Fx { foreign, .. } = option.underlying {
                gradient.push((foreign, greeks.forward_delta));
            }
        }
        gradient
    }

    /// Σ gradient · (−t · shift(t)), for a shift of every curve: by curve.
    pub fn sensitivity(
        &self,
        gradient: &[(u32, f64)],
        of_kind: impl Fn(CurveKind) -> bool,
        shift: impl Fn(f64) -> f64,
    ) -> Vec<(usize, f64)> {
        let market = self.engine.market;
        let mut by_curve = vec![None::<f64>; market.curves.len()];
        for (slot, slope) in gradient {
            let slot = self.engine.slots.list()[*slot as usize];
            let parts = [Some((slot.of.curve, slot.t)), slot.of.spread.map(|s| (s, slot.spread_t))];
            for (curve, t) in parts.into_iter().flatten() {
                if of_kind(market.kinds[curve]) && t > 0.0 {
                    *by_curve[curve].get_or_insert(0.0) -= slope * t * shift(t);
                }
            }
        }
        by_curve.into_iter().enumerate().filter_map(|(curve, sum)| Some((curve, sum?))).collect()
    }
}
