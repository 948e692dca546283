//! A payload's members as typed cells, in one pass over its text.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::columns::{Column, ColumnType};
use crate::personal;
use crate::time::to_micros;

#[derive(Debug, Clone, Default, PartialEq)]
pub enum Cell<'a> {
    #[default]
    Null,
    Text(Cow<'a, str>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// Microseconds since 1970.
    Instant(i64),
    Json(&'a str),
    /// A personal text whose key was destroyed.
    Erased,
}

/// Fills one cell for each column. False if the payload does not fit: a
/// required member is missing or one has another type; then all cells are null.
pub fn cells<'a>(columns: &[Column], payload: &'a str, cells: &mut Vec<Cell<'a>>) -> bool {
    cells.clear();
    cells.resize(columns.len(), Cell::Null);
    let mut seen = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let row = Row { columns, cells, seen: &mut seen };
    let read = row.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let fits = read.is_ok()
        && columns.iter().zip(cells.iter()).all(|(column, cell)| !column.required || *cell != Cell::Null);
    if !fits {
        cells.fill(Cell::Null);
    }
    fits
}

struct Row<'c, 'a> {
    columns: &'c [Column],
    cells: &'c mut Vec<Cell<'a>>,
    seen: &'c mut Vec<usize>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> DeserializeSeed<'a> for Row<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Row<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut guess = 0;
        while let Some(Text(key)) = map.next_key()? {
            // Members mostly come in the order of the columns.
            let found = self.columns[guess..].iter().position(|c| c.name == key).map(|i| guess + i);
            let Some(index) = found.or_else(|| self.columns.iter().position(|c| c.name == key)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.seen.contains(&index) {
                return Err(A::Error::custom("a member stands twice"));
            }
            self.seen.push(index);
            self.cells[index] = cell(&self.columns[index], &mut map)?;
            guess = index + 1;
        }
        Ok(())
    }
}

fn cell<'a, A: MapAccess<'a>>(column: &Column, map: &mut A) -> Result<Cell<'a>, A::Error> {
    Ok(match column.kind {
        ColumnType::Text if column.personal => {
            match map.next_value::<Option<&'a RawValue>>()?.map(RawValue::get) {
                None => Cell::Null,
                Some(personal::ERASED) => Cell::Erased,
                Some(text) => Cell::Text(serde_json::from_str::<Text>(text).map_err(A::Error::custom)?.0),
            }
        }
        ColumnType::Text => map.next_value::<Option<Text>>()?.map_or(Cell::Null, |Text(t)| Cell::Text(t)),
        ColumnType::Integer => map.next_value::<Option<i64>>()?.map_or(Cell::Null, Cell::Integer),
        ColumnType::Float => map.next_value::<Option<f64>>()?.map_or(Cell::Null, Cell::Float),
        ColumnType::Boolean => map.next_value::<Option<bool>>()?.map_or(Cell::Null, Cell::Boolean),
        ColumnType::Json => {
            map.next_value::<Option<&'a RawValue>>()?.map_or(Cell::Null, |raw| Cell::Json(raw.get()))
        }
        ColumnType::Instant => match map.next_value::<Option<Text>>()? {
            None => Cell::Null,
            Some(Text(text)) => {
                let at: Timestamp = text.parse().map_err(A::Error::custom)?;
                Cell::Instant(to_micros(at).as_microsecond())
            }
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{columns, tap, tenant};

    #[test]
    fn members_become_cells() {
        let columns = columns::of(tap::TAPPED).unwrap();
        let mut out = Vec::new();
        let text = r#"{"source":"hub","mode":"live","band_id":"b\"1","url":null,"later":[1]}"#;
        assert!(cells(columns, text, &mut out));
        let of = |name: &str| out[columns.iter().position(|c| c.name == name).unwrap()].clone();
        assert_eq!(of("band_id"), Cell::Text("b\"1".into()));
        assert_eq!(of("source"), Cell::Text("hub".into()));
        assert_eq!(of("url"), Cell::Null);
        let columns = columns::of(tenant::CONFIGURED).unwrap();
        assert!(cells(columns, r#"{"urls": {"allow_http": false}}"#, &mut out));
        assert_eq!(out[1], Cell::Json(r#"{"allow_http": false}"#));
    }

    #[test]
    fn only_what_is_personal_can_be_erased() {
        let columns = columns::of(tap::TAPPED).unwrap();
        let mut out = Vec::new();
        let text =
            r#"{"band_id":"b","mode":"live","user_agent":{"erased":true},"visitor":"\u0076","source":"hub"}"#;
        assert!(cells(columns, text, &mut out));
        let of = |name: &str| out[columns.iter().position(|c| c.name == name).unwrap()].clone();
        assert_eq!((of("user_agent"), of("visitor")), (Cell::Erased, Cell::Text("v".into())));
        let fits = |text: &str| cells(columns, text, &mut Vec::new());
        for bad in [r#"{"erased":false}"#, "7", "{}"] {
            assert!(!fits(&text.replace(r#"{"erased":true}"#, bad)), "{bad}");
        }
        assert!(!fits(&text.replace(r#""mode":"live""#, r#""mode":{"erased":true}"#)));
    }

    #[test]
    fn a_payload_that_does_not_fit_gives_nothing() {
        let columns = columns::of(tap::TAPPED).unwrap();
        let mut out = Vec::new();
        for bad in [
            r#"{"band_id":"b","mode":"live"}"#,
            r#"{"band_id":7,"mode":"live","source":"hub"}"#,
            r#"{"band_id":"b","band_id":"b","mode":"live","source":"hub"}"#,
            r#"{"band_id":"b","mode":"live","source":"hub"} x"#,
            "[]",
            "",
        ] {
            assert!(!cells(columns, bad, &mut out), "{bad}");
            assert!(out.iter().all(|cell| *cell == Cell::Null));
        }
    }
}
