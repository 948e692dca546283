//! Two snapshots, table by table and key by key.

use std::cmp::Ordering;
use std::collections::VecDeque;

use domain::ports::rows::{RowKey, RowsError, RowsSnapshot, ScannedRow};
use tokio::sync::mpsc::Sender;

/// A row as it is on both sides; one of them at least is there.
pub type Pair = (Option<ScannedRow>, Option<ScannedRow>);

/// How much is read at once: so many bytes, as the page before tells.
const PAGE_BYTES: usize = 4 << 20;
const FIRST_PAGE: usize = 1_000;
const MAX_PAGE: usize = 10_000;

pub struct Merge<'a> {
    old: Cursor<'a>,
    new: Cursor<'a>,
}

impl<'a> Merge<'a> {
    pub fn new(old: &'a mut dyn RowsSnapshot, new: &'a mut dyn RowsSnapshot) -> Self {
        Self { old: Cursor::new(old), new: Cursor::new(new) }
    }

    /// Sends all pairs of all tables, until nobody takes them. Every table is
    /// sent, if need be without a pair.
    pub async fn run(mut self, pages: Sender<(String, Vec<Pair>)>) -> Result<(), RowsError> {
        let mut tables = self.old.snapshot.tables().to_vec();
        let more = self.new.snapshot.tables().iter().filter(|t| !tables.contains(t)).cloned();
        tables.extend(more.collect::<Vec<_>>());
        for table in tables {
            self.old.start(&table);
            self.new.start(&table);
            if pages.send((table.clone(), Vec::new())).await.is_err() {
                return Ok(());
            }
            loop {
                let (old, new) = tokio::join!(self.old.fill(&table), self.new.fill(&table));
                old.and(new)?;
                let pairs = self.pairs();
                if pairs.is_empty() {
                    break;
                }
                if pages.send((table.clone(), pairs)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Everything up to where one side has to be read on.
    fn pairs(&mut self) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(self.old.rows.len().max(self.new.rows.len()));
        loop {
            let order = match (self.old.rows.front(), self.new.rows.front()) {
                (Some(old), Some(new)) => old.row.cmp(&new.row),
                (Some(_), None) if self.new.ended => Ordering::Less,
                (None, Some(_)) if self.old.ended => Ordering::Greater,
                _ => return pairs,
            };
            let old = if order.is_le() { self.old.rows.pop_front() } else { None };
            let new = if order.is_ge() { self.new.rows.pop_front() } else { None };
            pairs.push((old, new));
        }
    }
}

struct Cursor<'a> {
    snapshot: &'a mut dyn RowsSnapshot,
    rows: VecDeque<ScannedRow>,
    last: Option<RowKey>,
    ended: bool,
    page: usize,
}

impl<'a> Cursor<'a> {
    fn new(snapshot: &'a mut dyn RowsSnapshot) -> Self {
        Self { snapshot, rows: VecDeque::new(), last: None, ended: true, page: FIRST_PAGE }
    }

    /// A table that a side does not have has no rows there.
    fn start(&mut self, table: &str) {
        self.ended = !self.snapshot.tables().iter().any(|t| t == table);
        self.last = None;
        self.page = FIRST_PAGE;
    }

    async fn fill(&mut self, table: &str) -> Result<(), RowsError> {
        if self.ended || !self.rows.is_empty() {
            return Ok(());
        }
        let rows = self.snapshot.scan(table, self.last.as_ref(), self.page).await?;
        self.ended = rows.len() < self.page;
        if let Some(last) = rows.last() {
            self.last = Some(last.row.clone());
            let bytes: usize = rows.iter().map(|r| r.doc.len()).sum();
            self.page = (PAGE_BYTES / (bytes / rows.len()).max(1)).clamp(10, MAX_PAGE);
        }
        self.rows = rows.into();
        Ok(())
    }
}
