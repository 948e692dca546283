use jiff::Timestamp;
use serde_json::{Map, Value};

use super::*;
use crate::registry::EVENT_TYPES;

fn sample(name: &str, schema: u16) -> Map<String, Value> {
    let path = format!("{}/samples/{name}.{schema}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Samples have every field set, so a column for each is a column for all.
#[test]
fn every_field_of_every_sample_has_its_column() {
    for known in EVENT_TYPES {
        let columns = of(known.name).unwrap_or_else(|| panic!("{} has no columns", known.name));
        let sample = sample(known.name, known.schema);
        for (field, value) in &sample {
            let column = columns.iter().find(|c| c.name == field);
            let column = column.unwrap_or_else(|| panic!("{}: no column for {field}", known.name));
            let fits = match column.kind {
                Text => value.is_string(),
                Integer => value.is_i64(),
                Float => value.is_f64(),
                Boolean => value.is_boolean(),
                Instant => value.as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()),
                Json => value.is_array() || value.is_object(),
            };
            assert!(fits, "{}: {field} is not {:?}", known.name, column.kind);
        }
        // What is sealed is put there by the log's writer alone.
        for column in columns.iter().filter(|c| c.name != personal::MEMBER) {
            assert!(sample.contains_key(column.name), "{}: no field {}", known.name, column.name);
        }
    }
}

#[test]
fn no_type_and_no_column_stands_twice() {
    for (i, (name, columns)) in all().enumerate() {
        assert!(EVENT_TYPES.iter().any(|t| t.name == *name), "{name} is not registered");
        assert!(all().take(i).all(|(other, _)| other != name), "{name}");
        for (i, column) in columns.iter().enumerate() {
            assert!(columns[..i].iter().all(|other| other.name != column.name), "{name}");
        }
    }
}
