//! Everything that a run keeps of a book: measures as columns of numbers.
//!
//! Values and shifts of all curves are priced in blocks of scenarios; what else
//! there is, scenario by scenario.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Book;
use crate::engine::{BLOCK, Block, Bump, Engine};
use crate::market::Market;
use crate::measures::{Measure, Views};
use crate::products::Flag;
use crate::quality::Quality;
use crate::scenario::Shifts;

const BP: f64 = 1e-4;

/// Cells that have a reason instead of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// Their places in the column.
    pub cells: Range<usize>,
    /// The reason.
    pub flag: Flag,
}

/// One measure of all positions in all scenarios.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Which.
    pub measure: Measure,
    /// Position by position, scenarios next to each other; `NaN` where flagged.
    pub values: Vec<f64>,
    /// In order.
    pub flagged: Vec<Flagged>,
    /// The worst of what each position's numbers rest on.
    pub qualities: Vec<Quality>,
    /// Parts of the numbers in the first scenario, by position, as JSON.
    pub details: BTreeMap<usize, String>,
}

/// What makes the base currency out of one currency, by scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// From which.
    pub currency: String,
    /// `NaN` if there is no rate.
    pub to_base: Vec<f64>,
}

/// All measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// As asked.
    pub measures: Vec<Column>,
    /// The currency of each position's amounts; `None` if it has no trade.
    pub currencies: Vec<Option<String>>,
    /// Of each of those currencies, by its name.
    pub rates: Vec<Rates>,
}

impl Book {
    /// Computes measures in all scenarios. `None` if `go_on` said no on the way.
    pub fn columns(
        &self,
        market: &Market,
        shifts: &Shifts,
        measures: &[Measure],
        go_on: &dyn Fn() -> bool,
    ) -> Option<Columns> {
        let engine = self.engine(market, shifts);
        let currencies: Vec<Option<String>> = self
            .entries
            .iter()
            .map(|entry| entry.trade.as_ref().ok().map(|trade| trade.program.currency.clone()))
            .collect();
        let rates = self.rates(&engine, market, &currencies);
        let in_blocks = |measure: &Measure| {
            matches!(measure, Measure::Pv | Measure::PvBase | Measure::Dv01 | Measure::Cs01)
        };
        let base = match measures.iter().any(in_blocks) {
            true => self.bumped(&engine, Bump::default(), go_on)?,
            false => Vec::new(),
        };
        let mut all = Vec::with_capacity(measures.len());
        for measure in measures {
            let values = match measure {
                Measure::Pv => self.scaled(&base, None),
                Measure::PvBase => self.converted(&base, &currencies, &rates),
                Measure::Dv01 => {
                    let up = self.bumped(&engine, Bump { rates: BP, ..Bump::default() }, go_on)?;
                    self.scaled(&up, Some(&base))
                }
                Measure::Cs01 => {
                    let up = self.bumped(&engine, Bump { spreads: BP, ..Bump::default() }, go_on)?;
                    self.scaled(&up, Some(&base))
                }
                _ => {
                    all.push(self.one_by_one(&engine, market, *measure, go_on)?);
                    continue;
                }
            };
            all.push(self.column(*measure, values, shifts.count(), market));
        }
        Some(Columns { measures: all, currencies, rates })
    }

    /// Values of one of each position, with a shift on top of every scenario.
    fn bumped(&self, engine: &Engine<'_>, bump: Bump, go_on: &dyn Fn() -> bool) -> Option<Vec<f64>> {
        let count = engine.shifts.count();
        let mut values = vec![f64::NAN; self.entries.len() * count];
        let mut block = Block::default();
        for start in (0..count).step_by(BLOCK) {
            if !go_on() {
                return None;
            }
            let end = (start + BLOCK).min(count);
            engine.fill(start..end, bump, &mut block);
            for (at, entry) in self.entries.iter().enumerate() {
                let Ok(trade) = &entry.trade else { continue };
                engine.price(&trade.program, &block, &mut values[at * count + start..at * count + end]);
            }
        }
        Some(values)
    }

