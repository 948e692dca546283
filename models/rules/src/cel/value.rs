//! Values while an expression is evaluated. Objects and lists of the event are
//! borrowed from it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value;

use super::Failed;

#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    List(Rc<Vec<Val<'a>>>),
    /// A list or an object of the event
    Json(&'a Value),
}

impl<'a> Val<'a> {
    pub(super) fn of(json: &'a Value) -> Self {
        match json {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(i), _) => Self::Int(i),
                (_, Some(u)) => Self::Uint(u),
                _ => Self::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            Value::Array(_) | Value::Object(_) => Self::Json(json),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) | Self::Json(Value::Array(_)) => "list",
            Self::Json(_) => "map",
        }
    }

    /// How many elements there are to go through: of a list, or the names of
    /// an object.
    pub(super) fn elements(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Self::List(list) => Some(list.to_vec()),
            Self::Json(Value::Array(list)) => Some(list.iter().map(Val::of).collect()),
            Self::Json(Value::Object(map)) => Some(map.keys().map(|k| Val::Text(Cow::Borrowed(k))).collect()),
            _ => None,
        }
    }

    /// Elements of a list, characters of a text, names of an object.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::List(list) => Some(list.len()),
            Self::Json(Value::Array(list)) => Some(list.len()),
            Self::Json(Value::Object(map)) => Some(map.len()),
            _ => None,
        }
    }

    /// Roughly what going through it costs.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len() / 64,
            Self::List(list) => list.len(),
            Self::Json(json) => nodes(json),
            _ => 0,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(i) => (*i).into(),
            Self::Uint(u) => (*u).into(),
            Self::Double(d) => (*d).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::List(list) => list.iter().map(Val::to_json).collect(),
            Self::Json(json) => (*json).clone(),
        }
    }
}

fn nodes(json: &Value) -> usize {
    match json {
        Value::Array(list) => list.len() + list.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => map.len() + map.values().map(nodes).sum::<usize>(),
        _ => 0,
    }
}

/// Values of different kinds are not equal, except numbers of the same worth.
pub(super) fn equal(a: &Val<'_>, b: &Val<'_>) -> bool {
    match (a, b) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Text(a), Val::Text(b)) => a == b,
        (Val::Json(Value::Object(a)), Val::Json(Value::Object(b))) => {
            let other = |k: &String| b.get(k).map(Val::of);
            a.len() == b.len() && a.iter().all(|(k, v)| other(k).is_some_and(|o| equal(&Val::of(v), &o)))
        }
        _ => match numbers(a, b) {
            Some(order) => order == Some(Ordering::Equal),
            None => match (list(a), list(b)) {
                (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| equal(a, b)),
                _ => false,
            },
        },
    }
}

fn list<'a>(value: &Val<'a>) -> Option<Vec<Val<'a>>> {
    match value {
        Val::List(_) | Val::Json(Value::Array(_)) => value.elements(),
        _ => None,
    }
}

/// `None` inside if one of them is not a number in the sense of mathematics.
fn numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Option<Ordering>> {
    let whole = |v: &Val<'_>| match v {
        Val::Int(i) => Some(i128::from(*i)),
        Val::Uint(u) => Some(i128::from(*u)),
        _ => None,
    };
    match (a, b) {
        (Val::Double(a), Val::Double(b)) => Some(a.partial_cmp(b)),
        (Val::Double(d), _) => whole(b).map(|i| with_whole(*d, i)),
        (_, Val::Double(d)) => whole(a).map(|i| with_whole(*d, i).map(Ordering::reverse)),
        _ => whole(a).zip(whole(b)).map(|(a, b)| Some(a.cmp(&b))),
    }
}

/// Exact, where the nearest double of a whole number would not be.
fn with_whole(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Whole numbers here have 64 bits, so a double beyond 2^65 is beyond them.
    let limit = 2f64.powi(65);
    if double.abs() >= limit {
        return Some(if double > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let floor = double.floor();
    Some((floor as i128).cmp(&whole).then(double.total_cmp(&floor)))
}

/// Of two values that have an order.
pub(super) fn order(a: &Val<'_>, b: &Val<'_>) -> Result<Option<Ordering>, Failed> {
    match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => Ok(Some(a.cmp(b))),
        (Val::Text(a), Val::Text(b)) => Ok(Some(a.cmp(b))),
        _ => numbers(a, b).ok_or_else(|| undefined("an order", a, b)),
    }
}

pub(super) fn undefined(what: &str, a: &Val<'_>, b: &Val<'_>) -> Failed {
    Failed::Types(what.into(), format!("{} and {}", a.kind(), b.kind()))
}
