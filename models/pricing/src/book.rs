//! Positions on a market: compiled once, priced in all scenarios.

mod columns;

use std::collections::BTreeMap;

pub use columns::{Column, Columns, Flagged, Rates};

use crate::engine::{BLOCK, Block, Bump, Engine};
use crate::fx::Path;
use crate::market::Market;
use crate::measures::{Cell, Measure, Valued, Views};
use crate::position::Position;
use crate::products::{Context, Flag, Trade, compile};
use crate::program::{Program, Slots, Underlying};
use crate::quality::Quality;
use crate::scenario::Shifts;
use crate::terms::Product;

/// A position that has a trade, or says why not.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its trade.
    pub trade: Result<Trade, Flag>,
    /// How many.
    pub quantity: f64,
    /// From its currency to the base currency.
    base: Result<Path, Flag>,
    quality: Quality,
}

/// What a value rests on: names, and the worst quality that was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Curves.
    pub curves: Vec<(String, &'static str)>,
    /// Exchange rates, volatilities, prices.
    pub quotes: Vec<(String, &'static str)>,
}

/// Positions with their discount factors.
#[derive(Debug, Clone)]
pub struct Book {
    /// As the positions.
    pub entries: Vec<Entry>,
    slots: Slots,
    base_currency: Option<String>,
}

impl Book {
    /// Compiles every position; those that can't be are flagged.
    pub fn new(positions: &[Position], market: &Market, base_currency: Option<&str>) -> Self {
        let mut slots = Slots::default();
        let mut context = Context { market, slots: &mut slots };
        let entries = positions
            .iter()
            .map(|position| {
                let product = Product::read(&position.product_type, &position.terms).map_err(|reason| {
                    let unsupported = reason.starts_with("unsupported");
                    Flag::new(if unsupported { "unsupported_product" } else { "bad_terms" }, reason)
                });
                let trade = product.and_then(|product| compile(&product, &mut context));
                let base = match (&trade, base_currency) {
                    (Ok(trade), Some(base)) => context.path(&trade.program.currency, base),
                    _ => Err(Flag::new("not_defined", "there is no base currency")),
                };
                Entry { trade, quantity: position.quantity, base, quality: Quality::Ok }
            })
            .collect();
        let mut book = Self { entries, slots, base_currency: base_currency.map(str::to_owned) };
        book.rate(market);
        book
    }

    /// The worst quality of what each trade's value rests on.
    fn rate(&mut self, market: &Market) {
        let of_slots: Vec<Quality> = self.slots.list().iter().map(|slot| slot.quality(market)).collect();
        for entry in &mut self.entries {
            if let Ok(trade) = &entry.trade {
                entry.quality = quality(&trade.program, market, &of_slots);
            }
        }
    }

    /// The programs of all trades.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.entries.iter().filter_map(|entry| Some(&entry.trade.as_ref().ok()?.program))
    }

    /// What prices it.
    pub fn engine<'a>(&'a self, market: &'a Market, shifts: &'a Shifts) -> Engine<'a> {
        Engine::new(market, &self.slots, shifts, self.programs())
    }

    /// Every measure of every position in every scenario: the answer is called
    /// with position, scenario, place of the measure, and cell or flag; scenario by
    /// scenario, positions in order.
    pub fn run(
        &self,
        market: &Market,
        shifts: &Shifts,
        measures: &[Measure],
        mut each: impl FnMut(usize, usize, usize, Result<Cell, Flag>),
    ) {
        let engine = self.engine(market, shifts);
        for scenario in 0..shifts.count() {
            let views = Views::new(&engine, scenario);
            for (at, entry) in self.entries.iter().enumerate() {
                for (place, measure) in measures.iter().enumerate() {
                    each(at, scenario, place, self.cell(entry, *measure, market, &views));
                }
            }
        }
    }

    fn cell(
        &self,
        entry: &Entry,
        measure: Measure,
        market: &Market,
        views: &Views<'_>,
    ) -> Result<Cell, Flag> {
        let trade = entry.trade.as_ref().map_err(Clone::clone)?;
        let base = match (&entry.base, &self.base_currency) {
            (Ok(path), Some(name)) => Some((path, name.as_str())),
            (Err(flag), Some(_)) if measure == Measure::PvBase => return Err(flag.clone()),
            _ => None,
        };
        let of_base = match (measure, base) {
            (Measure::PvBase, Some((path, _))) => market.fx.quality(path),
            _ => Quality::Ok,
        };
        let quality = entry.quality.max(of_base);
        Valued { trade, quantity: entry.quantity, base, quality, curves: &market.curves }
            .measure(measure, views)
    }

    /// One measure of one position.
    pub fn one(&self, at: usize, measure: Measure, market: &Market, views: &Views<'_>) -> Result<Cell, Flag> {
        self.cell(&self.entries[at], measure, market, views)
    }

    /// What of the market a position's value rests on, with the quality there.
    pub fn uses(&self, at: usize, market: &Market) -> Uses {
        let mut uses = Uses::default();
        let Ok(trade) = &self.entries[at].trade else { return uses };
        let program = &trade.program;
        let note = |list: &mut BTreeMap<String, Quality>, name: String, quality: Quality| {
            let known = list.entry(name).or_default();
            *known = quality.max(*known);
        };
        let (mut curves, mut quotes) = (BTreeMap::new(), BTreeMap::new());
        for slot in program.slots() {
            let slot = &self.slots.list()[slot as usize];
            for curve in [Some(slot.of.curve), slot.of.spread].into_iter().flatten() {
                note(&mut curves, market.curves[curve].id.clone(), slot.quality(market));
            }
        }
        let options = program.options.iter().filter_map(|option| match &option.underlying {
            Underlying::Fx { path, .. } => Some(path),
            Underlying::Equity { .. } => None,
        });
        for (quote, _) in program.legs.iter().map(|leg| &leg.fx).chain(options).flatten() {
            let quote = &market.fx.quotes()[*quote];
            note(&mut quotes, format!("{}{}", quote.base, quote.quote), quote.quality);
        }
        if let Some(at) = program.embedded.as_ref().and_then(|embedded| embedded.volatility) {
            let volatility = &market.volatilities[at];
            note(&mut quotes, format!("volatility {}", volatility.underlying), volatility.quality());
        }
        for option in &program.options {
            let volatility = &market.volatilities[option.volatility];
            note(&mut quotes, format!("volatility {}", volatility.underlying), volatility.quality());
            if let Underlying::Equity { at, .. } = &option.underlying {
                note(&mut quotes, market.equities[*at].underlying.clone(), market.equities[*at].quality);
            }
        }
        let list = |map: BTreeMap<String, Quality>| map.into_iter().map(|(id, q)| (id, q.name())).collect();
        (uses.curves, uses.quotes) = (list(curves), list(quotes));
        uses
    }

    /// Values of every position in every scenario in the trade's currency, a row
    /// for each position; `NaN` where it is flagged. Inner loops run over scenarios.
    pub fn values(&self, market: &Market, shifts: &Shifts) -> Vec<f64> {
        let engine = self.engine(market, shifts);
        let count = shifts.count();
        let mut values = vec![f64::NAN; self.entries.len() * count];
        let mut block = Block::default();
        let mut start = 0;
        while start < count {
            let end = (start + BLOCK).min(count);
            engine.fill(start..end, Bump::default(), &mut block);
            for (at, entry) in self.entries.iter().enumerate() {
                let Ok(trade) = &entry.trade else { continue };
                let row = &mut values[at * count + start..at * count + end];
                engine.price(&trade.program, &block, row);
                row.iter_mut().for_each(|value| *value *= entry.quantity);
            }
            start = end;
        }
        values
    }
}

fn quality(program: &Program, market: &Market, of_slots: &[Quality]) -> Quality {
    let slots = program.slots().into_iter().map(|slot| of_slots[slot as usize]).max().unwrap_or_default();
    let legs = program.legs.iter().map(|leg| market.fx.quality(&leg.fx)).max().unwrap_or_default();
    let options = program.options.iter().map(|option| match &option.underlying {
        Underlying::Fx { path, .. } => market.fx.quality(path),
        Underlying::Equity { at, .. } => market.equities[*at].quality,
    });
    program.quality.max(slots).max(legs).max(options.max().unwrap_or_default())
}