    /// Times the quantity, as a difference from other values if there are some.
    fn scaled(&self, values: &[f64], from: Option<&[f64]>) -> Vec<f64> {
        let count = values.len().checked_div(self.entries.len()).unwrap_or_default().max(1);
        let less = |at: usize| from.map_or(0.0, |from| from[at]);
        let quantity = |at: usize| self.entries[at / count].quantity;
        values.iter().enumerate().map(|(at, value)| (value - less(at)) * quantity(at)).collect()
    }

    fn converted(&self, base: &[f64], currencies: &[Option<String>], rates: &[Rates]) -> Vec<f64> {
        let count = base.len().checked_div(self.entries.len()).unwrap_or_default().max(1);
        let mut values = self.scaled(base, None);
        for (row, currency) in values.chunks_mut(count).zip(currencies) {
            let rates = rates.iter().find(|rates| Some(&rates.currency) == currency.as_ref());
            for (at, value) in row.iter_mut().enumerate() {
                *value *= rates.map_or(f64::NAN, |rates| rates.to_base[at]);
            }
        }
        values
    }

    fn rates(&self, engine: &Engine<'_>, market: &Market, currencies: &[Option<String>]) -> Vec<Rates> {
        let mut names: Vec<&String> = currencies.iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        let count = engine.shifts.count();
        let of = |name: &&String| {
            let path = self.base_currency.as_deref().and_then(|base| market.fx.path(name, base));
            let rate = |scenario| path.as_ref().map_or(f64::NAN, |path| engine.fx(path, scenario));
            Rates { currency: (*name).clone(), to_base: (0..count).map(rate).collect() }
        };
        names.iter().map(of).collect()
    }

    /// What is no number is flagged, never left out.
    fn column(&self, measure: Measure, values: Vec<f64>, count: usize, market: &Market) -> Column {
        let mut flagged = Vec::new();
        let mut qualities = Vec::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            let cells = at * count..(at + 1) * count;
            let base = match (measure, &entry.base) {
                (Measure::PvBase, Err(flag)) => Err(flag),
                _ => Ok(()),
            };
            qualities.push(match (measure, &entry.base) {
                (Measure::PvBase, Ok(path)) => entry.quality.max(market.fx.quality(path)),
                _ => entry.quality,
            });
            match (entry.trade.as_ref(), base) {
                (Err(flag), _) | (Ok(_), Err(flag)) => flagged.push(Flagged { cells, flag: flag.clone() }),
                (Ok(_), Ok(())) => {
                    for cell in cells.filter(|cell| !values[*cell].is_finite()) {
                        flagged.push(Flagged { cells: cell..cell + 1, flag: infinite(measure) });
                    }
                }
            }
        }
        let mut values = values;
        for cell in flagged.iter().flat_map(|flagged| flagged.cells.clone()) {
            values[cell] = f64::NAN;
        }
        Column { measure, values, flagged, qualities, details: BTreeMap::new() }
    }

    fn one_by_one(
        &self,
        engine: &Engine<'_>,
        market: &Market,
        measure: Measure,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Column> {
        let count = engine.shifts.count();
        let mut values = vec![f64::NAN; self.entries.len() * count];
        let (mut flags, mut details) = (BTreeMap::new(), BTreeMap::new());
        for scenario in 0..count {
            if !go_on() {
                return None;
            }
            let views = Views::new(engine, scenario);
            for (at, entry) in self.entries.iter().enumerate() {
                match self.cell(entry, measure, market, &views) {
                    Ok(cell) => {
                        values[at * count + scenario] = cell.value;
                        if let Some(detail) = cell.detail.filter(|_| scenario == 0) {
                            details.insert(at, detail.to_string());
                        }
                    }
                    Err(flag) => drop(flags.insert(at * count + scenario, flag)),
                }
            }
        }
        let qualities = self.entries.iter().map(|entry| entry.quality).collect();
        Some(Column { measure, values, flagged: joined(flags, count), qualities, details })
    }
}

