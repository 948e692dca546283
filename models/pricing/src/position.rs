//! Positions as files and requests have them: ours, and the old service's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// So many of a product, in a book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Its name.
    pub position_id: String,
    /// Where it is held: a path such as `DESK/BOOK`.
    pub book: String,
    /// As [`crate::terms::Product`] reads it: `SWAP`, `CDS`, …
    pub product_type: String,
    /// How many; negative if short.
    pub quantity: f64,
    /// The instrument that it names, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_id: Option<String>,
    /// Which version of it, where the terms are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_version: Option<u32>,
    /// What the product's terms are; `null` if they are the instrument's.
    pub terms: Value,
    /// Name and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The book of positions that name none.
pub const NO_BOOK: &str = "UNASSIGNED";

impl Position {
    /// Reads a position of either shape. What is wrong with its terms is found
    /// when it is compiled, so that one bad position is one flagged row.
    pub fn read(value: &Value, default_book: Option<&str>) -> Result<Self, String> {
        let Value::Object(map) = value else { return Err("a position is an object".into()) };
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let position_id = text("position_id").filter(|id| !id.is_empty());
        let position_id = position_id.ok_or("a position needs a position_id")?;
        let fail = |reason: &str| format!("position {position_id}: {reason}");
        let quantity = match map.get("quantity") {
            None => 1.0,
            Some(value) => {
                value.as_f64().filter(|q| q.is_finite()).ok_or_else(|| fail("quantity is no number"))?
            }
        };
        let instrument = instrument(map);
        let version =
            map.get("instrument_version").and_then(Value::as_u64).and_then(|v| u32::try_from(v).ok());
        let terms = match map.get("terms") {
            Some(terms) => Some(terms.clone()),
            None if map.contains_key("attributes") || !instrument.is_empty() => None,
            None => Some(Value::Null),
        };
        let product_type = text("product_type")
            .or_else(|| instrument.get("instrument_type").and_then(Value::as_str).map(str::to_owned))
            .ok_or_else(|| fail("product_type is missing"))?;
        let book = text("book").or_else(|| text("portfolio_node_id")).or(default_book.map(str::to_owned));
        Ok(Self {
            book: book.unwrap_or_else(|| NO_BOOK.into()),
            quantity,
            instrument_id: text("instrument_id"),
            instrument_version: version,
            terms: terms.unwrap_or_else(|| old_terms(&product_type, map, instrument)),
            tags: tags(map),
            product_type,
            position_id,
        })
    }

    /// Reads a whole document.
    pub fn read_all(document: &Value) -> Result<Vec<Self>, String> {
        let (rows, book) = Self::rows(document)?;
        rows.iter().map(|row| Self::read(row, book)).collect()
    }

    /// The positions of a document, which is an array, `{"positions": […]}`, or
    /// one position; and the book of those that name none.
    pub fn rows(document: &Value) -> Result<(&[Value], Option<&str>), String> {
        let book = document.get("portfolio_node_id").or_else(|| document.get("book")).and_then(Value::as_str);
        let rows = match document {
            Value::Array(rows) => rows.as_slice(),
            Value::Object(map) => match map.get("positions") {
                Some(Value::Array(rows)) => rows.as_slice(),
                Some(_) => return Err("positions is no array".into()),
                None => std::slice::from_ref(document),
            },
            _ => return Err("positions are an array, or an object with positions".into()),
        };
        Ok((rows, book))
    }
}

fn tags(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match map.get("tags") {
        Some(Value::Object(tags)) => tags.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        _ => BTreeMap::new(),
    }
}

fn object<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    map.get(key).and_then(Value::as_object)
}

/// The old shape embeds the instrument in the attributes.
fn instrument(map: &Map<String, Value>) -> Map<String, Value> {
    let attributes = object(map, "attributes");
    let embedded = attributes.and_then(|a| object(a, "instrument")).or_else(|| object(map, "instrument"));
    embedded.cloned().unwrap_or_default()
}

