//! Files of positions, markets and scenarios.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use models_pricing::measures::Measure;
use models_pricing::position::Position;
use models_pricing::scenario::ScenarioSet;
use serde_json::{Map, Value};

use runs::routes::csv_row;

use super::Invalid;

/// A row of a file, or its line and why it is none.
pub type Row = Result<Position, (usize, String)>;

fn invalid(what: impl std::fmt::Display) -> anyhow::Error {
    Invalid(what.to_string()).into()
}

/// A file's text; `-` is standard input.
pub fn text(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// A file that is one JSON document.
pub fn json(path: &Path) -> Result<Value> {
    let text = text(path)?;
    serde_json::from_str(&text).map_err(|e| invalid(format!("{}: {e}", path.display())))
}

/// Positions from JSON, NDJSON (`.ndjson`, `.jsonl`) or CSV (`.csv`). One bad
/// row is one bad row.
pub fn positions(path: &Path, instruments: &Map<String, Value>) -> Result<Vec<Row>> {
    let text = text(path)?;
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => csv_rows(&text).map_err(|e| invalid(format!("{}: {e}", path.display()))),
        "ndjson" | "jsonl" => Ok(lines(&text, instruments)),
        _ => {
            let document =
                serde_json::from_str(&text).map_err(|e| invalid(format!("{}: {e}", path.display())))?;
            document_rows(&document, instruments).map_err(|e| invalid(format!("{}: {e}", path.display())))
        }
    }
}

fn document_rows(document: &Value, instruments: &Map<String, Value>) -> Result<Vec<Row>, String> {
    let (rows, book) = Position::rows(document)?;
    let read = |(at, row): (usize, &Value)| {
        Position::read(&embed(row, instruments), book).map_err(|reason| (at + 1, reason))
    };
    Ok(rows.iter().enumerate().map(read).collect())
}

fn lines(text: &str, instruments: &Map<String, Value>) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let value: Value = serde_json::from_str(line).map_err(|e| (at + 1, e.to_string()))?;
            Position::read(&embed(&value, instruments), None).map_err(|reason| (at + 1, reason))
        })
        .collect()
}

/// The old shape may name an instrument of a file of its own: it is put where
/// that shape embeds it.
fn embed(row: &Value, instruments: &Map<String, Value>) -> Value {
    let mut row = row.clone();
    let named = row.get("instrument_id").and_then(Value::as_str).and_then(|id| instruments.get(id)).cloned();
    if let (Some(instrument), Value::Object(map)) = (named, &mut row)
        && !map.contains_key("terms")
        && !map.contains_key("instrument_version")
    {
        map.entry("instrument").or_insert(instrument);
    }
    row
}

/// Instruments by their ids, from an array or one of them.
pub fn instruments(path: &Path) -> Result<Map<String, Value>> {
    let document = json(path)?;
    let rows = match document.get("instruments") {
        Some(Value::Array(rows)) => rows.clone(),
        _ => match document {
            Value::Array(rows) => rows,
            one => vec![one],
        },
    };
    let id = |row: &Value| row.get("instrument_id").and_then(Value::as_str).map(str::to_owned);
    rows.into_iter()
        .map(|row| Ok((id(&row).ok_or_else(|| invalid("an instrument needs an instrument_id"))?, row)))
        .collect()
}

fn csv_rows(text: &str) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|e| e.to_string())?.clone();
    if !headers.iter().any(|h| h == "position_id") {
        return Err("the header names no position_id".into());
    }
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let line = at + 2;
        rows.push(match record {
            Ok(record) => csv_row(&headers, &record).map_err(|reason| (line, reason)),
            Err(error) => Err((line, error.to_string())),
        });
    }
    Ok(rows)
}

/// Scenario sets: a name that needs no file, or a file with a set, an array of
/// them, or an object with `scenarios`.
pub fn scenarios(named: &[String]) -> Result<Vec<ScenarioSet>> {
    let mut sets = Vec::new();
    for name in named {
        let path = Path::new(name);
        if !path.exists() {
            let set = ScenarioSet::named(name);
            set.scenarios().map_err(|reason| invalid(format!("{reason} (and there is no such file)")))?;
            sets.push(set);
            continue;
        }
        let mut document = json(path)?;
        let rows = match &mut document {
            Value::Array(rows) => std::mem::take(rows),
            Value::Object(map) if !map.contains_key("scenario_set_id") && map.contains_key("scenarios") => {
                map.get_mut("scenarios").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default()
            }
            _ => vec![document],
        };
        for row in rows {
            sets.push(ScenarioSet::try_from(row).map_err(|e| invalid(format!("{name}: {e}")))?);
        }
    }
    Ok(sets)
}