/// Neighbouring cells of a position with the same flag are one range.
fn joined(flags: BTreeMap<usize, Flag>, count: usize) -> Vec<Flagged> {
    let mut all: Vec<Flagged> = Vec::new();
    for (cell, flag) in flags {
        match all.last_mut() {
            Some(last) if last.cells.end == cell && cell % count != 0 && last.flag == flag => {
                last.cells.end = cell + 1;
            }
            _ => all.push(Flagged { cells: cell..cell + 1, flag }),
        }
    }
    all
}

fn infinite(measure: Measure) -> Flag {
    Flag::new("no_solution", format!("{} is no finite number", measure.name()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::position::Position;
    use crate::scenario::ScenarioSet;
    use crate::snapshot::Snapshot;

    fn market() -> Market {
        let snapshot: Snapshot = serde_json::from_value(json!({
            "as_of_time": "2026-01-23", "fx_spots": [{"pair": "EURUSD", "spot": 1.1}],
            "curves": [
                {"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": 0.04}, {"tenor": "10Y", "value": 0.03}]},
                {"curve_id": "EUR-OIS", "nodes": [{"tenor": "1Y", "value": 0.02}]}]
        }))
        .unwrap();
        Market::new(&snapshot).unwrap()
    }

    fn positions() -> Vec<Position> {
        let row = |id: &str, product: &str, terms: serde_json::Value| {
            let row = json!({"position_id": id, "product_type": product, "quantity": 2.0, "book": "B", "terms": terms});
            Position::read(&row, None).unwrap()
        };
        vec![
            row(
                "bond",
                "FIXED_BOND",
                json!({"currency": "USD", "face": 100.0, "coupon": 0.05, "start": "2025-01-23",
                "maturity": "2030-01-23", "frequency": "6M", "day_count": "30/360"}),
            ),
            row("cash", "CASH", json!({"currency": "EUR", "amount": 5.0})),
            row("bad", "CASH", json!({"currency": "EUR"})),
            row("yen", "CASH", json!({"currency": "JPY", "amount": 5.0})),
        ]
    }

    /// Columns say what cells say, to the last few bits.
    #[test]
    fn columns_are_the_cells() {
        let (market, positions) = (market(), positions());
        let sets = [
            ScenarioSet::named("BASE"),
            ScenarioSet::named("FX_SPOT_1PCT"),
            ScenarioSet::try_from(json!({"scenario_set_id": "KR", "kind": "bucketed", "size": 0.001}))
                .unwrap(),
        ];
        let scenarios: Vec<_> = sets.iter().flat_map(|set| set.scenarios().unwrap()).collect();
        let shifts = Shifts::new(&scenarios, &market).unwrap();
        let measures = [
            Measure::Pv,
            Measure::PvBase,
            Measure::Dv01,
            Measure::Cs01,
            Measure::Yield,
            Measure::Dv01Bucketed,
        ];
        let book = Book::new(&positions, &market, Some("USD"));
        let columns = book.columns(&market, &shifts, &measures, &|| true).unwrap();
        let count = shifts.count();
        let mut seen = 0;
        book.run(&market, &shifts, &measures, |at, scenario, place, cell| {
            let column = &columns.measures[place];
            let value = column.values[at * count + scenario];
            let flagged = column.flagged.iter().find(|f| f.cells.contains(&(at * count + scenario)));
            match cell {
                Ok(cell) => {
                    let near = (value - cell.value).abs() <= 1e-9 * cell.value.abs().max(1.0);
                    assert!(near && flagged.is_none(), "{at} {scenario} {place}: {value} {}", cell.value);
                    assert_eq!(column.qualities[at], cell.quality);
                }
                Err(flag) => assert_eq!((value.is_nan(), &flagged.unwrap().flag), (true, &flag)),
            }
            seen += 1;
        });
        assert_eq!(seen, 4 * count * measures.len());
        assert_eq!(columns.currencies, [Some("USD".into()), Some("EUR".into()), None, Some("JPY".into())]);
        let eur = columns.rates.iter().find(|rates| rates.currency == "EUR").unwrap();
        assert!((eur.to_base[0] - 1.1).abs() < 1e-12 && (eur.to_base[1] - 1.111).abs() < 1e-12);
        assert!(columns.measures[5].details[&0].contains("USD-OIS"));
        assert!(book.columns(&market, &shifts, &measures, &|| false).is_none());
    }
}
