//! Values that others published, reproduced at their own tolerances. Each test
//! prints a table of what was expected, what came out, and the difference:
//! `cargo test -p models-pricing --test golden -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cds;
mod loans;
mod ore;
mod quantlib;
mod strata;

use std::collections::BTreeMap;
use std::path::PathBuf;

use models_pricing::book::Book;
use models_pricing::market::Market;
use models_pricing::measures::{Cell, Measure};
use models_pricing::position::Position;
use models_pricing::products::Flag;
use models_pricing::scenario::{ScenarioSet, Shifts};
use models_pricing::snapshot::Snapshot;
use serde_json::{Value, json};

/// The folder of golden values, which is not part of the repository.
fn golden(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("DAYBOOK_DATA") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join("market/golden").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no golden values in {}", path.display());
    None
}

/// Collects comparisons, prints them, and fails if one is out of tolerance.
#[derive(Default)]
struct Table(Vec<(String, f64, f64, f64)>);

impl Table {
    fn row(&mut self, what: impl Into<String>, expected: f64, got: f64, tolerance: f64) {
        self.0.push((what.into(), expected, got, tolerance));
    }

    fn check(self, title: &str) {
        eprintln!("\n{title}\n{:<64} {:>24} {:>24} {:>10} {:>8}", "", "expected", "got", "diff", "within");
        let mut wrong = Vec::new();
        for (what, expected, got, tolerance) in self.0 {
            let difference = (got - expected).abs();
            eprintln!("{what:<64} {expected:>24} {got:>24} {difference:>10.1e} {tolerance:>8.0e}");
            if difference.is_nan() || difference > tolerance {
                wrong.push(what);
            }
        }
        assert!(wrong.is_empty(), "out of tolerance: {wrong:?}");
    }
}

fn market(snapshot: Value) -> Market {
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    Market::new(&snapshot).unwrap()
}

/// All measures of a document of positions, by position and measure.
fn measured(
    market: &Market,
    positions: &Value,
    set: &str,
    measures: &[Measure],
) -> BTreeMap<(String, Measure), Result<Cell, Flag>> {
    let positions = Position::read_all(positions).unwrap();
    let book = Book::new(&positions, market, None);
    let scenarios = ScenarioSet::named(set).scenarios().unwrap();
    let shifts = Shifts::new(&scenarios, market).unwrap();
    let mut cells = BTreeMap::new();
    book.run(market, &shifts, measures, |at, _, measure, cell| {
        cells.insert((positions[at].position_id.clone(), measures[measure]), cell);
    });
    // The vectors of values are the same numbers.
    for (at, value) in book.values(market, &shifts).into_iter().enumerate() {
        if let Some(Ok(cell)) = cells.get(&(positions[at].position_id.clone(), Measure::Pv)) {
            // Sums of 1e8 in another order.
            let close = (value - cell.value).abs() <= 1e-12 * cell.value.abs().max(1e8);
            assert!(close, "{}: {value} and {}", positions[at].position_id, cell.value);
        }
    }
    cells
}

/// One measure of one product.
fn one(market: &Market, product_type: &str, terms: Value, measure: Measure) -> Cell {
    let position = json!([{"position_id": "p", "product_type": product_type, "terms": terms}]);
    let mut cells = measured(market, &position, "BASE", &[measure]);
    cells.remove(&("p".to_owned(), measure)).unwrap().unwrap()
}
