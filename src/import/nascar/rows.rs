//! Rows of a CSV file by the names of their columns.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use csv::{ReaderBuilder, StringRecord};
use jiff::civil::Date;

/// More columns than any form has, and longer fields, are refused.
const MAX_COLUMNS: usize = 200;
const MAX_FIELD: usize = 4_096;

pub struct Table {
    columns: HashMap<String, usize>,
    records: Vec<StringRecord>,
}

impl Table {
    pub fn new(text: &str) -> Result<Self> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let header = reader.headers().context("the header")?;
        if header.len() > MAX_COLUMNS {
            bail!("the header has more than {MAX_COLUMNS} columns");
        }
        let columns =
            header.iter().enumerate().map(|(i, name)| (name.trim().to_ascii_lowercase(), i)).collect();
        let records = reader.records().collect::<Result<_, _>>().context("a line is no CSV")?;
        Ok(Self { columns, records })
    }

    pub fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The rows with the numbers of their lines.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| Row { table: self, record })
    }
}

#[derive(Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    record: &'a StringRecord,
}

impl<'a> Row<'a> {
    pub fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// `None` where there is nothing: empty, `NA`, `null`, −1 for no value.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let text = self.record.get(*self.table.columns.get(column)?)?.trim();
        let nothing = matches!(text, "" | "NA" | "N/A" | "null" | "NULL" | "-1" | "nan" | "NaN");
        (!nothing && text.len() <= MAX_FIELD).then_some(text)
    }

    pub fn need(&self, column: &str) -> Result<&'a str> {
        self.text(column).with_context(|| format!("line {}: no {column}", self.line()))
    }

    pub fn decimal(&self, column: &str) -> Result<Option<f64>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        let number =
            number.with_context(|| format!("line {}: {column} {text:?} is no number", self.line()))?;
        Ok(Some(number))
    }

    /// A whole number from 0, also where it is written with decimals (`12.0`).
    pub fn whole(&self, column: &str) -> Result<Option<u32>> {
        let Some(number) = self.decimal(column)? else { return Ok(None) };
        if number.fract() != 0.0 || !(0.0..=1e9).contains(&number) {
            bail!("line {}: {column} {number} is no whole number", self.line());
        }
        Ok(Some(number as u32))
    }

    pub fn need_whole(&self, column: &str) -> Result<u32> {
        self.whole(column)?.with_context(|| format!("line {}: no {column}", self.line()))
    }

    pub fn date(&self, column: &str) -> Result<Option<Date>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        // Some sources write a time behind the day.
        let day = text.get(..10).unwrap_or(text);
        let date = day.parse().ok();
        Ok(Some(date.with_context(|| format!("line {}: {column} {text:?} is no date", self.line()))?))
    }
}
