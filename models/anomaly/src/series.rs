//! A plain series as text: one line for each point, an instant and a value.
//!
//! Lines are separated by commas, semicolons or tabs, with or without a
//! header. Instants are RFC 3339, `YYYY-MM-DD[ HH:MM[:SS[.fraction]]]` taken
//! as UTC, or whole numbers since 1970 in seconds, milliseconds,
//! microseconds or nanoseconds, told apart by their size. `NaN` is a missing
//! value. The order of the file is kept, repeated instants too.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// One observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Microseconds since 1970 UTC
    pub at: i64,
    /// The value; not a number where it is missing
    pub value: f64,
}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// In the order of the file
    pub points: Vec<Point>,
    /// The instants as they were written
    pub instants: Vec<String>,
    /// The values as they were written
    pub values: Vec<String>,
}

/// Why a file is refused; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// No line has a point
    #[error("there are no points")]
    Empty,
    /// A header without the column that was asked for
    #[error("line 1: there is no column {0:?}")]
    NoColumn(String),
    /// A line with too few fields
    #[error("line {line}: there is no field {field}")]
    Short {
        /// Which line
        line: usize,
        /// Which field, from 1
        field: usize,
    },
    /// Not an instant
    #[error("line {line}: {text:?} is not an instant")]
    Instant {
        /// Which line
        line: usize,
        /// What stands there
        text: String,
    },
    /// Not a number, or beyond what a number holds
    #[error("line {line}: {text:?} is not a finite number")]
    Value {
        /// Which line
        line: usize,
        /// What stands there
        text: String,
    },
}

/// Which columns to read, by the names of the header. Without a name the
/// header's own `timestamp` and `value` are looked for, then the first two
/// columns are taken.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Column of the instants
    pub time: Option<String>,
    /// Column of the values
    pub value: Option<String>,
}

const TIMES: [&str; 7] = ["timestamp", "time", "datetime", "date", "ts", "at", "ds"];
const VALUES: [&str; 3] = ["value", "v", "y"];

/// Reads a file with its first two columns, or those named timestamp and value.
pub fn parse(text: &str) -> Result<Series, SeriesError> {
    parse_columns(text, &Columns::default())
}

/// Reads a file.
pub fn parse_columns(text: &str, columns: &Columns) -> Result<Series, SeriesError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).peekable();
    let Some((_, first)) = lines.peek() else { return Err(SeriesError::Empty) };
    let separator = [';', '\t'].into_iter().find(|s| first.contains(*s)).unwrap_or(',');
    let fields: Vec<&str> = first.split(separator).map(clean).collect();
    let header = parse_instant(fields[0]).is_none() && fields.iter().all(|f| f.parse::<f64>().is_err());
    let (time, value) = if header { find(&fields, columns)? } else { unnamed(columns)? };
    if header {
        lines.next();
    }
    let mut series = Series::default();
    for (i, line) in lines {
        let line_number = i + 1;
        let fields: Vec<&str> = line.split(separator).map(clean).collect();
        let field = |index: usize| {
            fields.get(index).copied().ok_or(SeriesError::Short { line: line_number, field: index + 1 })
        };
        let (instant, number) = (field(time)?, field(value)?);
        let at = parse_instant(instant)
            .ok_or_else(|| SeriesError::Instant { line: line_number, text: shortened(instant) })?;
        let parsed = number.parse::<f64>().ok().filter(|v| !v.is_infinite());
        let parsed =
            parsed.ok_or_else(|| SeriesError::Value { line: line_number, text: shortened(number) })?;
        series.points.push(Point { at, value: parsed });
        series.instants.push(instant.to_owned());
        series.values.push(number.to_owned());
    }
    if series.points.is_empty() { Err(SeriesError::Empty) } else { Ok(series) }
}

fn clean(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn find(header: &[&str], columns: &Columns) -> Result<(usize, usize), SeriesError> {
    let named = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let asked = |name: &String| named(name).ok_or_else(|| SeriesError::NoColumn(name.clone()));
    let time = match &columns.time {
        Some(name) => asked(name)?,
        None => TIMES.iter().find_map(|n| named(n)).unwrap_or(0),
    };
    let value = match &columns.value {
        Some(name) => asked(name)?,
        None => VALUES.iter().find_map(|n| named(n)).unwrap_or(if time == 0 { 1 } else { 0 }),
    };
    Ok((time, value))
}

fn unnamed(columns: &Columns) -> Result<(usize, usize), SeriesError> {
    match columns.time.as_ref().or(columns.value.as_ref()) {
        Some(name) => Err(SeriesError::NoColumn(name.clone())),
        None => Ok((0, 1)),
    }
}

/// Microseconds since 1970 of an instant in one of the forms above.
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return from_number(number);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_microsecond());
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| DateTime::strptime("%Y-%m-%d %H:%M", text))
        .or_else(|_| DateTime::strptime("%m/%d/%Y %H:%M:%S", text))
        .or_else(|_| DateTime::strptime("%m/%d/%Y %H:%M", text))
        .or_else(|_| text.parse::<Date>().map(|d| d.at(0, 0, 0, 0)));
    Some(TimeZone::UTC.to_timestamp(civil.ok()?).ok()?.as_microsecond())
}

/// Seconds up to the year 5138, then milliseconds, microseconds, nanoseconds.
fn from_number(number: i64) -> Option<i64> {
    let size = number.unsigned_abs();
    let micros = match size {
        0..100_000_000_000 => number.checked_mul(1_000_000)?,
        100_000_000_000..100_000_000_000_000 => number.checked_mul(1_000)?,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1_000,
    };
    Some(micros)
}
