//! Two documents, member by member.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::numbers::same;

/// What is said of a row whose sort key differs.
pub const SORT: &str = "(sort key)";

/// Where a path of members leads to in both documents. Visits what is no
/// object and no list of numbers; lists of anything else are one value.
pub trait Visit {
    fn leaf(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>);
}

pub fn walk(path: &mut String, old: Option<&Value>, new: Option<&Value>, visit: &mut dyn Visit) {
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => members(path, Some(a), Some(b), visit),
        (Some(Value::Object(a)), None) => members(path, Some(a), None, visit),
        (None, Some(Value::Object(b))) => members(path, None, Some(b), visit),
        (Some(Value::Array(a)), Some(Value::Array(b))) if numeric(a) && numeric(b) => {
            items(path, a, b, visit);
        }
        (Some(Value::Array(a)), None) if numeric(a) => items(path, a, &[], visit),
        (None, Some(Value::Array(b))) if numeric(b) => items(path, &[], b, visit),
        (old, new) => visit.leaf(path, old, new),
    }
}

fn members(
    path: &mut String,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    visit: &mut dyn Visit,
) {
    let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
    if names.is_empty() {
        // An empty object is a value too.
        let value = Value::Object(Map::new());
        return visit.leaf(path, old.map(|_| &value), new.map(|_| &value));
    }
    let length = path.len();
    for name in names {
        push(path, name);
        walk(path, old.and_then(|m| m.get(name)), new.and_then(|m| m.get(name)), visit);
        path.truncate(length);
    }
}

fn items(path: &mut String, old: &[Value], new: &[Value], visit: &mut dyn Visit) {
    let length = path.len();
    path.push_str("[]");
    for i in 0..old.len().max(new.len()) {
        walk(path, old.get(i), new.get(i), visit);
    }
    path.truncate(length);
}

/// A list of numbers, or of such lists.
fn numeric(items: &[Value]) -> bool {
    !items.is_empty()
        && items.iter().all(|item| match item {
            Value::Number(_) => true,
            Value::Array(items) => numeric(items),
            _ => false,
        })
}

fn push(path: &mut String, name: &str) {
    // What we say of a row or of paths left out stands in parentheses.
    let ours = path.is_empty() && name.starts_with('(');
    if !path.is_empty() {
        path.push('.');
    }
    if ours || name.is_empty() || name.contains(['.', '[', '"']) {
        path.push_str(&Value::from(name).to_string());
    } else {
        path.push_str(name);
    }
}

/// Whether two values are the same JSON.
pub fn equal(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => same(a, b),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.len() == b.len() && a.iter().all(|(name, value)| equal(Some(value), b.get(name)))
        }
        (a, b) => a == b,
    }
}
