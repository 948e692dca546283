//! Numbers and values as people read them.

use serde_json::{Number, Value};

use crate::compare::Change;

/// With thousands set apart: 1 234 567.8
pub fn number(number: &Number) -> String {
    match number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
        Some(whole) => grouped(whole),
        None => float(number.as_f64().unwrap_or(0.0)),
    }
}

pub fn count(n: u64) -> String {
    grouped(n.into())
}

pub fn float(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e15 { grouped(n as i128) } else { short(n) }
}

fn short(n: f64) -> String {
    let text = format!("{n:.4}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

fn grouped(n: i128) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// With its sign.
pub fn difference(n: &Number) -> String {
    let text = number(n);
    if n.as_f64().unwrap_or(0.0) > 0.0 { format!("+{text}") } else { text }
}

pub fn percent(relative: Option<f64>) -> String {
    let text = match relative {
        Some(r) if r.abs() >= 10.0 => format!("{:+.0} %", r * 100.0),
        Some(r) => format!("{:+.2} %", r * 100.0),
        None => return String::new(),
    };
    text.replace('-', "−")
}

pub fn value(value: Option<&Value>) -> String {
    match value {
        None => "–".into(),
        Some(Value::Number(n)) => number(n),
        Some(Value::String(text)) => visible(text),
        Some(other) => visible(&other.to_string()),
    }
}

/// What is in rows came from outside: nothing of it may steer a terminal.
pub fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => '\u{fffd}',
        // Marks that turn the direction of what follows.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

pub fn change(change: &Change) -> String {
    let sides = format!("{} → {}", value(change.old.as_ref()), value(change.new.as_ref()));
    match &change.difference {
        Some(d) if change.relative.is_some() => {
            format!("{sides}  ({}, {})", difference(d), percent(change.relative))
        }
        Some(d) => format!("{sides}  ({})", difference(d)),
        None => sides,
    }
}

pub fn shorter(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
