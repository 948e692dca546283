//! A checksum over all rows of a generation that does not depend on their
//! order: the sum of the rows' SHA-256, and how many there are in each table.
//!
//! Documents are hashed as JSON values with sorted members, since PostgreSQL's
//! JSONB keeps no order, and with numbers written alike: it turns `1e16` into
//! digits.

use std::collections::BTreeMap;
use std::fmt::Display;

use background::{Broken, Steps};
use domain::ports::rows::{RowKey, RowsError, RowsSnapshot, ScannedRow};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;

use crate::canonical::canonical;

/// Few, because the store reads them at one go.
const PAGE: usize = 1_000;

type Hashing = AbortOnDropHandle<Result<Result<Checksum, RowsError>, Broken>>;

async fn hashed(hashing: Hashing) -> Result<Checksum, RowsError> {
    let broken = |e: &dyn Display| RowsError::Invalid(e.to_string());
    hashing.await.map_err(|e| broken(&e))?.map_err(|e| broken(&e))?
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksum {
    sum: [u64; 4],
    pub rows: BTreeMap<String, u64>,
}

impl Checksum {
    pub async fn of(snapshot: &mut dyn RowsSnapshot) -> Result<Self, RowsError> {
        let mut checksum = Self::default();
        // A page is hashed while the next one is read.
        let mut before: Option<Hashing> = None;
        for table in snapshot.tables().to_vec() {
            let mut after: Option<RowKey> = None;
            loop {
                let page = snapshot.scan(&table, after.as_ref(), PAGE).await?;
                if let Some(before) = before.take() {
                    checksum.merge(hashed(before).await?);
                }
                let Some(last) = page.last() else { break };
                after = Some(last.row.clone());
                let full = page.len() == PAGE;
                let name = table.clone();
                let hashing = background::run(move || Self::of_page(&name, &page));
                before = Some(AbortOnDropHandle::new(tokio::spawn(hashing)));
                if !full {
                    break;
                }
            }
        }
        if let Some(before) = before {
            checksum.merge(hashed(before).await?);
        }
        Ok(checksum)
    }

    fn of_page(table: &str, page: &[ScannedRow]) -> Result<Self, RowsError> {
        let mut part = Self::default();
        let mut steps = Steps::of_nanos(1_000);
        for row in page {
            steps.step();
            part.add(table, row)?;
        }
        Ok(part)
    }

    pub fn add(&mut self, table: &str, row: &ScannedRow) -> Result<(), RowsError> {
        self.absorb(table, Self::hash(table, row)?);
        Ok(())
    }

    /// Counts a row of the table by its hash.
    pub fn absorb(&mut self, table: &str, hash: RowHash) {
        for (sum, word) in self.sum.iter_mut().zip(hash.0) {
            *sum = sum.wrapping_add(word);
        }
        match self.rows.get_mut(table) {
            Some(rows) => *rows += 1,
            None => {
                self.rows.insert(table.to_owned(), 1);
            }
        }
    }

    pub fn hash(table: &str, row: &ScannedRow) -> Result<RowHash, RowsError> {
        let mut hash = Sha256::new();
        for part in [table, row.row.tenant.as_str(), &row.row.key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        match &row.sort {
            Some(sort) => {
                hash.update([1]);
                hash.update((sort.len() as u64).to_be_bytes());
                hash.update(sort);
            }
            None => hash.update([0]),
        }
        let mut text = String::with_capacity(row.doc.len());
        canonical(&row.doc, &mut text).map_err(|e| no_json(table, row, &e))?;
        hash.update(text);
        let digest: [u8; 32] = hash.finalize().into();
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Ok(RowHash(words))
    }

    pub fn merge(&mut self, other: Self) {
        for (sum, more) in self.sum.iter_mut().zip(other.sum) {
            *sum = sum.wrapping_add(more);
        }
        for (table, rows) in other.rows {
            *self.rows.entry(table).or_default() += rows;
        }
    }

    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }

    pub fn hex(&self) -> String {
        self.sum.iter().map(|word| format!("{word:016x}")).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHash([u64; 4]);

/// The row's document.
pub fn parse(table: &str, row: &ScannedRow) -> Result<Value, RowsError> {
    serde_json::from_str(&row.doc).map_err(|e| no_json(table, row, &e))
}

fn no_json(table: &str, row: &ScannedRow, error: &serde_json::Error) -> RowsError {
    RowsError::Invalid(format!("row {} of {table} is no JSON: {error}", row.row.key))
}

#[cfg(test)]
mod tests {
    use domain::TenantId;

    use super::*;

    fn row(key: &str, doc: &str) -> ScannedRow {
        let tenant = TenantId::new("acme").unwrap();
        ScannedRow { row: RowKey { tenant, key: key.into() }, sort: None, doc: doc.into() }
    }

    fn of(rows: &[ScannedRow]) -> Checksum {
        let mut sum = Checksum::default();
        rows.iter().for_each(|r| sum.add("t", r).unwrap());
        sum
    }

    #[test]
    fn neither_the_order_of_rows_nor_that_of_members_counts() {
        let (a, b) = (row("a", r#"{"x":1,"y":[1,2]}"#), row("b", "{}"));
        let swapped = row("a", r#"{"y": [1.0, 2e0], "x": 1}"#);
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[b.clone(), swapped]));
        let mut parts = of(std::slice::from_ref(&a));
        parts.merge(of(std::slice::from_ref(&b)));
        assert_eq!(parts, of(&[a, b]));
    }

    /// As PostgreSQL gives them back.
    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let ways = [
            ("1e16", "10000000000000000"),
            ("1e-7", "0.0000001"),
            ("-0.0", "0"),
            ("2.50", "2.5"),
            ("5e-324", &format!("0.{}49406564584124654", "0".repeat(323))),
            ("1.7976931348623157e308", &format!("17976931348623157{}", "0".repeat(292))),
        ];
        for (one, other) in ways {
            assert_eq!(of(&[row("a", one)]), of(&[row("a", other)]), "{one}");
        }
        assert_ne!(of(&[row("a", "9007199254740993")]), of(&[row("a", "9007199254740992")]));
    }

    #[test]
    fn every_part_of_a_row_counts() {
        let base = row("a", r#"{"x":1}"#);
        let sorted = ScannedRow { sort: Some(String::new()), ..base.clone() };
        for other in [row("b", r#"{"x":1}"#), row("a", r#"{"x":2}"#), row("a", r#"{"x":"1"}"#), sorted] {
            assert_ne!(of(std::slice::from_ref(&base)), of(&[other]));
        }
        assert_ne!(of(&[base.clone(), base.clone()]), of(&[]));
        assert_eq!(of(&[base]).hex().len(), 64);
    }
}
