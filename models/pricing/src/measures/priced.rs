//! Prices, yields and spreads of bonds and loans.

use super::{nonzero, not_defined};
use crate::engine::View;
use crate::products::{Debt, Flag};
use crate::program::Program;
use crate::solve::root;
use crate::tree::Embedded;

/// Flows after settlement, per 100 of face. Yields and the Z-spread are those of
/// the flows if nobody ends it early.
pub struct Priced<'a> {
    debt: &'a Debt,
    /// Years by the yield's convention, amount, discount factor from settlement.
    flows: Vec<(f64, f64, f64)>,
    /// By the model, with the rights to end it.
    pub model_dirty: f64,
    /// What is paid up to settlement, per 1 of face.
    settled: f64,
}

impl<'a> Priced<'a> {
    /// In one scenario.
    pub fn new(debt: &'a Debt, program: &Program, view: &View<'_>) -> Result<Self, Flag> {
        let settle = view.df(debt.settle);
        let scale = 100.0 / nonzero(debt.face)?;
        let flows: Vec<_> = debt
            .flows
            .iter()
            .filter_map(|(years, at)| {
                let flow = program.legs.first()?.flows.get(*at)?;
                Some((*years, flow.amount(&view.dfs) * scale, view.df(flow.pay) / settle))
            })
            .collect();
        if flows.is_empty() {
            return Err(not_defined("nothing is paid after settlement"));
        }
        let straight: f64 = flows.iter().map(|(_, amount, df)| amount * df).sum();
        let mut priced = Self { debt, flows, model_dirty: straight, settled: 0.0 };
        if let Some(embedded) = &program.embedded {
            let all: f64 =
                program.legs.iter().flat_map(|leg| &leg.flows).map(|flow| flow.pv(&view.dfs)).sum();
            priced.settled = all / debt.face - straight * settle / 100.0;
            priced.model_dirty = priced.dirty(embedded, view, view.value(program));
        }
        Ok(priced)
    }

    /// The price for settlement that a value of today is.
    fn dirty(&self, embedded: &Embedded, view: &View<'_>, value: f64) -> f64 {
        100.0 * (value / embedded.face - self.settled) / view.df(self.debt.settle)
    }

    /// Price, its first and second derivative, Macaulay's duration.
    pub fn at_yield(&self, rate: f64) -> (f64, f64, f64, f64) {
        let m = self.debt.periods;
        let grown = 1.0 + rate / m;
        let (mut price, mut first, mut second, mut weighted) = (0.0, 0.0, 0.0, 0.0);
        for (t, amount, _) in &self.flows {
            let value = amount * grown.powf(-m * t);
            price += value;
            weighted += t * value;
            first -= t * value / grown;
            second += t * (t + 1.0 / m) * value / (grown * grown);
        }
        (price, first, second, weighted / price)
    }

    /// Of the market price, or of the model's.
    pub fn solved_yield(&self) -> Result<f64, Flag> {
        let target = self.debt.market_dirty.unwrap_or(self.model_dirty);
        // Below that nothing grows; above it nothing is left.
        let lowest = -0.99 * self.debt.periods;
        root(lowest, 10.0, |rate| self.at_yield(rate).0 - target)
            .ok_or_else(|| Flag::new("no_solution", format!("no yield gives the price {target}")))
    }

    fn target(&self) -> Result<f64, Flag> {
        self.debt.market_dirty.ok_or_else(|| not_defined("it has no market price"))
    }

    /// Added to the discount curve's rates.
    pub fn z_spread(&self) -> Result<f64, Flag> {
        let target = self.target()?;
        let price = |spread: f64| -> f64 {
            self.flows.iter().map(|(t, amount, df)| amount * df * (-spread * t).exp()).sum::<f64>()
        };
        root(-2.0, 10.0, |spread| price(spread) - target)
            .ok_or_else(|| Flag::new("no_solution", format!("no spread gives the price {target}")))
    }

    /// Added to all rates of the tree, from the valuation date on.
    pub fn oas(&self, embedded: &Embedded, view: &View<'_>) -> Result<f64, Flag> {
        let target = self.target()?;
        let lattice = view.lattice(embedded);
        let price = |spread: f64| self.dirty(embedded, view, view.ended(embedded, &lattice, spread));
        root(-0.5, 1.0, |spread| price(spread) - target)
            .ok_or_else(|| Flag::new("no_solution", format!("no spread gives the price {target}")))
    }
}