/// The terms of the old shape: the instrument's, its risk modelling and
/// underlyings, and what of the attributes the product knows.
fn old_terms(product_type: &str, map: &Map<String, Value>, instrument: Map<String, Value>) -> Value {
    let empty = Map::new();
    let attributes = object(map, "attributes").unwrap_or(&empty);
    let terms = object(&instrument, "terms").unwrap_or(&empty);
    let risk = object(&instrument, "risk_modeling").unwrap_or(&empty);
    let underlyings = object(&instrument, "underlyings").unwrap_or(&empty);
    let first = |names: &[&str]| {
        let places = [attributes, terms, risk, underlyings, map];
        names.iter().find_map(|name| places.iter().find_map(|place| place.get(*name))).cloned()
    };
    let known: &[(&str, &[&str])] = match product_type.to_ascii_uppercase().as_str() {
        "AMORT_LOAN" | "LOAN" => &[
            ("currency", &["currency", "base_ccy"]),
            ("principal", &["current_principal", "principal"]),
            ("coupon_rate", &["coupon_rate"]),
            ("day_count", &["day_count"]),
            ("last_payment_date", &["last_payment_date"]),
            ("cashflows", &["cashflows"]),
            ("frequency", &["payment_frequency"]),
            ("discount_curve", &["discount_curve"]),
            ("spread_curve", &["spread_curve"]),
        ],
        "FIXED_BOND" => &[
            ("currency", &["currency", "base_ccy"]),
            ("face", &["face", "notional"]),
            ("cashflows", &["cashflows"]),
            ("accrued_interest", &["accrued_interest"]),
            ("coupon", &["coupon_rate", "coupon"]),
            ("start", &["issue_date", "start_date"]),
            ("maturity", &["maturity_date", "maturity"]),
            ("frequency", &["payment_frequency"]),
            ("day_count", &["day_count"]),
            ("discount_curve", &["discount_curve"]),
            ("spread_curve", &["spread_curve"]),
        ],
        "FX_FWD" => &[
            ("pair", &["fx_pair", "pair"]),
            ("amount", &["notional_base"]),
            ("rate", &["forward_rate"]),
            ("date", &["settle_date", "value_date", "maturity_date"]),
            ("base_curve", &["discount_curve_foreign"]),
            ("quote_curve", &["discount_curve_domestic"]),
        ],
        // Others were priced from terms alone.
        _ => {
            let mut all = terms.clone();
            all.extend(
                risk.iter().filter(|(k, _)| k.ends_with("_curve")).map(|(k, v)| (k.clone(), v.clone())),
            );
            return Value::Object(all);
        }
    };
    let mut read = Map::new();
    for (name, names) in known {
        if let Some(value) = first(names) {
            read.insert((*name).to_owned(), value);
        }
    }
    defaults(product_type, &mut read, &instrument);
    Value::Object(read)
}

/// What the old service took for granted.
fn defaults(product_type: &str, read: &mut Map<String, Value>, instrument: &Map<String, Value>) {
    let mut default = |name: &str, value: Value| {
        read.entry(name).or_insert(value);
    };
    match product_type.to_ascii_uppercase().as_str() {
        "AMORT_LOAN" | "FIXED_BOND" => {
            default("currency", json!("USD"));
            if !instrument.contains_key("risk_modeling") {
                default("discount_curve", json!("USD-OIS"));
                let spread =
                    if product_type.eq_ignore_ascii_case("FIXED_BOND") { "FI-SPREAD" } else { "LOAN-SPREAD" };
                default("spread_curve", json!(spread));
            }
        }
        "FX_FWD" => {
            default("amount", json!(1_000_000.0));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read() {
        let ours = json!({"position_id": "p", "book": "A/B", "product_type": "CASH", "terms": {"currency": "USD", "amount": 5.0}, "tags": {"strategy": "carry"}});
        let position = Position::read(&ours, None).unwrap();
        assert_eq!(
            (position.quantity, position.book.as_str(), position.tags["strategy"].as_str()),
            (1.0, "A/B", "carry")
        );
        let old = json!({"portfolio_node_id": "BOOK", "positions": [{
            "position_id": "POS-1", "instrument_id": "I-1", "product_type": "FX_FWD", "quantity": 2.0,
            "attributes": {"forward_rate": 1.1, "notional_base": 500.0, "instrument": {
                "terms": {"base_ccy": "EUR", "settle_date": "2026-02-22"},
                "underlyings": {"fx_pair": "EURUSD", "discount_curve_domestic": "USD-OIS", "discount_curve_foreign": "EUR-OIS"}}}}]});
        let positions = Position::read_all(&old).unwrap();
        assert_eq!(positions[0].book, "BOOK");
        assert_eq!(
            positions[0].terms,
            json!({"pair": "EURUSD", "amount": 500.0, "rate": 1.1, "date": "2026-02-22",
                   "base_curve": "EUR-OIS", "quote_curve": "USD-OIS"})
        );
    }

    #[test]
    fn a_position_without_a_name_or_type_is_refused() {
        for bad in [
            json!(1),
            json!({}),
            json!({"position_id": "p"}),
            json!({"position_id": "p", "product_type": "CASH", "quantity": "x"}),
        ] {
            assert!(Position::read(&bad, None).is_err(), "{bad}");
        }
    }
}
