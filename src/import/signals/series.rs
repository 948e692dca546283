//! A plain series of numbers: CSV with a column of times and one of values.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use domain::signal::{Fault, Format, Signal};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use serde_json::value::to_raw_value;
use sha2::{Digest, Sha256};

/// Which columns hold what.
#[derive(Debug, Clone)]
pub struct Columns {
    pub time: String,
    pub value: String,
    /// Of times that name no offset.
    pub zone: TimeZone,
    /// The type of the signals.
    pub signal_type: String,
}

/// The columns in the order of a file.
pub struct Found {
    time: usize,
    value: usize,
    of: Columns,
}

impl Columns {
    /// By the file's heading.
    pub fn find(&self, heading: &[u8]) -> Result<Found> {
        let names = cells(heading);
        let Some(names) = names else { bail!("the first line is no row of CSV") };
        let place = |wanted: &str| names.iter().position(|name| name.trim() == wanted);
        match (place(&self.time), place(&self.value)) {
            (Some(time), Some(value)) => Ok(Found { time, value, of: self.clone() }),
            _ => bail!("the first line names no columns {} and {}: {names:?}", self.time, self.value),
        }
    }
}

impl Found {
    /// A point, named by its line and what it says: the same file again has the
    /// same points, and two equal lines are two points.
    pub fn read(&self, line: u64, row: &[u8], series: &str, app: Option<&str>) -> Result<Signal, Fault> {
        let app = app.ok_or_else(|| Fault::new("", "has no app: name one with --app"))?;
        let cells = cells(row).ok_or_else(|| Fault::new("", "must be a row of CSV in UTF-8"))?;
        let cell = |at: usize, name: &str| {
            cells.get(at).map(|c| c.trim()).ok_or_else(|| Fault::new(format!("/{name}"), "is missing"))
        };
        let time = cell(self.time, &self.of.time)?;
        let at = instant(time, &self.of.zone)
            .ok_or_else(|| Fault::new(format!("/{}", self.of.time), "is no time"))?;
        let value: Option<f64> = cell(self.value, &self.of.value)?.parse().ok();
        let value = value.filter(|v| v.is_finite());
        let value = value.ok_or_else(|| Fault::new(format!("/{}", self.of.value), "is no number"))?;
        let hash = hex::encode(&Sha256::digest(row)[..8]);
        Signal {
            app: app.to_owned(),
            source: format!("/series/{}", encoded(series)),
            id: format!("{line}-{hash}"),
            signal_type: self.of.signal_type.clone(),
            category: None,
            subject: (!series.is_empty()).then(|| series.to_owned()),
            device: None,
            time: Some(at.to_string()),
            sent_at: None,
            correlation: None,
            dataschema: None,
            datacontenttype: None,
            context: None,
            attributes: BTreeMap::new(),
            data: to_raw_value(&json!({ "value": value })).ok(),
            data_base64: None,
            format: Format::Series,
            mismatch: None,
        }
        .checked()
    }
}

fn cells(row: &[u8]) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row);
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

/// RFC 3339, `2014-04-01 00:05:00` of a zone, or seconds or milliseconds since
/// 1970.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<f64>() {
        // The year 5138 in seconds is 1973 in milliseconds.
        let seconds = if number.abs() >= 1e11 { number / 1e3 } else { number };
        return Timestamp::from_microsecond((seconds * 1e6) as i64).ok();
    }
    domain::time::instant(&text.replacen(' ', "T", 1), zone).ok()
}

fn encoded(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns {
            time: "timestamp".into(),
            value: "value".into(),
            zone: TimeZone::UTC,
            signal_type: "measurement".into(),
        }
    }

    #[test]
    fn a_row_is_a_point() {
        let found = columns().find(b"value,timestamp,note").unwrap();
        let read = |row: &str| found.read(2, row.as_bytes(), "cpu 1", Some("ops"));
        let signal = read("1.5,2014-04-01 00:05:00,\"a,b\"").unwrap();
        assert_eq!(signal.occurred_at().unwrap().to_string(), "2014-04-01T00:05:00Z");
        assert_eq!(signal.data.unwrap().get(), r#"{"value":1.5}"#);
        assert_eq!((signal.source.as_str(), signal.subject.as_deref()), ("/series/cpu%201", Some("cpu 1")));
        for time in ["1396310700", "1396310700000", "2014-04-01T02:05:00+02:00"] {
            let at = read(&format!("1,{time}")).unwrap().occurred_at().unwrap();
            assert_eq!(at.to_string(), "2014-04-01T00:05:00Z", "{time}");
        }
    }

    #[test]
    fn a_bad_row_says_which_cell_is_wrong() {
        let found = columns().find(b"timestamp,value").unwrap();
        let fault = |row: &str| found.read(2, row.as_bytes(), "s", Some("ops")).unwrap_err().pointer;
        assert_eq!(fault("soon,1"), "/timestamp");
        assert_eq!(fault("2014-04-01 00:05:00,NaN"), "/value");
        assert_eq!(fault("2014-04-01 00:05:00,1e999"), "/value");
        assert_eq!(fault("2014-04-01 00:05:00"), "/value");
        assert!(columns().find(b"a,b").is_err());
    }
}