/// Measures by name.
pub fn measures<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    let mut unknown = Vec::new();
    for name in names.into_iter().map(str::trim).filter(|name| !name.is_empty()) {
        match Measure::named(name) {
            Some(measure) if !measures.contains(&measure) => measures.push(measure),
            Some(_) => {}
            None => unknown.push(name.to_owned()),
        }
    }
    if !unknown.is_empty() {
        let known: Vec<&str> = models_pricing::measures::MEASURES.iter().map(|(name, _)| *name).collect();
        return Err(invalid(format!(
            "unknown measures {}; known are {}",
            unknown.join(", "),
            known.join(", ")
        )));
    }
    Ok(measures)
}

/// What the old service's run requests ask for, as far as it maps.
#[derive(Debug, Default)]
pub struct RunRequest {
    pub run_id: Option<String>,
    pub as_of: Option<String>,
    pub books: Vec<String>,
    pub measures: Vec<String>,
    pub sets: Vec<ScenarioSet>,
    pub base_currency: Option<String>,
}

/// Reads `{run_id, run_type, as_of_time, market_snapshot_id, portfolio_scope:
/// {node_ids}, measures, scenarios: [{scenario_set_id}]}`.
pub fn run_request(path: &Path) -> Result<RunRequest> {
    let document = json(path)?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    let texts = |value: Option<&Value>| -> Vec<String> {
        let rows = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let sets = document.get("scenarios").and_then(Value::as_array).cloned().unwrap_or_default();
    let sets = sets.into_iter().map(|set| ScenarioSet::try_from(set).map_err(invalid));
    Ok(RunRequest {
        run_id: text("run_id"),
        as_of: text("as_of_time"),
        books: texts(document.pointer("/portfolio_scope/node_ids")),
        measures: texts(document.get("measures")),
        sets: sets.collect::<Result<_>>()?,
        base_currency: text("base_currency"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_csv_are_positions_with_terms() {
        let text = "position_id,product_type,book,quantity,currency,amount,date,tag.desk\n\
                    a,CASH,B/1,2,USD,5.5,,rates\nb,CASH,,x,USD,1,2026-02-01,\nc,CASH\n";
        let rows = csv_rows(text).unwrap();
        let first = rows[0].as_ref().unwrap();
        assert_eq!((first.quantity, first.book.as_str(), first.tags["desk"].as_str()), (2.0, "B/1", "rates"));
        assert_eq!(first.terms, serde_json::json!({"currency": "USD", "amount": 5.5}));
        assert_eq!(rows[1].as_ref().unwrap_err().0, 3);
        assert_eq!(rows[2].as_ref().unwrap_err().0, 4);
        assert!(csv_rows("id,amount\n1,2\n").is_err());
    }

    #[test]
    fn an_instrument_of_its_own_file_is_put_into_the_old_shape() {
        let instruments = serde_json::json!({"I": {"instrument_id": "I", "terms": {"base_ccy": "EUR", "settle_date": "2026-02-22"}, "underlyings": {"fx_pair": "EURUSD"}}});
        let Value::Object(instruments) = instruments else { unreachable!() };
        let row = r#"{"position_id": "p", "instrument_id": "I", "product_type": "FX_FWD", "attributes": {"forward_rate": 1.1}}"#;
        let rows = lines(row, &instruments);
        let terms = &rows[0].as_ref().unwrap().terms;
        assert_eq!((&terms["pair"], &terms["date"]), (&"EURUSD".into(), &"2026-02-22".into()));
    }

    #[test]
    fn unknown_measures_are_named() {
        assert_eq!(measures(["PV", "pv", " DV01 "]).unwrap().len(), 2);
        let refused = measures(["PV", "PVX", "VAR"]).unwrap_err().to_string();
        assert!(refused.contains("PVX, VAR"), "{refused}");
    }
}
