//! Positions × scenarios × measures, as rows.

use anyhow::Result;
use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::{Cell, Measure};
use models_pricing::model::Model;
use models_pricing::money;
use models_pricing::position::Position;
use models_pricing::products::Flag;
use models_pricing::scenario::{Scenario, ScenarioSet, Shifts};
use models_pricing::snapshot::Snapshot;
use serde_json::{Map, Value, json};

pub use runs::inputs::positions;

use super::Invalid;

/// What is to be priced.
pub struct Asked {
    pub positions: Vec<Position>,
    /// Positions that have no terms: names and reasons, in the results too.
    pub refused: Vec<(String, Flag)>,
    pub market: Market,
    pub sets: Vec<ScenarioSet>,
    pub measures: Vec<Measure>,
    pub base_currency: Option<String>,
}

/// One position in one scenario.
pub struct Line<'a> {
    pub position_id: &'a str,
    pub book: &'a str,
    pub product_type: &'a str,
    pub scenario_id: &'a str,
    /// As the measures that were asked for.
    pub cells: Vec<Result<Cell, Flag>>,
    pub notes: &'a [String],
}

/// The market that a snapshot's content makes; everything wrong with it is said.
pub fn market(content: &Value) -> Result<Market> {
    market_by(content, &Model::default())
}

/// The same by a model.
pub fn market_by(content: &Value, model: &Model) -> Result<Market> {
    let snapshot: Snapshot =
        serde_json::from_value(content.clone()).map_err(|e| Invalid(format!("the market snapshot: {e}")))?;
    Market::by(&snapshot, model).map_err(|e| Invalid(e.to_string()).into())
}

/// The scenarios of all sets; the base alone if there are none.
pub fn scenarios(sets: &[ScenarioSet]) -> Result<Vec<Scenario>> {
    let base = [ScenarioSet::named("BASE")];
    let sets = if sets.is_empty() { &base[..] } else { sets };
    let mut all = Vec::new();
    for set in sets {
        all.extend(set.scenarios().map_err(Invalid)?);
    }
    Ok(all)
}

/// Prices everything; each line is given away as it is made, scenario by
/// scenario. Answers what could not be priced, by position.
pub fn price(asked: &Asked, mut each: impl FnMut(Line<'_>) -> Result<()>) -> Result<()> {
    let scenarios = scenarios(&asked.sets)?;
    let shifts = Shifts::new(&scenarios, &asked.market).map_err(Invalid)?;
    let book = Book::new(&asked.positions, &asked.market, asked.base_currency.as_deref());
    let width = asked.measures.len();
    let mut cells = Vec::with_capacity(width);
    let mut outcome = Ok(());
    book.run(&asked.market, &shifts, &asked.measures, |at, scenario, measure, cell| {
        if outcome.is_err() {
            return;
        }
        cells.push(cell);
        if measure + 1 == width {
            let position = &asked.positions[at];
            let notes = book.entries[at].trade.as_ref().map_or(&[][..], |trade| &trade.program.notes);
            outcome = each(Line {
                position_id: &position.position_id,
                book: &position.book,
                product_type: &position.product_type,
                scenario_id: &shifts.ids[scenario],
                cells: std::mem::take(&mut cells),
                notes,
            });
        }
    });
    outcome?;
    for scenario in &shifts.ids {
        for (name, flag) in &asked.refused {
            each(Line {
                position_id: name,
                book: "",
                product_type: "",
                scenario_id: scenario,
                cells: vec![Err(flag.clone()); width],
                notes: &[],
            })?;
        }
    }
    Ok(())
}

/// Positions that have no price on this market, with the reason, before
/// anything is computed.
pub fn problems(asked: &Asked) -> Vec<(String, Flag)> {
    let book = Book::new(&asked.positions, &asked.market, asked.base_currency.as_deref());
    let of = |(entry, position): (&models_pricing::book::Entry, &Position)| {
        Some((position.position_id.clone(), entry.trade.as_ref().err()?.clone()))
    };
    asked.refused.iter().cloned().chain(book.entries.iter().zip(&asked.positions).filter_map(of)).collect()
}

/// A line as JSON: numbers as they are, money also rounded to the currency's
/// smallest unit.
pub fn to_json(line: &Line<'_>, measures: &[Measure]) -> Value {
    let mut cells = Map::new();
    for (measure, cell) in measures.iter().zip(&line.cells) {
        cells.insert(measure.name().to_owned(), cell_json(*measure, cell));
    }
    let mut row = json!({
        "position_id": line.position_id, "book": line.book, "product_type": line.product_type,
        "scenario_id": line.scenario_id, "measures": cells,
    });
    if !line.notes.is_empty() {
        row["notes"] = json!(line.notes);
    }
    row
}

fn cell_json(measure: Measure, cell: &Result<Cell, Flag>) -> Value {
    match cell {
        Err(flag) => json!({"value": null, "flag": flag.code, "reason": flag.reason}),
        Ok(cell) => {
            let mut object = json!({"value": cell.value, "quality": cell.quality});
            if let Some(currency) = &cell.currency {
                object["currency"] = json!(currency);
                if measure.is_money() {
                    object["rounded"] = json!(money::rounded(cell.value, currency));
                }
            }
            if let Some(detail) = &cell.detail {
                object["detail"] = detail.clone();
            }
            object
        }
    }
}

/// Header of [`to_records`].
pub const CSV_HEADER: [&str; 12] = [
    "position_id",
    "book",
    "product_type",
    "scenario_id",
    "measure",
    "value",
    "rounded",
    "currency",
    "quality",
    "flag",
    "reason",
    "notes",
];

/// A line as records of CSV, one for each measure.
pub fn to_records(line: &Line<'_>, measures: &[Measure]) -> Vec<[String; 12]> {
    let of = |(measure, cell): (&Measure, &Result<Cell, Flag>)| {
        let mut record = [const { String::new() }; 12];
        let first = [line.position_id, line.book, line.product_type, line.scenario_id, measure.name()];
        for (field, text) in record.iter_mut().zip(first) {
            *field = text.to_owned();
        }
        match cell {
            Ok(cell) => {
                record[5] = cell.value.to_string();
                if let Some(currency) = &cell.currency {
                    record[7].clone_from(currency);
                    if measure.is_money() {
                        record[6] = money::rounded(cell.value, currency);
                    }
                }
                record[8] = cell.quality.name().to_owned();
            }
            Err(flag) => {
                record[9] = flag.code.to_owned();
                record[10].clone_from(&flag.reason);
            }
        }
        record[11] = line.notes.join("; ");
        record
    };
    measures.iter().zip(&line.cells).map(of).collect()
}
