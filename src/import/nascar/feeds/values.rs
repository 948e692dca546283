//! Values as the feeds have them: numbers as texts, −1 and empty for none,
//! `null` anywhere.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

/// Longest text that is taken.
const MAX_TEXT: usize = 200;

/// A whole number from 0.
pub fn whole(of: &Value, member: &str) -> Option<u32> {
    let number = decimal(of, member)?;
    (number.fract() == 0.0 && (0.0..=1e9).contains(&number)).then_some(number as u32)
}

/// A whole number from 1: places and ids count from there.
pub fn counted(of: &Value, member: &str) -> Option<u32> {
    whole(of, member).filter(|n| *n > 0)
}

/// Any number but −1, which stands for none.
pub fn decimal(of: &Value, member: &str) -> Option<f64> {
    let number = match &of[member] {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|n| n.is_finite() && *n != -1.0)
}

pub fn text<'a>(of: &'a Value, member: &str) -> Option<&'a str> {
    let text = of[member].as_str()?.trim();
    (!text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)).then_some(text)
}

pub fn list<'a>(of: &'a Value, member: &str) -> &'a [Value] {
    of[member].as_array().map_or(&[], Vec::as_slice)
}

/// The day of a time without a zone. Years before the sport are none.
pub fn day(of: &Value, member: &str) -> Option<Date> {
    let date: Date = text(of, member)?.get(..10)?.parse().ok()?;
    (date.year() >= 1949).then_some(date)
}

/// A time that is meant in UTC.
pub fn utc(of: &Value, member: &str) -> Option<Timestamp> {
    let time: DateTime = text(of, member)?.parse().ok()?;
    let at = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (time.year() >= 1949).then_some(at)
}

/// What feeds call makes, in full.
pub fn make(word: &str) -> String {
    match word {
        "Chv" | "Chevy" => "Chevrolet",
        "Tyt" => "Toyota",
        "Frd" => "Ford",
        "Ddg" => "Dodge",
        word => word,
    }
    .to_owned()
}

/// A driver's name without marks such as `(i)` and `#`.
pub fn shown(name: &str) -> &str {
    name.split('(').next().unwrap_or_default().trim_matches([' ', '#', '*'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_for_nothing_is_nothing() {
        let of =
            json!({"a": -1, "b": "12", "c": "", "d": null, "e": 3.5, "f": "0001-01-01T00:00:00", "g": 0});
        assert_eq!(
            ["a", "b", "c", "d", "e", "x", "g"].map(|m| whole(&of, m)),
            [None, Some(12), None, None, None, None, Some(0)]
        );
        assert_eq!((counted(&of, "g"), decimal(&of, "e")), (None, Some(3.5)));
        assert_eq!((day(&of, "f"), utc(&of, "f")), (None, None));
        assert_eq!(shown("Connor Zilisch(i)"), "Connor Zilisch");
        assert_eq!(shown("* Brent Crews #"), "Brent Crews");
    }
}
