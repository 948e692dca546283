//! Positions as rows of CSV and of JSON.

use models_pricing::position::Position;
use serde_json::{Map, Value};

/// Columns of their own; every other one is a term.
const COLUMNS: [&str; 6] =
    ["position_id", "product_type", "book", "quantity", "instrument_id", "instrument_version"];

/// A position of either shape.
pub fn read(row: &Value, book: Option<&str>) -> Result<Position, String> {
    Position::read(row, book)
}

/// A row of CSV under its header: `position_id`, `product_type`, `book`,
/// `quantity`, `instrument_id`, `instrument_version`, `tag.<name>`, `terms` as
/// JSON; every other column is a term.
pub fn csv_row(headers: &csv::StringRecord, record: &csv::StringRecord) -> Result<Position, String> {
    let (mut row, mut terms, mut tags) = (Map::new(), Map::new(), Map::new());
    for (name, text) in headers.iter().zip(record).filter(|(_, text)| !text.is_empty()) {
        if let Some(tag) = name.strip_prefix("tag.") {
            tags.insert(tag.to_owned(), Value::String(text.to_owned()));
        } else if name == "terms" {
            let Value::Object(more) = serde_json::from_str(text).map_err(|e| format!("terms: {e}"))? else {
                return Err("terms: is no object".into());
            };
            terms.extend(more);
        } else if COLUMNS.contains(&name) {
            let number = matches!(name, "quantity" | "instrument_version");
            row.insert(name.to_owned(), if number { plain(text) } else { Value::String(text.to_owned()) });
        } else {
            terms.insert(name.to_owned(), plain(text));
        }
    }
    if !terms.is_empty() {
        row.insert("terms".into(), Value::Object(terms));
    }
    row.insert("tags".into(), Value::Object(tags));
    Position::read(&Value::Object(row), None)
}

/// Numbers and truth values as such; everything else is text.
fn plain(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => text.parse::<f64>().ok().map_or_else(|| Value::String(text.to_owned()), Value::from),
        },
    }
}
