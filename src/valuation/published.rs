//! Files as their publishers have them: Treasury par yields, the ECB's reference
//! rates, curves of several currencies, fixings.
//!
//! A blank is a rate that was not published and is never taken as 0; a 0.00 is a
//! rate. Tenors may appear in the header over time.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use models_pricing::date::{Date, Tenor};
use serde_json::{Map, Value, json};

/// Header and rows of a CSV file.
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn table(path: &Path) -> Result<Table> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path)?;
    let fields = |record: &csv::StringRecord| record.iter().map(|f| f.trim().to_owned()).collect::<Vec<_>>();
    let header = fields(reader.headers()?);
    let rows = reader.records().map(|record| Ok(fields(&record?))).collect::<Result<_, csv::Error>>()?;
    Ok(Table { header, rows })
}

/// `None` for a blank or a word such as `N/A`; text that is neither is an error.
fn number(text: &str) -> Result<Option<f64>> {
    if text.is_empty()
        || matches!(text.to_ascii_uppercase().as_str(), "N/A" | "NA" | "ND" | "." | "-" | "NAN")
    {
        return Ok(None);
    }
    let value: f64 = text.parse().with_context(|| format!("{text:?} is no number"))?;
    match value.is_finite() {
        true => Ok(Some(value)),
        false => bail!("{text:?} is no finite number"),
    }
}

/// Percent as a decimal, without the noise of a division: 5.48 is 0.0548.
fn percent(value: f64) -> f64 {
    (value * 1e8).round() / 1e10
}

fn date(text: &str, line: usize) -> Result<Date> {
    text.parse().with_context(|| format!("line {line}"))
}

/// Snapshots of a file, oldest as it comes, and rows without any rate.
#[derive(Debug, Default)]
pub struct Snapshots {
    pub contents: Vec<Value>,
    /// Days on which nothing was published.
    pub empty: usize,
}

/// One snapshot for each row: date, then what `of` makes of its cells.
fn snapshots(
    path: &Path,
    vendor: &str,
    of: impl Fn(&[String], &[Option<f64>]) -> Result<Option<Map<String, Value>>>,
) -> Result<Snapshots> {
    let Table { header, rows } = table(path)?;
    let mut snapshots = Snapshots::default();
    for (at, row) in rows.iter().enumerate() {
        let line = at + 2;
        let date = date(row.first().map_or("", String::as_str), line)?;
        let cells: Vec<Option<f64>> = row
            .iter()
            .skip(1)
            .map(|text| number(text))
            .collect::<Result<_>>()
            .with_context(|| format!("line {line}"))?;
        let Some(mut content) = of(&header[1..], &cells)? else {
            snapshots.empty += 1;
            continue;
        };
        content.insert("as_of_time".into(), json!(date));
        content.insert("vendor".into(), vendor.into());
        snapshots.contents.push(Value::Object(content));
    }
    Ok(snapshots)
}

fn node(tenor: Tenor, value: f64) -> Value {
    json!({"tenor": tenor, "value": value})
}

/// Treasury par yields: columns `1 Mo`, `6 Mo`, `10 Yr` in percent.
pub fn treasury(path: &Path) -> Result<Snapshots> {
    snapshots(path, "us-treasury", |header, cells| {
        let mut nodes = Vec::new();
        for (name, value) in header.iter().zip(cells) {
            let tenor: Tenor = name.replace(" Mo", "M").replace(" Yr", "Y").parse()?;
            nodes.extend(value.map(|v| (tenor.in_years(), node(tenor, percent(v)))));
        }
        nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let nodes: Vec<Value> = nodes.into_iter().map(|(_, node)| node).collect();
        let curve = json!({
            "curve_id": "USD-TREASURY", "currency": "USD", "kind": "par", "nodes": nodes,
            "bootstrap": {"instrument": "treasury"},
        });
        Ok((!nodes.is_empty()).then(|| Map::from_iter([("curves".to_owned(), json!([curve]))])))
    })
}

/// The ECB's euro reference rates: columns of currencies, units for one euro.
pub fn ecb(path: &Path) -> Result<Snapshots> {
    snapshots(path, "ecb", |header, cells| {
        let quoted = header.iter().zip(cells).filter(|(name, _)| !name.is_empty());
        let spots: Vec<Value> = quoted
            .filter_map(|(name, value)| {
                Some(json!({"pair": format!("EUR{name}"), "spot": (*value)?, "source": "ecb"}))
            })
            .collect();
        Ok((!spots.is_empty()).then(|| Map::from_iter([("fx_spots".to_owned(), json!(spots))])))
    })
}

