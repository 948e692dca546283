//! What differs between two generations: which rows, which of their members,
//! and by how much.
//!
//! Both snapshots are read in key order and merged, so memory is bounded
//! whatever their size: a few pages, one entry for each path of members (up to
//! a limit), and the rows that differ most. Reading goes on while a blocking
//! thread compares.

mod charting;
mod explain;
mod fields;
mod merge;
mod numbers;
mod outcome;
mod paths;
#[cfg(test)]
mod tests;
mod top;

pub use explain::{ExplainError, Part, RowName, Traced, explain, trace};
pub use outcome::*;
pub use paths::SORT;

use std::io::Write;

use domain::TenantId;
use domain::ports::rows::{RowsError, RowsSnapshot};
use projections::chart::Chart;

use charting::Charting;
use fields::Fields;
use merge::{Merge, Pair};
use top::Top;

use crate::checksum::{Checksum, parse};

/// Most rows that a comparison may be asked to tell.
pub const MAX_TOP: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Options {
    /// Rows told in the outcome, those with the largest differences.
    pub top: usize,
    /// Examples for each member.
    pub examples: usize,
    pub chart: Option<Chart>,
    /// Rows of other tenants are counted and nothing else is told of them.
    pub tenant: Option<TenantId>,
}

impl Default for Options {
    fn default() -> Self {
        Self { top: 20, examples: 3, chart: None, tenant: None }
    }
}

/// Takes every row that differs as one line of JSON, a [`RowDifference`].
pub type Lines = Box<dyn Write + Send>;

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("the differences cannot be written: {0}")]
    Write(#[from] std::io::Error),
    #[error("the comparison broke off: {0}")]
    Broken(String),
}

/// Compares all rows of all tables. That both are at the same position is up
/// to the caller; the outcome tells the positions.
pub async fn compare(
    old: &mut dyn RowsSnapshot,
    new: &mut dyn RowsSnapshot,
    options: Options,
    lines: Option<Lines>,
) -> Result<Comparison, CompareError> {
    let sides = (old.generation().clone(), new.generation().clone());
    let (sender, mut pages) = tokio::sync::mpsc::channel(1);
    let comparing = tokio::task::spawn_blocking(move || {
        let mut comparer = Comparer::new(&options, lines);
        while let Some((table, pairs)) = pages.blocking_recv() {
            comparer.table(table);
            for pair in pairs {
                comparer.pair(pair)?;
            }
        }
        comparer.end()
    });
    let read = Merge::new(old, new).run(sender).await;
    // A comparer that failed takes no more pages; its error is the cause.
    let ended = comparing.await.map_err(|e| CompareError::Broken(e.to_string()))??;
    read?;
    Ok(ended.comparison(&sides.0, &sides.1))
}

struct Comparer {
    options: Options,
    old: Checksum,
    new: Checksum,
    tables: Vec<TableDifference>,
    elsewhere: Option<Elsewhere>,
    fields: Fields,
    top: Top,
    chart: Option<Charting>,
    lines: Option<Lines>,
}

impl Comparer {
    fn new(options: &Options, lines: Option<Lines>) -> Self {
        Self {
            old: Checksum::default(),
            new: Checksum::default(),
            tables: Vec::new(),
            elsewhere: options.tenant.as_ref().map(|_| Elsewhere::default()),
            fields: Fields::new(options.examples.min(MAX_TOP)),
            top: Top::new(options.top.min(MAX_TOP)),
            chart: options.chart.map(Charting::new),
            options: options.clone(),
            lines,
        }
    }

    fn table(&mut self, table: String) {
        if self.tables.last().is_none_or(|t| t.table != table) {
            self.end_table();
            self.tables.push(TableDifference { table, ..TableDifference::default() });
        }
    }

    fn end_table(&mut self) {
        if let Some(table) = self.tables.last_mut() {
            let fields = std::mem::replace(&mut self.fields, Fields::new(self.options.examples.min(MAX_TOP)));
            table.fields = fields.end();
        }
    }

    fn pair(&mut self, pair: Pair) -> Result<(), CompareError> {
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        let name = &table.table;
        let (mut docs, mut hashes) = ([None, None], [None, None]);
        let alike = matches!(&pair, (Some(old), Some(new)) if old.doc == new.doc && old.sort == new.sort);
        for (i, row) in [&pair.0, &pair.1].into_iter().enumerate() {
            let Some(row) = row else { continue };
            if i == 1 && alike {
                (docs[1], hashes[1]) = (docs[0].clone(), hashes[0]);
                continue;
            }
            let doc = parse(name, row)?;
            hashes[i] = Some(Checksum::hash(name, row)?);
            docs[i] = Some(doc);
        }
        let [old, new] = [docs[0].as_ref(), docs[1].as_ref()];
        for (side, hash) in [(&mut self.old, hashes[0]), (&mut self.new, hashes[1])] {
            if let Some(hash) = hash {
                side.absorb(name, hash);
            }
        }
        let kind = match hashes {
            [None, _] => Some(Kind::Added),
            [_, None] => Some(Kind::Removed),
            [a, b] => (a != b).then_some(Kind::Changed),
        };
        if let (Some(told), Some(elsewhere)) = (&self.options.tenant, &mut self.elsewhere) {
            let row = pair.0.as_ref().or(pair.1.as_ref());
            if row.is_some_and(|r| r.row.tenant != *told) {
                elsewhere.count(kind);
                return Ok(());
            }
        }
        table.old_rows += u64::from(hashes[0].is_some());
        table.new_rows += u64::from(hashes[1].is_some());
        if let Some(chart) = &mut self.chart {
            chart.row(name, &pair, old, new);
        }
        let changes = self.fields.row(&pair, kind, old, new);
        let Some(kind) = kind else { return Ok(()) };
        match kind {
            Kind::Added => table.added += 1,
            Kind::Removed => table.removed += 1,
            Kind::Changed => table.changed += 1,
        }
        let Some(row) = pair.0.or(pair.1).map(|r| r.row) else { return Ok(()) };
        let difference = RowDifference {
            table: name.clone(),
            tenant: row.tenant.to_string(),
            key: row.key.to_string(),
            change: kind,
            fields: changes,
            fields_left_out: 0,
            events: None,
        };
        if let Some(lines) = &mut self.lines {
            serde_json::to_writer(&mut *lines, &difference).map_err(std::io::Error::from)?;
            lines.write_all(b"\n")?;
        }
        self.top.push(difference);
        Ok(())
    }

    fn end(mut self) -> Result<Self, CompareError> {
        self.end_table();
        if let Some(lines) = &mut self.lines {
            lines.flush()?;
        }
        Ok(self)
    }

    fn comparison(
        self,
        old: &domain::ports::rows::Generation,
        new: &domain::ports::rows::Generation,
    ) -> Comparison {
        let sum = |count: fn(&TableDifference) -> u64| self.tables.iter().map(count).sum();
        let (added, removed, changed): (u64, u64, u64) =
            (sum(|t| t.added), sum(|t| t.removed), sum(|t| t.changed));
        let (rows, rows_left_out) = self.top.end();
        Comparison {
            projection: new.id.projection.to_string(),
            old: Side::new(old, &self.old),
            new: Side::new(new, &self.new),
            same: added + removed + changed + self.elsewhere.map_or(0, |e| e.total()) == 0,
            added,
            removed,
            changed,
            elsewhere: self.elsewhere,
            tables: self.tables,
            rows,
            rows_left_out,
            chart: self.chart.map(Charting::end),
        }
    }
}