/// Curves of several currencies: columns `EUR_3M` as decimals, continuously
/// compounded. Those of USD are par yields that were only converted in their
/// compounding: taken as zero rates they are a proxy.
pub fn curves(path: &Path) -> Result<Snapshots> {
    snapshots(path, "curves", |header, cells| {
        let mut curves: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (name, value) in header.iter().zip(cells) {
            let (currency, tenor) =
                name.split_once('_').with_context(|| format!("{name:?} is no curve's tenor"))?;
            let tenor: Tenor = tenor.parse()?;
            let mut node = match value {
                Some(value) => node(tenor, *value),
                None => continue,
            };
            if currency == "USD" {
                node["quality"] = json!("proxy");
            }
            curves.entry(currency.to_owned()).or_default().push(node);
        }
        let curves: Vec<Value> = curves
            .into_iter()
            .map(|(currency, nodes)| {
                json!({"curve_id": format!("{currency}-ZERO"), "currency": currency, "kind": "zero", "nodes": nodes})
            })
            .collect();
        Ok((!curves.is_empty()).then(|| Map::from_iter([("curves".to_owned(), json!(curves))])))
    })
}

/// Rates by index and date, as decimals.
pub type Series = BTreeMap<String, BTreeMap<String, f64>>;

/// Fixings: `Reference,Date,Value` (decimals); `Date,ESTR`; SOFR with its index;
/// Euribor's `date,rate,maturity_level,granularity` (percent).
pub fn fixings(path: &Path) -> Result<Series> {
    let Table { header, rows } = table(path)?;
    let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let (dates, reference) = (column("date").context("the header names no date")?, column("reference"));
    let maturity = column("maturity_level");
    let (values, in_percent, name) = match (column("value"), column("estr"), column("sofr"), column("rate")) {
        (Some(at), _, _, _) if reference.is_some() => (at, false, None),
        (_, Some(at), _, _) => (at, true, Some("EUR-ESTR")),
        (_, _, Some(at), _) => (at, true, Some("USD-SOFR")),
        (_, _, _, Some(at)) if maturity.is_some() => (at, true, None),
        _ => bail!("the header is of no file of fixings that is known: {}", header.join(",")),
    };
    let mut series = Series::new();
    for (at, row) in rows.iter().enumerate() {
        let line = at + 2;
        let cell = |column: usize| row.get(column).map_or("", String::as_str);
        let Some(value) = number(cell(values)).with_context(|| format!("line {line}"))? else { continue };
        let index = match (name, reference, maturity) {
            (Some(name), _, _) => name.to_owned(),
            (None, Some(reference), _) => cell(reference).to_owned(),
            (None, None, maturity) => {
                format!("EUR-EURIBOR-{}", cell(maturity.unwrap_or(0)).to_ascii_uppercase())
            }
        };
        let date = date(cell(dates), line)?;
        series
            .entry(index)
            .or_default()
            .insert(date.to_string(), if in_percent { percent(value) } else { value });
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_blank_is_no_rate_and_a_zero_is_one() {
        let file = file("Date,1 Mo,1.5 Mo,3 Mo,10 Yr\n2021-01-04,0.00,,0.09,0.93\n2021-01-05,,,,\n");
        let read = treasury(file.path()).unwrap();
        assert_eq!((read.contents.len(), read.empty), (1, 1));
        let nodes = &read.contents[0]["curves"][0]["nodes"];
        assert_eq!(
            *nodes,
            json!([{"tenor": "1M", "value": 0.0}, {"tenor": "3M", "value": 0.0009}, {"tenor": "10Y", "value": 0.0093}])
        );
    }

    #[test]
    fn rates_of_the_ecb_are_units_for_a_euro() {
        let file = file("Date,USD,JPY\n2015-01-02,1.2043,N/A\n");
        let read = ecb(file.path()).unwrap();
        assert_eq!(
            read.contents[0]["fx_spots"],
            json!([{"pair": "EURUSD", "spot": 1.2043, "source": "ecb"}])
        );
        assert!(ecb(super::tests::file("Date,USD\n2015-01-02,abc\n").path()).is_err());
    }

    #[test]
    fn fixings_of_each_shape() {
        let of = |text: &str| fixings(file(text).path()).unwrap();
        assert_eq!(
            of("Reference,Date,Value\nUSD-LIBOR-3M,2005-01-03,0.025\n")["USD-LIBOR-3M"]["2005-01-03"],
            0.025
        );
        assert_eq!(of("Date,ESTR\n2019-10-01,-0.549\n")["EUR-ESTR"]["2019-10-01"], -0.00549);
        assert_eq!(of("DATE,SOFR,SOFRINDEX\n2019-08-29,2.12,\n")["USD-SOFR"]["2019-08-29"], 0.0212);
        assert_eq!(
            of("date,rate,maturity_level,granularity\n2014-01-02,0.555,12m,monthly\n")["EUR-EURIBOR-12M"]["2014-01-02"],
            0.00555
        );
        assert!(fixings(file("Date,Price\n2014-01-02,1\n").path()).is_err());
    }
}
